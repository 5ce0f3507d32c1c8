package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"time"

	"tutti/model"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
)

// A device trains before it takes a place in a round. What it trained is held,
// clipped, sealed under the app's key, until an upload made of it is with the
// server; a round that closed meanwhile does not cost the work. Every seal of it
// is charged as any other, and no round is sealed for twice. It is erased when it
// was used, when no plan allows its base any more, and when it is too old.

// held is a trained and clipped update that no server has yet.
type held struct {
	round    uint64 // that it was trained for
	number   uint64 // version that training started from
	base     plan.Digest
	items    plan.Digest
	training plan.Training
	clip     float64 // that it was clipped to
	time     int64   // when it was trained
	norm     float64 // before it was clipped
	loss     float64 // of its first step, see Lesson.loss; NaN: none
	values   []float32
}

const redactedHeld = "client.held(redacted)"

// Format hides the update, which was made of the user's history.
func (h held) Format(f fmt.State, _ rune) { io.WriteString(f, redactedHeld) }

// LogValue hides the update.
func (h held) LogValue() slog.Value { return slog.StringValue(redactedHeld) }

// MarshalJSON refuses.
func (h held) MarshalJSON() ([]byte, error) {
	return nil, errors.New("client: an update is not written out")
}

// maxHeldAge is how long an update is held at most: what a person did a week ago
// is in the next one. Where the history is kept for less, so is the update.
const maxHeldAge = 7 * 24 * time.Hour

// slowTraining is how long training may take before the device asks whether the
// round is still open.
const slowTraining = 5 * time.Second

// suits says whether an update may go into a round, and how many versions behind
// it is. It was trained as the plan says, from a version that the plan allows;
// the clip is applied anew.
func (h *held) suits(pl plan.Plan) (staleness uint32, ok bool) {
	if pl.Kind != plan.Model || pl.Items != h.items || pl.Training != h.training || pl.Mechanism.Dim != len(h.values) {
		return 0, false
	}
	return pl.Staleness(h.base)
}

// clipped is what goes into a round: weighted by its staleness, then clipped.
func (h *held) clipped(m mechanism.Params, staleness uint32) (x mechanism.Clipped, norm float64) {
	weight := plan.StaleWeight(staleness)
	if weight == 1 {
		return mechanism.Clip(h.values, m.Clip), h.norm
	}
	scaled := make([]float32, len(h.values))
	defer clear(scaled)
	for i, v := range h.values {
		scaled[i] = float32(float64(v) * weight)
	}
	return mechanism.Clip(scaled, m.Clip), h.norm * weight
}

// keep saves a trained update in the place of the one before.
func (d *Device) keep(h *held) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrClosed
	}
	sealed, err := d.sealer.sealHeld(h)
	if err != nil {
		return err
	}
	if err := d.opts.Store.SaveHeld(sealed); err != nil {
		return err
	}
	d.let(h)
	return nil
}

// let replaces the update in memory.
func (d *Device) let(h *held) {
	if d.held != nil {
		clear(d.held.values)
	}
	d.held = h
}

// heldFor is the update that suits a plan; nil without one. One that does not
// suit, or is too old, is erased: a plan that the device follows allows the bases
// that later plans do, or newer ones.
func (d *Device) heldFor(pl plan.Plan) (*held, error) {
	if pl.Kind != plan.Model {
		return nil, nil
	}
	h := d.held
	if h == nil {
		return nil, nil
	}
	if _, ok := h.suits(pl); ok && d.mayHold(h) {
		return h, nil
	}
	return nil, d.dropHeld()
}

// mayHold says whether an update may be kept: a user who opts out, or who has
// the history forgotten after a time, means what was made of it too.
func (d *Device) mayHold(h *held) bool {
	most := maxHeldAge
	if kept := d.opts.Retention.MaxAge; kept > 0 {
		most = min(most, kept)
	}
	age := d.opts.Now().Unix() - h.time
	return !d.opts.OptOut && age >= 0 && age <= int64(most/time.Second)
}

// expireHeld erases an update that may not be kept, whether or not there is a
// round, or a network.
func (d *Device) expireHeld() error {
	if d.held == nil || d.mayHold(d.held) {
		return nil
	}
	return d.dropHeld()
}

// dropHeld erases the update, in memory and in the store.
func (d *Device) dropHeld() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held == nil {
		return nil
	}
	if d.closed {
		return ErrClosed
	}
	if err := d.opts.Store.DropHeld(); err != nil {
		return err
	}
	d.let(nil)
	return nil
}

// readHeld finds the update that an earlier process left. One that cannot be read
// is no loss but its training.
func (d *Device) readHeld() error {
	sealed, err := d.opts.Store.Held()
	if err != nil || sealed == nil {
		return err
	}
	h, err := d.sealer.openHeld(sealed)
	if err != nil {
		return d.opts.Store.DropHeld()
	}
	d.held = h
	return d.expireHeld()
}

// used says whether an answer to an upload means that its update is done with: it
// is with the server, or would be refused again. After the others it may go into
// a later round.
func used(r Receipt) bool {
	switch r.State {
	case UploadLate, UploadAbandoned, UploadUnknown, UploadUnspecified:
		return false
	case UploadRejected:
		return r.Reason != RejectRoundClosed && r.Reason != RejectRoundFull && r.Reason != RejectNoSuchRound
	}
	return true
}

// train makes the update of a model round and holds it.
func (d *Device) train(ctx context.Context, pl plan.Plan) (*held, error) {
	base, err := d.base(ctx, pl)
	if err != nil {
		return nil, err
	}
	facts := plan.Unknown()
	update, err := d.learn(ctx, pl, base, &facts)
	if err != nil {
		return nil, err
	}
	h := &held{round: pl.Round, base: pl.Base, number: pl.BaseNumber, items: pl.Items, training: pl.Training,
		clip: pl.Mechanism.Clip, time: d.opts.Now().Unix(), norm: norm(update.Values()), loss: facts.Loss}
	if base != nil {
		h.number, h.base = base.Number, plan.Digest(base.Digest())
	}
	clipped := mechanism.Clip(update.Values(), h.clip)
	defer clipped.Erase()
	clear(update.Values())
	h.values = clipped.Copy()
	return h, d.keep(h)
}

// learn makes a round's vector, before any clipping.
func (d *Device) learn(ctx context.Context, pl plan.Plan, base *model.Version, facts *plan.Facts) (model.Update, error) {
	history, _, _ := heldOut(pl.Metrics, d.sequence())
	lesson, done, r := d.opts.Shared.prepare(pl, base, history, d.fetch(ctx, base))
	if r != nil {
		return model.Update{}, r
	}
	defer done()
	if pl.Kind == plan.Model {
		var err error
		if lesson.Seed, err = drawSeed(d.opts.Rand); err != nil {
			return model.Update{}, err
		}
	}
	lesson.loss = &facts.Loss
	learn := d.opts.Learner
	if learn == nil {
		learn = func(ctx context.Context, l Lesson) (model.Update, error) { return l.Learn(ctx) }
	}
	update, err := learn(ctx, lesson)
	if err == nil && update.Len() != pl.Mechanism.Dim {
		err = fmt.Errorf("client: the learner gave %d numbers, the plan wants %d", update.Len(), pl.Mechanism.Dim)
	}
	return update, err
}

// The held update: 12 bytes of nonce, then AES-256-GCM under the key of the state.
// Inside: the fields in order; the numbers to the end, float32, little-endian.
const heldDomain = "tutti/client/held/v1"

const maxHeld = 1 << 28

func (x sealer) sealHeld(h *held) ([]byte, error) {
	nonce := make([]byte, x.aead.NonceSize())
	if _, err := io.ReadFull(x.random, nonce); err != nil {
		return nil, fmt.Errorf("client: no randomness: %w", err)
	}
	plain := h.encode()
	defer clear(plain)
	return x.aead.Seal(nonce, nonce, plain, []byte(heldDomain)), nil
}

func (x sealer) openHeld(sealed []byte) (*held, error) {
	n := x.aead.NonceSize()
	if len(sealed) < n || len(sealed) > maxHeld {
		return nil, ErrTampered
	}
	plain, err := x.aead.Open(nil, sealed[:n], sealed[n:], []byte(heldDomain))
	if err != nil {
		return nil, ErrTampered
	}
	defer clear(plain)
	return decodeHeld(plain)
}

func (h *held) encode() []byte {
	w := &stateWriter{b: make([]byte, 0, 256+4*len(h.values))}
	w.bytes([]byte(heldDomain))
	w.u64(h.round)
	w.u64(h.number)
	w.b = append(append(w.b, h.base[:]...), h.items[:]...)
	w.u32(h.training.Steps)
	w.u32(h.training.Batch)
	w.u32(h.training.MaxLen)
	w.bytes([]byte(h.training.LearningRate))
	w.bytes([]byte(h.training.Optimizer))
	w.u64(math.Float64bits(h.clip))
	w.u64(uint64(h.time))
	w.u64(math.Float64bits(h.norm))
	w.u64(math.Float64bits(h.loss))
	for _, v := range h.values {
		w.b = binary.LittleEndian.AppendUint32(w.b, math.Float32bits(v))
	}
	return w.b
}

// decodeHeld reads exactly what encode writes.
func decodeHeld(b []byte) (*held, error) {
	r := &stateReader{rest: b}
	if string(r.bytes(len(heldDomain))) != heldDomain {
		return nil, fmt.Errorf("%w: not a held update", errState)
	}
	h := &held{round: r.u64(), number: r.u64()}
	copy(h.base[:], r.take(len(h.base)))
	copy(h.items[:], r.take(len(h.items)))
	h.training = plan.Training{Steps: r.u32(), Batch: r.u32(), MaxLen: r.u32(), LearningRate: string(r.bytes(maxWord)), Optimizer: string(r.bytes(maxWord))}
	h.clip = math.Float64frombits(r.u64())
	h.time = int64(r.u64())
	h.norm, h.loss = math.Float64frombits(r.u64()), math.Float64frombits(r.u64())
	if r.err == nil && len(r.rest)%4 != 0 {
		r.fail("half a number")
	}
	if r.err != nil {
		return nil, r.err
	}
	h.values = make([]float32, len(r.rest)/4)
	for i := range h.values {
		h.values[i] = math.Float32frombits(binary.LittleEndian.Uint32(r.rest[4*i:]))
	}
	return h, nil
}

// maxWord bounds the words of a training.
const maxWord = 32
