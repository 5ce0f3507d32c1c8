package client

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"tutti/aggregation"
	"tutti/privacy/ledger"
	"tutti/privacy/plan"
)

// clockDrift is how far a device's clock may fall back behind the newest charge: the server takes clocks that are as
// wrong.
const clockDrift = 5 * 60

// witness follows the operator's log to the state that comes with an offer, and says whether the offered plan stands in
// it. A contradiction under the operator's signature is kept as evidence.
func (s *state) witness(operator ed25519.PublicKey, o *opened, l ledger.Logged) plan.LogCheck {
	var next ledger.Witness
	var fork *ledger.Fork
	var err error
	for _, record := range records(o) {
		next, fork, err = s.log.FollowPlan(l, record, o.plan.Checkpoint, ledger.Origin(s.task), operator)
		if !errors.Is(err, ledger.ErrNotLogged) {
			break
		}
	}
	s.log = next
	switch {
	case err == nil:
		s.logged = max(s.logged, o.plan.Round)
		return plan.LogConsistent
	case fork != nil:
		s.fork = fork
		return plan.LogForked
	case errors.Is(err, ledger.ErrNotLogged):
		return plan.LogWithoutPlan
	}
	return plan.LogMissing
}

// records are what the log may have written of a plan: a round of a stream that is paid for costs less.
func records(o *opened) []*ledger.Plan {
	r := &ledger.Plan{Task: o.plan.Task, Round: o.plan.Round, What: o.plan.Kind.String(), Rho: o.plan.Rho(), Stream: o.plan.Stream(),
		Bytes: o.signed.Bytes, Signature: o.signed.Signature}
	if r.Stream == (ledger.Digest{}) {
		return []*ledger.Plan{r}
	}
	paid := *r
	paid.Rho = o.plan.Cost(r.Stream)
	return []*ledger.Plan{r, &paid}
}

// clock is the newest time that the device has seen, if its clock is further behind than clocks drift; else 0.
func (s *state) clock(now int64) int64 {
	if now < s.seen-clockDrift {
		return s.seen
	}
	return 0
}

// errUnproven says that the server counted the device and does not prove it.
var errUnproven = errors.New("client: the server says that the device is in the sum, and does not prove it")

// prove books the proof that a counted contribution stands in the log. Without one the charge stays open, until a proof
// is overdue: the log has a later round's plan, which is written after the end of the one before, or the task is over.
func (s *state) prove(operator ed25519.PublicKey, c *charge, r Receipt, over bool) (done bool, err error) {
	if c.phase < counted {
		s.counted++
		c.phase = counted
	}
	if len(r.Proof) == 0 {
		if over || s.logged > c.round {
			c.phase, err = unproven, errUnproven
		}
		return false, err
	}
	if err := s.receipt(operator, c.round, r); err != nil {
		c.phase = unproven
		return false, fmt.Errorf("%w: %w", errUnproven, err)
	}
	s.proven++
	s.receipts = append(s.receipts, slices.Clone(r.Proof))
	s.receipts = s.receipts[max(0, len(s.receipts)-maxReceipts):]
	s.close(c.round)
	return true, nil
}

// receipt verifies a proof and follows the log to its checkpoint.
func (s *state) receipt(operator ed25519.PublicKey, round uint64, r Receipt) error {
	proof, err := ledger.ParseReceipt(r.Proof)
	if err != nil {
		return err
	}
	c, err := proof.Verify(operator)
	if err != nil {
		return err
	}
	if own := aggregation.IDOf(s.key().Public().(ed25519.PublicKey)); c.Device != own || c.Task != s.task || c.Round != round {
		return fmt.Errorf("it is of device %x in round %d of task %q", c.Device[:4], c.Round, c.Task)
	}
	next, fork, err := s.log.Follow(proof.Checkpoint, ledger.Origin(s.task), operator, r.Consistency)
	if fork != nil {
		s.fork = fork
	}
	s.log = next
	return err
}

// Receipts are the newest proofs that this device's contributions stand in the log, oldest first: each is a file for
// tutti verify receipt, and tells whoever sees it that the device took part.
func (d *Device) Receipts() [][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out [][]byte
	for _, r := range d.st.receipts {
		out = append(out, slices.Clone(r))
	}
	return out
}

// Evidence is what the device holds against the operator: a file for tutti verify fork with two signed states of the log
// that do not go together, nil while there is no such thing.
func (d *Device) Evidence() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.st.evidence()
}
