package fleet_test

import (
	"context"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tutti/aggregation"
	"tutti/client"
	"tutti/client/fleet"
	"tutti/client/transport/testserver"
	"tutti/model"
	"tutti/model/dataset"
	"tutti/privacy/plan"
)

// What central noise is linked with starts a goroutine of its log when the program starts.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

const devices = 20

// world is a server and a fleet whose device i learns the unit vector e_i, so
// that a sum is the 0/1 indicator of its devices: a 2 is a replay, noise a lost
// mask.
type world struct {
	*testserver.Server
	t      *testing.T
	config fleet.Config

	mu       sync.Mutex
	answered map[uint64]map[int]client.Outcome
	asked    chan uint64 // rounds whose devices have all been asked
}

func newWorld(t *testing.T) *world {
	t.Helper()
	var items []dataset.Item
	for i := range devices + 4 {
		items = append(items, dataset.Item{ID: int64(500 + i), Title: "thing"})
	}
	catalogue := dataset.NewCatalogue(items)
	shared, err := client.NewShared(client.SharedConfig{Catalogue: catalogue})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Server: testserver.New(t, catalogue), t: t, answered: map[uint64]map[int]client.Outcome{}, asked: make(chan uint64, 100)}
	w.config = fleet.Config{Policy: w.Policy(), Shared: shared, Transport: w.Dial(), Seed: 1, Poll: 5 * time.Millisecond,
		Cohort: func(plan.Plan) int { return devices },
		Learner: func(i int) client.Learner {
			return func(_ context.Context, l client.Lesson) (model.Update, error) {
				unit := make([]float32, l.Plan.Mechanism.Dim)
				unit[i] = 1
				return model.NewStatistic(unit), nil
			}
		},
		Observer: w.observe}
	w.config.Policy.AllowNoiseOff = true
	for i := range devices {
		w.config.Histories = append(w.config.Histories, []int32{int32(i), int32(i + 1)})
		w.config.Tokens = append(w.config.Tokens, w.Token())
	}
	return w
}

func (w *world) observe(e fleet.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := e.(type) {
	case fleet.Answered:
		if w.answered[e.Round] == nil {
			w.answered[e.Round] = map[int]client.Outcome{}
		}
		w.answered[e.Round][e.Device] = e.Outcome
	case fleet.RoundAsked:
		w.asked <- e.Round
	}
}

// run starts a fleet that follows the server, and returns how to wait for it.
func (w *world) run() (f *fleet.Fleet, wait func() error) {
	w.t.Helper()
	f, err := fleet.New(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 3*time.Minute)
	if err := f.Enrol(ctx); err != nil { // the first round's population holds all of them
		w.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	return f, func() error { defer cancel(); return <-done }
}

func (w *world) waitFor(r *testserver.Round) {
	w.t.Helper()
	select {
	case got := <-w.asked:
		if got != r.Number {
			w.t.Fatalf("round %d was asked, want %d", got, r.Number)
		}
	case <-time.After(3 * time.Minute):
		w.t.Fatalf("round %d was never asked", r.Number)
	}
}

// quiet is a round without noise; goal is far below the fleet's size so that
// many may die.
func quiet() testserver.Spec {
	return testserver.Spec{Kind: plan.Popularity, Dim: devices + 4, Goal: devices - 3}
}

// members are the devices in an opened sum: those whose coordinate is 1. Every
// other coordinate must be 0.
func (w *world) members(r *testserver.Round) []int {
	w.t.Helper()
	sum, set := w.Close(r)
	var in []int
	for i, x := range w.Decode(r, sum, len(set)).Values {
		switch {
		case x > 0.999 && x < 1.001 && i < devices:
			in = append(in, i)
		case x < -0.001 || x > 0.001:
			w.t.Fatalf("coordinate %d of the sum is %v", i, x)
		}
	}
	if len(in) != len(set) {
		w.t.Fatalf("%d devices in the set, %d in the sum", len(set), len(in))
	}
	return in
}

// TestFleetHeedsTheLot: about half of the devices are drawn; those are asked, and
// no others. All or none of 20 are drawn with probability 2^-19.
func TestFleetHeedsTheLot(t *testing.T) {
	w := newWorld(t)
	enrolled, seen := 0, fleet.RoundSeen{}
	observe := w.config.Observer
	w.config.Observer = func(e fleet.Event) {
		w.mu.Lock()
		switch e := e.(type) {
		case fleet.Enrolled:
			if enrolled++; e.Of != devices || e.Done < 1 || e.Done > devices {
				t.Errorf("progress %d of %d", e.Done, e.Of)
			}
		case fleet.RoundSeen:
			seen = e
		}
		w.mu.Unlock()
		observe(e)
	}
	_, wait := w.run()
	spec := quiet()
	spec.Goal = 12
	spec.Edit = func(p *plan.Plan) { p.Threshold = aggregation.EveryDevice / 2 }
	r := w.Open(spec)
	w.waitFor(r)
	w.Finish()
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if enrolled != devices || seen.Eligible != seen.Asked || seen.Asked == 0 || seen.Asked == devices {
		t.Errorf("%d enrolled, %d eligible, %d asked", enrolled, seen.Eligible, seen.Asked)
	}
	for i, o := range w.answered[r.Number] {
		if o.Kind != client.Contributed {
			t.Errorf("device %d: %s, %v", i, o.Label(), o.Err)
		}
	}
	if len(w.answered[r.Number]) != seen.Asked || w.Count(r) != seen.Asked {
		t.Errorf("%d asked, %d answered, %d uploads", seen.Asked, len(w.answered[r.Number]), w.Count(r))
	}
}

func TestFleetFollowsTheServer(t *testing.T) {
	w := newWorld(t)
	f, wait := w.run()
	for range 3 {
		r := w.Open(quiet())
		w.waitFor(r)
		if in := w.members(r); len(in) != devices {
			t.Fatalf("devices %v in the sum", in)
		}
	}
	w.Finish()
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	if err := f.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := f.Counters()
	if c.Asked != 3*devices || c.Contributed != 3*devices || c.Uploads != 3*devices || c.Failed != 0 || c.UploadBytes == 0 {
		t.Fatalf("%+v", c)
	}
	for i := range f.Len() {
		err := f.With(i, func(d *client.Device) error {
			if s := d.Privacy(); s.Counted != 3 || s.Open != 0 || s.Events != 2 {
				t.Errorf("device %d: %+v", i, s)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestSeedDecidesWhoIsAsked(t *testing.T) {
	asked := func(seed uint64) [][]int {
		w := newWorld(t)
		w.config.Seed, w.config.Cohort = seed, func(plan.Plan) int { return 8 }
		_, wait := w.run()
		var rounds [][]int
		for range 2 {
			spec := quiet()
			spec.Goal = 8
			r := w.Open(spec)
			w.waitFor(r)
			rounds = append(rounds, w.members(r))
		}
		w.Finish()
		if err := wait(); err != nil {
			t.Fatal(err)
		}
		return rounds
	}
	a, b, c := asked(1), asked(1), asked(2)
	if len(a[0]) != 8 || !slices.Equal(a[0], b[0]) || !slices.Equal(a[1], b[1]) {
		t.Fatalf("one seed asks %v and %v", a, b)
	}
	if slices.Equal(a[0], c[0]) || slices.Equal(a[0], a[1]) {
		t.Fatalf("other seeds and rounds ask the same: %v, %v", a, c)
	}
}

// TestFaults: a third of the fleet goes wrong in every way at once; the sum is
// exact over the rest, and the next round has everybody again.
func TestFaults(t *testing.T) {
	w := newWorld(t)
	faults := map[int]fleet.Fault{0: fleet.DieBeforeUpload, 3: fleet.DieMidUpload, 6: fleet.DieAfterUpload,
		9: fleet.SendGarbage, 12: fleet.SendShort, 15: fleet.LearnNaN, 18: fleet.LearnHuge}
	spec := quiet()
	spec.Goal = devices - len(faults)
	var first uint64
	w.config.Fault = func(round uint64, i int) fleet.Fault {
		if round == first {
			return faults[i]
		}
		return fleet.None
	}
	first = 1
	f, wait := w.run()
	r := w.Open(spec)
	w.waitFor(r)
	sum, set := w.Close(r)
	got := w.Decode(r, sum, len(set)).Values
	huge := 0.0
	for i, x := range got {
		want := 0.0
		switch faults[i] {
		case fleet.None, fleet.DieAfterUpload: // the upload is complete: it counts
			if i < devices {
				want = 1
			}
		}
		d := float64(x) - want
		if i == 0 {
			huge = d // the clipped share of the device that learned huge numbers, equal everywhere
		}
		if e := d - huge; e < -1e-3 || e > 1e-3 {
			t.Errorf("coordinate %d of the sum is off by %v, the first by %v", i, d, huge)
		}
	}
	if norm := huge * huge * float64(devices+4); norm < 0.99 || norm > 1.01 {
		t.Errorf("a huge update reached the sum with the square norm %v, the clip is 1", norm)
	}
	if len(set) != devices-4 { // two died, two sent what they had not signed
		t.Errorf("%d devices in the sum", len(set))
	}
	c := f.Counters()
	if c.Died != 3 || c.Failed+c.Refused != 5 {
		t.Errorf("%+v", c)
	}
	for i, fault := range faults {
		o := w.answered[r.Number][i]
		bad := o.Kind == client.Failed || o.Kind == client.Refused
		if want := fault != fleet.LearnNaN && fault != fleet.LearnHuge; bad != want {
			t.Errorf("%v: %s, %v", fault, o.Label(), o.Err)
		}
	}

	// Everybody is back, with the memory of the charge: one upload per round.
	spec.Goal = devices - 3
	next := w.Open(spec)
	w.waitFor(next)
	if in := w.members(next); len(in) != devices {
		t.Errorf("devices %v in the next sum", in)
	}
	w.Finish()
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	for i := range f.Len() {
		f.With(i, func(d *client.Device) error {
			s := d.Privacy()
			for round := range uint64(2) {
				if n := w.Uploads(round+1, s.Device); n > 1 {
					t.Errorf("device %d sealed %d times in round %d", i, n, round+1)
				}
			}
			if s.Unnoised != 2 {
				t.Errorf("device %d was charged for %d rounds", i, s.Unnoised)
			}
			return nil
		})
	}
}

// TestBudgetsEnd: with noise on, a fleet of small budgets refuses the third
// round, each device by itself.
func TestBudgetsEnd(t *testing.T) {
	w := newWorld(t)
	w.config.Policy.MaxRhoTotal = big.NewRat(1, 1)
	w.config.Learner = nil
	f, wait := w.run()
	for range 3 {
		spec := quiet()
		spec.Rho = big.NewRat(2, 5)
		r := w.Open(spec)
		w.waitFor(r)
		if w.Count(r) > 0 {
			w.Close(r)
		} else {
			w.Abandon(r)
		}
	}
	w.Finish()
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	if c := f.Counters(); c.Reasons["refused/policy/budget"] != devices || c.Contributed != 2*devices {
		t.Fatalf("%+v", c)
	}
}

func TestStopAndBadConfig(t *testing.T) {
	w := newWorld(t)
	f, err := fleet.New(w.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Enrol(t.Context()); err != nil || f.Counters().Enrolled != devices {
		t.Fatalf("%v, %+v", err, f.Counters())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := f.Run(ctx); err == nil {
		t.Fatal("a fleet whose context ended says that the task is finished")
	}
	for name, spoil := range map[string]func(*fleet.Config){
		"nobody": func(c *fleet.Config) { c.Histories = nil }, "a token short": func(c *fleet.Config) { c.Tokens = c.Tokens[1:] },
		"nothing shared": func(c *fleet.Config) { c.Shared = nil }, "times missing": func(c *fleet.Config) { c.Times = make([][]int64, 2) },
		"an event without time": func(c *fleet.Config) { c.Times = make([][]int64, devices); c.Times[1] = []int64{5} },
	} {
		c := w.config
		spoil(&c)
		if _, err := fleet.New(c); err == nil {
			t.Errorf("%s: made", name)
		}
	}
	used := w.config
	used.Tokens = slices.Repeat(w.config.Tokens[:1], devices) // used by device 0 of the first fleet
	again, err := fleet.New(used)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Enrol(t.Context()); err == nil {
		t.Error("a used token enrolled")
	}
}
