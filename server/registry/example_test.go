package registry_test

import (
	"fmt"

	"tutti/server/registry"
)

// A new version goes to a ring of devices, and further when it is measured to be as good.
func Example() {
	policy, err := registry.Policy{Start: 5}.Complete()
	if err != nil {
		fmt.Println(err)
		return
	}
	line, _ := registry.Line{}.Offer(registry.Published{Number: 7}, registry.Everybody)
	line, _ = line.Release(registry.Published{Number: 8}, policy.Start)
	fmt.Println(line.Stable.Number, line.Canary.Number, line.Percent)

	stable := []registry.Measured{{Name: "hit10", Value: 0.21, Error: 0.01}}
	canary := []registry.Measured{{Name: "hit10", Value: 0.22, Error: 0.01}}
	d := policy.Decide(stable, canary, line.Percent)
	fmt.Println(d.Action, d.Percent)
	canary[0].Value = 0.1
	fmt.Println(policy.Decide(stable, canary, line.Percent).Action)
	// Output:
	// 7 8 5
	// widen 25
	// stop
}
