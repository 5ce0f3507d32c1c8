package campaign_test

import (
	"bytes"
	"context"
	"math"
	"slices"
	"testing"

	"tutti/model"
	"tutti/model/delta"
	"tutti/server/campaign"
)

func params(t *testing.T, m *memory, v model.Version) []float32 {
	t.Helper()
	b := m.blobs[v.Params]
	p, _, err := model.ReadSafetensors(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return p.Values()
}

// TestWeightsMoveInSteps: with noise, one model round's weights lie whole steps from those before, and devices download a
// fraction of them; without noise the mean is applied as it is.
func TestWeightsMoveInSteps(t *testing.T) {
	for _, noise := range []bool{true, false} {
		m, cfg := town()
		cfg.Spec.Hidden, cfg.Spec.Dim = 64, 32 // weights enough that the file's header does not count
		if noise {
			noisy(t, m, &cfg)
		}
		mustRun(t, cfg)
		chained(t, m, cfg)
		last := m.versions[len(m.versions)-2:]
		have, want := m.blobs[last[0].Params], m.blobs[last[1].Params]
		d, err := delta.Encode(have, want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := delta.Decode(d, have, int64(len(want))); err != nil || !bytes.Equal(got, want) {
			t.Fatal(err)
		}
		ratio := float64(len(d)) / float64(len(want))
		t.Logf("noise %v: %d of %d bytes", noise, len(d), len(want))
		if noise && ratio > 0.3 || !noise && ratio < 0.4 {
			t.Errorf("noise %v: a delta of %.2f", noise, ratio)
		}
	}
}

// TestRolledBackMeanwhile: an operator brings an older version back between two rounds: the next round starts from it, its
// mean is applied to it, and the recipe runs as many rounds as it would have.
func TestRolledBackMeanwhile(t *testing.T) {
	m, cfg := town()
	back := 0
	cfg.Rollbacks = func(context.Context) (int, error) { return back, nil }
	cfg.Observer = func(p campaign.Progress) {
		if p.Stage == campaign.StageModel && p.Version.Number == 4 {
			v := m.versions[2] // what distilling gave
			v.Number, v.Parent = 5, m.versions[3].Digest()
			m.versions, m.causes = append(m.versions, v), append(m.causes, "rollback to 3")
			back++
		}
	}
	mustRun(t, cfg)
	if want := []string{"popularity", "transitions", "distil", "model", "rollback to 3", "model"}; !slices.Equal(m.causes, want) {
		t.Fatalf("versions were made by %v, want %v", m.causes, want)
	}
	once, again, start := params(t, m, m.versions[3]), params(t, m, m.versions[5]), params(t, m, m.versions[2])
	moved := 0.0
	for i := range once { // both rounds trained on the same weights, and differ in what was rounded at random
		moved = max(moved, math.Abs(float64(once[i]-start[i])))
		if off := math.Abs(float64(once[i] - again[i])); off > 2e-3 {
			t.Fatalf("weight %d is off by %g", i, off)
		}
	}
	if moved < 0.01 {
		t.Fatalf("a round moved weights by %g at most: the test would prove nothing", moved)
	}
	if mustRun(t, cfg); len(m.versions) != 6 {
		t.Errorf("%d versions after a new start", len(m.versions))
	}
}
