package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"testing"

	"tutti/model"
	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/server/operator"
	"tutti/server/registry"
	"tutti/server/store"
)

// hits are facts of devices of which all, or none, hit.
func hits(x float64) func(int) plan.Facts {
	return func(int) plan.Facts {
		f := plan.Unknown()
		f.Hit10, f.NDCG10, f.MRR, f.Norm, f.Clip, f.Events = x, x, x, 1, 2, 5
		return f
	}
}

// trained runs a model round that measures its base by these facts, and publishes what it made.
func (w *world) trained(hit float64) model.Version {
	w.t.Helper()
	w.facts = hits(hit)
	spec := w.withMetrics(w.spec(6, 4, 20))
	spec.Kind, spec.Training = plan.Model, plan.Training{Steps: 1, Batch: 1, MaxLen: 4, LearningRate: "1", Optimizer: "sgd"}
	r := w.start(spec)
	w.together(6)
	if r.wait(w.t); r.err != nil {
		w.t.Fatal(r.err)
	}
	return w.published(r.result)
}

func (w *world) published(r *RoundResult) model.Version {
	w.t.Helper()
	weights := weightsOf(50, int(r.Round))
	v, err := w.server.Publish(w.t.Context(), Publication{Round: r, Version: &model.Version{Items: sha256.Sum256([]byte("items")), Params: sha256.Sum256(weights)}, Blobs: [][]byte{weights}, Cause: "model"})
	w.must(err)
	return v
}

// offeredTo is the number of the version that each of the devices is offered when it checks in.
func (w *world) offeredTo(devices []*device) []uint64 {
	w.t.Helper()
	var all []uint64
	for _, d := range devices {
		r, err := d.checkIn()
		w.must(err)
		v, err := model.ParseVersion(r.GetVersion().GetVersion())
		w.must(err)
		all = append(all, v.Number)
	}
	return all
}

// offers checks that devices are offered what the line says, and nobody less than before.
func (w *world) offers(devices []*device, before []uint64, stable, canary uint64, percent uint32) []uint64 {
	w.t.Helper()
	line := w.server.Line()
	if line.Stable.Number != stable || line.Canary.Number != canary || line.Percent != percent {
		w.t.Fatalf("the line is %+v", line)
	}
	now := w.offeredTo(devices)
	for i, d := range devices {
		want := stable
		if canary > 0 && registry.In(d.id(), line.Stable.Digest, percent) {
			want = canary
		}
		if now[i] != want || before != nil && now[i] < before[i] {
			w.t.Fatalf("device %d is offered version %d, want %d", i, now[i], want)
		}
	}
	return now
}

func staged(c *Config) {
	c.Rollout = registry.Policy{Start: 30, Steps: []uint32{60, 100}, Tolerance: 0.999}
}

// TestRollout: a version that measures as well as the stable one goes from ring to ring, and each step outlives a new start.
func TestRollout(t *testing.T) {
	w := newWorld(t, staged)
	devices := w.enrol(12)
	w.issue(weightsOf(50, 0))
	at := w.offers(devices, nil, 1, 0, 0)
	w.trained(0.5) // measures 1, makes 2
	at = w.offers(devices, at, 1, 2, 30)
	w.trained(0.5) // measures 2, makes 3
	at = w.offers(devices, at, 1, 3, 60)
	w.stop()
	w.open()
	at = w.offers(devices, at, 1, 3, 60)
	w.trained(0.5) // measures 3, which everybody gets, and makes 4
	at = w.offers(devices, at, 3, 4, 30)
	w.issue(weightsOf(50, 9)) // made by no round: for everybody
	at = w.offers(devices, at, 5, 0, 0)
	w.stop()
	w.open()
	w.offers(devices, at, 5, 0, 0)
	var said []string
	for _, e := range w.seen() {
		if r, is := e.(RolledOut); is {
			said = append(said, fmt.Sprintf("%d at %d", r.Version, r.Percent))
		}
	}
	if want := []string{"1 at 100", "2 at 30", "3 at 60", "3 at 100", "4 at 30", "5 at 100"}; !slices.Equal(said, want) {
		t.Errorf("told %q, want %q", said, want)
	}
}

// TestRolloutStops: a canary that is measured to be worse is taken back: everybody gets the stable content under a new
// number, which is measured as the old one was, and the log says so.
func TestRolloutStops(t *testing.T) {
	w := newWorld(t, staged)
	devices := w.enrol(12)
	first := w.issue(weightsOf(50, 0))
	w.trained(1) // measures 1, makes 2
	at := w.offers(devices, nil, 1, 2, 30)
	w.trained(0) // measures 2, makes 3
	at = w.offers(devices, at, 4, 0, 0)
	v, _ := w.server.Version()
	if v.Number != 4 || v.Params != first.Params {
		t.Fatalf("published %+v", v)
	}
	var stopped []RolloutStopped
	for _, e := range w.seen() {
		if r, is := e.(RolloutStopped); is {
			stopped = append(stopped, r)
		}
	}
	if len(stopped) != 1 || stopped[0].Version != 2 || stopped[0].Stable != 1 {
		t.Errorf("told %+v", stopped)
	}
	if n, err := w.server.Rollbacks(t.Context()); n != 1 || err != nil {
		t.Errorf("%d rollbacks, %v", n, err)
	}
	var causes []string
	w.must(w.server.Ledger().Records(t.Context(), 0, func(r ledger.Record) error {
		if b, is := r.Body.(*ledger.Version); is {
			causes = append(causes, b.Cause)
		}
		return nil
	}))
	if !slices.Equal(causes, []string{"start", "model", "model", "rollback to 1"}) {
		t.Errorf("the log says %q", causes)
	}
	found, err := w.server.figures(t.Context())
	w.must(err)
	if len(found[4]) != 1 || found[4][0].Value < 0.9 || len(found[2]) != 1 || found[2][0].Value > 0.1 {
		t.Errorf("measured %+v", found)
	}
	w.trained(1) // measures 4 again, makes 5
	w.offers(devices, at, 4, 5, 30)
}

// TestRolloutLeftBehind: a process that died after a version was published, and before it had its place, is made up for by
// the next one: by the decision that was due.
func TestRolloutLeftBehind(t *testing.T) {
	broken := new(noAliases)
	w := newWorld(t, func(c *Config) {
		staged(c)
		c.wrap = func(s store.Store) store.Store { broken.Store = s; return broken }
	})
	devices := w.enrol(8)
	w.issue(weightsOf(50, 0))
	w.trained(0.5)
	at := w.offers(devices, nil, 1, 2, 30)
	broken.on.Store(true)
	w.trained(0.5)
	if broken.tries.Load() == 0 {
		t.Fatal("nothing failed")
	}
	at = w.offers(devices, at, 1, 2, 30)
	w.stop()
	broken.on.Store(false)
	w.open()
	w.offers(devices, at, 1, 3, 60)
}

// noAliases is a store that writes none.
type noAliases struct {
	store.Store
	on    atomic.Bool
	tries atomic.Int64
}

var errNoAlias = errors.New("the disk is full")

func (s *noAliases) SetAlias(ctx context.Context, f store.Fence, task string, a store.Alias) error {
	if !s.on.Load() {
		return s.Store.SetAlias(ctx, f, task, a)
	}
	s.tries.Add(1)
	return errNoAlias
}

// TestEverybodyAtOnce: without a policy versions are for everybody, no name is written, and an operator can go back.
func TestEverybodyAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	devices := w.enrol(4)
	first := w.issue(weightsOf(50, 0))
	w.issue(weightsOf(50, 1))
	at := w.offers(devices, nil, 2, 0, 0)
	n, err := w.server.Rollback(t.Context(), 1, "a test")
	w.must(err)
	v, _ := w.server.Version()
	if n != 3 || v.Number != 3 || v.Params != first.Params {
		t.Fatalf("%d, %+v", n, v)
	}
	w.offers(devices, at, 3, 0, 0)
	if as, err := w.server.st.Aliases(t.Context(), "test"); err != nil || len(as) != 0 {
		t.Errorf("%v, %v", as, err)
	}
	for name, c := range map[string]struct {
		do   func() error
		want error
	}{
		"back to what is not there": {func() error { _, err := w.server.Rollback(t.Context(), 9, ""); return err }, ErrNoVersion},
		"to fewer":                  {func() error { return w.server.Rollout(t.Context(), 3, 50, "") }, registry.ErrBackwards},
		"an older one":              {func() error { return w.server.Rollout(t.Context(), 2, 100, "") }, registry.ErrBackwards},
		"what is not there":         {func() error { return w.server.Rollout(t.Context(), 9, 100, "") }, ErrNoVersion},
		"to nobody":                 {func() error { return w.server.Rollout(t.Context(), 3, 0, "") }, registry.ErrPercent},
		"as it is":                  {func() error { return w.server.Rollout(t.Context(), 3, 100, "") }, nil},
	} {
		if err := c.do(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestOperatorRollsOut: an operator widens a ring, ends it, and goes back out of it; not while a round is under way.
func TestOperatorRollsOut(t *testing.T) {
	w := newWorld(t, staged)
	devices := w.enrol(12)
	w.issue(weightsOf(50, 0))
	w.trained(math.NaN()) // measures nothing
	at := w.offers(devices, nil, 1, 2, 30)
	w.trained(math.NaN())
	at = w.offers(devices, at, 1, 3, 30) // nothing is known: it holds
	o := w.server.Operate(func() operator.Machine { return operator.Machine{} })
	w.must(o.Rollout(t.Context(), 3, 80, "it looks good"))
	at = w.offers(devices, at, 1, 3, 80)
	if err := w.server.Rollout(t.Context(), 3, 79, ""); !errors.Is(err, registry.ErrBackwards) {
		t.Errorf("a narrower ring: %v", err)
	}
	n, err := w.server.Rollback(t.Context(), 2, "a wrong turn")
	w.must(err)
	w.offers(devices, at, n, 0, 0)
	r := w.start(w.spec(6, 4, 20))
	w.device().await()
	if _, err := w.server.Rollback(t.Context(), 1, ""); !errors.Is(err, ErrRoundOpen) {
		t.Errorf("during a round: %v", err)
	}
	for name, c := range map[string]struct{ err, want error }{
		"a narrower ring":   {o.Rollout(t.Context(), n, 10, ""), operator.ErrShare},
		"nobody":            {o.Rollout(t.Context(), n, 0, ""), operator.ErrShare},
		"what is not there": {o.Rollout(t.Context(), 99, 100, ""), operator.ErrVersion},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", name, c.err, c.want)
		}
	}
	w.server.Abandon()
	r.wait(t)
	as, err := w.server.st.Aliases(t.Context(), "test")
	if err != nil || len(as) != 2 || as[1].Name != "stable" || as[1].Number != n || as[1].Note != "rollback to 2: a wrong turn" {
		t.Errorf("%+v, %v", as, err)
	}
}

// TestTurningStagesOn: a task that was rolled out at once goes on from the version that everybody has.
func TestTurningStagesOn(t *testing.T) {
	w := newWorld(t, nil)
	devices := w.enrol(8)
	w.issue(weightsOf(50, 0))
	w.issue(weightsOf(50, 1))
	at := w.offers(devices, nil, 2, 0, 0)
	w.stop()
	staged(&w.cfg)
	w.open()
	at = w.offers(devices, at, 2, 0, 0)
	w.trained(0.5)
	at = w.offers(devices, at, 2, 3, 30)
	w.stop()
	w.cfg.Rollout = registry.Policy{}
	w.open()
	at = w.offers(devices, at, 2, 3, 30) // and off: the next version is for everybody
	w.trained(0.5)
	w.offers(devices, at, 4, 0, 0)
}
