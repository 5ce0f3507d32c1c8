package simulation

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/server/round"
	"tutti/server/store"
)

// cost is what a round costs a device.
var cost = big.NewRat(1, 8)

func planOf(n uint64) plan.Signed {
	return plan.Signed{Bytes: fmt.Appendf(nil, "plan of round %d", n), Signature: []byte("signed")}
}

func planRecord(task string, n uint64) *ledger.Plan {
	p := planOf(n)
	return &ledger.Plan{Task: task, Round: n, What: "model", Rho: cost, Bytes: p.Bytes, Signature: p.Signature}
}

func taskRecord(task string, rounds int) *ledger.Task {
	return &ledger.Task{Task: task, Operator: make([]byte, 32), Purpose: "a simulation", Unit: "device", Adjacency: "zero-out", Delta: "0.000001",
		Budget: new(big.Rat).Mul(cost, big.NewRat(int64(rounds), 1))}
}

// step is a transition of one group.
type step struct {
	g *group
	t *round.Transition
}

// persist makes transitions durable, all or none, and then does what the new states allow.
func (d *driver) persist(t *thread, steps ...step) error {
	w := d.r.w
	var changes []store.Change
	var names []string
	for _, x := range steps {
		c, err := d.change(x, steps)
		if err != nil {
			return err
		}
		changes = append(changes, c)
		names = append(names, fmt.Sprintf("group %d %v -> %v", x.g.key.Shard, x.t.From, x.t.To))
	}
	what := fmt.Sprintf("round %d %s", d.number, strings.Join(names, ", "))
	if err := t.write(what, func() error { return d.r.st().Move(context.Background(), d.fence(), w.now, changes...) }); err != nil {
		return err
	}
	for _, x := range steps {
		x.g.stored = x.t.Durable
		if err := d.moved(t, x); err != nil {
			return err
		}
	}
	return nil
}

// change collects what a transition writes.
func (d *driver) change(x step, all []step) (store.Change, error) {
	t, key := x.t, x.g.key
	c := store.Change{Key: key, Transition: *t}
	switch t.To {
	case round.Collecting:
		c.Config = fmt.Appendf(nil, "configuration %d of round %d", key.Shard, key.Round)
		for _, other := range d.groups[1:] {
			durable := t.Durable
			durable.Version = 0
			c.Groups = append(c.Groups, store.Round{Key: other.key, Kind: "model", Durable: durable, Plan: planOf(key.Round), Config: c.Config})
		}
	case round.Certified:
		c.Certificate = certificate(t.Durable)
	case round.Published:
		if x.g == all[0].g {
			v := d.version()
			c.Version = &v
			c.Log = append(d.records(ledger.Published, v.Digest),
				&ledger.Version{Task: key.Task, Number: v.Number, Parent: d.head(), Digest: v.Digest, Cause: "round"})
		}
	case round.Lost:
		c.Log = d.lastRecords(x)
	case round.Abandoned:
		if t.Durable.Settled {
			if t.Durable.Freed && t.Durable.Coins != nil {
				c.Certificate = []byte("certificate of the abandonment")
			}
			c.Log = d.lastRecords(x)
		}
	}
	switch d.r.w.broken {
	case NoRecord:
		c.Log = nil
	case TwoRecords:
		if n := len(c.Log); t.To == round.Published && n > 0 {
			c.Log = append(c.Log, c.Log[n-1])
		}
	case FreeEarly:
		if t.To == round.Abandoned && t.Durable.Settled {
			c.Transition.Durable.Freed, c.Transition.Free = true, true
		}
	}
	return c, nil
}

func certificate(d round.Durable) []byte {
	return fmt.Append([]byte("certificate "), d.Set)
}

// moved does what a durable transition allows.
func (d *driver) moved(t *thread, x step) error {
	switch x.t.To {
	case round.Collecting:
		if err := d.r.join(x.g.key); err != nil {
			return err
		}
		for _, other := range d.groups[1:] {
			durable := x.t.Durable
			durable.Version = 0
			other.stored = durable
			if err := d.r.join(other.key); err != nil {
				return err
			}
			m, out := round.Resume(d.r.w.params(), durable, nil, d.r.w.now)
			other.m = m
			if err := d.carryOut(t, other, out); err != nil {
				return err
			}
		}
	case round.Released:
		return d.open(x.g)
	}
	return nil
}

// open unmasks what is stored.
func (d *driver) open(g *group) error {
	stored, err := d.r.st().Sum(context.Background(), g.key)
	if err != nil {
		return err
	}
	total, _, ok := decode(g.stored.Answers)
	g.sum = parseSum(stored)
	for i := range g.sum {
		g.sum[i] -= total
	}
	d.r.w.check.opened(g.key, g.stored.Set, g.sum, ok)
	return nil
}

// concluded says that nothing can change any more what a group comes to.
func (d *driver) concluded(g *group) bool {
	if g.m == nil {
		return d.groups[0].m != nil && d.groups[0].m.Done()
	}
	return g.m.Done() || waits(g)
}

// waits says that a group's sum is open and waits to be published.
func waits(g *group) bool { return g.stored.State == round.Released || g.stored.State == round.Applied }

// afterwards publishes when every group is concluded and a sum is open.
func (d *driver) afterwards() error {
	open := false
	for _, g := range d.groups {
		if !d.concluded(g) {
			return nil
		}
		open = open || waits(g)
	}
	if open {
		d.r.w.after(d.r.w.delay(time.Second), func() { d.thread.put(letter{publish: true}) })
	}
	return nil
}

// publish makes what was made of the sums durable, and then publishes all groups at once.
func (d *driver) publish(t *thread) error {
	for _, g := range d.groups {
		if g.m != nil && g.m.State() == round.Released {
			if err := d.persist(t, step{g, g.m.Step(d.r.w.now, round.ApplyDone{}).Persist}); err != nil {
				return err
			}
		}
	}
	var steps []step
	for _, g := range d.groups {
		if g.m != nil && g.m.State() == round.Applied {
			steps = append(steps, step{g, g.m.Step(d.r.w.now, round.PublishDone{}).Persist})
		}
	}
	if len(steps) == 0 {
		return nil
	}
	return d.persist(t, steps...)
}

func (d *driver) head() ledger.Digest {
	totals, _ := d.r.st().Totals(d.r.w.task)
	return totals.Head
}

func (d *driver) version() store.SignedVersion {
	b := fmt.Appendf(nil, "version of round %d", d.number)
	return store.SignedVersion{Number: d.number, Digest: sha256.Sum256(b), Version: b, Signature: []byte("signed")}
}

// lastRecords end a round in the log when its last group ends with x and no sum of any is open.
func (d *driver) lastRecords(x step) []ledger.Body {
	lost := x.t.To == round.Lost
	for _, g := range d.groups {
		if g == x.g {
			continue
		}
		if g.m != nil && (!d.concluded(g) || waits(g)) {
			return nil
		}
		lost = lost || g.stored.State == round.Lost
	}
	if lost {
		return d.records(ledger.Lost, ledger.Digest{})
	}
	p := planRecord(d.r.w.task, d.number)
	return []ledger.Body{&ledger.Abandon{Task: p.Task, Round: p.Round, Plan: p.Digest(), Reason: x.t.Durable.Abandon.String()}}
}

// records are the log's records of a round that was charged.
func (d *driver) records(outcome string, after ledger.Digest) []ledger.Body {
	p := planRecord(d.r.w.task, d.number)
	r := &ledger.Round{Task: p.Task, Round: p.Round, What: p.What, Plan: p.Digest(), Outcome: outcome, Mechanism: []byte("none"),
		NMin: uint64(d.r.w.s.Min), Noise: true, Rho: cost, Before: d.head()}
	if r.After = after; outcome != ledger.Published {
		r.After = r.Before
	}
	var out []ledger.Body
	var sets, certificates, sums []ledger.Digest
	for _, g := range d.groups {
		b := groupRecord(p, g)
		out, sets, certificates, sums = append(out, b), append(sets, b.Participants), append(certificates, b.Certificate), append(sums, b.Aggregate)
		if b.Outcome == outcome {
			r.Survived += b.Survived
		}
	}
	if len(out) == 1 {
		r.Participants, r.Certificate, r.Aggregate = sets[0], certificates[0], sums[0]
		return []ledger.Body{r}
	}
	r.Participants, r.Certificate = ledger.Join(sets...), ledger.Join(certificates...)
	if outcome == ledger.Published {
		r.Aggregate = ledger.Join(sums...)
	}
	return append(out, r)
}

func groupRecord(p *ledger.Plan, g *group) *ledger.Group {
	d := g.m.Durable()
	b := &ledger.Group{Task: p.Task, Round: p.Round, Group: uint64(g.key.Shard), Plan: p.Digest()}
	if d.State == round.Abandoned {
		b.Outcome, b.Reason = ledger.Abandoned, d.Abandon.String()
		return b
	}
	b.Outcome, b.Survived, b.Participants, b.Certificate = ledger.Published, uint64(len(d.Set)), participants(d.Set), sha256.Sum256(certificate(d))
	if d.State == round.Lost {
		b.Outcome, b.Reason = ledger.Lost, d.Lost.String()
		return b
	}
	b.Aggregate = sha256.Sum256(g.sum.marshal())
	return b
}

func participants(set []round.Upload) ledger.Digest {
	ids := make([][16]byte, len(set))
	for i, u := range set {
		ids[i] = u.ID
	}
	slices.SortFunc(ids, func(a, b [16]byte) int { return round.ID(a).Compare(b) })
	return ledger.Participants(ids)
}

// params are the machine's.
func (w *world) params() round.Params {
	p, err := round.NewParams(round.Literal{Members: members, Quorum: quorum, Need: need, Goal: w.s.Goal, Min: w.s.Min, Max: w.s.Max, Batch: w.s.Batch,
		Windows: round.Windows{
			Keys: 3 * time.Second, Collect: 10 * time.Second, Verdicts: 4 * time.Second, Sign: 5 * time.Second, Spare: 300 * time.Millisecond,
			Release: 30 * time.Second, Abandon: 5 * time.Second, Batch: 100 * time.Millisecond, Retry: 50 * time.Millisecond, Slow: time.Second,
		}})
	if err != nil {
		panic(err)
	}
	return p
}
