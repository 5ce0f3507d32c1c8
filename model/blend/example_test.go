package blend_test

import (
	"fmt"

	"tutti/model/blend"
	"tutti/model/stats"
)

// A recommender of the two private releases alone: who watched "Alien" is shown "Aliens", because the one leads to the
// other; everybody else gets what is popular. A Transformer joins when there is one.
func Example() {
	titles := []string{"Toy Story", "Alien", "Aliens", "Brazil"}
	popularity, err := stats.NewPopularity([]float32{50, 20, 10, 20}, 0) // the opened sum, and the noise on it
	if err != nil {
		panic(err)
	}
	block, err := stats.NewBlock([]int32{0, 1, 2}, len(titles))
	if err != nil {
		panic(err)
	}
	sum := make([]float32, block.Cells())
	sum[block.Cell(1, 2)] = 15
	transitions, err := stats.NewTransitions(block, sum, 0)
	if err != nil {
		panic(err)
	}
	recommender, err := blend.New(blend.Parts{Popularity: popularity, Transitions: transitions})
	if err != nil {
		panic(err)
	}
	list, err := recommender.Rank([]int32{1}, 2, nil)
	if err != nil {
		panic(err)
	}
	for _, r := range list {
		fmt.Printf("%s: %s", titles[r.Item], r.Kind)
		if r.Kind == blend.Because {
			fmt.Printf(" of %s", titles[r.Because])
		}
		fmt.Println()
	}
	// Output:
	// Aliens: because of Alien
	// Toy Story: popular
}
