package plan

import (
	"math/big"
	"testing"

	"tutti/privacy/accounting"
)

// TestFewParticipations: whatever k, the dearest k rounds with telemetry use the budget to the last and never more, and a
// limit that does not bind changes nothing.
func TestFewParticipations(t *testing.T) {
	wish := Wish{Goal: 4000, Epsilon: 8, Items: 3000, Dim: 5000, Model: ModelForce, Rounds: 10}
	free, err := PlanSplit(wish)
	if err != nil {
		t.Fatal(err)
	}
	last := new(big.Rat)
	for k := 1; k <= 14; k++ {
		wish.Participations = k
		s, err := PlanSplit(wish)
		if err != nil {
			t.Fatal(err)
		}
		costs := []*big.Rat{s.Popularity, s.Transitions}
		for range s.Rounds {
			costs = append(costs, s.Round)
		}
		worst := accounting.WorstParticipation(costs, uint64(k), 1)
		if worst.Add(worst, s.Telemetry).Cmp(s.Rho) != 0 {
			t.Errorf("k = %d: a device loses %s of %s", k, worst.FloatString(6), s.Rho.FloatString(6))
		}
		if k >= 12 && s.Round.Cmp(free.Round) != 0 || k < 12 && s.Round.Cmp(free.Round) <= 0 || last.Sign() > 0 && s.Round.Cmp(last) > 0 {
			t.Errorf("k = %d: a round may cost %s, %s without a limit", k, s.Round.FloatString(6), free.Round.FloatString(6))
		}
		last = s.Round
	}
}
