package client_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"tutti/client"
	"tutti/client/history"
	"tutti/client/store"
	"tutti/client/transport/testserver"
	"tutti/model"
	"tutti/model/stats"
	"tutti/privacy/plan"
	"tutti/server/api"
)

func recommend(t *testing.T, d *client.Device, r client.Request) []client.Recommendation {
	t.Helper()
	out, err := d.Recommend(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRecommendOffline(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	dir := t.TempDir()
	files := openFiles(t, dir)
	o.Store = files
	d := w.open(o)
	if _, err := d.Recommend(t.Context(), client.Request{}); !errors.Is(err, client.ErrNoModel) {
		t.Fatalf("without a model: %v", err)
	}
	w.Publish(w.published(1))
	w.want(d, client.Waiting)

	// A new user gets what is popular: low indices, in this model.
	cold := recommend(t, d, client.Request{Count: 3})
	for k, r := range cold {
		if r.Item != number(k) || r.Why != (client.Why{Kind: client.Popular}) || r.Title != catalogue().Items[k].Title {
			t.Fatalf("a new user gets %+v", cold)
		}
	}
	// One view leads to the next item, with the reason; what was skipped, seen or excluded stays out.
	w.record(d, 5)
	if err := d.Record(client.Event{Item: number(0), Kind: history.Skip}); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	o.Store, o.Transport, o.Token, o.Shared = openFiles(t, dir), nil, "", freshShared(t)
	d = w.open(o)
	warm := recommend(t, d, client.Request{Count: items, Exclude: []int64{number(2), 999}})
	if warm[0].Item != number(6) && warm[0].Item != number(4) || warm[0].Why.Kind != client.Because || warm[0].Why.Item != number(5) {
		t.Fatalf("after item 5 comes %+v", warm[0])
	}
	for _, r := range warm {
		if slices.Contains([]int64{number(0), number(2), number(5)}, r.Item) {
			t.Fatalf("item %d was skipped, excluded or seen", r.Item)
		}
	}
	if len(warm) != items-3 || !slices.IsSortedFunc(warm, func(a, b client.Recommendation) int { return sign(b.Score - a.Score) }) {
		t.Fatalf("%d recommendations, or out of order", len(warm))
	}
	if _, err := d.Recommend(t.Context(), client.Request{Count: 1001}); err == nil {
		t.Fatal("1,001 recommendations were given")
	}
}

func sign(x float64) int {
	switch {
	case x < 0:
		return -1
	case x > 0:
		return 1
	}
	return 0
}

func openFiles(t *testing.T, dir string) *store.Files {
	t.Helper()
	f, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func freshShared(t *testing.T) *client.Shared {
	t.Helper()
	s, err := client.NewShared(client.SharedConfig{Catalogue: catalogue()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestVersions: which versions a device takes, and which it refuses.
func TestVersions(t *testing.T) {
	announce := func(w *world, v *api.SignedVersion) {
		w.Lie(testserver.Lies{CheckIn: func(r *api.CheckInResponse) { r.Version = v }})
	}
	for name, c := range map[string]struct {
		lie    func(w *world, first, second model.Version)
		reason client.Reason
	}{
		"a byte of the signature": {func(w *world, first, second model.Version) {
			v := w.Sign(third(w, second))
			v.Signature[3] ^= 1
			announce(w, v)
		}, client.ReasonVersionSignature},
		"a byte of the version": {func(w *world, first, second model.Version) {
			v := w.Sign(third(w, second))
			v.Version[len(v.Version)-1] ^= 1
			announce(w, v)
		}, client.ReasonVersionSignature},
		"rolled back": {func(w *world, first, second model.Version) { announce(w, w.Sign(first)) }, client.ReasonVersionRolledBack},
		"two under one number": {func(w *world, first, second model.Version) {
			v := second
			v.Blend = "0.5"
			announce(w, w.Sign(v))
		}, client.ReasonVersionForked},
		"not from the one before": {func(w *world, first, second model.Version) {
			v := third(w, second)
			v.Parent = first.Digest()
			announce(w, w.Sign(v))
		}, client.ReasonVersionForked},
		"another catalogue": {func(w *world, first, second model.Version) {
			v := third(w, second)
			v.Items[0] ^= 1
			announce(w, w.Sign(v))
		}, client.ReasonModel},
		"weights that are not there": {func(w *world, first, second model.Version) {
			v := third(w, second)
			v.Params[0] ^= 1
			announce(w, w.Sign(v))
		}, client.ReasonBlob},
		"weights without finite scores": {func(w *world, first, second model.Version) {
			v := third(w, second)
			v.Params = w.huge()
			announce(w, w.Sign(v))
		}, client.ReasonBlob},
		"weights of another layout": {func(w *world, first, second model.Version) {
			v := third(w, second)
			v.Layout[0] ^= 1
			announce(w, w.Sign(v))
		}, client.ReasonBlob},
		"popularity instead of transitions": {func(w *world, first, second model.Version) {
			v := third(w, second)
			v.Transitions = v.Popularity
			announce(w, w.Sign(v))
		}, client.ReasonBlob},
		"a blob changed on the way": {func(w *world, first, second model.Version) {
			v := w.Sign(third(w, second))
			w.Lie(testserver.Lies{CheckIn: func(r *api.CheckInResponse) { r.Version = v },
				Delta: noDelta, Blob: func(_ model.Digest, b []byte) []byte { b[len(b)-1] ^= 1; return b }})
		}, client.ReasonBlob},
		"a blob without an end": {func(w *world, first, second model.Version) {
			v := w.Sign(third(w, second))
			w.Lie(testserver.Lies{CheckIn: func(r *api.CheckInResponse) { r.Version = v },
				Delta: noDelta, Blob: func(_ model.Digest, b []byte) []byte { return append(b, make([]byte, 8<<20)...) }})
		}, client.ReasonBlob},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.device(1)
			first := w.Publish(w.published(1))
			w.want(d, client.Waiting)
			second := w.Publish(w.published(2))
			w.want(d, client.Waiting)
			before := recommend(t, d, client.Request{})
			c.lie(w, first, second)
			w.refuses(d, c.reason, 0)
			if s := d.Privacy(); s.Model != 2 || s.ModelDigest != second.Digest() {
				t.Fatalf("the device went to model %d", s.Model)
			}
			if after := recommend(t, d, client.Request{}); !slices.Equal(before, after) {
				t.Fatal("a refused version changed the recommendations")
			}
			w.Lie(testserver.Lies{})
			w.Publish(w.published(3))
			w.want(d, client.Waiting)
			if s := d.Privacy(); s.Model != 3 {
				t.Fatalf("an honest version was not taken: model %d, last %+v", s.Model, s.Last)
			}
		})
	}
}

// huge are weights that are finite, and nothing that is computed from them is.
func (w *world) huge() model.Digest {
	w.t.Helper()
	p := smallModel(w.t).Init(1)
	for i := range p.Values() {
		p.Values()[i] = 3e38
	}
	var file bytes.Buffer
	if err := model.WriteSafetensors(&file, p, nil); err != nil {
		w.t.Fatal(err)
	}
	return w.AddBlob(file.Bytes())
}

// third is the version after the second, with weights of its own.
func third(w *world, second model.Version) model.Version {
	v := w.published(77)
	v.Number, v.Parent, v.Items = second.Number+1, second.Digest(), second.Items
	return v
}

// TestDamagedModelFallsBack: the version before serves while a part of the
// newest one is damaged on disk.
func TestDamagedModelFallsBack(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	memory := &store.Memory{}
	o.Store = memory
	d := w.open(o)
	w.record(d, 3)
	w.Publish(w.published(1))
	w.want(d, client.Waiting)
	old := recommend(t, d, client.Request{})
	v := w.published(2)
	v.Blend = "1"
	second := w.Publish(v)
	w.want(d, client.Waiting)
	fresh := recommend(t, d, client.Request{})
	if slices.Equal(old, fresh) {
		t.Fatal("two models recommend alike; the test would prove nothing")
	}
	d.Close()

	b, err := memory.Blob(second.Params)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	o.Transport, o.Shared = nil, freshShared(t)
	if got := recommend(t, w.open(o), client.Request{}); !slices.Equal(got, old) {
		t.Fatal("the version before did not serve")
	}
}

func TestOnlyTwoVersionsAreKept(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	memory := &store.Memory{}
	o.Store = memory
	d := w.open(o)
	var published []model.Version
	for seed := range uint64(4) {
		published = append(published, w.Publish(w.published(seed)))
		w.want(d, client.Waiting)
	}
	for k, v := range published {
		_, err := memory.Blob(v.Params)
		if kept := err == nil; kept != (k >= 2) {
			t.Errorf("weights of version %d kept: %v", k+1, kept)
		}
	}
}

// TestModelRound trains on the device: without noise the sum is what Train
// gives for the same histories, up to the rounding of the codec.
func TestModelRound(t *testing.T) {
	w := newWorld(t)
	w.Publish(w.published(5))
	m := smallModel(t)
	training := plan.Training{Steps: 2, LearningRate: "0.05", Optimizer: "sgd", MaxLen: 6}
	want := make([]float64, m.Layout().Size())
	histories := [][]int{{0, 1, 2, 3, 4}, {5, 6, 7}, {8}} // the last one teaches nothing, and is sent all the same
	seeds := map[uint64]bool{}
	var devices []*client.Device
	for _, h := range histories {
		o := w.options()
		o.Policy.AllowNoiseOff = true
		o.Learner = func(ctx context.Context, l client.Lesson) (model.Update, error) {
			seeds[l.Seed] = true
			return l.Learn(ctx)
		}
		devices = append(devices, w.member(o, h...))
	}
	r := w.Open(testserver.Spec{Kind: plan.Model, Dim: m.Layout().Size(), Goal: 3, Training: training})
	for k, h := range histories {
		w.want(devices[k], client.Contributed)
		for i, x := range trained(t, m, 5, h, training) {
			want[i] += float64(x)
		}
	}
	if len(seeds) != len(histories) { // two of three random numbers of 64 bits agree once in 2^62
		t.Errorf("%d seeds for %d devices", len(seeds), len(histories))
	}
	sum, set := w.Close(r)
	if len(set) != len(histories) {
		t.Fatalf("%d devices in the sum", len(set))
	}
	moved := false
	for i, x := range w.Decode(r, sum, len(set)).Values {
		moved = moved || want[i] != 0
		if d := float64(x) - want[i]; d > 1e-4 || d < -1e-4 {
			t.Fatalf("weight %d: sum %v, want %v", i, x, want[i])
		}
	}
	if !moved {
		t.Fatal("nobody learned anything")
	}
}

func TestTransitionsRound(t *testing.T) {
	w := newWorld(t)
	block, err := stats.NewBlock([]int32{4, 5, 6, 7}, items)
	if err != nil {
		t.Fatal(err)
	}
	digest := w.AddBlob(block.Marshal())
	var devices []*client.Device
	for range 2 {
		o := w.options()
		o.Policy.AllowNoiseOff = true
		devices = append(devices, w.member(o, 4, 1, 5)) // 1 is outside the block: 4 and 5 are neighbours
	}
	r := w.Open(testserver.Spec{Kind: plan.Transitions, Dim: 6, Goal: 2, Block: digest})
	for _, d := range devices {
		w.want(d, client.Contributed)
	}
	sum, set := w.Close(r)
	got := w.Decode(r, sum, len(set)).Values
	for cell, x := range got {
		want := float32(0)
		if cell == 0 { // the pair of positions 0 and 1
			want = 2
		}
		if d := x - want; d > 1e-3 || d < -1e-3 {
			t.Fatalf("cells %v", got)
		}
	}
}
