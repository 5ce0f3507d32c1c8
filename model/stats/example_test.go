package stats_test

import (
	"fmt"

	"tutti/model/stats"
)

// Two devices, in the clear: what they send, what the server makes of the sum,
// what a device shows. In a real run the sums come noised out of the secure
// aggregation, and sigma is the deviation of that noise.
func Example() {
	histories := [][]int32{{0, 1, 2, 4}, {3, 0, 1}}
	const items, sigma = 5, 0

	sum := make([]float32, items)
	for _, h := range histories {
		for i, v := range stats.PopularityVector(h, items) {
			sum[i] += v
		}
	}
	popularity, err := stats.NewPopularity(sum, sigma)
	if err != nil {
		fmt.Println(err)
		return
	}
	block, err := stats.NewBlock(popularity.TopK(4), items)
	if err != nil {
		fmt.Println(err)
		return
	}
	cells := make([]float32, block.Cells())
	for _, h := range histories {
		for i, v := range block.Vector(h, stats.DefaultWindow) {
			cells[i] += v
		}
	}
	transitions, err := stats.NewTransitions(block, cells, sigma)
	if err != nil {
		fmt.Println(err)
		return
	}
	scorer, err := stats.NewScorer(popularity, transitions)
	if err != nil {
		fmt.Println(err)
		return
	}
	scores := make([]float32, items)
	scorer.Distribution([]int32{0}, scores)
	best := stats.TopK(scores, 1)[0]
	fmt.Println("after item 0: item", best, "because of item", scorer.Explain([]int32{0}, best).Because)
	// Output: after item 0: item 1 because of item 0
}
