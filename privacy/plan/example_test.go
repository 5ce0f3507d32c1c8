package plan_test

import (
	"errors"
	"fmt"

	"tutti/privacy/plan"
)

// Six thousand devices at epsilon 8, and a Transformer of 300,000 numbers or a trainable part of 4,000.
func ExamplePlanSplit() {
	for _, dim := range []int{300_000, 4_000} {
		s, err := plan.PlanSplit(plan.Wish{Goal: 6000, Epsilon: 4, Items: 3706, Dim: dim})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%d numbers: %s, a block of %d items, %d model rounds\n", dim, s.Advice, s.Block, s.Rounds)
	}
	// Output:
	// 300000 numbers: statistics_only, a block of 578 items, 0 model rounds
	// 4000 numbers: all, a block of 514 items, 60 model rounds
}

// A device shows its user why it did not take part.
func ExamplePolicy_Check() {
	err := plan.Policy{Task: "films"}.Check(plan.Plan{Task: "news"}, plan.State{})
	var refusal *plan.Refusal
	if errors.As(err, &refusal) {
		fmt.Println(refusal.Sentence())
	}
	// Output: The plan is for another task. Nothing was sent.
}
