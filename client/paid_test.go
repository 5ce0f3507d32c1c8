package client

import (
	"bytes"
	"math/big"
	"testing"

	"tutti/privacy/plan"
)

// streamRound is a round of a stream that costs 1/2 as a whole, and began with round first.
func streamRound(first, index uint64) plan.Plan {
	return plan.Plan{Task: "films", Round: first + index, Kind: plan.Model, Separation: 1, Participations: 9,
		Central: &plan.Central{Noise: plan.CentralBLT, Z: "1", Theta: []string{"0.5"}, Omega: []string{"0.25"}, Rounds: 9, Index: uint32(index)}}
}

// TestStreamIsChargedOnce: the first round of a stream pays for it, later ones cost nothing, and the cost comes back with the
// last of its rounds that is given back, in whatever order.
func TestStreamIsChargedOnce(t *testing.T) {
	s, err := newState("films", bytes.NewReader(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	join := func(pl plan.Plan) {
		s.addCharge(charge{round: pl.Round, rho: pl.Cost(pl.Stream()), stream: pl.Stream()}, true)
		s.join(pl)
	}
	spent := func(what string, num, den int64) {
		t.Helper()
		if s.spent.Cmp(big.NewRat(num, den)) != 0 {
			t.Errorf("%s: %s is spent, want %d/%d", what, s.spent, num, den)
		}
		if _, err := decodeState(s.encode()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for index := range uint64(3) {
		join(streamRound(4, index))
		spent("a round of the stream", 1, 2)
	}
	s.refund(4) // the round that paid
	spent("the first round given back", 1, 2)
	s.close(5)
	s.refund(6)
	spent("the last one given back, one between them counted", 1, 2)

	join(streamRound(7, 0))
	spent("another stream", 1, 1)
	s.refund(7)
	spent("its only round given back", 1, 2)
	if s.stream.rho != nil {
		t.Error("a stream that was given back is kept")
	}
	join(streamRound(8, 0))
	join(streamRound(12, 0))
	s.refund(8)
	spent("a round of a stream that another followed", 3, 2)
}
