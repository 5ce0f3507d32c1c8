package round

import (
	"container/heap"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// A world in one process: a virtual clock, a coordinator that may crash at every persistence point, members that keep
// what they must keep, devices, and a network that drops, delays and repeats. Device i uploads the unit vector e_i under
// a toy mask (a number added to every coordinate, which every member knows), so that the opened sum must be the 0/1
// indicator of U: a 2 is a replay, anything else a lost mask.

type sim struct {
	rng    *rand.Rand
	now    time.Time
	queue  events
	serial int

	p       Params
	devices []simDevice
	members []simMember
	faults  simFaults

	// durable
	stored  Durable
	staged  []Upload
	partial []int64
	log     []string
	budget  string // reserved, charged, freed

	// volatile
	epoch  int // grows with every crash
	m      *Machine
	acc    []int64
	folded map[ID]bool
	wakeAt time.Time
	judged map[ID]map[int]bool // members that accepted in this process: their words are memory only

	opened    []int64
	openedSet []Upload
	proposed  map[Digest]bool
	answers   int // answers that any member ever gave
	voids     int // checks that found an unsound sharing
	named     int // checks that named a member
	crashes   map[string]int
	broken    error
}

// Digest names a set in the simulation.
type Digest = [32]byte

type simFaults struct {
	drop, repeat, crash float64
	liar                int  // member that complains about, or answers, what it should not; -1: none
	complains           bool // the liar refuses every other device
	forges              bool // the liar accepts, and answers wrong words in the check of every other device
	lies                bool // the liar's release is wrong
}

type simDevice struct {
	id    ID
	mask  int64
	bad   []int // members whose envelope does not open
	skew  []int // members whose share is not of the key that the others hold a share of
	index int
}

type simMember struct {
	down     bool
	key      []byte
	keys     string // the one list of keys that it gave its coin for
	begun    bool
	accepted map[ID]Digest
	signed   *Digest
	abandon  bool
	released []byte
}

type simEvent struct {
	at     time.Time
	serial int
	do     func()
}

type events []simEvent

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	if q[i].at.Equal(q[j].at) {
		return q[i].serial < q[j].serial
	}
	return q[i].at.Before(q[j].at)
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(simEvent)) }
func (q *events) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

func (s *sim) after(d time.Duration, do func()) {
	s.serial++
	heap.Push(&s.queue, simEvent{s.now.Add(d), s.serial, do})
}

// inEpoch wraps what dies with the coordinator's process.
func (s *sim) inEpoch(do func()) func() {
	epoch := s.epoch
	return func() {
		if s.epoch == epoch && s.m != nil {
			do()
		}
	}
}

func (s *sim) chance(p float64) bool { return s.rng.Float64() < p }
func (s *sim) delay(most time.Duration) time.Duration {
	return time.Duration(s.rng.Int64N(int64(most))) + 1
}

func (s *sim) fail(format string, args ...any) {
	if s.broken == nil {
		s.broken = fmt.Errorf(format, args...)
	}
}

func newSim(seed uint64) *sim {
	rng := rand.New(rand.NewPCG(seed, 1))
	n := 3 + rng.IntN(10)
	goal := 2 + rng.IntN(n)
	minimum := 2 + rng.IntN(goal-1)
	w := Windows{
		Keys: 3 * time.Second, Collect: 10 * time.Second, Verdicts: 4 * time.Second, Sign: 5 * time.Second,
		Spare: 300 * time.Millisecond, Release: 30 * time.Second, Abandon: 5 * time.Second,
		Batch: 100 * time.Millisecond, Retry: 50 * time.Millisecond, Slow: time.Second,
	}
	p, err := NewParams(Literal{Members: 5, Quorum: 4, Need: 3, Goal: goal, Min: minimum, Max: goal + rng.IntN(4), Batch: 1 + rng.IntN(4), Windows: w})
	if err != nil {
		panic(err)
	}
	s := &sim{
		rng: rng, now: time.Unix(1_800_000_000, 0), p: p, budget: "reserved", proposed: map[Digest]bool{}, crashes: map[string]int{},
		faults: simFaults{drop: pick(rng, 0, 0, .1, .3), repeat: pick(rng, 0, .2), crash: pick(rng, 0, .1, .3), liar: -1},
	}
	if rng.IntN(3) == 0 {
		s.faults.liar = rng.IntN(5)
		s.faults.lies = rng.IntN(2) == 0
		s.faults.complains, s.faults.forges = rng.IntN(3) > 0, rng.IntN(2) == 0
	}
	for i := range n {
		d := simDevice{id: ID{byte(rng.IntN(256)), byte(rng.IntN(256)), byte(i)}, mask: rng.Int64N(1 << 40), index: i}
		switch rng.IntN(12) {
		case 0:
			d.bad = []int{rng.IntN(5)}
		case 1:
			d.bad = []int{0, 1, 2, 3, 4}[:2+rng.IntN(4)]
		case 2:
			d.skew = []int{rng.IntN(5)}
		case 3:
			d.skew = []int{0, 1, 2, 3, 4}[rng.IntN(3):]
			d.skew = d.skew[:1+rng.IntN(len(d.skew)-1)]
		}
		s.devices = append(s.devices, d)
	}
	s.members = make([]simMember, 5)
	for j := range s.members {
		s.members[j].accepted = map[ID]Digest{}
	}
	s.stored = Durable{State: Created, Since: s.now}
	return s
}

func pick(rng *rand.Rand, options ...float64) float64 { return options[rng.IntN(len(options))] }

// run plays the schedule to its end.
func (s *sim) run() {
	s.restart()
	for _, d := range s.devices {
		if s.chance(.85) {
			for range 1 + s.rng.IntN(2) { // a device may send the same bytes twice
				s.after(s.delay(12*time.Second), func() { s.upload(d) })
			}
		}
	}
	for j := range s.members {
		if s.chance(.15) {
			s.outage(j, s.delay(15*time.Second), s.delay(20*time.Second))
		}
	}
	if s.faults.crash > 0 {
		for range s.rng.IntN(3) {
			s.after(s.delay(15*time.Second), func() { s.crash("at rest") })
		}
	}
	if s.chance(.05) {
		s.after(s.delay(10*time.Second), func() { s.input(CloseNow{}) })
	}
	if s.chance(.03) {
		s.after(s.delay(20*time.Second), func() { s.input(Stop{}) })
	}
	end := s.now.Add(10 * time.Minute)
	for s.queue.Len() > 0 && s.broken == nil {
		e := heap.Pop(&s.queue).(simEvent)
		if e.at.After(end) {
			break
		}
		s.now = e.at
		e.do()
	}
	s.judge()
}

func (s *sim) outage(j int, from, length time.Duration) {
	s.after(from, func() { s.members[j].down = true })
	s.after(from+length, func() { s.members[j].down = false })
}

// crash loses everything that is not durable.
func (s *sim) crash(where string) {
	if s.m == nil {
		return
	}
	s.crashes[where]++
	s.m, s.acc, s.folded, s.judged = nil, nil, nil, nil
	s.epoch++
	s.after(s.delay(2*time.Second), s.restart)
}

// restart resumes from what is durable.
func (s *sim) restart() {
	s.epoch++
	s.acc, s.folded, s.judged = make([]int64, len(s.devices)), map[ID]bool{}, map[ID]map[int]bool{}
	s.wakeAt = time.Time{}
	if s.stored.State >= Frozen && s.stored.State != Abandoned {
		s.acc = slices.Clone(s.partial)
	}
	m, out := Resume(s.p, s.stored.clone(), s.staged, s.now)
	s.m = m
	if s.carryOut(out); s.m != m {
		return
	}
	// the shell redoes what it has to do in the states that wait for it
	switch {
	case m.State() == Released && out.Persist == nil:
		s.finish()
	case m.State() == Applied:
		s.after(s.delay(time.Second), s.inEpoch(func() { s.input(PublishDone{}) }))
	}
}

func (s *sim) finish() {
	s.open()
	s.after(s.delay(time.Second), s.inEpoch(func() { s.input(ApplyDone{}) }))
	s.after(time.Second+s.delay(time.Second), s.inEpoch(func() { s.input(PublishDone{}) }))
}

func (s *sim) input(in Input) {
	if s.m != nil {
		s.carryOut(s.m.Step(s.now, in))
	}
}

// carryOut does what a shell does, in the documented order, and may crash in between.
func (s *sim) carryOut(out Effects) {
	if t := out.Persist; t != nil {
		name := fmt.Sprintf("%v->%v", t.From, t.To)
		if s.chance(s.faults.crash) {
			s.crash("before " + name)
			return
		}
		if t.Durable.Version != s.stored.Version+1 {
			s.fail("version %d written over %d", t.Durable.Version, s.stored.Version)
		}
		s.persist(t)
		s.log = append(s.log, name)
		if s.chance(s.faults.crash) {
			s.crash("after " + name)
			return
		}
	}
	for _, r := range out.Send {
		s.send(r)
	}
	for _, w := range out.Work {
		s.work(w)
	}
	if !out.Wake.IsZero() && (s.wakeAt.IsZero() || out.Wake.Before(s.wakeAt) || !s.wakeAt.After(s.now)) {
		s.wakeAt = out.Wake
		s.after(max(out.Wake.Sub(s.now), 0)+1, s.inEpoch(func() { s.wakeAt = time.Time{}; s.input(Tick{}) }))
	}
	if out.Persist != nil && out.Persist.To == Released {
		s.finish()
	}
}

func (s *sim) persist(t *Transition) {
	switch {
	case t.Charge && s.budget != "reserved", t.Free && s.budget != "reserved":
		s.fail("budget is %s at %v->%v", s.budget, t.From, t.To)
	case t.Charge:
		s.budget = "charged"
	case t.Free:
		s.budget = "freed"
	}
	if t.To == Frozen {
		s.partial = slices.Clone(s.acc)
	}
	s.stored = t.Durable.clone()
}

func (s *sim) upload(d simDevice) {
	if s.m == nil || !s.m.Taking() || s.chance(s.faults.drop) || len(s.staged) >= s.p.l.Max {
		return
	}
	u := Upload{ID: d.id, Digest: sha256.Sum256(d.id[:])}
	if !slices.Contains(s.staged, u) {
		s.staged = append(s.staged, u)
		if s.chance(s.faults.crash) {
			s.crash("after staging")
			return
		}
	}
	s.input(Staged{Uploads: []Upload{u}})
}

// send carries a request over a bad network.
func (s *sim) send(r Request) {
	lost := func() { s.input(Failed{Member: r.Member, Ask: r.Ask, Batch: r.Batch}) }
	if s.chance(s.faults.drop) {
		s.after(time.Second, s.inEpoch(lost))
		return
	}
	times := 1
	if s.chance(s.faults.repeat) {
		times = 2
	}
	proposal, keys := slices.Clone(s.m.Durable().Set), fmt.Sprint(s.m.Durable().Keys)
	for range times {
		s.after(s.delay(400*time.Millisecond), func() {
			if s.members[r.Member].down {
				s.after(50*time.Millisecond, s.inEpoch(lost))
				return
			}
			answer := s.ask(r, proposal, keys) // the member's state moves even if its answer is lost
			if s.chance(s.faults.drop) {
				s.after(time.Second, s.inEpoch(lost))
				return
			}
			s.after(s.delay(400*time.Millisecond), s.inEpoch(func() {
				s.hear(r, answer)
				s.input(answer)
			}))
		})
	}
}
