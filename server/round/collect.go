package round

import "slices"

// advanceCreated asks every member for its key of the round and then, with all keys shown to all of them, for the coin
// that its key commits to. Every key of the plan's committee belongs into the configuration and every coin into its
// beacon, so that a member that is missing at the opening ends the round before any device has seen it: the caller plans
// the next one without it.
func (m *Machine) advanceCreated() {
	all := m.everyone()
	switch {
	case len(m.d.Coins) == len(all):
		m.d.Opened = m.now
		m.move(Collecting, RoundOpened)
		m.advanceCollecting()
	case m.over(m.since, m.p.l.Windows.Keys), m.hope(all, AskOpen, m.d.Keys) < len(all), m.hope(all, AskReveal, m.d.Coins) < len(all):
		m.abandon(CommitteeAbsent)
		m.advanceAbandoned()
	case len(m.d.Keys) < len(all):
		m.askFor(AskOpen, m.d.Keys)
	default:
		m.askFor(AskReveal, m.d.Coins)
	}
}

// askFor asks the members that have not said it yet.
func (m *Machine) askFor(a Ask, said []Said) {
	for j := range m.members {
		if !spoke(said, j) {
			m.ask(j, a)
		}
	}
}

func (m *Machine) opened(in Opened) {
	if m.d.State != Created || !m.settle(in.Member, AskOpen) {
		return
	}
	fresh := false
	if m.d.Keys, fresh = say(m.d.Keys, in.Member, in.Key); fresh && len(m.d.Keys) == len(m.members) {
		m.since = m.now
	}
}

// revealed takes a coin; none is asked for before all keys are there.
func (m *Machine) revealed(in Revealed) {
	if m.d.State == Created && len(m.d.Keys) == len(m.members) && m.settle(in.Member, AskReveal) {
		m.d.Coins, _ = say(m.d.Coins, in.Member, in.Coin)
	}
}

// stage takes uploads in; those that the window has no room for any more are late.
func (m *Machine) stage(us []Upload) {
	if m.d.State != Collecting {
		return
	}
	for _, u := range us {
		if _, known := m.index[u.ID]; known {
			continue
		}
		m.index[u.ID] = len(m.uploads)
		m.uploads = append(m.uploads, upload{Upload: u, verdicts: make([]verdict, len(m.members)), late: m.closing})
		if m.closing {
			continue
		}
		if len(m.pending) == 0 {
			m.first = m.now
		}
		m.pending = append(m.pending, len(m.uploads)-1)
	}
}

// advanceCollecting cuts batches, shows them to the members, and ends the collection.
func (m *Machine) advanceCollecting() {
	for len(m.pending) >= m.p.l.Batch {
		m.cut(m.p.l.Batch)
	}
	if len(m.pending) > 0 && (m.closing || m.over(m.first, m.p.l.Windows.Batch)) {
		m.cut(len(m.pending))
	}
	for j := range m.members {
		if c := &m.members[j]; !c.begun {
			m.ask(j, AskBegin)
		} else {
			m.show(j)
		}
	}
	m.checkReady()
	if !m.closing && (m.enough() || m.over(m.d.Opened, m.p.l.Windows.Collect)) {
		m.close()
		m.advanceCollecting()
		return
	}
	if m.closing && m.assembled == nil {
		m.decide()
	}
}

// enough says whether the goal is reached: by what is folded or, where a member's complaints keep uploads from being
// folded, by the set that would be fixed now.
func (m *Machine) enough() bool {
	if m.ready >= m.p.l.Goal {
		return true
	}
	if !m.news || m.sound < m.p.l.Goal || m.live() < m.p.l.Quorum {
		return false
	}
	m.news = false
	var q []int
	for j := range m.members {
		if c := &m.members[j]; c.begun && !c.away {
			q = append(q, j)
		}
	}
	q, _ = m.doubt(q)
	return len(m.intersect(q)) >= m.p.l.Goal
}

// cut makes a batch of the first n pending uploads.
func (m *Machine) cut(n int) {
	m.batches = append(m.batches, batch{uploads: slices.Clone(m.pending[:n])})
	m.pending = slices.Delete(m.pending, 0, n)
	m.first = m.now
}

// show sends a member the batches that it has not judged, a few at a time.
func (m *Machine) show(j int) {
	c := &m.members[j]
	for len(c.batches) < len(m.batches) {
		c.batches = append(c.batches, batchWaiting)
	}
	under, waiting := 0, 0
	for _, s := range c.batches {
		switch s {
		case batchSent:
			under++
		case batchWaiting:
			waiting++
		}
	}
	if under+waiting == 0 {
		m.welcome(j)
	}
	if waiting == 0 || c.final[AskJudge] || !m.rested(j) {
		return
	}
	for b := range c.batches {
		if under >= window {
			return
		}
		if c.batches[b] != batchWaiting {
			continue
		}
		c.batches[b] = batchSent
		under++
		m.out.Send = append(m.out.Send, Request{Member: j, Ask: AskJudge, Batch: b, IDs: m.idsOf(b)})
	}
}

func (m *Machine) idsOf(b int) []ID {
	ids := make([]ID, len(m.batches[b].uploads))
	for i, u := range m.batches[b].uploads {
		ids[i] = m.uploads[u].ID
	}
	return ids
}

// judged takes a member's verdicts on a batch.
func (m *Machine) judged(in Judged) {
	if m.d.State != Collecting || in.Member < 0 || in.Member >= len(m.members) {
		return
	}
	c := &m.members[in.Member]
	if in.Batch < 0 || in.Batch >= len(c.batches) || len(in.Accepted) != len(m.batches[in.Batch].uploads) {
		return
	}
	back := c.away
	m.news = true
	m.settle(in.Member, AskJudge)
	if c.batches[in.Batch] == batchDone {
		return
	}
	c.batches[in.Batch] = batchDone
	for i, u := range m.batches[in.Batch].uploads {
		m.uploads[u].verdicts[in.Member] = refused
		if in.Accepted[i] {
			m.uploads[u].verdicts[in.Member] = accepted
		} else {
			m.event(Event{Kind: UploadRefused, Member: in.Member, ID: m.uploads[u].ID})
		}
	}
	if back {
		m.recount()
	}
}

// live members have fixed the configuration and answer.
func (m *Machine) live() (n int) {
	for j := range m.members {
		if m.members[j].begun && !m.members[j].away {
			n++
		}
	}
	return n
}

// recount looks at every upload again after the set of live members changed.
func (m *Machine) recount() {
	if m.d.State != Collecting {
		return
	}
	for u := range m.uploads {
		m.fold(u)
	}
}

// close ends the collection: from now on uploads are late.
func (m *Machine) close() {
	if !m.Taking() {
		return
	}
	m.closing, m.closedAt = true, m.now
	m.event(Event{Kind: RoundClosing, Count: len(m.uploads)})
}
