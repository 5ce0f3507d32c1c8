package campaign_test

import (
	"context"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"tutti/privacy/plan"
	"tutti/server/campaign"
)

// TestNextClip: by hand, and at its bounds.
func TestNextClip(t *testing.T) {
	for _, c := range []struct{ now, within, want float64 }{
		{1, 0.5, 1}, {1, 1, 0.9048}, {1, 0, 1.105}, {0.3, 0.25, 0.3154}, // exp(-0.2*(-0.25)) = 1.05127
		{1, math.NaN(), 1}, {1, -7, 1.105}, {1, math.Inf(1), 0.9048}, {8, 0, 8}, {0.125, 1, 0.125},
	} {
		if got := campaign.NextClip(c.now, c.within, 1); c.now != 0.3 && got != c.want {
			t.Errorf("from %v with %v: %v, want %v", c.now, c.within, got, c.want)
		}
	}
	if got := campaign.NextClip(0.3, 0.25, 0.3); got != 0.3154 {
		t.Errorf("from 0.3: %v", got)
	}
}

// TestClipConverges: 600 devices whose updates have log-normal norms of median 0.7; the clip bits travel with the noise
// that one in a hundred of rho at epsilon 8 buys over 60 rounds. The clip begins four times too large and too small; from
// round 40 on its mean lies within 10 % of the median: the noise of one step is exp(0.2*0.055), and the pull back to the
// median makes a stationary spread of 4 %, of which 20 rounds' mean has less than 3 %; 10 % off, more than three standard
// deviations, fails one run in 1,000 at most, and the seed is fixed.
func TestClipConverges(t *testing.T) {
	const devices, median = 600, 0.7
	split, err := plan.PlanSplit(plan.Wish{Goal: devices, Epsilon: 8, Items: 3000, Dim: 4000, Rounds: 60, Model: plan.ModelForce, AdaptiveClip: true})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	norms := make([]float64, devices)
	for i := range norms {
		norms[i] = median * math.Exp(0.5*random.NormFloat64())
	}
	for _, first := range []float64{4 * median, median / 4} {
		clip, late := first, 0.0
		for round := range split.Rounds {
			names, rho := split.Measure.Of(round)
			if !slices.Equal(names, plan.MetricsClip.Names()) {
				t.Fatalf("round %d asks %v", round, names)
			}
			clip = campaign.NextClip(clip, within(t, split, names, rho, norms, clip, random), first)
			if round >= 40 {
				late += clip / 20
			}
		}
		if math.Abs(late/median-1) > 0.1 {
			t.Errorf("from %v the clip goes to %v, the median norm is %v", first, late, median)
		}
	}
}

// within is what the noised sum of the clip bits says.
func within(t *testing.T, s plan.Split, names []string, rho *big.Rat, norms []float64, clip float64, random *rand.Rand) float64 {
	t.Helper()
	m := &plan.Metrics{Names: names}
	sum := make([]float32, len(names))
	for _, norm := range norms {
		facts := plan.Unknown()
		facts.Norm, facts.Clip = norm, clip
		for i, x := range m.Values(facts) {
			sum[i] += x
		}
	}
	r, _ := rho.Float64()
	noise := 0.5 / math.Sqrt(2*r) * math.Sqrt(float64(len(norms))/float64(s.NMin-s.Colluders)) // z C, and all who come bring theirs
	sum[0] += float32(noise * random.NormFloat64())
	return m.Figures(sum, len(norms), noise)[0].Value
}

// TestAdaptiveClip: each plan's clip follows from the round before, also in a process that begins anew; with a fixed one
// nothing moves.
func TestAdaptiveClip(t *testing.T) {
	for _, adaptive := range []bool{true, false} {
		m, cfg := town()
		split, err := plan.PlanSplit(plan.Wish{Goal: 100, Epsilon: 8, Items: items, Dim: 100, Rounds: 6, Model: plan.ModelForce, AdaptiveClip: true})
		if err != nil {
			t.Fatal(err)
		}
		cfg.Split.Rounds, cfg.Split.Measure, cfg.AdaptiveClip, cfg.Clip = 6, split.Measure, adaptive, 0.01
		cfg.LastClip = func(context.Context) (float64, float64, error) {
			last := m.asked[len(m.asked)-1]
			return last.Mechanism.Clip, m.within, nil
		}
		var told []float64
		cfg.Observer = func(p campaign.Progress) {
			if p.Stage == campaign.StageModel && p.Clip > 0 {
				told = append(told, p.Clip)
			}
		}
		m.kill = 12 // in the middle of the model rounds, before one opens
		if _, err := run(t, cfg); err == nil {
			t.Fatal("nobody died")
		}
		m.kill = 0
		mustRun(t, cfg)
		var clips []float64
		for _, spec := range m.asked {
			if spec.Kind == plan.Model {
				clips = append(clips, spec.Mechanism.Clip)
			}
		}
		if len(clips) != 6 || clips[0] != 0.01 {
			t.Fatalf("clips %v", clips)
		}
		if !adaptive {
			if slices.Max(clips) != 0.01 || len(told) > 0 {
				t.Errorf("a fixed clip moved: %v", clips)
			}
			continue
		}
		for i, clip := range clips[1:] { // every update is far above it: it grows as fast as it may, until it is told otherwise
			if want := campaign.NextClip(clips[i], m.shares[i], 0.01); clip != want {
				t.Errorf("after %v with %v within it: %v, want %v", clips[i], m.shares[i], clip, want)
			}
		}
		if clips[5] <= clips[0] || !slices.Equal(told[:5], clips[1:]) {
			t.Errorf("clips %v, told %v", clips, told)
		}
	}
}
