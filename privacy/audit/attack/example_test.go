package attack_test

import (
	"context"
	"fmt"

	"tutti/privacy/audit/attack"
)

// A server that lost half of its devices tries to open what is left.
func ExampleDropout() {
	s, err := attack.Dropout(context.Background(), attack.Options{Seed: 1, Workers: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("without protection:", s.PositiveControl.Setup)
	why, _ := s.Find("refused with")
	fmt.Println("with it:", why)
	fmt.Println(s.Verdict)
	// Output:
	// without protection: n_min 2, shares sized for all: the sum of 5 of 10 opens, epsilon 7.29 instead of 4.89
	// with it: aggregation: member refuses: set_size: 5, the round takes 8 to 10
	// pass
}
