package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"tutti/aggregation"
	"tutti/client"
	"tutti/client/store"
	"tutti/client/transport/testserver"
	"tutti/model"
	"tutti/model/delta"
	"tutti/model/stats"
	"tutti/privacy/plan"
	"tutti/server/api"
)

func noDelta(model.Digest, []byte) ([]byte, error) { return nil, delta.ErrUseless }

// TestDelta: the weights of the next version are made of those before, and where what comes is not what makes them, the
// device fetches them whole.
func TestDelta(t *testing.T) {
	for name, c := range map[string]struct {
		lie    func(model.Digest, []byte) ([]byte, error)
		whole  bool // the blob was fetched besides
		deltas int
	}{
		"honest":             {nil, false, 1},
		"none":               {noDelta, true, 0},
		"garbage":            {func(model.Digest, []byte) ([]byte, error) { return []byte("garbage"), nil }, true, 1},
		"nothing":            {func(model.Digest, []byte) ([]byte, error) { return nil, nil }, true, 1},
		"without an end":     {func(_ model.Digest, d []byte) ([]byte, error) { return append(d, make([]byte, 1<<20)...), nil }, true, 1},
		"of another result":  {func(_ model.Digest, d []byte) ([]byte, error) { d[60] ^= 1; return d, nil }, true, 1},
		"of other weights":   {otherWeights, true, 1},
		"the server breaks":  {func(model.Digest, []byte) ([]byte, error) { return nil, errors.New("broken") }, true, 0},
		"of a declared bomb": {func(_ model.Digest, d []byte) ([]byte, error) { d[14] = 0x7f; return d, nil }, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.device(3)
			w.Publish(w.published(1))
			w.want(d, client.Waiting)
			second := w.Publish(w.published(2))
			whole := false
			w.Lie(testserver.Lies{Delta: c.lie, Blob: func(digest model.Digest, b []byte) []byte {
				whole = whole || digest == second.Params
				return b
			}})
			w.want(d, client.Waiting)
			w.Lie(testserver.Lies{})
			if s := d.Privacy(); s.Model != 2 || s.ModelDigest != second.Digest() || whole != c.whole || w.Deltas() != c.deltas {
				t.Fatalf("model %d, fetched whole: %v, %d deltas", s.Model, whole, w.Deltas())
			}
			w.shared = freshShared(t)
			other := w.device(3)
			w.want(other, client.Waiting)
			if !slices.Equal(recommend(t, d, client.Request{}), recommend(t, other, client.Request{})) {
				t.Fatal("it recommends otherwise than a device that has only seen this version")
			}
		})
	}
}

// otherWeights is a sound delta of something else.
func otherWeights(model.Digest, []byte) ([]byte, error) {
	return delta.Encode(bytes.Repeat([]byte("12345678"), 100), bytes.Repeat([]byte("12345679"), 100))
}

// upsideDown is a version that ranks the items which version 1 ranks first as the last.
func (w *world) upsideDown() model.Version {
	w.t.Helper()
	counts := make([]float32, items)
	for i := range counts {
		counts[i] = float32(1 + i)
	}
	popularity, err := stats.NewPopularity(counts, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	v := w.published(1)
	v.Transitions, v.Popularity, v.Blend = model.Digest{}, w.AddBlob(popularity.Marshal()), "0"
	return v
}

// TestSanity: a version that is upside down on the device's own history is accepted and does not serve; the one before does, also after a new start, and the next sound version does.
func TestSanity(t *testing.T) {
	walk := []int{0, 1, 2, 3, 4}
	for name, c := range map[string]struct {
		bad  func(*world) model.Version
		met  []int
		held bool
	}{
		"upside down":                   {(*world).upsideDown, walk, true},
		"upside down, a short history":  {(*world).upsideDown, walk[:3], false},
		"upside down, asked the same":   {(*world).upsideDown, []int{0, 1, 1, 0, 1}, false},
		"upside down for another taste": {(*world).upsideDown, []int{7, 8, 9, 10, 11}, false},
		"another seed":                  {func(w *world) model.Version { return w.published(9) }, walk, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			o := w.options()
			o.Store = &store.Memory{}
			d := w.member(o, c.met...)
			w.Publish(w.published(1))
			w.want(d, client.Waiting)
			before := recommend(t, d, client.Request{})
			second := w.Publish(c.bad(w))
			out := w.want(d, client.Waiting)
			s := d.Privacy()
			if !c.held {
				if s.Model != 2 || s.Doubted != 0 || out.Model != client.ReasonNone {
					t.Fatalf("model %d, held %d, told %v", s.Model, s.Doubted, out.Model)
				}
				return
			}
			if s.Model != 1 || s.Doubted != 2 || out.Model != client.ReasonSanity || len(s.Refusals) != 1 || s.Refusals[0].Reason != client.ReasonSanity {
				t.Fatalf("model %d, held %d, told %v, %+v", s.Model, s.Doubted, out.Model, s.Refusals)
			}
			d.Close()
			d = w.open(o)
			if after := recommend(t, d, client.Request{}); !slices.Equal(before, after) {
				t.Fatal("the version before does not serve")
			}
			r := w.Open(popularityRound(2)) // it goes on taking part, from the version that it holds back
			if o := w.want(d, client.Contributed); o.Model != client.ReasonSanity || r.Plan.Base != plan.Digest(second.Digest()) {
				t.Fatalf("told %v", o.Model)
			}
			if again := d.Privacy(); again.Refusals[0].Count != 1 {
				t.Errorf("told %d times of one version", again.Refusals[0].Count)
			}
			w.Publish(w.published(3))
			if o := w.contribute(d); o.Model != client.ReasonNone {
				t.Fatalf("after a sound version told %v", o.Model)
			}
			if s := d.Privacy(); s.Model != 3 || s.Doubted != 0 {
				t.Fatalf("model %d, held %d", s.Model, s.Doubted)
			}
		})
	}
}

// TestDoubtedTwice: the version that served outlives any number of bad ones.
func TestDoubtedTwice(t *testing.T) {
	w := newWorld(t)
	d := w.member(w.options(), 0, 1, 2, 3, 4)
	first := w.Publish(w.published(1))
	w.want(d, client.Waiting)
	for range 3 {
		w.Publish(w.upsideDown())
		w.want(d, client.Waiting)
	}
	if s := d.Privacy(); s.Model != 1 || s.Doubted != 4 || s.ModelDigest != first.Digest() {
		t.Fatalf("model %d, held %d", s.Model, s.Doubted)
	}
	recommend(t, d, client.Request{})
	w.Lie(testserver.Lies{CheckIn: func(r *api.CheckInResponse) { r.Version = w.Sign(first) }})
	w.refuses(d, client.ReasonVersionRolledBack, 0) // a version that is held back counts for what is older
}

// telltale writes down what a device asks of the server, without what differs between any two devices.
type telltale struct {
	client.Transport
	asked []string
}

func (l *telltale) Blob(ctx context.Context, digest [32]byte, limit int64) ([]byte, error) {
	l.asked = append(l.asked, fmt.Sprintf("blob %x", digest))
	return l.Transport.Blob(ctx, digest, limit)
}

func (l *telltale) Delta(ctx context.Context, digest, base [32]byte, limit int64) ([]byte, error) {
	l.asked = append(l.asked, fmt.Sprintf("delta %x of %x", digest, base))
	return l.Transport.Delta(ctx, digest, base, limit)
}

func (l *telltale) CheckIn(ctx context.Context, r client.CheckInRequest) (client.CheckIn, error) {
	l.asked = append(l.asked, fmt.Sprintf("check in at %d", r.LogSize))
	return l.Transport.CheckIn(ctx, r)
}

func (l *telltale) Upload(ctx context.Context, u client.Upload) (client.Receipt, error) {
	l.asked = append(l.asked, fmt.Sprintf("upload of %d bytes in round %d", len(u.Vector), u.Round))
	return l.Transport.Upload(ctx, u)
}

// TestHoldingBackIsNotSeen: a device that holds a version back asks the server for the same as one that serves it, in the
// same order, before and after, and takes part in the same rounds.
func TestHoldingBackIsNotSeen(t *testing.T) {
	w := newWorld(t)
	var lines []*telltale
	var devices []*client.Device
	for _, met := range [][]int{{0, 1, 2, 3, 4}, {7, 8, 9, 10, 11}} {
		o := w.options()
		line := &telltale{Transport: w.conn}
		o.Transport, o.Shared, o.Policy.AllowNoiseOff = line, freshShared(t), true
		lines, devices = append(lines, line), append(devices, w.member(o, met...))
	}
	versions := []func() model.Version{
		func() model.Version { return w.published(1) }, w.upsideDown, func() model.Version { return w.published(3) }, w.upsideDown, w.upsideDown,
		func() model.Version { return w.published(5) },
	}
	held := 0
	for k, next := range versions {
		w.Publish(next())
		if k%2 == 1 {
			w.Open(testserver.Spec{Kind: plan.Model, Dim: smallModel(t).Layout().Size(), Goal: 2, Training: plan.Training{Steps: 1, LearningRate: "0.05", Optimizer: "sgd", MaxLen: 6}})
		}
		for _, d := range devices {
			if o := w.contribute(d); o.Kind != client.Contributed && o.Kind != client.Waiting {
				t.Fatalf("%+v", o)
			}
		}
		if devices[0].Privacy().Doubted > 0 {
			held++
		}
		if devices[1].Privacy().Doubted > 0 {
			t.Fatal("the other device holds it back, too: the test would prove nothing")
		}
	}
	if held != 3 {
		t.Fatalf("%d versions were held back", held)
	}
	if !slices.Equal(lines[0].asked, lines[1].asked) {
		t.Fatalf("one device asked\n%q\nthe other\n%q", lines[0].asked, lines[1].asked)
	}
}

// TestTrainsOnWhatItDoesNotServe: a round starts from a version that is not rolled out to the device: it learns from that
// one, and serves its own.
func TestTrainsOnWhatItDoesNotServe(t *testing.T) {
	w := newWorld(t)
	training := plan.Training{Steps: 2, LearningRate: "0.05", Optimizer: "sgd", MaxLen: 6}
	m, histories := smallModel(t), [][]int{{0, 1, 2, 3, 4}, {5, 6, 7}}
	var devices []*client.Device
	for _, h := range histories {
		o := w.options()
		o.Policy.AllowNoiseOff = true
		devices = append(devices, w.member(o, h...))
	}
	_, second := w.rolledOutToNobody()
	r := w.Open(testserver.Spec{Kind: plan.Model, Dim: m.Layout().Size(), Goal: 2, Training: training})
	if r.Plan.Base != plan.Digest(second.Digest()) {
		t.Fatal("the round starts from another version")
	}
	want := make([]float64, m.Layout().Size())
	for k, d := range devices {
		w.want(d, client.Contributed)
		if s := d.Privacy(); s.Model != 1 || s.Doubted != 0 {
			t.Fatalf("model %d, held %d", s.Model, s.Doubted)
		}
		for i, x := range trained(t, m, 2, histories[k], training) {
			want[i] += float64(x)
		}
	}
	sum, set := w.Close(r)
	for i, x := range w.Decode(r, sum, len(set)).Values {
		if d := float64(x) - want[i]; d > 1e-4 || d < -1e-4 {
			t.Fatalf("weight %d: sum %v, want %v: learned from another version", i, x, want[i])
		}
	}
	w.Lie(testserver.Lies{})
	w.contribute(devices[0])
	if s := devices[0].Privacy(); s.Model != 2 {
		t.Fatalf("model %d when it is rolled out", s.Model)
	}
}

// rolledOutToNobody publishes two versions, of which check-ins show the first.
func (w *world) rolledOutToNobody() (first, second model.Version) {
	w.t.Helper()
	first, second = w.Publish(w.published(1)), w.Publish(w.published(2))
	b, err := second.Marshal()
	if err != nil {
		w.t.Fatal(err)
	}
	w.AddBlob(b)
	w.Lie(testserver.Lies{CheckIn: func(r *api.CheckInResponse) { r.Version = w.Sign(first) }})
	return first, second
}

// TestBaseThatIsNotTheOne: what a plan says of the version that it starts from must hold.
func TestBaseThatIsNotTheOne(t *testing.T) {
	for name, c := range map[string]struct {
		number uint64
		base   func(w *world, second model.Version) model.Digest
		reason client.Reason
	}{
		"not there":      {2, func(*world, model.Version) model.Digest { return model.Digest{1} }, client.ReasonVersionUnknown},
		"no version":     {2, func(_ *world, second model.Version) model.Digest { return second.Spec }, client.ReasonVersionMalformed},
		"another number": {3, func(_ *world, second model.Version) model.Digest { return second.Digest() }, client.ReasonVersionForked},
		"not from the one before": {2, func(w *world, second model.Version) model.Digest {
			second.Parent[0] ^= 1
			return w.addVersion(second)
		}, client.ReasonVersionForked},
		"another catalogue": {2, func(w *world, second model.Version) model.Digest {
			second.Items[0] ^= 1
			return w.addVersion(second)
		}, client.ReasonModel},
		"another layout": {2, func(w *world, second model.Version) model.Digest {
			second.Layout[0] ^= 1
			return w.addVersion(second)
		}, client.ReasonBlob},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			o := w.options()
			o.Policy.AllowNoiseOff = true
			d := w.member(o, 1, 2, 3)
			_, second := w.rolledOutToNobody()
			base := plan.Digest(c.base(w, second))
			w.Open(testserver.Spec{Kind: plan.Model, Dim: smallModel(t).Layout().Size(), Goal: 2,
				Training: plan.Training{Steps: 1, LearningRate: "0.05", Optimizer: "sgd", MaxLen: 6},
				Edit:     func(p *plan.Plan) { p.BaseNumber, p.Base = c.number, base },
				Config:   func(l *aggregation.ConfigLiteral) { l.Bases = []aggregation.Digest{base} }})
			w.refuses(d, c.reason, 0)
			if s := d.Privacy(); s.Model != 1 || s.Spent.Sign() != 0 || s.Unnoised != 0 {
				t.Fatalf("model %d, %v spent", s.Model, s.Spent)
			}
		})
	}
}

func (w *world) addVersion(v model.Version) model.Digest {
	w.t.Helper()
	b, err := v.Marshal()
	if err != nil {
		w.t.Fatal(err)
	}
	return w.AddBlob(b)
}

// TestCrashInAnUpdate kills the process at every write of an update, before and after the write: the device wakes up with
// the version before or the new one, whole, and a new start brings it to where it would be, by a delta or by whole blobs,
// whether or not the new version serves.
func TestCrashInAnUpdate(t *testing.T) {
	for name, next := range map[string]func(*world) model.Version{
		"sound": func(w *world) model.Version { return w.published(2) }, "upside down": (*world).upsideDown,
	} {
		deaths := 0
		for _, after := range []bool{false, true} {
			for point, lived := 0, false; !lived; point++ {
				if lived = crashInUpdate(t, fmt.Sprintf("%s, death at write %d (after: %v)", name, point, after), point, after, next); !lived {
					deaths++
				}
			}
		}
		if deaths < 6 { // parts, state, and what is dropped
			t.Errorf("%s: %d deaths", name, deaths)
		}
	}
}

func crashInUpdate(t *testing.T, at string, point int, after bool, next func(*world) model.Version) (lived bool) {
	t.Helper()
	w := newWorld(t)
	o := w.options()
	m := &mortal{Memory: &store.Memory{}, left: -1, seals: map[[32]byte]bool{}}
	o.Store = m
	d := w.member(o, 0, 1, 2, 3, 4)
	first := w.Publish(w.published(1))
	w.want(d, client.Waiting)
	served := map[uint64][]client.Recommendation{1: recommend(t, d, client.Request{})}
	second := w.Publish(next(w))
	m.left, m.after = point, after
	w.contribute(d)
	lived = !m.dead
	m.dead, m.left = false, -1

	o.Shared, o.Transport = freshShared(t), nil // what it serves without a network
	asleep := w.open(o)
	s := asleep.Privacy()
	got := recommend(t, asleep, client.Request{})
	if s.Model == 1 && !slices.Equal(got, served[1]) || s.Model == 1 && s.ModelDigest != first.Digest() || s.Model == 2 && s.ModelDigest != second.Digest() {
		t.Fatalf("%s: it wakes up with a model %d that is not that one", at, s.Model)
	}
	asleep.Close()
	o.Transport = w.conn
	d = w.open(o)
	w.want(d, client.Waiting)
	s = d.Privacy()
	if max(s.Model, s.Doubted) != 2 || s.Doubted > 0 && !slices.Equal(recommend(t, d, client.Request{}), served[1]) {
		t.Fatalf("%s: then model %d, held %d", at, s.Model, s.Doubted)
	}
	w.Publish(w.published(3))
	w.want(d, client.Waiting)
	if s := d.Privacy(); s.Model != 3 || s.Doubted != 0 {
		t.Fatalf("%s: after the next version model %d, held %d", at, s.Model, s.Doubted)
	}
	for _, old := range []model.Digest{first.Params, second.Popularity} {
		if _, err := m.Blob(old); err == nil && (old == first.Params) != (s.Doubted > 0) && old != second.Params {
			t.Errorf("%s: a part that nobody wants any more is kept", at)
		}
	}
	return lived
}
