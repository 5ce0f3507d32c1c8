package operator

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"tutti/privacy/ledger"
	"tutti/server/round"
	"tutti/server/store"
)

// Store is what views are made of: the part of a server's store that they read. They write nothing.
type Store interface {
	Happenings(ctx context.Context, task string, after uint64, limit int) ([]store.Happened, error)
	TaskState(ctx context.Context, task string) (string, error)
	Kept(ctx context.Context, task, name string) ([]byte, bool, error)
	Totals(task string) (ledger.Totals, bool)
	Budget(ctx context.Context, task string) (map[store.BudgetState]*big.Rat, error)
	LastRound(ctx context.Context, task string) (uint64, error)
	RoundGroups(ctx context.Context, k store.Key) ([]store.Round, error)
	UploadsSince(ctx context.Context, k store.Key, seq uint64) ([]store.Staged, error)
	Enrolled(ctx context.Context, task string) (int, error)
	Participation(ctx context.Context, task string) (devices, most, total int, err error)
	Aliases(ctx context.Context, task string) ([]store.Alias, error)
	Records(ctx context.Context, from uint64, each func(seq uint64, record []byte) error) error
	LogSize() uint64
	Hashes() ledger.Hashes
	Root(size uint64) (ledger.Digest, error)
}

// Setting is what a view says beside what the store has.
type Setting struct {
	Task    string
	Replica string                         // name of the one that answers; empty: there are no others
	Nodes   []string                       // addresses of the committee's nodes
	Trust   string                         // who adds the noise, as the task was made: until the first plan says so; "" means the devices
	Wanted  int                            // enrolled devices that a round waits for
	Ended   string                         // name under which the store keeps after which round the recipe was done
	Sign    func() ([]byte, error)         // a checkpoint; nil: none is shown
	Machine func() Machine                 // of the replica that answers; nil: not known
	Leads   func() (token uint64, is bool) // whether the replica that answers drives; nil: it does not
	Clock   func() time.Time
}

// Maker makes views of a task. It remembers what cannot change any more, in bounded memory, so that a view costs what is new.
// Its methods are safe for concurrent use.
type Maker struct {
	st  Store
	set Setting

	mu      sync.Mutex
	book    *book
	told    *chronicle
	verdict Verdict
	judging bool
	open    staging
	people  Devices
	counted time.Time // when people were counted
}

// staging counts the uploads of the open round without reading any twice.
type staging struct {
	round uint64
	seen  map[uint32]uint64
	n     int
}

// NewMaker makes views of the store.
func NewMaker(st Store, set Setting) *Maker {
	return &Maker{st: st, set: set, told: newChronicle(), verdict: Verdict{State: "unchecked", Words: "the log was not checked yet"}}
}

// View makes a picture of the task.
func (m *Maker) View(ctx context.Context) (*View, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.catchUp(ctx); err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	now := m.set.Clock()
	b := m.book
	v := &View{At: now, Task: m.set.Task, Purpose: b.purpose, Opened: b.opened, Counts: Counts, Privacy: b.privacy(m.set.Trust), Totals: m.totals()}
	for _, part := range []func(context.Context, *View) error{m.state, m.budget, m.devices, m.openRound, m.log, m.aliases} {
		if err := part(ctx, v); err != nil {
			return nil, fmt.Errorf("operator: %w", err)
		}
	}
	m.rounds(v)
	m.versions(v)
	m.nodes(v)
	m.replicas(v, now)
	if m.set.Machine != nil {
		v.Machine = m.set.Machine()
	}
	v.Warnings = m.warnings(v)
	v.Sentence = sentence(v, m.told.waiting)
	return v, nil
}

// Asks are what operators asked of the driver about a round, oldest first, among the newest.
func (m *Maker) Asks(ctx context.Context, number uint64) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.hear(ctx); err != nil {
		return nil, err
	}
	var out []string
	for _, a := range m.told.asks {
		if a.Round == number {
			out = append(out, a.What)
		}
	}
	return out, nil
}

// Happenings are those of the store.
func (m *Maker) Happenings(ctx context.Context, after uint64, limit int) ([]Happening, error) {
	hs, err := m.st.Happenings(ctx, m.set.Task, after, limit)
	out := make([]Happening, 0, len(hs))
	for _, h := range hs {
		t, ok := ReadTold(h)
		if !ok {
			continue
		}
		out = append(out, Happening{Seq: h.Seq, At: h.At, Round: h.Round, Name: h.Name, Words: t.Words, Data: h.Data})
	}
	return out, err
}

// page is how many happenings are read at once.
const page = 500

// hear takes in the happenings since the last time.
func (m *Maker) hear(ctx context.Context) error {
	for {
		hs, err := m.st.Happenings(ctx, m.set.Task, m.told.seq, page)
		for _, h := range hs {
			m.told.take(h)
		}
		if err != nil || len(hs) < page {
			return err
		}
	}
}

// catchUp takes in what is new. The first time the whole log is judged.
func (m *Maker) catchUp(ctx context.Context) error {
	if err := m.hear(ctx); err != nil {
		return err
	}
	if m.book == nil {
		b, v, err := judge(ctx, m.st, m.set.Task, m.set.Clock)
		if err != nil {
			return err
		}
		m.book, m.verdict = b, v
		return nil
	}
	m.judgeAgain()
	if m.book.seq >= m.st.LogSize() {
		return nil
	}
	return m.st.Records(ctx, m.book.seq, func(_ uint64, data []byte) error {
		r, err := ledger.Decode(data)
		if err != nil {
			return err
		}
		if err := m.book.take(r); err != nil {
			return err
		}
		if m.book.fault != nil && m.verdict.State != "failed" {
			now := m.set.Clock()
			m.verdict = Verdict{State: "failed", At: &now, Size: m.book.seq, Words: m.book.fault.Error()}
		}
		return nil
	})
}

func (m *Maker) totals() Totals {
	t := m.book.totals
	t.Refused = refused(m.told.drops)
	t.Abandons, t.Phases = ended(m.book.reasons), []Histogram{}
	for _, s := range []round.State{round.Created, round.Collecting, round.Frozen, round.Certified, round.Released, round.Applied} {
		if h := m.told.phases[s.String()]; h != nil {
			c := *h
			c.Counts = slices.Clone(h.Counts)
			t.Phases = append(t.Phases, c)
		}
	}
	return t
}

func (m *Maker) state(ctx context.Context, v *View) error {
	state, err := m.st.TaskState(ctx, m.set.Task)
	if err != nil {
		return err
	}
	v.State = State(state)
	if v.State == Running && m.set.Ended != "" {
		after, found, err := m.st.Kept(ctx, m.set.Task, m.set.Ended)
		if err != nil {
			return err
		}
		if found && string(after) == strconv.FormatUint(m.book.newest, 10) {
			v.State = Finished
		}
	}
	return nil
}

func (m *Maker) budget(ctx context.Context, v *View) error {
	b := m.book
	books, err := m.st.Budget(ctx, m.set.Task)
	if err != nil {
		return err
	}
	t, _ := m.st.Totals(m.set.Task)
	out := Budget{Bounded: b.budget != nil, Delta: b.delta, History: slices.Clone(b.history), Left: 1}
	out.Spent, out.Reserved, out.Held = b.cost(t.Spent), b.cost(t.Reserved), b.cost(books[store.Held])
	var left *big.Rat
	if b.budget != nil {
		all := b.cost(b.budget)
		out.Rho, out.Epsilon = all.Rho, all.Epsilon
		left = new(big.Rat).Set(b.budget)
		for _, x := range []*big.Rat{t.Spent, t.Reserved, books[store.Held]} {
			left.Sub(left, ratOf(x))
		}
		out.Left, _ = new(big.Rat).Quo(left, b.budget).Float64()
		out.Left = min(1, max(0, out.Left))
	}
	out.Forecast = b.forecast(left)
	v.Budget = out
	return nil
}

// countEvery spaces the counts over all devices, which read much.
const countEvery = 10 * time.Second

func (m *Maker) devices(ctx context.Context, v *View) (err error) {
	if now := m.set.Clock(); m.counted.IsZero() || now.Sub(m.counted) > countEvery {
		m.people.Wanted = m.set.Wanted
		if m.people.Enrolled, err = m.st.Enrolled(ctx, m.set.Task); err != nil {
			return err
		}
		if m.people.Counted, m.people.Most, _, err = m.st.Participation(ctx, m.set.Task); err != nil {
			return err
		}
		m.counted = now
	}
	v.Devices = m.people
	return nil
}

// openRound is the round that has not ended.
func (m *Maker) openRound(ctx context.Context, v *View) error {
	number := m.book.newest
	l := m.book.rounds[number]
	if l == nil || l.ended {
		return nil
	}
	groups, err := m.st.RoundGroups(ctx, store.Key{Task: m.set.Task, Round: number})
	if err != nil || len(groups) == 0 {
		return err
	}
	var worst round.Durable // the group that is furthest behind
	over := true
	for i, g := range groups {
		over = over && (g.Durable.State.Ended() && (g.Durable.State != round.Abandoned || g.Durable.Settled))
		if i == 0 || !g.Durable.State.Ended() && (worst.State.Ended() || g.Durable.State < worst.State) {
			worst = g.Durable
		}
	}
	if over {
		return nil
	}
	if err := m.countStaged(ctx, number, groups); err != nil {
		return err
	}
	o := &Open{Number: number, Kind: l.kind, Phase: worst.State.String(), Words: phaseWords[worst.State], Since: worst.Since, Opened: groups[0].Created,
		Deadline: l.deadline, Goal: l.goal, Min: l.min, Max: l.max, Groups: max(1, l.groups), Staged: m.open.n, Cost: l.cost, Refused: []Reason{}}
	if worst.Since.IsZero() {
		o.Since = o.Opened
	}
	if h := m.told.rounds[number]; h != nil {
		o.Accepted = min(h.accepted, o.Staged)
		o.Phases = slices.Clone(h.phases)
	}
	o.Phases = append(slices.DeleteFunc(o.Phases, func(p Phase) bool { return p.Name == o.Phase }), Phase{o.Phase, max(0, v.At.Sub(o.Since).Seconds())})
	if worst.State >= round.Frozen && !worst.State.Ended() {
		o.Accepted = 0
		for _, g := range groups {
			o.Accepted += len(g.Durable.Set)
		}
	}
	v.Open = o
	return nil
}

// countStaged reads the uploads that are new.
func (m *Maker) countStaged(ctx context.Context, number uint64, groups []store.Round) error {
	if m.open.round != number {
		m.open = staging{round: number, seen: map[uint32]uint64{}}
	}
	for _, g := range groups {
		us, err := m.st.UploadsSince(ctx, g.Key, m.open.seen[g.Shard])
		if err != nil {
			return err
		}
		m.open.n += len(us)
		for _, u := range us {
			m.open.seen[g.Shard] = max(m.open.seen[g.Shard], u.Seq)
		}
	}
	return nil
}

// rounds lists those that have ended, and what they measured.
func (m *Maker) rounds(v *View) {
	v.Rounds, v.Quality = []Round{}, []Quality{}
	for n := m.book.newest; n > 0 && len(v.Rounds) < MaxRounds; n-- {
		l := m.book.rounds[n]
		if l == nil {
			break
		}
		if !l.ended {
			continue
		}
		r := l.round(n, m.told.rounds[n])
		v.Rounds = append(v.Rounds, r)
		if len(l.figures) > 0 {
			v.Quality = append(v.Quality, Quality{Round: n, Version: l.base, At: l.end, Figures: l.figures})
		}
	}
}

func (m *Maker) versions(v *View) {
	all := m.book.versions
	v.Versions = slices.Clone(all[max(0, len(all)-MaxVersions):])
	slices.Reverse(v.Versions)
	if v.Versions == nil {
		v.Versions = []Version{}
	}
}

func (m *Maker) aliases(ctx context.Context, v *View) error {
	as, err := m.st.Aliases(ctx, m.set.Task)
	v.Aliases = []Alias{}
	for _, a := range as {
		v.Aliases = append(v.Aliases, Alias{Name: a.Name, Number: a.Number, Percent: int(a.Percent), Since: a.Since, Note: a.Note})
	}
	return err
}

func (m *Maker) log(_ context.Context, v *View) error {
	size := m.st.LogSize()
	root, err := m.st.Root(size)
	if err != nil {
		return err
	}
	v.Log = Log{Origin: ledger.Origin(m.set.Task), Size: size, Root: fmt.Sprintf("%x", root), Verdict: m.verdict}
	if !m.book.last.IsZero() {
		last := m.book.last
		v.Log.Last = &last
	}
	if m.set.Sign != nil {
		note, err := m.set.Sign()
		if err != nil {
			return err
		}
		v.Log.Checkpoint = string(note)
	}
	return nil
}

func (m *Maker) nodes(v *View) {
	v.Nodes = []Node{}
	for _, address := range m.set.Nodes {
		n := Node{Address: address, Up: true}
		if told := m.told.nodes[address]; told != nil {
			n = *told
		}
		v.Nodes = append(v.Nodes, n)
	}
}

// replicaAway is how long after it was seen last a replica counts as gone: two of its signs of life are missing.
const replicaAway = 2*SignOfLife + time.Minute

// SignOfLife is how often a replica says that it is there.
const SignOfLife = 5 * time.Minute

func (m *Maker) replicas(v *View, now time.Time) {
	driver := m.told.driver
	if m.set.Leads != nil {
		if token, is := m.set.Leads(); is && token >= driver.Token {
			driver = Lease{Holder: m.set.Replica, Token: token, Until: now}
		}
	}
	v.Replicas, v.Leases = []Replica{}, []Lease{}
	for _, r := range m.told.replicas {
		if now.Sub(r.Seen) > replicaAway && r.Name != m.set.Replica {
			continue
		}
		x := *r
		x.Drives, x.Answers = r.Name == driver.Holder && driver.Token > 0, r.Name == m.set.Replica
		if x.Answers {
			x.Seen = now
		}
		v.Replicas = append(v.Replicas, x)
	}
	slices.SortFunc(v.Replicas, func(a, b Replica) int { return strings.Compare(a.Name, b.Name) })
	if driver.Token > 0 {
		driver.Name = "task/" + m.set.Task
		v.Leases = append(v.Leases, driver)
	}
}
