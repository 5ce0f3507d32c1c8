package plan

import (
	"bytes"
	"math"
	"math/big"
	"testing"

	"tutti/privacy/mechanism"
)

// stream is a reader of a counter's bytes: enough to key the mechanism's generator.
type stream byte

func (s *stream) Read(b []byte) (int, error) {
	*s++
	copy(b, bytes.Repeat([]byte{byte(*s)}, len(b)))
	return len(b), nil
}

// TestNorm encodes updates as long as the clip. None may exceed the bound (40 of them: false alarm 2^-34), and the bound
// must be tight: within 4 sqrt(u/D) of the length that they have on average.
func TestNorm(t *testing.T) {
	for name, m := range map[string]mechanism.Params{
		"much noise":   design(t, nil),
		"little noise": design(t, func(l *mechanism.Literal) { l.NMin, l.NMax, l.Rho = 900, 1000, big.NewRat(50, 1) }),
		"no noise":     design(t, func(l *mechanism.Literal) { l.Noise, l.Rho = false, nil }),
	} {
		codec, err := mechanism.NewCodec(m)
		if err != nil {
			t.Fatal(err)
		}
		bound, longest := float64(Norm(m)), 0.0
		update := make([]float32, m.Dim)
		update[3] = 1e6
		random := stream(0)
		for range 40 {
			e, err := codec.Encode(mechanism.Clip(update, m.Clip), &random)
			if err != nil {
				t.Fatal(err)
			}
			square := 0.0
			for _, v := range e.Values() {
				square += float64(v) * float64(v)
			}
			longest = math.Max(longest, math.Sqrt(square))
		}
		if longest > bound {
			t.Errorf("%s: an honest vector of length %.0f, bound %.0f", name, longest, bound)
		}
		if room := bound/longest - 1; m.Noise && room > 4*math.Sqrt(normMiss*math.Ln2/float64(m.PaddedDim)) {
			t.Errorf("%s: the bound %.0f is %.1f %% above an honest vector's length", name, bound, 100*room)
		}
		if s := Slack(m); s < 1 || !m.Noise && s > 1.00001 {
			t.Errorf("%s: slack %g", name, s)
		}
	}
}

// TestNormInAggregation: cohorts of any size, the smallest too, get a ring that the check of their norm fits.
func TestNormInAggregation(t *testing.T) {
	for _, n := range []struct{ least, goal, most, colluders int }{{4, 10, 20, 1}, {70, 100, 130, 7}, {700, 1000, 1300, 65}, {2100, 3000, 3900, 195}} {
		for _, noise := range []bool{true, false} {
			p := sample(t)
			p.Mechanism = design(t, func(l *mechanism.Literal) {
				l.NMin, l.NMax, l.Colluders = n.least, n.most, n.colluders
				if !noise {
					l.Noise, l.Rho = false, nil
				}
			})
			p.CheckNorm, p.Goal = true, uint32(n.goal)
			a, err := Aggregation(p)
			if err != nil {
				t.Errorf("n_max %d, noise %v: %v", n.most, noise, err)
				continue
			}
			t.Logf("n_max %d, noise %v: dim %d, bound %d, norm %d, %d-bit words", n.most, noise, a.Dim(), a.Bound(), a.Literal().Norm, a.WordBits())
			if got, want := a.Literal().Norm, Norm(p.Mechanism); got != want || want < p.Mechanism.L2Bound {
				t.Errorf("norm %d, want %d", got, want)
			}
			s, err := Sign(key(1), p)
			if err != nil {
				t.Fatal(err)
			}
			if back, err := Open(s, public(1)); err != nil || !back.CheckNorm {
				t.Errorf("the norm check got lost: %v", err)
			}
		}
	}
}
