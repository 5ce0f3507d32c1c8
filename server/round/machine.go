package round

import (
	"slices"
	"time"
)

// member is what the machine knows of one committee node.
type member struct {
	begun   bool                 // it has fixed the configuration
	away    bool                 // its last request failed
	asked   [AskRelease + 1]bool // requests under way, AskJudge apart
	final   [AskRelease + 1]bool // requests that it refuses for good
	batches []batchState         // how far it is with each batch
	retry   time.Time            // when a failed member may be asked again
	pause   time.Duration
}

type batchState uint8

const (
	batchWaiting batchState = iota
	batchSent
	batchDone
)

// window is how many batches a member is shown before it has answered the first of them.
const window = 4

// upload is a staged upload and what the members said of it.
type upload struct {
	Upload
	verdicts []verdict // per member, in its own words
	finding  Finding   // of the last check
	folded   bool      // sent to be folded
	late     bool      // came after the collection closed
}

// says is what a member's word on the upload comes to: words that the others contradict are a refusal.
func (u *upload) says(j int) verdict {
	if u.verdicts[j] == accepted && slices.Contains(u.finding.Wrong, j) {
		return refused
	}
	return u.verdicts[j]
}

// batch is a group of uploads that is shown to the members, and checked, together.
type batch struct {
	uploads []int // positions in Machine.uploads
	under   []int // members whose words the check under way compares; nil: none is under way
	checked []int // members whose words the last check compared
}

type verdict uint8

const (
	silent verdict = iota
	accepted
	refused
)

// Machine is the coordinator of one round. It is owned by one goroutine.
type Machine struct {
	p       Params
	d       Durable
	members []member

	uploads []upload
	index   map[ID]int
	batches []batch
	pending []int // staged, not yet in a batch
	first   time.Time
	sound   int  // uploads whose sharing is sound
	news    bool // a verdict, a finding or a failure came since the set was last estimated
	ready   int  // uploads that every live member accepted and whose sharing is sound

	closing   bool
	closedAt  time.Time
	assembled []Upload // set of the Assemble under way, nil if none
	quorum    []int    // Q belonging to it
	refused   []Refusal
	unmasking bool
	opening   []Said     // answers that the Unmask under way sees
	spareAt   time.Time  // when enough answers were in
	unmasked  int        // how many answers the last Unmask saw
	fault     LostReason // what the last Unmask found

	since time.Time // when State began, or was resumed: a window is for asking, and while nobody asked none has passed
	now   time.Time
	out   Effects
}

// New begins a round whose plan is logged and whose budget is reserved: the members are asked for their keys.
func New(p Params, now time.Time) (*Machine, Effects) {
	return Resume(p, Durable{State: Created, Since: now}, nil, now)
}

// Resume continues from what is durable: the last transition's Durable and the uploads that were staged. The windows of
// its state begin anew, so that a server that was away for longer than one does not give up what it only has to ask for;
// but the deadline for uploads stands.
func Resume(p Params, d Durable, staged []Upload, now time.Time) (*Machine, Effects) {
	m := &Machine{p: p, d: d, members: make([]member, p.l.Members), index: map[ID]int{}, since: now, now: now}
	for j := range m.members {
		m.members[j].pause = p.l.Windows.Retry
	}
	if d.State == Collecting {
		m.stage(staged)
	}
	return m, m.Step(now, Tick{})
}

// State, Durable and Params tell where the round is.
func (m *Machine) State() State     { return m.d.State }
func (m *Machine) Durable() Durable { return m.d }
func (m *Machine) Params() Params   { return m.p }

// Taking says whether uploads are taken now.
func (m *Machine) Taking() bool { return m.d.State == Collecting && !m.closing }

// Staged is how many uploads were taken, Ready how many of them every live member has accepted and the
// sharing check has passed.
func (m *Machine) Staged() int { return len(m.uploads) }
func (m *Machine) Ready() int  { return m.ready }

// Done says that the machine will do nothing more.
func (m *Machine) Done() bool {
	switch m.d.State {
	case Published, Lost:
		return true
	case Abandoned:
		return m.d.Settled
	}
	return false
}

// Step takes one input and returns what is to be done, in the order of Effects. An input that the state has no use for
// (late, repeated, forged) changes nothing.
func (m *Machine) Step(now time.Time, in Input) Effects {
	m.now, m.out = now, Effects{}
	switch in := in.(type) {
	case Opened:
		m.opened(in)
	case Revealed:
		m.revealed(in)
	case Begun:
		if m.settle(in.Member, AskBegin) {
			m.members[in.Member].begun = true
		}
	case Staged:
		m.stage(in.Uploads)
	case Judged:
		m.judged(in)
	case Checked:
		m.checked(in)
	case Failed:
		m.failed(in)
	case Assembled:
		m.assembledDone(in)
	case SetSigned:
		m.setSigned(in)
	case AbandonSigned:
		m.abandonSigned(in)
	case Answered:
		m.answered(in)
	case Unmasked:
		m.unmaskDone(in)
	case ApplyDone:
		if m.d.State == Released {
			m.move(Applied, RoundApplied)
		}
	case PublishDone:
		if m.d.State == Applied {
			m.move(Published, RoundPublished)
		}
	case CloseNow:
		m.close()
	case Stop:
		m.abandon(in.Reason)
	}
	m.advance()
	return m.out
}

// advance does what time and the state call for.
func (m *Machine) advance() {
	switch m.d.State {
	case Created:
		m.advanceCreated()
	case Collecting:
		m.advanceCollecting()
	case Frozen:
		m.advanceFrozen()
	case Certified:
		m.advanceCertified()
	case Abandoned:
		m.advanceAbandoned()
	}
}

// move persists a change of state. One Step moves at most once: what follows from the new state is done by the same
// Step's advance, behind Persist.
func (m *Machine) move(to State, kind Kind) *Transition {
	if m.out.Persist != nil {
		panic("round: two transitions in one step")
	}
	from := m.d.State
	m.d.State, m.d.Since, m.since = to, m.now, m.now
	m.d.Version++
	m.out.Persist = &Transition{From: from, To: to, Durable: m.d.clone()}
	count := len(m.d.Set)
	switch {
	case kind == RoundAbandoned:
		count = len(m.uploads)
	case kind == RoundSettled && !m.d.Freed:
		count = 0
	case kind == RoundSettled:
		count = 1
	}
	m.event(Event{Kind: kind, Count: count})
	return m.out.Persist
}

func (m *Machine) event(e Event) { m.out.Events = append(m.out.Events, e) }

// wake asks for a Tick at t.
func (m *Machine) wake(t time.Time) {
	if m.out.Wake.IsZero() || t.Before(m.out.Wake) {
		m.out.Wake = t
	}
}

// over says whether a window that began at since has passed; until then it asks to be woken at its end.
func (m *Machine) over(since time.Time, window time.Duration) bool {
	end := since.Add(window)
	if !m.now.Before(end) {
		return true
	}
	m.wake(end)
	return false
}

// ask sends a request to a member unless one of its kind is under way or the member rests after a failure.
func (m *Machine) ask(j int, a Ask) {
	c := &m.members[j]
	if c.asked[a] || c.final[a] || !m.rested(j) {
		return
	}
	c.asked[a] = true
	m.out.Send = append(m.out.Send, Request{Member: j, Ask: a})
}

// rested says whether a member may be asked now; if not, it asks to be woken then.
func (m *Machine) rested(j int) bool {
	c := &m.members[j]
	if c.away && m.now.Before(c.retry) {
		m.wake(c.retry)
		return false
	}
	return true
}

// settle notes that a member answered; false if there is no such member.
func (m *Machine) settle(j int, a Ask) bool {
	if j < 0 || j >= len(m.members) {
		return false
	}
	m.members[j].asked[a] = false
	m.welcome(j)
	return true
}

// welcome takes a member that answers back among the live ones.
func (m *Machine) welcome(j int) {
	if c := &m.members[j]; c.away {
		c.away, c.pause = false, m.p.l.Windows.Retry
		m.event(Event{Kind: MemberBack, Member: j})
	}
}

// failed notes that a member did not answer: everything it was asked is asked again after a pause.
func (m *Machine) failed(in Failed) {
	if in.Member < 0 || in.Member >= len(m.members) || in.Ask < AskOpen || in.Ask > AskRelease {
		return
	}
	c := &m.members[in.Member]
	if in.Ask != AskJudge {
		c.asked[in.Ask] = false
	} else if in.Batch >= 0 && in.Batch < len(c.batches) && c.batches[in.Batch] == batchSent {
		c.batches[in.Batch] = batchWaiting
	}
	c.final[in.Ask] = c.final[in.Ask] || in.Final
	if !c.away {
		c.away, m.news = true, true
		m.event(Event{Kind: MemberLeft, Member: in.Member})
		m.recount()
	}
	c.retry = m.now.Add(c.pause)
	c.pause = min(2*c.pause, m.p.l.Windows.Slow)
}

// clone detaches the slices that a Transition shares with the machine; the bytes in them never change.
func (d Durable) clone() Durable {
	d.Keys, d.Coins, d.Quorum, d.Set = slices.Clone(d.Keys), slices.Clone(d.Coins), slices.Clone(d.Quorum), slices.Clone(d.Set)
	d.Signed, d.Answers, d.Refusals = slices.Clone(d.Signed), slices.Clone(d.Answers), slices.Clone(d.Refusals)
	d.Wrong = slices.Clone(d.Wrong)
	return d
}

// say adds what a member said to a list ordered by member; false if it spoke before.
func say(list []Said, j int, b []byte) ([]Said, bool) {
	i, found := slices.BinarySearchFunc(list, j, func(s Said, j int) int { return s.Member - j })
	if found {
		return list, false
	}
	return slices.Insert(slices.Clone(list), i, Said{j, slices.Clone(b)}), true
}

// hope is how many members of from have said something or may still do so.
func (m *Machine) hope(from []int, a Ask, list []Said) (n int) {
	for _, j := range from {
		if !m.members[j].final[a] || spoke(list, j) {
			n++
		}
	}
	return n
}

// everyone lists all members.
func (m *Machine) everyone() []int {
	all := make([]int, len(m.members))
	for j := range all {
		all[j] = j
	}
	return all
}

func spoke(list []Said, j int) bool {
	return slices.ContainsFunc(list, func(s Said) bool { return s.Member == j })
}
