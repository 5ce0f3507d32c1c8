package attack

import (
	"context"
	"fmt"
	"math"

	"tutti/privacy/accounting"
	"tutti/privacy/audit"
	"tutti/privacy/mechanism"
)

// MembershipSum asks of every device of a round whether its vector is in the opened sum, by the inner product with the
// vector, which the attacker knows. Every vector is as long as the clip, the worst case; a coin decides whether a device
// sends it or zeros, which is the change that the claim is about (zero-out). Without noise the attacker knows that one
// vector only; under noise it also knows the vectors and coins of all others and subtracts them, so that the bound is
// tight: AUC <= Phi(mu/sqrt 2).
func MembershipSum(ctx context.Context, o Options, k Kind, sizes []int, zs []float64, scores int) (audit.Section, error) {
	s := audit.Section{
		Kind:        "membership_sum",
		ThreatModel: "Reads the opened sum, knows the target's exact update; under noise also those of all others in the sum.",
		Setup:       fmt.Sprintf("%s scaled to the clip; about %d coins for each figure, half of them in.", k.Name, scores),
	}
	total := 0
	for _, n := range sizes {
		total += n * max(1, scores/n) * (1 + len(zs))
	}
	work := o.steps(total)
	passes := true
	for _, z := range append([]float64{0}, zs...) {
		for _, n := range sizes {
			m := members{kind: k, n: n, z: z, rounds: max(1, scores/n)}
			cases, mu, err := m.cases(ctx, o, work)
			if err != nil {
				return s, err
			}
			a := aucOf(cases)
			if z == 0 {
				c := audit.Control{Setup: fmt.Sprintf("no noise, others unknown, n = %d", n), Value: fixed(a.value), Detected: a.value >= succeeds}
				if s.PositiveControl == nil {
					s.PositiveControl = &c
				} else {
					s.MoreControls = append(s.MoreControls, c)
				}
				continue
			}
			bound := accounting.MaxAUC(mu)
			if s.Bound == "" {
				s.Bound = fixed(bound)
			}
			s.Values = append(s.Values, value(fmt.Sprintf("z = %g, n = %d (bound %.3f)", z, n, bound), a))
			passes = passes && a.value-strictSigmas*aucError(bound, len(cases)/2, len(cases)/2) <= bound
			s.Power = fmt.Sprintf("Tight: a noise of half the size would give %.3f instead of %.3f.", accounting.MaxAUC(2*mu), bound)
		}
	}
	judge(&s, passes, "No figure is above its bound by more than chance gives in one of a thousand runs.", "Membership shows more than the claim allows.")
	return s, nil
}

// strictSigmas is the standard normal quantile of 1 - strict.
const strictSigmas = 3.09

// members is one setting of MembershipSum.
type members struct {
	kind      Kind
	n, rounds int
	z         float64
}

func (m members) cases(ctx context.Context, o Options, work *steps) (cases []scored, mu float64, err error) {
	vectors := make([][]float32, m.n)
	for i := range vectors {
		vectors[i] = atClip(m.kind.Vector(i), m.kind.Clip)
	}
	for round := range m.rounds {
		label := fmt.Sprintf("membership %g %d %d", m.z, m.n, round)
		in := newStream(o.Seed, label, -1).halves(m.n)
		sent := func(i int) []float32 {
			if in[i] {
				return vectors[i]
			}
			return nil
		}
		sum, p, err := o.opened(ctx, m.kind.Dim, m.kind.Clip, m.n, m.z, label, sent, work)
		if err != nil {
			return nil, 0, err
		}
		if m.z > 0 {
			if mu, err = muOf(p); err != nil {
				return nil, 0, err
			}
			for i, x := range vectors { // what is left is noise; each target adds itself again below
				if in[i] {
					for j, v := range x {
						sum[j] -= v
					}
				}
			}
		}
		for i, x := range vectors {
			score := dot(sum, x)
			if m.z > 0 && in[i] {
				score += norm(x)
			}
			cases = append(cases, scored{score, in[i]})
		}
	}
	return cases, mu, nil
}

// muOf is the Gaussian parameter of one participation.
func muOf(p mechanism.Params) (float64, error) {
	rho, _ := p.Rho().Float64()
	if !(rho > 0) {
		return 0, fmt.Errorf("attack: a rho of %v", p.Rho())
	}
	return math.Sqrt(2 * rho), nil
}

// atClip is x at a norm of exactly clip; a vector of zeros becomes one that points along all coordinates.
func atClip(x []float32, clip float64) []float32 {
	out, square := make([]float32, len(x)), 0.0
	for _, v := range x {
		square += float64(v) * float64(v)
	}
	for i, v := range x {
		if square == 0 {
			out[i] = float32(clip / math.Sqrt(float64(len(x))))
			continue
		}
		out[i] = float32(float64(v) * clip / math.Sqrt(square))
	}
	return out
}
