package client_test

import (
	"context"
	"math"
	"math/big"
	"testing"
	"time"

	"tutti/client"
	"tutti/client/store"
	"tutti/client/transport/testserver"
	"tutti/privacy/plan"
	"tutti/server/api"
)

// TestProtocolsOneApart: a device follows a server of its own protocol version and of the one before, which did not say; it
// reads nothing of an answer in another version, and says who has to update.
func TestProtocolsOneApart(t *testing.T) {
	for name, c := range map[string]struct {
		version uint32
		wait    api.WaitReason
		kind    client.OutcomeKind
		want    string
	}{
		"the same":        {version: client.Protocol, kind: client.Contributed},
		"one behind":      {version: client.Protocol - 1, kind: client.Contributed},
		"it does not say": {version: 0, kind: client.Contributed},
		"ahead":           {version: client.Protocol + 1, kind: client.Waiting, want: client.WaitProtocol.Sentence()},
		"it is too old":   {version: client.Protocol, wait: api.WaitReason_WAIT_REASON_SERVER_OLD, kind: client.Waiting, want: client.WaitServerOld.Sentence()},
		"suite":           {version: client.Protocol, wait: api.WaitReason_WAIT_REASON_SUITE, kind: client.Waiting, want: client.WaitSuite.Sentence()},
		"model format":    {version: client.Protocol, wait: api.WaitReason_WAIT_REASON_MODEL_FORMAT, kind: client.Waiting, want: client.WaitModelFormat.Sentence()},
	} {
		w := newWorld(t)
		d := w.device(1)
		w.Open(popularityRound(2))
		w.Lie(testserver.Lies{CheckIn: func(r *api.CheckInResponse) {
			r.Protocol = c.version
			if c.wait != 0 {
				r.Offer, r.Wait = nil, &api.Wait{Reason: c.wait, RetryAfterMs: (36 * time.Hour).Milliseconds()}
			}
		}})
		o := w.want(d, c.kind)
		if c.want != "" && (o.Sentence != c.want || o.RetryAfter < 18*time.Hour) {
			t.Errorf("%s: %q, again in %v", name, o.Sentence, o.RetryAfter)
		}
	}
}

// TestRetryWindows: the server's two windows count, where the device has no reason to wait longer; what it chooses itself is
// spread by a quarter.
func TestRetryWindows(t *testing.T) {
	w := newWorld(t)
	w.Lie(testserver.Lies{CheckIn: func(r *api.CheckInResponse) {
		r.Retry = &api.Retry{AcceptedMs: 70_000, RefusedMs: 80_000}
	}})
	d := w.device(1)
	w.Open(popularityRound(2))
	if o := w.want(d, client.Contributed); o.RetryAfter != 70*time.Second {
		t.Errorf("accepted: again in %v", o.RetryAfter)
	}
	o := w.options()
	o.Now = func() time.Time { return time.Now().Add(2 * time.Hour) } // the round is over by its clock
	late := w.member(o, 1)
	w.Open(popularityRound(2))
	if o := w.refuses(late, client.ReasonPolicy, plan.ReasonDeadline); o.RetryAfter != 80*time.Second {
		t.Errorf("refused: again in %v", o.RetryAfter)
	}
	o = w.options()
	o.Policy.MinCohort = 1000 // no window helps
	proud := w.member(o, 1)
	w.Open(popularityRound(2))
	waits := map[time.Duration]bool{}
	for range 8 {
		o := w.refuses(proud, client.ReasonPolicy, plan.ReasonCohort)
		if o.RetryAfter < 18*time.Hour || o.RetryAfter > 30*time.Hour {
			t.Errorf("refused for good: again in %v", o.RetryAfter)
		}
		waits[o.RetryAfter] = true
	}
	if len(waits) < 2 { // eight draws of 256 are all the same with probability 2^-56
		t.Error("devices that fail together come again together")
	}
}

// TestWordOfRest: a device tells the server what would make it refuse, so that it is given no place.
func TestWordOfRest(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*client.Options)
		want   uint64 // after its first round, which is number 1
	}{
		"no limits":    {func(*client.Options) {}, 0},
		"separation":   {func(o *client.Options) { o.Policy.MinSeparation = 3 }, 4},
		"often enough": {func(o *client.Options) { o.Policy.MaxParticipations = 1 }, math.MaxUint64},
	} {
		w := newWorld(t)
		o := w.options()
		c.change(&o)
		heard := &hearing{Transport: w.conn}
		o.Transport = heard
		d := w.member(o, 1)
		w.Open(testserver.Spec{Kind: plan.Popularity, Dim: items, Goal: 2, Rho: big.NewRat(1, 2)})
		w.want(d, client.Contributed)
		if r := heard.last; r.LastRound != 0 || r.Rounds != 0 || r.Resting != 0 || len(r.Suites) != 2 || r.Protocol != client.Protocol {
			t.Errorf("%s: at first %+v", name, r)
		}
		w.contribute(d)
		if r := heard.last; r.LastRound != 1 || r.Rounds != 1 || r.Resting != c.want {
			t.Errorf("%s: then %d, %d, %d", name, r.LastRound, r.Rounds, r.Resting)
		}
	}
	w := newWorld(t)
	o := w.options()
	heard := &hearing{Transport: w.conn}
	o.Transport, o.Store = heard, &store.Memory{}
	d := w.member(o, 1)
	d.Close()
	o.OptOut = true
	d = w.open(o)
	w.Lie(testserver.Lies{CheckIn: func(r *api.CheckInResponse) {
		r.Offer, r.Wait = nil, &api.Wait{Reason: api.WaitReason_WAIT_REASON_RESTING}
	}})
	w.want(d, client.NothingToDo)
	if heard.last.Resting != math.MaxUint64 {
		t.Errorf("opted out: %d", heard.last.Resting)
	}
}

// hearing is a transport that remembers the last check-in.
type hearing struct {
	client.Transport
	last client.CheckInRequest
}

func (h *hearing) CheckIn(ctx context.Context, r client.CheckInRequest) (client.CheckIn, error) {
	h.last = r
	return h.Transport.CheckIn(ctx, r)
}
