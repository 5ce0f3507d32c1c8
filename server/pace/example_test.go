package pace_test

import (
	"fmt"
	"time"

	"tutti/server/pace"
)

// A server of 600 devices whose next round opens in 20 minutes, and one of three million that has none planned.
func ExamplePolicy_Wait() {
	now := time.Unix(1_790_000_000, 0)
	few := pace.Round{Now: now, Opening: now.Add(20 * time.Minute), Population: 600}
	many := pace.Round{Now: now, Population: 3_000_000}
	for _, u := range []float64{0, 0.5} {
		fmt.Println(pace.Policy{}.Wait(pace.NoRound, few, u), pace.Policy{}.Wait(pace.NoRound, many, u))
	}
	// Output:
	// 20m0s 1m0s
	// 20m6s 16h40m0s
}
