package round

import "slices"

// decide fixes Q and U once every member that can still be hoped for has judged everything, and the check has heard all
// that judged.
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
	checking := false
	for b := range m.batches {
		checking = m.check(b) || checking
	}
	if checking {
		return
	}
	q, doubts := m.doubt(q)
	set := m.intersect(q)
	if len(set) < m.p.l.Min {
		m.abandon(TooFewUploads)
		m.advanceAbandoned()
		return
	}
	m.out.Events = append(m.out.Events, doubts...)
	m.assembled, m.quorum = set, q
	m.refused = m.refusedBy(q)
	m.out.Work = append(m.out.Work, Work{Assemble: set})
}

// doubt is rule 8 of secure-aggregation.md: a complaint that no other member of Q shares costs the member its place in
// Q, as long as a quorum remains; otherwise it costs the device its place in U. Words that the others contradict are a
// complaint; one about an upload whose sharing is unsound was right.
func (m *Machine) doubt(q []int) ([]int, []Event) {
	lone, wrong := make([]int, len(m.members)), make([]int, len(m.members))
	for u := range m.uploads {
		up := &m.uploads[u]
		complaints, who := 0, 0
		for _, j := range q {
			if up.says(j) == refused {
				complaints++
				who = j
			}
		}
		if complaints != 1 || up.finding.Sharing.bad() {
			continue
		}
		lone[who]++
		if up.verdicts[who] == accepted {
			wrong[who]++
		}
	}
	order := slices.Clone(q)
	slices.SortStableFunc(order, func(a, b int) int { return lone[b] - lone[a] })
	var doubts []Event
	for _, j := range order {
		if lone[j] == 0 || len(q) <= m.p.l.Quorum {
			break
		}
		q = slices.DeleteFunc(q, func(k int) bool { return k == j })
		doubts = append(doubts, Event{Kind: MemberDoubted, Member: j, Count: lone[j], Wrong: wrong[j]})
	}
	return q, doubts
}

// intersect is U: what every member of q accepted and whose sharing is sound, ascending by id, at most n_max of them in
// the order of arrival.
func (m *Machine) intersect(q []int) []Upload {
	var set []Upload
	for u := range m.uploads {
		up := &m.uploads[u]
		if up.late || up.finding.Sharing != Sound || len(set) == m.p.l.Max || slices.ContainsFunc(q, func(j int) bool { return up.says(j) != accepted }) {
			continue
		}
		set = append(set, up.Upload)
	}
	slices.SortFunc(set, func(a, b Upload) int { return a.ID.Compare(b.ID) })
	return set
}

// refusedBy lists the uploads in time that are not in U because members of q refused them, or because their sharing is
// unsound.
func (m *Machine) refusedBy(q []int) []Refusal {
	var out []Refusal
	for u := range m.uploads {
		switch up := &m.uploads[u]; {
		case up.late:
		case up.finding.Sharing == Unsound:
			out = append(out, Refusal{up.ID, DropSharing})
		case up.finding.Sharing == Oversized:
			out = append(out, Refusal{up.ID, DropNorm})
		case slices.ContainsFunc(q, func(j int) bool { return up.says(j) == refused }):
			out = append(out, Refusal{up.ID, DropCommittee})
		}
	}
	return out
}
