package round

import "slices"

// advanceCreated asks every member for its key of the round. Every key of the plan's committee belongs into the
// configuration, so that a member that is missing at the opening ends the round before any device has seen it: the
// caller plans the next one without it.
func (m *Machine) advanceCreated() {
	switch {
	case len(m.d.Keys) == len(m.members):
		m.d.Opened = m.now
		m.move(Collecting, RoundOpened)
		m.advanceCollecting()
	case m.over(m.since, m.p.l.Windows.Keys) || m.hope(m.everyone(), AskOpen, m.d.Keys) < len(m.members):
		m.abandon(CommitteeAbsent)
		m.advanceAbandoned()
	default:
		for j := range m.members {
			if !spoke(m.d.Keys, j) {
				m.ask(j, AskOpen)
			}
		}
	}
}

func (m *Machine) opened(in Opened) {
	if m.d.State == Created && m.settle(in.Member, AskOpen) {
		m.d.Keys, _ = say(m.d.Keys, in.Member, in.Key)
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
	if !m.closing && (m.ready >= m.p.l.Goal || m.over(m.d.Opened, m.p.l.Windows.Collect)) {
		m.close()
		m.advanceCollecting()
		return
	}
	if m.closing && m.assembled == nil {
		m.decide()
	}
}

// cut makes a batch of the first n pending uploads.
func (m *Machine) cut(n int) {
	m.batches = append(m.batches, slices.Clone(m.pending[:n]))
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
		ids := make([]ID, len(m.batches[b]))
		for i, u := range m.batches[b] {
			ids[i] = m.uploads[u].ID
		}
		m.out.Send = append(m.out.Send, Request{Member: j, Ask: AskJudge, Batch: b, IDs: ids})
	}
}

// judged takes a member's verdicts on a batch.
func (m *Machine) judged(in Judged) {
	if m.d.State != Collecting || in.Member < 0 || in.Member >= len(m.members) {
		return
	}
	c := &m.members[in.Member]
	if in.Batch < 0 || in.Batch >= len(c.batches) || len(in.Accepted) != len(m.batches[in.Batch]) {
		return
	}
	back := c.away
	m.settle(in.Member, AskJudge)
	if c.batches[in.Batch] == batchDone {
		return
	}
	c.batches[in.Batch] = batchDone
	for i, u := range m.batches[in.Batch] {
		m.uploads[u].verdicts[in.Member] = refused
		if in.Accepted[i] {
			m.uploads[u].verdicts[in.Member] = accepted
		} else {
			m.event(Event{Kind: UploadRefused, Member: in.Member, ID: m.uploads[u].ID})
		}
	}
	if back {
		m.recount()
		return
	}
	for _, u := range m.batches[in.Batch] {
		m.fold(u)
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

// fold sends an upload to be folded once every live member, and at least a quorum of them, has accepted it. Whether it
// is in U is decided when the collection closes; Assemble corrects the sum then.
func (m *Machine) fold(u int) {
	up := &m.uploads[u]
	if up.folded || m.live() < m.p.l.Quorum {
		return
	}
	for j := range m.members {
		if c := &m.members[j]; c.begun && !c.away && up.verdicts[j] != accepted {
			return
		}
	}
	up.folded = true
	m.ready++
	if last := len(m.out.Work) - 1; last >= 0 && m.out.Work[last].Fold != nil {
		m.out.Work[last].Fold = append(m.out.Work[last].Fold, up.ID)
		return
	}
	m.out.Work = append(m.out.Work, Work{Fold: []ID{up.ID}})
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

// decide fixes Q and U once every member that can still be hoped for has judged everything.
func (m *Machine) decide() {
	var q []int
	waiting := false
	for j := range m.members {
		c := &m.members[j]
		switch {
		case c.begun && len(c.batches) == len(m.batches) && !slices.ContainsFunc(c.batches, func(s batchState) bool { return s != batchDone }):
			q = append(q, j)
		case !c.away && !c.final[AskBegin] && !c.final[AskJudge]:
			waiting = true
		}
	}
	if over := m.over(m.closedAt, m.p.l.Windows.Verdicts); !over && (waiting || len(q) < m.p.l.Quorum) {
		return
	}
	if len(q) < m.p.l.Quorum {
		m.abandon(CommitteeLost)
		m.advanceAbandoned()
		return
	}
	q = m.doubt(q)
	set := m.intersect(q)
	if len(set) < m.p.l.Min {
		m.abandon(TooFewUploads)
		m.advanceAbandoned()
		return
	}
	m.assembled, m.quorum = set, q
	m.refused = m.refusedBy(q)
	m.out.Work = append(m.out.Work, Work{Assemble: set})
}

// doubt is rule 8 of secure-aggregation.md: a complaint that no other member of Q shares costs the member its place in
// Q, as long as a quorum remains; otherwise it costs the device its place in U.
func (m *Machine) doubt(q []int) []int {
	lone := make([]int, len(m.members))
	for u := range m.uploads {
		complaints, who := 0, 0
		for _, j := range q {
			if m.uploads[u].verdicts[j] == refused {
				complaints++
				who = j
			}
		}
		if complaints == 1 {
			lone[who]++
		}
	}
	order := slices.Clone(q)
	slices.SortStableFunc(order, func(a, b int) int { return lone[b] - lone[a] })
	for _, j := range order {
		if lone[j] == 0 || len(q) <= m.p.l.Quorum {
			break
		}
		q = slices.DeleteFunc(q, func(k int) bool { return k == j })
		m.event(Event{Kind: MemberDoubted, Member: j, Count: lone[j]})
	}
	return q
}

// intersect is U: what every member of q accepted, ascending by id, at most n_max of them in the order of arrival.
func (m *Machine) intersect(q []int) []Upload {
	var set []Upload
	for u := range m.uploads {
		up := &m.uploads[u]
		if up.late || len(set) == m.p.l.Max || slices.ContainsFunc(q, func(j int) bool { return up.verdicts[j] != accepted }) {
			continue
		}
		set = append(set, up.Upload)
	}
	slices.SortFunc(set, func(a, b Upload) int { return a.ID.Compare(b.ID) })
	return set
}

// refusedBy lists the uploads in time that are not in U because members of q refused them.
func (m *Machine) refusedBy(q []int) []ID {
	var ids []ID
	for u := range m.uploads {
		up := &m.uploads[u]
		if !up.late && slices.ContainsFunc(q, func(j int) bool { return up.verdicts[j] == refused }) {
			ids = append(ids, up.ID)
		}
	}
	return ids
}
