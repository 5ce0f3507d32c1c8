package client

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"tutti/aggregation"
	"tutti/client/history"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
)

// takePart follows an offer, or refuses it. For a round of the model the device
// trains first, unless it holds an update that suits; where that took long it asks
// again whether there is a place, in this round or in the one that is open by then:
// trained says that this has happened.
func (d *Device) takePart(ctx context.Context, offer *Offer, trained bool) Outcome {
	o, r := d.opts.Shared.open(d.opts.Policy, offer)
	if r != nil {
		return r.outcome(0)
	}
	st, err := d.snapshot()
	if err != nil {
		return failed(err)
	}
	taken, r := d.follow(&st, o, offer)
	if taken {
		return tookPart(o.plan.Round)
	}
	if r != nil {
		if err := d.change(func(s *state) { s.adopt(&st) }); err != nil {
			return failed(err)
		}
		return r.outcome(o.plan.Round)
	}
	h, err := d.heldFor(o.plan)
	if err != nil {
		return failed(err)
	}
	if h == nil && o.plan.Kind == plan.Model {
		if trained {
			return Outcome{Kind: Waiting, Round: o.plan.Round, RetryAfter: time.Second,
				Sentence: "The round ended while the device trained, and the next one takes no update that old; it trains anew."}
		}
		began := d.opts.Now()
		if h, err = d.train(ctx, o.plan); err != nil {
			return d.notMade(ctx, o, err)
		}
		if d.opts.Now().Sub(began) >= slowTraining {
			return d.askAgain(ctx)
		}
	}
	encoded, base, err := d.encode(ctx, o, h)
	if err != nil {
		return d.notMade(ctx, o, err)
	}
	defer clear(encoded)
	out := d.commit(ctx, &st, o, base, encoded)
	if out.Kind == Contributed {
		out.Staleness, _ = o.plan.Staleness(base)
	}
	return out
}

// notMade is the outcome where no vector was made.
func (d *Device) notMade(ctx context.Context, o *opened, err error) Outcome {
	var r *refusal
	if errors.As(err, &r) && !errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
		return r.outcome(o.plan.Round)
	}
	return failed(err)
}

// askAgain looks for a place for an update that took long to train.
func (d *Device) askAgain(ctx context.Context) Outcome {
	answer, err := d.checkIn(ctx)
	if err != nil {
		return failed(err)
	}
	if answer.Version != nil {
		if o, ok := d.update(ctx, answer.Version); !ok {
			return o
		}
	}
	if answer.Offer == nil {
		o := waiting(answer.Wait)
		o.Sentence += " The device has trained, and keeps what it learned for the next round."
		return o
	}
	return d.takePart(ctx, answer.Offer, true)
}

// commit charges for the round, seals the vector and sends it, in this order.
func (d *Device) commit(ctx context.Context, st *state, o *opened, base plan.Digest, encoded []int32) Outcome {
	if err := d.chargeFor(st, o); err != nil {
		return failed(err)
	}
	u, err := d.seal(o, base, encoded)
	if errors.Is(err, aggregation.ErrNorm) { // an honest one with less than 2^-36: its charge stays, and nothing is sent
		return refuse(ReasonNorm, err).outcome(o.plan.Round)
	}
	if err != nil {
		return failed(fmt.Errorf("client: sealing for round %d: %w", o.plan.Round, err))
	}
	return d.send(ctx, u)
}

// follow is state.follow with what this device knows.
func (d *Device) follow(st *state, o *opened, offer *Offer) (taken bool, r *refusal) {
	check := func(o *opened, s plan.State) error { return d.opts.Shared.check(d.opts.Policy, o, s) }
	return st.follow(d.opts.Policy.Operator, check, o, offer.Logged, d.opts.Now().Unix(), d.opts.Shared.items)
}

// adopt takes over what following an offer has taught.
func (s *state) adopt(from *state) {
	s.log, s.logged, s.fork = from.log, from.logged, from.fork
	s.offered, s.delta = from.offered, from.delta
}

// encode makes the round's vector, or takes that which is held, through clip and
// codec, and says which version it started from; behind it come the metrics, where
// the plan asks for some. Nothing but the encoded integers remains; the caller clears them.
func (d *Device) encode(ctx context.Context, o *opened, h *held) (encoded []int32, from plan.Digest, err error) {
	base, err := d.base(ctx, o.plan)
	if err != nil {
		return nil, from, err
	}
	facts, m := plan.Unknown(), o.plan.Mechanism
	var clipped mechanism.Clipped
	if from = o.plan.Base; h != nil {
		staleness, _ := h.suits(o.plan)
		clipped, facts.Norm = h.clipped(m, staleness)
		from, facts.Loss = h.base, h.loss
	} else {
		update, err := d.learn(ctx, o.plan, base, &facts)
		if err != nil {
			return nil, from, err
		}
		facts.Norm = norm(update.Values())
		clipped = mechanism.Clip(update.Values(), m.Clip)
		clear(update.Values())
	}
	defer clipped.Erase()
	facts.Clip = m.Clip
	if encoded, err = d.noised(m, clipped); err != nil || o.plan.Metrics == nil {
		return encoded, from, err
	}
	get := d.fetch(ctx, base)
	history, target, held := heldOut(o.plan.Metrics, d.sequence())
	more, err := d.measured(ctx, o.plan.Metrics, facts, func(f *plan.Facts) error {
		if !held {
			return nil
		}
		return d.opts.Shared.foretell(f, base, history, target, get)
	})
	if err != nil {
		clear(encoded)
		return nil, from, err
	}
	defer clear(more)
	return append(encoded, more...), from, nil
}

// chargeFor saves the charge of a round, and with it what following the offer
// has taught. Nothing of the round is sealed before it returns.
func (d *Device) chargeFor(followed *state, o *opened) error {
	stream := o.plan.Stream()
	rho := o.plan.Cost(stream) // the stream's own cost is booked by join
	noise := rho != nil
	if !noise {
		rho = new(big.Rat)
	}
	now := d.opts.Now().Unix()
	return d.change(func(s *state) {
		s.adopt(followed)
		s.seen = max(s.seen, now)
		s.addCharge(charge{round: o.plan.Round, phase: charged, rho: rho, stream: stream, config: o.configured}, noise)
		s.join(o.plan)
	})
}

// seal masks the vector, once, and saves the upload.
func (d *Device) seal(o *opened, base plan.Digest, encoded []int32) (Upload, error) {
	sealer := aggregation.Client{Key: d.key,
		Pins: aggregation.Pins{Enroller: d.opts.Policy.Enroller, Roster: o.plan.Committee}}
	sealed, err := sealer.Seal(d.opts.Rand, o.config, base, encoded, o.plan.InputBound())
	if err != nil {
		return Upload{}, err
	}
	header, err := sealed.Header.Marshal()
	if err != nil {
		return Upload{}, err
	}
	u := Upload{Task: o.plan.Task, Round: o.plan.Round, Header: header, Vector: sealed.Vector}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return Upload{}, ErrClosed
	}
	return u, d.opts.Store.SavePending(encodePending(u))
}

// send uploads and books the receipt. Without an answer the upload stays
// pending, and the next Contribute sends the same bytes.
func (d *Device) send(ctx context.Context, u Upload) Outcome {
	receipt, err := d.opts.Transport.Upload(ctx, u)
	if err != nil {
		return failed(err)
	}
	if used(receipt) { // before the answer is booked: after a crash in between the upload is sent again, and not made again
		if err := d.dropHeld(); err != nil {
			return failed(err)
		}
	}
	o := d.book(u.Round, receipt)
	if o.Kind == Failed {
		return o
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return failed(ErrClosed)
	}
	if err := d.opts.Store.DropPending(); err != nil {
		return failed(err)
	}
	return o
}

// book saves what a receipt says and puts it into words.
func (d *Device) book(round uint64, r Receipt) Outcome {
	var wrong error
	err := d.change(func(s *state) { _, wrong = s.settled(d.opts.Policy.Operator, round, r, false) })
	if err != nil {
		return failed(err)
	}
	o := Outcome{Round: round, Upload: r.State, RetryAfter: r.RetryAfter}
	switch r.State {
	case UploadStaged, UploadCounted:
		o.Kind, o.Sentence = Contributed, "The upload is with the server."
		if r.State == UploadCounted {
			o.Sentence = "The upload is in the round's sum."
		}
	case UploadAbandoned:
		o.Kind, o.Sentence = Waiting, "The round was abandoned and nothing was opened; its charge was taken back."
		if wrong != nil {
			o.Err, o.Sentence = wrong, "The server says that the round was abandoned, and does not prove it; the charge stays."
		}
	case UploadLate, UploadRejected:
		o = refuse(ReasonServer, nil).outcome(round)
		o.Upload, o.Reject, o.Sentence = r.State, r.Reason, r.Reason.Sentence()
		if r.RetryAfter > 0 {
			o.RetryAfter = r.RetryAfter
		}
		if r.State == UploadLate {
			o.Reject, o.Sentence = RejectRoundClosed, RejectRoundClosed.Sentence()
		}
	default:
		return failed(fmt.Errorf("client: the server answered the upload with %q", r.State))
	}
	if o.RetryAfter == 0 {
		o.RetryAfter = retrySoon
	}
	return o
}

// resume sends an upload that has no receipt yet again, byte for byte. done
// means that this is what the call did; a round that has ended meanwhile, or an
// answer that will not change, leaves room for the next one.
func (d *Device) resume(ctx context.Context) (o Outcome, done bool) {
	u, err := d.pending()
	if err != nil {
		return failed(err), true
	}
	if u == nil {
		return Outcome{}, false
	}
	if d.opts.OptOut { // sealed and paid for, and not sent any more
		d.mu.Lock()
		defer d.mu.Unlock()
		if err := d.opts.Store.DropPending(); err != nil {
			return failed(err), true
		}
		return Outcome{}, false
	}
	u.Again = true
	o = d.send(ctx, *u)
	if o.Kind == Refused {
		_ = d.change(func(s *state) { s.refused(o.Reason, o.Policy) })
	}
	later := o.Kind == Failed && (errors.Is(o.Err, ErrUnavailable) || ctx.Err() != nil)
	return o, o.Kind == Contributed || later
}

// pending is the upload that waits for its receipt. One that no open charge
// belongs to is dropped: a crash left it behind.
func (d *Device) pending() (*Upload, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, ErrClosed
	}
	b, err := d.opts.Store.Pending()
	if err != nil || b == nil {
		return nil, err
	}
	u, err := decodePending(d.st.task, b)
	if err == nil {
		if c := d.st.charge(u.Round); c != nil && c.phase == charged {
			return &u, nil
		}
	}
	return nil, d.opts.Store.DropPending()
}

// askReceipts asks what became of the rounds that are not done with. What cannot
// be learned now is asked again next time; over says that there is no next round.
func (d *Device) askReceipts(ctx context.Context, over bool) {
	st, err := d.snapshot()
	if err != nil {
		return
	}
	id := aggregation.IDOf(d.public())
	next := st.clone()
	for _, c := range st.charges {
		r, err := d.opts.Transport.Receipt(ctx, ReceiptRequest{Task: st.task, Round: c.round, Device: id, LogSize: next.log.Last.Size})
		if err == nil {
			_, _ = next.settled(d.opts.Policy.Operator, c.round, r, over)
		}
	}
	if slices.EqualFunc(next.charges, st.charges, func(a, b charge) bool { return a.round == b.round && a.phase == b.phase }) && next.fork == st.fork {
		return
	}
	_ = d.change(func(s *state) {
		s.charges, s.spent, s.rounds, s.counted, s.stream = next.charges, next.spent, next.rounds, next.counted, next.stream
		s.proven, s.receipts, s.log, s.fork = next.proven, next.receipts, next.log, next.fork
	})
}

// sequence is the history as models read it.
func (d *Device) sequence() []int32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return history.Sequence(d.events, d.opts.Shared.cfg.Catalogue.Index)
}
