package server

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"math"
	"testing"
	"time"

	"tutti/aggregation"
	"tutti/model"
	"tutti/privacy/plan"
	"tutti/server/api"
	wire "tutti/server/grpc"
	"tutti/server/pace"
)

// ask checks a device in by hand, with what change says of it.
func (w *world) ask(d *device, change func(*wire.CheckIn)) wire.Answer {
	w.t.Helper()
	now := time.Now()
	r := wire.CheckIn{Task: w.cfg.Task, PublicKey: d.key.Public().(ed25519.PublicKey), Enrolment: d.enrolment, Time: now, Protocol: protocol}
	change(&r)
	r.Signature = ed25519.Sign(d.key, CheckInMessage(r.Task, r.PublicKey, r.Time.Unix(), r.LogSize))
	a, err := backend{w.server}.CheckIn(w.t.Context(), r)
	w.must(err)
	return a
}

// TestVersionsOneApart: devices of this protocol version, of the one before and of the one behind it are served, each in the
// newest that both speak; those further away are told who has to update. So is a device that cannot seal or read what the
// task needs.
func TestVersionsOneApart(t *testing.T) {
	w := newWorld(t, nil)
	d := w.device()
	for name, c := range map[string]struct {
		change func(*wire.CheckIn)
		want   wire.Wait
		speaks uint32
	}{
		"two behind":       {func(r *wire.CheckIn) { r.Protocol = protocol - 2 }, wire.WaitProtocol, protocol - 1},
		"one behind":       {func(r *wire.CheckIn) { r.Protocol = protocol - 1 }, wire.WaitNoRound, protocol - 1},
		"the same":         {func(r *wire.CheckIn) {}, wire.WaitNoRound, protocol},
		"one ahead":        {func(r *wire.CheckIn) { r.Protocol = protocol + 1 }, wire.WaitNoRound, protocol},
		"two ahead":        {func(r *wire.CheckIn) { r.Protocol = protocol + 2 }, wire.WaitServerOld, protocol},
		"from far away":    {func(r *wire.CheckIn) { r.Protocol = math.MaxUint32 }, wire.WaitServerOld, protocol},
		"classical only":   {func(r *wire.CheckIn) { r.Suites = []uint32{uint32(aggregation.SuiteX25519)} }, wire.WaitSuite, protocol},
		"both suites":      {func(r *wire.CheckIn) { r.Suites = []uint32{1, 2} }, wire.WaitNoRound, protocol},
		"newer model form": {func(r *wire.CheckIn) { r.ModelFormat = modelFormat + 1 }, wire.WaitNoRound, protocol},
	} {
		a := w.ask(d, c.change)
		if a.Wait != c.want || a.Protocol != c.speaks || a.Offer != nil {
			t.Errorf("%s: told %v in version %d", name, a.Wait, a.Protocol)
		}
		if mismatch := paceOf[c.want] == pace.Version; mismatch != (a.After >= 24*time.Hour) {
			t.Errorf("%s: come again in %v", name, a.After)
		}
	}
}

// TestUnderstands: a plan that an older device cannot read is not shown to it.
func TestUnderstands(t *testing.T) {
	late := plan.Plan{Older: []plan.Digest{{1}}}
	for _, c := range []struct {
		version uint32
		p       plan.Plan
		want    bool
	}{{1, plan.Plan{}, true}, {2, plan.Plan{}, true}, {1, late, false}, {2, late, true}} {
		if understands(c.version, c.p) != c.want {
			t.Errorf("version %d, %d older bases: %v", c.version, len(c.p.Older), !c.want)
		}
	}
}

// TestRests: whoever would refuse is given no place; whoever has sealed for this very round is answered as before.
func TestRests(t *testing.T) {
	p := plan.Plan{Round: 10, Separation: 3, Participations: 4}
	for name, c := range map[string]struct {
		r    wire.CheckIn
		want bool
	}{
		"new":               {wire.CheckIn{}, false},
		"in the last":       {wire.CheckIn{LastRound: 9}, true},
		"in the one before": {wire.CheckIn{LastRound: 8}, true},
		"rested":            {wire.CheckIn{LastRound: 7}, false},
		"in this one":       {wire.CheckIn{LastRound: 10}, false},
		"own limit":         {wire.CheckIn{LastRound: 7, Resting: 12}, true},
		"own limit over":    {wire.CheckIn{LastRound: 7, Resting: 10}, false},
		"opted out":         {wire.CheckIn{Resting: math.MaxUint64}, true},
		"often enough":      {wire.CheckIn{Rounds: 4}, true},
		"once more":         {wire.CheckIn{Rounds: 3}, false},
	} {
		if rests(c.r, p) != c.want {
			t.Errorf("%s: %v", name, !c.want)
		}
	}
	p.Participations = plan.AnyParticipations
	if rests(wire.CheckIn{Rounds: math.MaxUint32}, p) {
		t.Error("a task without a limit has one")
	}
}

// TestRestingTakesNoPlace: in an open round, a device that rests by its own word is told so and takes nobody's place; an offer
// says when to come again either way, and so does every receipt.
func TestRestingTakesNoPlace(t *testing.T) {
	w := newWorld(t, nil)
	d, other := w.device(), w.device()
	r := w.start(w.spec(3, 2, 4))
	other.await()
	a := w.ask(d, func(c *wire.CheckIn) { c.Resting = math.MaxUint64 })
	if a.Wait != wire.WaitResting || a.Offer != nil {
		t.Fatalf("%+v", a)
	}
	w.server.mu.Lock()
	in := w.server.round.groups[0].intake
	w.server.mu.Unlock()
	in.mu.Lock()
	held := len(in.offers)
	in.mu.Unlock()
	if held != 1 {
		t.Errorf("%d places are held", held)
	}
	if a = w.ask(d, func(*wire.CheckIn) {}); a.Offer == nil || a.Accepted <= 0 || a.Refused <= 0 {
		t.Errorf("%+v", a)
	}
	w.must(w.server.Abandon())
	r.wait(t)
}

// TestPlanned: devices without work are told to come for the planned opening.
func TestPlanned(t *testing.T) {
	w := newWorld(t, nil)
	d := w.device()
	w.must(w.server.Planned(t.Context(), time.Now().Add(time.Hour)))
	if a := w.ask(d, func(*wire.CheckIn) {}); a.After < 59*time.Minute || a.After > 61*time.Minute {
		t.Errorf("come again in %v", a.After)
	}
	w.must(w.server.Planned(t.Context(), time.Now().Add(-time.Hour)))
	if a := w.ask(d, func(*wire.CheckIn) {}); a.After > time.Second {
		t.Errorf("after the opening: %v", a.After)
	}
}

// TestLateUpdates: a model round with a staleness bound names the versions before the newest that have the same Transformer,
// and its sum is exact over uploads from any of them; an upload from a version that it does not name is turned away, and a
// device of the older protocol is told to update.
func TestLateUpdates(t *testing.T) {
	w := newWorld(t, nil)
	w.must(w.server.publishBlob([]byte("statistics"), func(v *model.Version, d model.Digest) { v.Popularity = d }))
	for i := range 4 {
		w.must(w.server.publishBlob([]byte{byte(i)}, func(v *model.Version, d model.Digest) {
			v.Popularity, v.Spec, v.Layout, v.Blend, v.Params = sha256.Sum256([]byte("statistics")), sha256.Sum256([]byte("statistics")), model.Digest{7}, "0.5", d
		}))
	}
	spec := w.spec(3, 2, 4)
	spec.Kind, spec.Staleness, spec.Training = plan.Model, 10, plan.Training{Steps: 1, LearningRate: "1", Optimizer: "sgd"}
	devices := []*device{w.device(), w.device(), w.device()}
	r := w.start(spec)
	for _, d := range devices {
		d.protocol = 2
		d.await()
	}
	p, err := plan.Parse(devices[0].offer.GetPlan())
	w.must(err)
	if p.BaseNumber != 5 || len(p.Older) != 3 {
		t.Fatalf("version %d and %d before it", p.BaseNumber, len(p.Older))
	}
	for i, sv := range []uint64{4, 3, 2} {
		v, found, err := w.server.st.Version(t.Context(), "test", sv)
		if w.must(err); !found || v.Digest != p.Older[i] {
			t.Errorf("older base %d is not version %d", i, sv)
		}
	}
	if a := w.ask(w.device(), func(c *wire.CheckIn) { c.Protocol = 1 }); a.Wait != wire.WaitProtocol || a.Offer != nil {
		t.Errorf("a device of protocol 1 is told %v", a.Wait)
	}
	for i, d := range devices {
		d.from = &p.Bases()[i+1]
		d.seal(i)
		if state := d.deliver(); state != api.UploadState_UPLOAD_STATE_STAGED {
			t.Fatalf("device %d: %v", i, state)
		}
	}
	r.wait(t)
	w.must(r.err)
	exact(t, r.result, []int{0, 1, 2})
}

// publishBlob publishes the next version, with a blob in it.
func (s *Server) publishBlob(content []byte, edit func(*model.Version, model.Digest)) error {
	v := model.Version{Items: model.Digest{1}}
	edit(&v, sha256.Sum256(content))
	_, err := s.Publish(context.Background(), Publication{Version: &v, Blobs: [][]byte{content}, Cause: "test"})
	return err
}
