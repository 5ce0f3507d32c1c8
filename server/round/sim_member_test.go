package round

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"time"
)

func digestOf(set []Upload) Digest { return sha256.Sum256(fmt.Append(nil, set)) }

// ask is a member: what it answers it has stored before.
func (s *sim) ask(r Request, set []Upload, keys string) Input {
	m := &s.members[r.Member]
	refuse := Failed{Member: r.Member, Ask: r.Ask, Batch: r.Batch, Final: true}
	lying := r.Member == s.faults.liar
	switch r.Ask {
	case AskOpen:
		if m.key == nil {
			m.key = []byte{byte(r.Member), byte(s.rng.IntN(256))}
		}
		return Opened{Member: r.Member, Key: m.key}
	case AskReveal:
		if m.keys == "" {
			m.keys = keys
		}
		if m.keys != keys {
			s.fail("member %d is shown the keys %s after %s", r.Member, keys, m.keys)
			return refuse
		}
		return Revealed{Member: r.Member, Coin: []byte{byte(r.Member)}}
	case AskBegin:
		m.begun = true
		return Begun{Member: r.Member}
	case AskJudge:
		verdicts := make([]bool, len(r.IDs))
		for i, id := range r.IDs {
			good := m.begun && !m.abandon && !slices.Contains(s.device(id).bad, r.Member) && !(lying && s.faults.complains && id[0]%2 == 0)
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
		for _, u := range set {
			if slices.Contains(s.device(u.ID).skew, j) {
				total += 1000 * int64(j+1)
			}
		}
		if lie {
			total++
		}
		m.released = fmt.Append(nil, total)
	}
	return Answered{Member: j, Answer: m.released}
}

func (s *sim) device(id ID) simDevice {
	return s.devices[slices.IndexFunc(s.devices, func(d simDevice) bool { return d.id == id })]
}

// hear keeps what a shell keeps of a member's verdicts: who answered words on which upload.
func (s *sim) hear(r Request, in Input) {
	judged, ok := in.(Judged)
	if !ok {
		return
	}
	for i, id := range r.IDs {
		if s.judged[id] == nil {
			s.judged[id] = map[int]bool{}
		}
		s.judged[id][r.Member] = judged.Accepted[i]
	}
}

// slack is how many of n answers may be wrong and are corrected; more are noticed as long as there is one to spare.
func (s *sim) slack(n int) int { return (n - s.p.l.Need) / 2 }

// check is the decoder: n words of which some do not fit.
func (s *sim) check(c Check) []Finding {
	out := make([]Finding, len(c.IDs))
	for i, id := range c.IDs {
		d := s.device(id)
		n := 0
		var odd []int
		for _, j := range c.Members {
			if !s.judged[id][j] {
				continue
			}
			n++
			if forged := j == s.faults.liar && s.faults.forges && id[0]%2 == 1; forged || slices.Contains(d.skew, j) {
				odd = append(odd, j)
			}
		}
		switch {
		case n < s.p.l.Need:
		case n == s.p.l.Need: // any so many words lie on some polynomial
			out[i] = Finding{Sharing: Sound}
		case len(odd) <= s.slack(n):
			out[i] = Finding{Sharing: Sound, Wrong: odd}
			s.named += len(odd)
		default:
			out[i] = Finding{Sharing: Unsound}
			s.voids++
		}
	}
	return out
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
	if w.Check != nil {
		found := s.check(*w.Check)
		s.after(s.delay(300*time.Millisecond), s.inEpoch(func() { s.input(Checked{Batch: w.Check.Batch, Findings: found}) }))
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
			_, wrong, ok := s.decode(answers)
			if !ok {
				s.input(Unmasked{Fault: Disagreement})
				return
			}
			s.input(Unmasked{Wrong: wrong})
		}))
	}
}

// decode corrects as many wrong answers as the spare ones allow.
func (s *sim) decode(answers []Said) (total string, wrong []int, ok bool) {
	votes := map[string]int{}
	for _, a := range answers {
		votes[string(a.Bytes)]++
		if votes[string(a.Bytes)] > votes[total] {
			total = string(a.Bytes)
		}
	}
	for _, a := range answers {
		if string(a.Bytes) != total {
			wrong = append(wrong, a.Member)
		}
	}
	return total, wrong, len(wrong) <= s.slack(len(answers))
}

// open unmasks what is stored, as a shell does after RELEASED.
func (s *sim) open() {
	said, wrong, ok := s.decode(s.stored.Answers)
	if !ok || !slices.Equal(wrong, s.stored.Wrong) {
		s.fail("the answers open again with %v wrong, and %v were named", wrong, s.stored.Wrong)
	}
	for _, j := range wrong {
		if j != s.faults.liar {
			s.fail("member %d is named, and %d lies", j, s.faults.liar)
		}
	}
	var total int64
	fmt.Sscan(said, &total)
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
	for _, u := range d.Set {
		for _, j := range s.device(u.ID).skew {
			if slices.Contains(d.Quorum, j) {
				s.fail("member %d holds a share of another key in the set", j)
			}
		}
	}
	if d.State == Lost && d.Lost == Disagreement && !s.faults.lies {
		s.fail("the answers disagree and nobody lies")
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
