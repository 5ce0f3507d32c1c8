package round_test

import (
	"fmt"
	"time"

	"tutti/server/round"
)

// A shell makes a machine, carries its effects out in their order, and tells it what came of them.
func Example() {
	params, err := round.NewParams(round.Literal{
		Members: 5, Quorum: 4, Need: 3, Goal: 500, Min: 350, Max: 650, Batch: 64, Windows: round.DefaultWindows(5 * time.Minute),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Unix(1_800_000_000, 0)
	m, out := round.New(params, now)
	fmt.Println(m.State(), len(out.Send), "members are asked to", out.Send[0].Ask)
	for j := range 5 {
		out = m.Step(now, round.Opened{Member: j, Key: []byte("key")})
	}
	fmt.Println(m.State(), len(out.Send), "members are asked to", out.Send[0].Ask)
	for j := range 5 {
		out = m.Step(now, round.Revealed{Member: j, Coin: []byte("coin")})
	}
	fmt.Println("persist", out.Persist.From, "->", out.Persist.To, "and only then ask them to", out.Send[0].Ask)
	out = m.Step(now.Add(10*time.Minute), round.Tick{})
	for j := range 5 {
		out = m.Step(now.Add(10*time.Minute), round.Begun{Member: j})
	}
	fmt.Println(m.State(), "because", out.Persist.Durable.Abandon.Sentence())
	// Output:
	// created 5 members are asked to open
	// created 5 members are asked to reveal
	// persist created -> collecting and only then ask them to begin
	// abandoned because too few devices took part before the deadline; nothing was opened
}
