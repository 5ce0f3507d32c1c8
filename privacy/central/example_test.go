package central_test

import (
	"fmt"
	"math"

	"tutti/privacy/accounting"
	"tutti/privacy/central"
)

// Four rounds of a stream, with a crash in the middle.
func Example() {
	blt, err := accounting.ChooseBLT(4, 1, 4, 2)
	if err != nil {
		panic(err)
	}
	setting := central.Setting{
		Event: accounting.BLTMF{BLT: blt, Rounds: 4, Participations: 1, Separation: 4, Z: 0.7},
		Bound: 32_768, Dim: 3,
	}
	stream, err := central.NewStream(setting)
	if err != nil {
		panic(err)
	}
	for round := range 4 {
		noised, err := stream.Next([]int64{1_000_000, 0, -1_000_000})
		if err != nil {
			panic(err)
		}
		state := stream.Marshal() // kept with what is published
		if stream, err = central.ParseStream(state, setting); err != nil {
			panic(err)
		}
		near := math.Abs(float64(noised[0]-1_000_000)) < 20*32_768
		fmt.Println("round", round+1, "of", setting.Event.Rounds, near)
	}
	// Output:
	// round 1 of 4 true
	// round 2 of 4 true
	// round 3 of 4 true
	// round 4 of 4 true
}
