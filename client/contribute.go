package client

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"tutti/aggregation"
	"tutti/privacy/plan"
)

var errOffline = fmt.Errorf("client: the device has no transport: %w", ErrUnavailable)

// Contribute does what there is to do with the server, at most one upload of
// it: it sends an upload that has no receipt yet again, asks what became of
// earlier ones, fetches a newer model, and takes part in the open round if the
// device's policy allows. The error is Outcome.Err of a Failed outcome.
//
// The order is the promise: plan, log, policy and model are verified; the
// vector is made, clipped and noised; the charge is saved; then the one seal of
// the round; its bytes are saved; then they are sent. After a crash anywhere in
// between, a charge is never lost and a second seal of the round never made.
func (d *Device) Contribute(ctx context.Context) (Outcome, error) {
	d.turn.Lock()
	defer d.turn.Unlock()
	o := d.contribute(ctx)
	o.RetryAfter = d.spread(o.RetryAfter)
	d.remember(o)
	if st, err := d.snapshot(); err == nil && st.doubts() {
		o.Model = ReasonSanity
	}
	if o.Kind == Failed {
		return o, o.Err
	}
	return o, nil
}

func (d *Device) contribute(ctx context.Context) Outcome {
	st, err := d.snapshot()
	if err != nil {
		return failed(err)
	}
	if err := d.expireHeld(); err != nil {
		return failed(err)
	}
	if d.opts.Transport == nil {
		return failed(errOffline)
	}
	if len(st.enrolment) > 0 {
		if o, done := d.resume(ctx); done {
			return o
		}
		d.askReceipts(ctx, false)
	} else if o, ok := d.enroll(ctx); !ok {
		return o
	}
	answer, err := d.checkIn(ctx)
	if err != nil {
		return failed(err)
	}
	if answer.Version != nil {
		if o, ok := d.update(ctx, answer.Version); !ok {
			return o
		}
	}
	switch {
	case answer.Offer == nil && (answer.Wait.Reason == WaitTaskFinished || !d.opts.OptOut):
		if answer.Wait.Reason == WaitTaskFinished {
			d.askReceipts(ctx, true)
			if err := d.dropHeld(); err != nil {
				return failed(err)
			}
		}
		return waiting(answer.Wait)
	case d.opts.OptOut:
		return Outcome{Kind: NothingToDo, Sentence: "You have opted out: this device fetches models and sends nothing.", RetryAfter: retryDays}
	}
	return paced(d.takePart(ctx, answer.Offer, false), answer)
}

// spread moves a time that the device chose by itself by up to a quarter, so that
// devices which failed together do not come again together. What the server chose
// is spread already.
func (d *Device) spread(after time.Duration) time.Duration {
	if after != retrySoon && after != retryLater && after != retryDays {
		return after
	}
	var b [1]byte
	if _, err := io.ReadFull(d.opts.Rand, b[:]); err != nil {
		return after
	}
	return after*3/4 + after/2*time.Duration(b[0])/256
}

// paced takes the server's word on when to come again, where the device has no
// reason of its own to wait longer.
func paced(o Outcome, answer CheckIn) Outcome {
	switch {
	case o.Kind == Contributed && answer.Accepted > 0:
		o.RetryAfter = answer.Accepted
	case o.Kind == Refused && o.Reason != ReasonServer && answer.Refused > 0 && o.RetryAfter <= retrySoon:
		o.RetryAfter = answer.Refused
	}
	return o
}

// snapshot is the state now.
func (d *Device) snapshot() (state, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return state{}, ErrClosed
	}
	return d.st.clone(), nil
}

// change saves what edit makes of the state.
func (d *Device) change(edit func(*state)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrClosed
	}
	next := d.st.clone()
	edit(&next)
	return d.save(next)
}

// remember keeps the outcome for Privacy. Refusals are counted durably; the
// rest goes to disk with the next save.
func (d *Device) remember(o Outcome) {
	last := lastOutcome{o.Kind, o.Reason, o.Policy, o.Round, d.opts.Now().Unix()}
	if o.Kind == Refused {
		err := d.change(func(s *state) { s.last = last; s.refused(o.Reason, o.Policy) })
		if err == nil {
			return
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.st.last = last
}

func failed(err error) Outcome {
	o := Outcome{Kind: Failed, Err: err, RetryAfter: retrySoon, Sentence: "Something broke on the way; nothing was lost."}
	switch {
	case errors.Is(err, ErrUnavailable):
		o.Sentence = "The server cannot be reached now; the device will try again."
	case errors.Is(err, context.Canceled):
		o.Sentence = "It was stopped; the device will go on from there."
	}
	var l Later
	if errors.As(err, &l) {
		o.RetryAfter = l.RetryAfter()
	}
	return o
}

func waiting(w Wait) Outcome {
	o := Outcome{Kind: Waiting, RetryAfter: w.RetryAfter, Sentence: w.Reason.Sentence()}
	if w.Reason == WaitTaskFinished {
		o.Kind = NothingToDo
	}
	if o.RetryAfter == 0 {
		o.RetryAfter = retrySoon
	}
	return o
}

// Enroll exchanges the token of the options for an enrolment, if the device has
// none yet. Contribute does the same when it needs to.
func (d *Device) Enroll(ctx context.Context) error {
	d.turn.Lock()
	defer d.turn.Unlock()
	st, err := d.snapshot()
	if err != nil || len(st.enrolment) > 0 {
		return err
	}
	if d.opts.Transport == nil {
		return errOffline
	}
	o, ok := d.enroll(ctx)
	switch {
	case ok:
		return nil
	case o.Err != nil:
		return fmt.Errorf("client: %s %w", o.Sentence, o.Err)
	}
	return fmt.Errorf("client: %s", o.Sentence)
}

// enroll exchanges the token for an enrolment; ok means that the device has one.
func (d *Device) enroll(ctx context.Context) (o Outcome, ok bool) {
	st, err := d.snapshot()
	if err != nil {
		return failed(err), false
	}
	if d.opts.Token == "" && d.opts.Attest == nil {
		return refuse(ReasonNotEnrolled, errors.New("no token was given")).outcome(0), false
	}
	r := EnrollRequest{Task: st.task, Token: d.opts.Token, PublicKey: d.public(),
		Proof: ed25519.Sign(d.key, EnrollMessage(st.task, d.opts.Token))}
	if d.opts.Attest != nil {
		if r.Attestation, err = d.opts.Attest(ctx, st.task, r.PublicKey); err != nil {
			return failed(fmt.Errorf("client: no attestation: %w", err)), false
		}
	}
	enrolment, err := d.opts.Transport.Enroll(ctx, r)
	if errors.Is(err, ErrNotAllowed) {
		return refuse(ReasonNotEnrolled, err).outcome(0), false
	}
	if err != nil {
		return failed(err), false
	}
	if !aggregation.VerifyEnrolment(d.opts.Policy.Enroller, st.task, d.public(), enrolment) {
		return refuse(ReasonNotEnrolled, errors.New("the enrolment is not signed by the enroller that this device trusts")).outcome(0), false
	}
	if err := d.change(func(s *state) { s.enrolment = enrolment }); err != nil {
		return failed(err), false
	}
	return Outcome{}, true
}

func (d *Device) checkIn(ctx context.Context) (CheckIn, error) {
	st, err := d.snapshot()
	if err != nil {
		return CheckIn{}, err
	}
	r := CheckInRequest{Task: st.task, PublicKey: d.public(), Enrolment: st.enrolment,
		Time: d.opts.Now().Unix(), LogSize: st.log.Last.Size, Protocol: Protocol, Suites: suites, ModelFormat: modelFormat,
		LastRound: st.lastRound, Rounds: st.rounds, Resting: d.resting(&st)}
	r.Signature = ed25519.Sign(d.key, CheckInMessage(r.Task, r.PublicKey, r.Time, r.LogSize))
	answer, err := d.opts.Transport.CheckIn(ctx, r)
	if err != nil {
		return answer, err
	}
	if ok, tooOld := speaks(answer.Protocol); !ok { // whatever it says, this program would misread it
		reason := WaitProtocol
		if tooOld {
			reason = WaitServerOld
		}
		return CheckIn{Wait: Wait{Reason: reason, RetryAfter: retryDays}}, nil
	}
	return answer, nil
}

// resting is the first round that the device may be in by its own limits.
func (d *Device) resting(st *state) uint64 {
	p := d.opts.Policy
	switch {
	case d.opts.OptOut, p.MaxParticipations > 0 && st.rounds >= p.MaxParticipations:
		return math.MaxUint64
	case st.sealed && p.MinSeparation > 1:
		return st.lastRound + uint64(p.MinSeparation)
	}
	return 0
}

// DryRun shows what Contribute would do now, and does none of it: nothing is
// charged, sealed or sent, and nothing is kept. Leaving is what an outcome of
// Contributed would send.
func (d *Device) DryRun(ctx context.Context) (Preview, error) {
	d.turn.Lock()
	defer d.turn.Unlock()
	st, err := d.snapshot()
	if err != nil {
		return Preview{}, err
	}
	if d.opts.Transport == nil {
		return Preview{}, errOffline
	}
	if len(st.enrolment) == 0 {
		return Preview{Outcome: refuse(ReasonNotEnrolled, nil).outcome(0)}, nil
	}
	answer, err := d.checkIn(ctx)
	if err != nil {
		return Preview{}, err
	}
	if answer.Offer == nil {
		return Preview{Outcome: waiting(answer.Wait)}, nil
	}
	o, r := d.opts.Shared.open(d.opts.Policy, answer.Offer)
	if r != nil {
		return Preview{Outcome: r.outcome(0)}, nil
	}
	p := Preview{Plan: o.plan, Config: o.config, Leaving: describe(o).leaving()}
	taken, r := d.follow(&st, o, answer.Offer)
	switch {
	case r != nil:
		p.Outcome = r.outcome(o.plan.Round)
	case taken:
		p.Outcome = tookPart(o.plan.Round)
	default:
		p.Outcome = Outcome{Kind: Contributed, Round: o.plan.Round, Sentence: "The device would take part in the open round."}
	}
	return p, nil
}

// Preview is what DryRun found.
type Preview struct {
	Outcome Outcome
	Plan    plan.Plan           // of the open round, if one is offered and signed
	Config  *aggregation.Config // of the round's part that was offered; nil without one
	Leaving Leaving
}

func tookPart(round uint64) Outcome {
	return Outcome{Kind: Waiting, Round: round, RetryAfter: time.Minute, Sentence: WaitAlreadyCounted.Sentence()}
}
