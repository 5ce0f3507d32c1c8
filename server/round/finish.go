package round

import "slices"

// assembledDone freezes U once the partial sum holds exactly it.
func (m *Machine) assembledDone(in Assembled) {
	if m.d.State != Collecting || m.assembled == nil {
		return
	}
	if in.Err {
		m.abandon(StorageFailed)
		return
	}
	if len(in.Missing) > 0 {
		for _, id := range in.Missing {
			if slices.ContainsFunc(m.assembled, func(u Upload) bool { return u.ID == id }) && !m.uploads[m.index[id]].late {
				m.uploads[m.index[id]].late = true
				m.event(Event{Kind: UploadGone, ID: id})
			}
		}
		m.assembled = nil
		return
	}
	m.d.Set, m.d.Quorum = m.assembled, m.quorum
	m.move(Frozen, RoundFrozen).Refused = m.refused
	m.letGo()
}

// letGo drops what only the collection needed.
func (m *Machine) letGo() {
	m.uploads, m.index, m.batches, m.pending, m.assembled, m.quorum = nil, nil, nil, nil, nil, nil
	m.refused = nil
	for j := range m.members {
		m.members[j].batches = nil
	}
}

// advanceFrozen asks Q to sign U, each member once, and abandons if no quorum does in time. No other set is proposed.
func (m *Machine) advanceFrozen() {
	if m.over(m.since, m.p.l.Windows.Sign) || m.hope(m.d.Quorum, AskSign, m.d.Signed) < m.p.l.Quorum {
		m.abandon(SetUnsigned)
		m.advanceAbandoned()
		return
	}
	for _, j := range m.d.Quorum {
		if !spoke(m.d.Signed, j) {
			m.ask(j, AskSign)
		}
	}
}

func (m *Machine) setSigned(in SetSigned) {
	if !m.settle(in.Member, AskSign) || m.d.State != Frozen || !m.inQuorum(in.Member) {
		return
	}
	m.d.Signed, _ = say(m.d.Signed, in.Member, in.Signature)
	if len(m.d.Signed) >= m.p.l.Quorum {
		m.move(Certified, RoundCertified).Charge = true
	}
}

func (m *Machine) inQuorum(j int) bool {
	for _, k := range m.d.Quorum {
		if k == j {
			return true
		}
	}
	return false
}

// advanceCertified asks Q to release, and opens the sum with as many answers as come within the spare window after
// enough of them are in: the spare ones check the others.
func (m *Machine) advanceCertified() {
	if m.unmasking {
		return
	}
	n, hope := len(m.d.Answers), m.hope(m.d.Quorum, AskRelease, m.d.Answers)
	late := m.over(m.since, m.p.l.Windows.Release)
	switch {
	case n >= m.p.l.Need && m.unmasked == n && (late || n == hope):
		m.lose(m.fault)
		return
	case n < m.p.l.Need && (late || hope < m.p.l.Need):
		m.lose(NoAnswers)
		return
	}
	for _, j := range m.d.Quorum {
		if !spoke(m.d.Answers, j) {
			m.ask(j, AskRelease)
		}
	}
	if n >= m.p.l.Need && n > m.unmasked {
		if m.spareAt.IsZero() {
			m.spareAt = m.now
		}
		if n == hope || late || m.over(m.spareAt, m.p.l.Windows.Spare) {
			m.unmasking, m.unmasked = true, n
			m.opening = m.d.Answers // say copies the list, so that one that comes meanwhile is not in it
			m.out.Work = append(m.out.Work, Work{Unmask: true})
			return
		}
	}
}

func (m *Machine) answered(in Answered) {
	if !m.settle(in.Member, AskRelease) || m.d.State != Certified || !m.inQuorum(in.Member) {
		return
	}
	m.d.Answers, _ = say(m.d.Answers, in.Member, in.Answer)
}

// unmaskDone: the sum opened, or the answers contradict each other (more of them may settle it), or it is garbage.
func (m *Machine) unmaskDone(in Unmasked) {
	if m.d.State != Certified || !m.unmasking {
		return
	}
	m.unmasking = false
	switch in.Fault {
	case 0:
		m.d.Answers = m.opening // what is stored opens again as it was opened now
		for _, j := range in.Wrong {
			if m.inQuorum(j) {
				m.d.Wrong = append(m.d.Wrong, j)
				m.event(Event{Kind: MemberWrong, Member: j})
			}
		}
		m.move(Released, RoundOpenedSum)
	case Disagreement, Garbage: // more answers may settle it; garbage needs one to spare, or a single liar makes it
		m.fault, m.spareAt = in.Fault, m.now
		if in.Fault == Garbage && len(m.opening) > m.p.l.Need {
			m.lose(Garbage)
		}
	default:
		m.lose(in.Fault)
	}
}

// lose ends a certified round without a sum; its charge stays.
func (m *Machine) lose(r LostReason) {
	m.d.Lost = r
	m.move(Lost, RoundLost)
}

// abandon ends a round before its certificate. Where no configuration was fixed no device can have sealed, and the
// budget is free at once; otherwise a quorum of members has to sign that they will never certify a set.
func (m *Machine) abandon(r AbandonReason) {
	switch m.d.State {
	case Created, Collecting, Frozen:
	default:
		return
	}
	if r == 0 {
		r = StoppedByCaller
	}
	m.out.Send, m.out.Work = nil, nil // of the collection, which is over
	m.d.Abandon = r
	m.d.Freed = m.d.State == Created
	m.d.Settled = m.d.Freed
	m.move(Abandoned, RoundAbandoned).Free = m.d.Freed
	m.letGo()
}

// advanceAbandoned asks the members for the abandon certificate until its window is over.
func (m *Machine) advanceAbandoned() {
	if m.d.Settled {
		return
	}
	over := m.over(m.since, m.p.l.Windows.Abandon)
	if m.out.Persist == nil && (over || m.hope(m.everyone(), AskAbandon, m.d.Refusals) < m.p.l.Quorum) {
		m.endAbandoned(false)
		return
	}
	for j := range m.members {
		if !spoke(m.d.Refusals, j) {
			m.ask(j, AskAbandon)
		}
	}
}

// endAbandoned writes the end of an abandoned round, with its certificate or without.
func (m *Machine) endAbandoned(freed bool) {
	m.d.Freed, m.d.Settled = freed, true
	m.move(Abandoned, RoundSettled).Free = freed
}

func (m *Machine) abandonSigned(in AbandonSigned) {
	if !m.settle(in.Member, AskAbandon) || m.d.State != Abandoned || m.d.Settled {
		return
	}
	m.d.Refusals, _ = say(m.d.Refusals, in.Member, in.Signature)
	if len(m.d.Refusals) >= m.p.l.Quorum {
		m.endAbandoned(true)
	}
}
