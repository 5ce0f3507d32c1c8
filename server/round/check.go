package round

import "slices"

// The sharing check (rule 10 of secure-aggregation.md). Beside its verdict every member answers a few words on each
// upload, which lie on one polynomial exactly if the device shared one key. The shell keeps the words and compares them
// batch by batch, when every live member has judged the batch; only what passes is folded. A member that judges later has
// the batch checked again, so that at the decision the last check covers every member of Q.

// checkReady has the batches checked that every live member has judged, if there are enough of them.
func (m *Machine) checkReady() {
	if m.live() < m.p.l.Quorum {
		return
	}
	for b := range m.batches {
		if !m.awaited(b) {
			m.check(b)
		}
	}
}

// awaited says whether a live member has yet to judge a batch.
func (m *Machine) awaited(b int) bool {
	return slices.ContainsFunc(m.members, func(c member) bool {
		return c.begun && !c.away && (b >= len(c.batches) || c.batches[b] != batchDone)
	})
}

// check has a batch checked unless the last check, or the one under way, covers every member that has judged it; false
// if nothing is left to wait for.
func (m *Machine) check(b int) (waits bool) {
	x := &m.batches[b]
	if x.under != nil {
		return true
	}
	var judged []int
	for j := range m.members {
		if c := &m.members[j]; b < len(c.batches) && c.batches[b] == batchDone {
			judged = append(judged, j)
		}
	}
	if len(judged) == 0 || slices.Equal(judged, x.checked) {
		return false
	}
	x.under = judged
	m.out.Work = append(m.out.Work, Work{Check: &Check{Batch: b, IDs: m.idsOf(b), Members: slices.Clone(judged)}})
	return true
}

// checked takes what a check found. A later check of the same batch hears more members, and its findings replace those
// of the one before.
func (m *Machine) checked(in Checked) {
	if m.d.State != Collecting || in.Batch < 0 || in.Batch >= len(m.batches) {
		return
	}
	x := &m.batches[in.Batch]
	if x.under == nil || len(in.Findings) != len(x.uploads) {
		return
	}
	x.checked, x.under = x.under, nil
	m.news = true
	for i, u := range x.uploads {
		m.find(u, in.Findings[i])
	}
}

func (m *Machine) find(u int, f Finding) {
	up := &m.uploads[u]
	before := up.finding
	up.finding = Finding{Sharing: f.Sharing}
	if f.Sharing == Sound {
		up.finding.Wrong = slices.Clone(f.Wrong)
	}
	for _, j := range up.finding.Wrong {
		if !slices.Contains(before.Wrong, j) {
			m.event(Event{Kind: UploadWrong, Member: j, ID: up.ID})
		}
	}
	if f.Sharing.bad() && !before.Sharing.bad() {
		m.event(Event{Kind: UploadUnsound, ID: up.ID})
	}
	now := 0
	switch {
	case before.Sharing == Sound && f.Sharing != Sound:
		now = -1
	case before.Sharing != Sound && f.Sharing == Sound:
		now = 1
	}
	m.sound += now
	if up.folded {
		m.ready += now
	}
	m.fold(u)
}

// fold sends an upload to be folded once its sharing is sound and every live member, and at least a quorum of them, has
// accepted it. Whether it is in U is decided when the collection closes; Assemble corrects the sum then.
func (m *Machine) fold(u int) {
	up := &m.uploads[u]
	if up.folded || up.finding.Sharing != Sound || m.live() < m.p.l.Quorum {
		return
	}
	for j := range m.members {
		if c := &m.members[j]; c.begun && !c.away && up.says(j) != accepted {
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
