package ledger

import (
	"errors"
	"testing"
)

// TestPaidStream: a round costs nothing only if it belongs to the stream that an earlier round has paid for.
func TestPaidStream(t *testing.T) {
	stream, other := Digest{1}, Digest{2}
	s := new(State)
	step := func(b Body) error {
		_, err := s.Add(s.Next(b, 1))
		return err
	}
	mustAdd := func(b Body) {
		t.Helper()
		if err := step(b); err != nil {
			t.Fatal(err)
		}
	}
	planned := func(round uint64, in Digest, cost int64) *Plan {
		return &Plan{Task: "films", Round: round, What: "model", Rho: rho(cost, 10), Stream: in, Bytes: []byte{byte(round), in[0]}, Signature: []byte{1}}
	}
	ended := func(p *Plan, outcome string) *Round {
		return &Round{Task: "films", Round: p.Round, What: p.What, Plan: p.Digest(), Outcome: outcome, Survived: 9, NMin: 9, Central: "blt", Rho: p.Rho}
	}
	refused := func(name string, b Body) {
		t.Helper()
		var v *Violation
		if err := step(b); !errors.As(err, &v) || v.Fault != FaultRho {
			t.Errorf("%s: %v", name, err)
		}
	}
	mustAdd(&Task{Task: "films", Operator: make([]byte, 32), Budget: rho(1, 1)})
	refused("a free round without a stream", planned(1, Digest{}, 0))
	refused("a free round of a stream that nobody paid for", planned(1, stream, 0))

	first := planned(1, stream, 3)
	mustAdd(first)
	refused("a free round while the first one may still be abandoned", planned(2, stream, 0))
	mustAdd(&Abandon{Task: "films", Round: 1, Plan: first.Digest(), Reason: "too_few"})
	refused("a free round after the first one was abandoned", planned(2, stream, 0))

	second := planned(2, stream, 3)
	mustAdd(second)
	mustAdd(ended(second, Lost))
	refused("a free round of another stream", planned(3, other, 0))
	third := planned(3, stream, 0)
	mustAdd(third)
	dearer := ended(third, Published)
	dearer.Rho = rho(1, 10)
	refused("a round that costs more than was planned", dearer)
	mustAdd(ended(third, Published))
	if total, _ := s.Task("films"); total.Spent.Cmp(rho(3, 10)) != 0 || total.Reserved.Sign() != 0 || total.Stream != stream || total.Unbounded {
		t.Errorf("%+v", total)
	}
}
