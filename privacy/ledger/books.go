package ledger

import (
	"math/big"
	"strings"

	"tutti/privacy/accounting"
)

// books hold what one device can lose to a task at most. The task's budget bounds that, and not the sum over all rounds:
// with a limit on participations a device is in few of them. A stream of correlated noise is paid for as a whole by
// whoever is in any of its rounds, so its cost counts in full whatever else a device is in; so does telemetry.
type books struct {
	rounds  *accounting.Exposure // charged rounds, and those under way
	charged *accounting.Exposure // charged rounds
	always  *big.Rat             // what counts in full and is charged
	held    map[uint64]*big.Rat  // streams of rounds under way that would pay for them
	sum     *big.Rat             // of held
}

func newBooks(k, b uint64) books {
	return books{accounting.NewExposure(k, b), accounting.NewExposure(k, b), new(big.Rat), map[uint64]*big.Rat{}, new(big.Rat)}
}

// spent is what a device can have lost.
func (b *books) spent() *big.Rat {
	x := b.charged.Worst()
	return x.Add(x, b.always)
}

// total is spent when every round under way is charged.
func (b *books) total() *big.Rat {
	x := b.rounds.Worst()
	return x.Add(x.Add(x, b.always), b.sum)
}

// with is total with one more round; whole says that it pays for a stream.
func (b *books) with(round uint64, rho *big.Rat, whole bool) *big.Rat {
	if whole {
		x := b.total()
		return x.Add(x, rho)
	}
	x := b.rounds.With(round, rho)
	return x.Add(x.Add(x, b.always), b.sum)
}

// open takes a round under way; its number is above all before, which the rule on plans has seen to.
func (b *books) open(round uint64, rho *big.Rat, whole bool) {
	if whole && rho != nil {
		b.held[round] = rho
		b.sum = new(big.Rat).Add(b.sum, rho)
		rho = nil
	}
	b.must(b.rounds.Add(round, rho))
	b.must(b.charged.Add(round, nil))
}

// charge ends a round that was charged.
func (b *books) charge(round uint64, rho *big.Rat, whole bool) {
	if whole {
		b.free(round)
		if rho != nil {
			b.add(rho)
		}
		return
	}
	b.must(b.rounds.Set(round, rho))
	b.must(b.charged.Set(round, rho))
	b.release(round)
}

// free ends a round that nobody is charged for.
func (b *books) free(round uint64) {
	b.must(b.rounds.Set(round, nil))
	b.release(round)
}

func (b *books) release(round uint64) {
	if rho := b.held[round]; rho != nil {
		delete(b.held, round)
		b.sum = new(big.Rat).Sub(b.sum, rho)
	}
}

// add charges what counts in full.
func (b *books) add(rho *big.Rat) { b.always = new(big.Rat).Add(b.always, rho) }

func (b *books) must(err error) {
	if err != nil {
		panic("ledger: a round out of order: " + err.Error())
	}
}

// With is what one device can have lost to a task at most when every round under way is charged, and one more round of
// this cost in a stream, or in none, that is opened next. False when the log has not opened the task.
func (s *State) With(task string, round uint64, rho *big.Rat, stream Digest) (*big.Rat, bool) {
	t := s.tasks[task]
	if t == nil {
		return nil, false
	}
	if rho == nil {
		return t.books.total(), true
	}
	return t.books.with(round, rho, t.opensStream(stream)), true
}

// place names a record of a round: its plan, its end, or that of one of its groups.
type place struct {
	round uint64
	group int64 // noGroup: the round's own end
	plan  bool
}

const noGroup = -1

// file notes where the records of rounds stand.
func (t *taskState) file(r Record) {
	switch b := r.Body.(type) {
	case *Plan:
		t.places[place{b.Round, noGroup, true}] = r.Seq
	case *Round:
		t.places[place{b.Round, noGroup, false}] = r.Seq
	case *Group:
		t.places[place{b.Round, int64(b.Group), false}] = r.Seq
	}
}

// PlanAt is the place of a round's plan in the log.
func (s *State) PlanAt(task string, round uint64) (seq uint64, ok bool) {
	return s.at(task, place{round, noGroup, true})
}

// EndAt is the place of the record that says who was in a round's sum, or in that of one of its groups: the Group record
// where the round was split, else the Round record.
func (s *State) EndAt(task string, round uint64, group uint32) (seq uint64, ok bool) {
	if seq, ok = s.at(task, place{round, int64(group), false}); ok || group > 0 {
		return seq, ok
	}
	return s.at(task, place{round, noGroup, false})
}

func (s *State) at(task string, p place) (seq uint64, ok bool) {
	if t := s.tasks[task]; t != nil {
		seq, ok = t.places[p]
	}
	return seq, ok
}

// noteKey is what a reveal opens.
type noteKey struct {
	topic  string
	digest Digest
}

const maxTopic = 48

func (t *taskState) note(b *Note) *Violation {
	if b.Topic == "" || len(b.Topic) > maxTopic || strings.Trim(b.Topic, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return broken(FaultNote, "a note with the topic %q", b.Topic)
	}
	if about, is := strings.CutSuffix(b.Topic, "_commit"); is {
		t.commits[noteKey{about, b.Digest}] = true
	}
	if about, is := strings.CutSuffix(b.Topic, "_reveal"); is && !t.commits[noteKey{about, b.Digest}] {
		return broken(FaultNote, "%s opens a digest that nobody committed to", b.Topic)
	}
	return nil
}
