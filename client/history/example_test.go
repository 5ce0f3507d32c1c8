package history_test

import (
	"fmt"

	"tutti/client/history"
)

// The recommender reads item indices in time order; a view that becomes a
// purchase counts once, a skip not at all.
func ExampleSequence() {
	shelf := map[int64]int32{501: 0, 502: 1, 503: 2}
	index := func(item int64) (int32, bool) { i, known := shelf[item]; return i, known }
	fmt.Println(history.Sequence([]history.Event{
		{Item: 503, Kind: history.View, Time: 30},
		{Item: 501, Kind: history.View, Time: 10},
		{Item: 501, Kind: history.Purchase, Time: 12},
		{Item: 502, Kind: history.Skip, Time: 20},
	}, index))
	// Output: [0 2]
}
