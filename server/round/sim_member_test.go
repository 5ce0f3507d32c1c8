package round

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"time"
)

func digestOf(set []Upload) Digest { return sha256.Sum256(fmt.Append(nil, set)) }

// ask is a member: what it answers it has stored before.
func (s *sim) ask(r Request, set []Upload) Input {
	m := &s.members[r.Member]
	refuse := Failed{Member: r.Member, Ask: r.Ask, Batch: r.Batch, Final: true}
	lying := r.Member == s.faults.liar
	switch r.Ask {
	case AskOpen:
		if m.key == nil {
			m.key = []byte{byte(r.Member), byte(s.rng.IntN(256))}
		}
		return Opened{Member: r.Member, Key: m.key}
	case AskBegin:
		m.begun = true
		return Begun{Member: r.Member}
	case AskJudge:
		verdicts := make([]bool, len(r.IDs))
		for i, id := range r.IDs {
			at := slices.IndexFunc(s.devices, func(d simDevice) bool { return d.id == id })
			good := m.begun && !m.abandon && !slices.Contains(s.devices[at].bad, r.Member) && !(lying && id[0]%2 == 0)
			if _, had := m.accepted[id]; had || good && m.signed == nil {
				verdicts[i] = true
				m.accepted[id] = sha256.Sum256(id[:])
			}
		}
		return Judged{Member: r.Member, Batch: r.Batch, Accepted: verdicts}
	case AskSign:
		d := digestOf(set)
		s.proposed[d] = true
		if len(set) < s.p.l.Min {
			s.fail("a set of %d was proposed, the minimum is %d", len(set), s.p.l.Min)
		}
		if m.abandon || m.signed != nil && *m.signed != d || len(set) < s.p.l.Min || len(set) > s.p.l.Max {
			return refuse
		}
		for _, u := range set {
			if m.accepted[u.ID] != u.Digest {
				return refuse
			}
		}
		m.signed = &d
		return SetSigned{Member: r.Member, Signature: d[:]}
	case AskAbandon:
		if m.signed != nil {
			return refuse
		}
		m.abandon = true
		return AbandonSigned{Member: r.Member, Signature: []byte("abandon")}
	default:
		return s.release(r.Member, set, lying && s.faults.lies)
	}
}

// release answers the sum of the masks over the certified set.
func (s *sim) release(j int, set []Upload, lie bool) Input {
	if s.budget != "charged" {
		s.fail("member %d is asked for its release while the budget is %s", j, s.budget)
	}
	s.answers++
	m := &s.members[j]
	if m.released == nil {
		total := int64(0)
		for _, d := range s.devices {
			if slices.ContainsFunc(set, func(u Upload) bool { return u.ID == d.id }) {
				total += d.mask
			}
		}
		if lie {
			total++
		}
		m.released = fmt.Append(nil, total)
	}
	return Answered{Member: j, Answer: m.released}
}

func (s *sim) vector(id ID, sign int64) {
	for _, d := range s.devices {
		if d.id == id {
			for i := range s.acc {
				s.acc[i] += sign * d.mask
			}
			s.acc[d.index] += sign
		}
	}
}

func (s *sim) work(w Work) {
	for _, id := range w.Fold {
		if s.folded[id] {
			s.fail("an upload is folded twice")
		}
		s.folded[id] = true
		s.vector(id, 1)
	}
	if w.Assemble != nil {
		s.after(s.delay(time.Second), s.inEpoch(func() {
			in := map[ID]bool{}
			for _, u := range w.Assemble {
				in[u.ID] = true
				if !s.folded[u.ID] {
					s.folded[u.ID] = true
					s.vector(u.ID, 1)
				}
			}
			for id := range s.folded {
				if !in[id] {
					delete(s.folded, id)
					s.vector(id, -1)
				}
			}
			s.input(Assembled{})
		}))
	}
	if w.Unmask {
		answers := s.m.Durable().Answers
		s.after(s.delay(time.Second), s.inEpoch(func() {
			for _, a := range answers {
				if string(a.Bytes) != string(answers[0].Bytes) {
					s.input(Unmasked{Fault: Disagreement})
					return
				}
			}
			s.input(Unmasked{})
		}))
	}
}

// open unmasks what is stored, as a shell does after RELEASED.
func (s *sim) open() {
	var total int64
	fmt.Sscan(string(s.stored.Answers[0].Bytes), &total)
	sum := slices.Clone(s.partial)
	for i := range sum {
		sum[i] -= total
	}
	if s.opened != nil && (!slices.Equal(sum, s.opened) || !slices.Equal(s.stored.Set, s.openedSet)) {
		s.fail("two sums opened: %v and %v", s.opened, sum)
	}
	s.opened, s.openedSet = sum, s.stored.Set
}

// judge holds the invariants of server.md, test 1.
func (s *sim) judge() {
	d := s.stored
	if !d.State.Ended() || d.State == Abandoned && !d.Settled {
		s.fail("the round did not end: %v", d.State)
	}
	if len(s.proposed) > 1 {
		s.fail("%d different sets were proposed", len(s.proposed))
	}
	if want := d.State.Charged(); want != (s.budget == "charged") {
		s.fail("budget is %s in state %v", s.budget, d.State)
	}
	if s.answers > 0 && s.budget != "charged" {
		s.fail("%d answers were given and the budget is %s", s.answers, s.budget)
	}
	if d.State == Abandoned && d.Freed != (s.budget == "freed") {
		s.fail("abandoned, freed is %v, budget is %s", d.Freed, s.budget)
	}
	if (d.State == Published) != (s.opened != nil) {
		s.fail("state %v, opened %v", d.State, s.opened)
	}
	if s.opened == nil {
		return
	}
	if n := len(s.openedSet); n < s.p.l.Min || n > s.p.l.Max {
		s.fail("a set of %d was opened, want %d..%d", n, s.p.l.Min, s.p.l.Max)
	}
	for _, dev := range s.devices {
		want := int64(0)
		if slices.ContainsFunc(s.openedSet, func(u Upload) bool { return u.ID == dev.id }) {
			want = 1
		}
		if s.opened[dev.index] != want {
			s.fail("the sum holds %d for device %d, want %d", s.opened[dev.index], dev.index, want)
		}
	}
}
