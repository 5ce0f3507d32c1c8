package client

import (
	"fmt"
	"math/big"

	"tutti/privacy/plan"
)

// paidStream is the newest stream of the operator's correlated noise that the
// device has paid for. It was paid for as a whole with the first of its rounds
// that the device was in.
type paidStream struct {
	id     plan.Digest // zero: none
	first  uint64      // its first round, whoever was in it
	rho    *big.Rat    // of all of it
	rounds uint32      // of it that the device sealed and was not given back
}

// join books a round's stream, and its cost unless it is paid for.
func (s *state) join(pl plan.Plan) {
	id := pl.Stream()
	if id == (plan.Digest{}) {
		return
	}
	if s.stream.id != id {
		s.stream = paidStream{id: id, first: pl.StreamFirst(), rho: pl.Central.Rho()}
		s.spent = bounded(new(big.Rat).Add(s.spent, s.stream.rho))
	}
	s.stream.rounds++
}

// leave takes one round of a stream back, and the cost of the stream when it was
// the device's only one. A stream that another has followed stays spent.
func (s *state) leave(id plan.Digest) {
	if id == (plan.Digest{}) || id != s.stream.id || s.stream.rounds == 0 {
		return
	}
	if s.stream.rounds--; s.stream.rounds == 0 {
		s.spent = new(big.Rat).Sub(s.spent, s.stream.rho)
		s.stream = paidStream{}
	}
}

func (w *stateWriter) streams(s *state) {
	w.flag(s.stream.rho != nil)
	if s.stream.rho != nil {
		w.b = append(w.b, s.stream.id[:]...)
		w.u64(s.stream.first)
		w.rational(s.stream.rho)
		w.u32(s.stream.rounds)
	}
	for _, c := range s.charges {
		w.b = append(w.b, c.stream[:]...)
	}
	w.flag(s.offered.central)
}

func (r *stateReader) streams(s *state) {
	if r.flag() {
		copy(s.stream.id[:], r.take(len(s.stream.id)))
		s.stream.first, s.stream.rho, s.stream.rounds = r.u64(), r.rational(), r.u32()
		if r.err == nil && (s.stream.rho == nil || s.stream.rho.Sign() <= 0 || s.stream.id == (plan.Digest{})) {
			r.fail("a stream of noise")
		}
	}
	for i := range s.charges {
		copy(s.charges[i].stream[:], r.take(len(s.charges[i].stream)))
	}
	s.offered.central = r.flag()
}

// checkStreams holds what every state satisfies.
func (s *state) checkStreams() error {
	if s.stream.rho != nil && (s.stream.rho.Cmp(s.spent) > 0 || s.stream.rounds == 0 || s.stream.first > s.lastRound) {
		return fmt.Errorf("%w: a stream of noise", errState)
	}
	return nil
}
