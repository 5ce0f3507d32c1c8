package simulation

import (
	"context"
	"fmt"
	"math/big"
	"slices"

	"tutti/privacy/ledger"
	"tutti/server/round"
	"tutti/server/store"
)

// Violation is an invariant that did not hold.
type Violation struct {
	Invariant string // sum, set, budget, fence, told, log or end
	What      string
}

func (v *Violation) Error() string { return v.Invariant + ": " + v.What }

// checker sees every write that took effect and everything that anybody is told, and holds the invariants of the package.
type checker struct {
	w       *world
	broken  *Violation
	groups  map[store.Key]*history
	begun0  uint64          // size of the log before
	bodies  []ledger.Body   // what was written to the log
	charged map[uint64]bool // rounds with a certified group
	rounds  map[uint64]bool // rounds that were begun
	spent   *big.Rat        // charged by the store's books, so far
	ends    map[string]int
}

// history is what happened to a group.
type history struct {
	durable    round.Durable
	proposal   *[32]byte
	set        []round.Upload // certified
	sum        sum            // opened
	told       map[int]answer
	transition []string
}

func newChecker(w *world) *checker {
	return &checker{w: w, groups: map[store.Key]*history{}, charged: map[uint64]bool{}, rounds: map[uint64]bool{}, spent: new(big.Rat), ends: map[string]int{}}
}

func (c *checker) fail(invariant, format string, args ...any) {
	if c.broken == nil {
		c.broken = &Violation{invariant, fmt.Sprintf(format, args...)}
		c.w.say("BROKEN %v", c.broken)
	}
}

func (c *checker) group(k store.Key) *history {
	if c.groups[k] == nil {
		c.groups[k] = &history{told: map[int]answer{}}
	}
	return c.groups[k]
}

func (c *checker) begun(r store.Round, log ledger.Body) {
	if c.rounds[r.Round] {
		c.fail("set", "round %d was begun twice", r.Round)
	}
	for n := range c.rounds {
		if n >= r.Round {
			c.fail("set", "round %d was begun behind round %d", r.Round, n)
		}
	}
	c.rounds[r.Round] = true
	c.group(r.Key).durable = r.Durable
	c.bodies = append(c.bodies, log)
	c.books()
}

// moved holds a transition against what happened before.
func (c *checker) moved(changes []store.Change) {
	for _, x := range changes {
		h, t := c.group(x.Key), x.Transition
		before := h.durable
		if t.Durable.Version != before.Version+1 || t.From != before.State {
			c.fail("set", "%v: %v -> %v, version %d, over %v, version %d", x.Key, t.From, t.To, t.Durable.Version, before.State, before.Version)
		}
		if before.Settled || before.State == round.Published || before.State == round.Lost {
			c.fail("set", "%v moves from %v to %v after its end", x.Key, before.State, t.To)
		}
		h.durable = t.Durable
		h.transition = append(h.transition, t.To.String())
		c.bodies = append(c.bodies, x.Log...)
		for _, other := range x.Groups {
			c.group(other.Key).durable = other.Durable
		}
		switch t.To {
		case round.Certified:
			if h.set != nil && !slices.Equal(h.set, t.Durable.Set) {
				c.fail("set", "%v: another set is certified", x.Key)
			}
			h.set = t.Durable.Set
			c.charged[x.Round] = true
		case round.Abandoned:
			if h.set != nil {
				c.fail("set", "%v is abandoned behind its certificate", x.Key)
			}
			c.freed(x.Key, t)
		}
		c.stored(x.Key, t.Durable)
	}
	c.books()
}

// freed: the budget of a round for which devices can have sealed is freed only if no quorum can sign a set any more.
func (c *checker) freed(k store.Key, t round.Transition) {
	if !t.Durable.Freed || t.From == round.Created {
		return
	}
	n := 0
	for _, m := range c.w.members {
		if m.group(k).abandoned {
			n++
		}
	}
	if n < quorum {
		c.fail("budget", "%v is free, and %d members have signed its abandonment", k, n)
	}
}

// stored reads a row back.
func (c *checker) stored(k store.Key, want round.Durable) {
	row, found, err := c.w.st.Round(context.Background(), k)
	if err != nil || !found || row.Durable.State != want.State || row.Durable.Version != want.Version || !slices.Equal(row.Durable.Set, want.Set) {
		c.fail("set", "%v was written as %v, version %d, and is read as %v, version %d (%v)", k, want.State, want.Version, row.Durable.State, row.Durable.Version, err)
	}
}

// books holds the store's budget, and the log's, against the rounds that were certified.
func (c *checker) books() {
	b, err := c.w.st.Budget(context.Background(), c.w.task)
	if err != nil {
		c.fail("budget", "%v", err)
		return
	}
	all := new(big.Rat)
	for _, x := range b {
		all.Add(all, x)
	}
	want := new(big.Rat).Mul(cost, big.NewRat(int64(len(c.charged)), 1))
	switch {
	case b[store.Charged].Cmp(c.spent) < 0:
		c.fail("budget", "%v was charged, and now %v", c.spent, b[store.Charged])
	case b[store.Charged].Cmp(want) != 0:
		c.fail("budget", "%d rounds are certified, and %v is charged", len(c.charged), b[store.Charged])
	case all.Cmp(new(big.Rat).Mul(cost, big.NewRat(int64(len(c.rounds)), 1))) != 0:
		c.fail("budget", "%d rounds were begun, and the books hold %v", len(c.rounds), all)
	}
	c.spent = b[store.Charged]
}

// proposed: a member is asked to sign a set.
func (c *checker) proposed(k store.Key, digest [32]byte, set []round.Upload) {
	h := c.group(k)
	if h.proposal != nil && *h.proposal != digest {
		c.fail("set", "%v: a second set of %d is proposed", k, len(set))
	}
	h.proposal = &digest
	if len(set) < c.w.s.Min || len(set) > c.w.s.Max {
		c.fail("set", "%v: a set of %d is proposed, want %d..%d", k, len(set), c.w.s.Min, c.w.s.Max)
	}
	if s := h.durable.State; s < round.Frozen || s == round.Lost {
		c.fail("set", "%v: a set is proposed in %v", k, s)
	}
}

// released: a member is asked for its answer over a certified set.
func (c *checker) released(k store.Key, member int) {
	if !c.charged[k.Round] || c.group(k).set == nil {
		c.fail("budget", "%v: member %d is asked to release, and the round is not charged", k, member)
	}
}

// opened: a sum was unmasked from what is stored.
func (c *checker) opened(k store.Key, set []round.Upload, s sum, ok bool) {
	h := c.group(k)
	switch {
	case !ok:
		c.fail("sum", "%v: the stored answers do not open again", k)
	case h.sum != nil && !slices.Equal(h.sum, s):
		c.fail("sum", "%v: two sums were opened: %v and %v", k, h.sum, s)
	case !slices.Equal(h.set, set):
		c.fail("set", "%v: another set was opened than certified", k)
	}
	h.sum = s
	in := make(sum, len(s))
	for _, u := range set {
		in[c.w.device(u.ID).index]++
	}
	for i, x := range s {
		if x != in[i] {
			c.fail("sum", "%v: the sum holds %d for device %d, want %d", k, x, i, in[i])
			return
		}
	}
}

// told: a device acts on an answer from now on, so that it must stay true.
func (c *checker) told(d *device, n uint64, a answer) {
	h := c.group(store.Key{Task: c.w.task, Round: n, Shard: c.w.shardOf(d)})
	h.told[d.index] = a
	if in := h.holds(d); a == counted && !in || a != counted && in {
		c.fail("told", "device %d is told %v of round %d, in the certified set: %v", d.index, a, n, in)
	}
}

func (h *history) holds(d *device) bool {
	return slices.ContainsFunc(h.set, func(u round.Upload) bool { return u.ID == d.id })
}

// finish holds what can only be said at the end.
func (c *checker) finish() {
	if len(c.rounds) < c.w.s.Rounds && c.broken == nil {
		c.fail("end", "%d of %d rounds were begun", len(c.rounds), c.w.s.Rounds)
	}
	for _, n := range sorted(c.rounds) {
		for shard := range c.w.s.Groups {
			c.ended(store.Key{Task: c.w.task, Round: n, Shard: uint32(shard)})
		}
	}
	c.log()
}

func sorted(m map[uint64]bool) (out []uint64) {
	for n := range m {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

func (c *checker) ended(k store.Key) {
	first := c.group(store.Key{Task: k.Task, Round: k.Round})
	h := c.group(k)
	if k.Shard > 0 && h.durable.State == 0 && ended(first.durable) {
		return // the round ended before it was split
	}
	if !ended(h.durable) {
		c.fail("end", "%v is %v, and faults have stopped", k, h.durable.State)
	}
	if (h.durable.State == round.Published) != (h.sum != nil) {
		c.fail("sum", "%v is %v, opened %v", k, h.durable.State, h.sum)
	}
	end := h.durable.State.String()
	switch h.durable.State {
	case round.Abandoned:
		end += " " + h.durable.Abandon.String()
	case round.Lost:
		end += " " + h.durable.Lost.String()
	}
	c.ends[end]++
	for _, d := range c.w.devices {
		if a, asked := h.told[d.index]; asked && c.w.shardOf(d) == k.Shard && (a == counted) != h.holds(d) {
			c.fail("told", "device %d was told %v of %v, in the certified set: %v", d.index, a, k, h.holds(d))
		}
	}
}

// log holds the records against what was written, and what was written against what happened.
func (c *checker) log() {
	var got []ledger.Body
	err := c.w.st.Records(context.Background(), c.begun0, func(_ uint64, data []byte) error {
		r, err := ledger.Decode(data)
		if err == nil && r.Body.TaskName() == c.w.task {
			got = append(got, r.Body)
		}
		return err
	})
	if err != nil || len(got) != len(c.bodies) {
		c.fail("log", "%d records were written, %d are there (%v)", len(c.bodies), len(got), err)
		return
	}
	plans, versions, ends := map[uint64]int{}, map[uint64]int{}, map[uint64]string{}
	for i, b := range got {
		if b.Kind() != c.bodies[i].Kind() {
			c.fail("log", "record %d is a %v, a %v was written", i, b.Kind(), c.bodies[i].Kind())
		}
		switch b := b.(type) {
		case *ledger.Plan:
			plans[b.Round]++
		case *ledger.Version:
			versions[b.Number]++
		case *ledger.Round:
			ends[b.Round] += b.Outcome
			c.roundRecord(b)
		case *ledger.Abandon:
			ends[b.Round] += ledger.Abandoned
		}
	}
	for n := range c.rounds {
		want, made := c.outcome(n), 0
		if want == ledger.Published {
			made = 1
		}
		if plans[n] != 1 || ends[n] != want || versions[n] != made {
			c.fail("log", "round %d has %d plans and %d versions, and ends as %q in the log, want %q", n, plans[n], versions[n], ends[n], want)
		}
	}
	totals, _ := c.w.st.Totals(c.w.task)
	if totals.Spent == nil || totals.Spent.Cmp(c.spent) != 0 {
		c.fail("log", "the log says that %v is spent, the books say %v", totals.Spent, c.spent)
	}
}

// outcome is what became of a round over all of its groups.
func (c *checker) outcome(n uint64) string {
	out := ledger.Abandoned
	for shard := range c.w.s.Groups {
		switch c.group(store.Key{Task: c.w.task, Round: n, Shard: uint32(shard)}).durable.State {
		case round.Published:
			return ledger.Published
		case round.Lost:
			out = ledger.Lost
		}
	}
	return out
}

// roundRecord holds a round's record against the certified sets.
func (c *checker) roundRecord(b *ledger.Round) {
	survived := 0
	for shard := range c.w.s.Groups {
		h := c.group(store.Key{Task: c.w.task, Round: b.Round, Shard: uint32(shard)})
		if h.durable.State == round.Published && b.Outcome == ledger.Published || h.durable.State == round.Lost && b.Outcome == ledger.Lost {
			survived += len(h.set)
			if c.w.s.Groups == 1 && b.Participants != participants(h.set) {
				c.fail("log", "the record of round %d names other participants than its certificate", b.Round)
			}
		}
	}
	if int(b.Survived) != survived {
		c.fail("log", "the record of round %d counts %d devices, its sets %d", b.Round, b.Survived, survived)
	}
}
