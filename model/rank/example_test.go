package rank_test

import (
	"fmt"

	"tutti/model/rank"
)

func Example() {
	vectors := []float32{ // three items, two numbers each
		1, 0,
		0.8, 0.6,
		0, 1,
	}
	index, err := rank.NewIndex(vectors, nil, 2)
	if err != nil {
		fmt.Println(err)
		return
	}
	small, err := rank.NewInt8(index) // the same answers from fewer bytes
	if err != nil {
		fmt.Println(err)
		return
	}
	history := []int32{0}
	top, err := small.Top([]float32{1, 0.5}, 2, rank.Seen(history))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range top {
		fmt.Printf("item %d: %.1f\n", r.Item, r.Score)
	}
	// Output:
	// item 1: 1.1
	// item 2: 0.5
}
