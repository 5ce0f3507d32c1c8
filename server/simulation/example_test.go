package simulation_test

import (
	"fmt"
	"strings"
	"time"

	"tutti/server/simulation"
	"tutti/server/store"
)

// A round of three devices over two replicas, of which one dies before its eighth write.
func Example() {
	schedule, err := simulation.Read(strings.NewReader(`
		seed=4 replicas=2 devices=3 groups=1 rounds=1 goal=3 min=2 max=4 batch=1 drop=0 repeat=0 liar=-1 lies=-
		come who=0 via=0 n=0 at=2s for=0s
		come who=1 via=1 n=0 at=3s for=0s
		come who=2 via=1 n=0 at=4s for=0s
		crash-before who=0 via=0 n=8 at=0s for=5s`))
	if err != nil {
		fmt.Println(err)
		return
	}
	now := func() time.Time { return simulation.Began }
	disk := store.NewDisk(func() time.Time { return now() }, true)
	result := simulation.Play(schedule, simulation.Options{
		Task: "example", Stores: []store.Store{disk.Open("a"), disk.Open("b")},
		Clock: func(clock func() time.Time) { now = clock },
	})
	fmt.Println(result.Broken, result.Ends)
	// Output:
	// <nil> map[published:1]
}
