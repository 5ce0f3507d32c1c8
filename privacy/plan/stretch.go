package plan

import (
	"fmt"
	"math/big"

	"tutti/privacy/accounting"
)

// stretch uses a limit on participations: a device that is in at most k rounds loses at most the k dearest, so that every
// round may cost more until those use what was divided among all. Telemetry and metrics keep what they have. A stream
// of correlated noise reckons with k itself. It gives back what is to be said of it.
//
// Separation is left out of it: it may make the dearest choice cheaper, and nothing rests on that.
func (s *Split) stretch(w Wish) []string {
	costs := []*big.Rat{s.Popularity, s.Transitions}
	for range s.Rounds {
		costs = append(costs, s.Round)
	}
	all, worst := accounting.WorstParticipation(costs, 0, 1), accounting.WorstParticipation(costs, uint64(max(0, w.Participations)), 1)
	if s.Trust == TrustCentralMF || worst.Sign() == 0 || all.Cmp(worst) == 0 {
		return nil
	}
	factor := new(big.Rat).Quo(all, worst)
	for _, share := range []**big.Rat{&s.Popularity, &s.Transitions, &s.Model, &s.Round} {
		*share = new(big.Rat).Mul(*share, factor)
	}
	if s.Transitions.Sign() > 0 {
		s.Block = min(w.Items, BlockSize(float64(w.Goal)*s.effective(s.Transitions)))
	}
	times, _ := factor.Float64()
	return []string{fmt.Sprintf("A device is in at most %d of these rounds and loses at most the dearest of them, so that each may cost %.1f times as much; the budget is what one device can lose.", w.Participations, times)}
}
