package simulation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tutti/server/round"
	"tutti/server/store"
)

// driver is what the replica that holds the lease does for the task (server/active.go, group.go, persist.go).
type driver struct {
	r      *replica
	lease  store.Lease
	thread *thread
	others []*thread
	number uint64
	groups []*group
	gone   bool
}

type group struct {
	key    store.Key
	m      *round.Machine
	stored round.Durable
	wakeAt time.Time
	judged map[round.ID]map[int]bool // members that accepted, as far as this process heard
	sum    sum                       // opened
}

// letter is an input for the machine of a group; without a group, for all; without an input, the publication.
type letter struct {
	key     store.Key
	all     bool
	in      round.Input
	publish bool
}

func (d *driver) fence() store.Fence { return d.lease.Fence() }

func (d *driver) stop() {
	d.gone = true
	for _, t := range append(d.others, d.thread) {
		t.land(1)
		t.kill()
	}
}

func (d *driver) tell(key store.Key, in round.Input) { d.thread.put(letter{key: key, in: in}) }

// run drives rounds until there are none left, or something cannot be stored: then another term begins with what is.
func (d *driver) run(t *thread) {
	defer func() { d.gone = true }()
	for {
		more, err := d.round(t)
		if err != nil {
			d.r.w.say("r%d stops driving: %v", d.r.index, plainly(err))
			return
		}
		if !more {
			d.r.finished = true
			t.sleep(lease) // the term goes on
		}
	}
}

// round resumes the round under way, or begins the next, and plays it to its end.
func (d *driver) round(t *thread) (more bool, err error) {
	ctx, w := context.Background(), d.r.w
	last, err := d.r.st().LastRound(ctx, w.task)
	if err != nil {
		return false, err
	}
	rows, err := d.r.st().RoundGroups(ctx, store.Key{Task: w.task, Round: last})
	if err != nil {
		return false, err
	}
	over := true
	for _, r := range rows {
		over = over && ended(r.Durable)
	}
	t.mail = nil
	var first []round.Effects
	switch {
	case !over:
		first, err = d.revive(rows)
	case int(last) == w.s.Rounds:
		return false, nil
	default:
		first, err = d.begin(t, last+1)
	}
	if err != nil {
		return false, err
	}
	for i, out := range first {
		if d.groups[i].m != nil {
			if err := d.carryOut(t, d.groups[i], out); err != nil {
				return false, err
			}
		}
	}
	if err := d.afterwards(); err != nil {
		return false, err
	}
	for !d.over() {
		if err := d.read(t, t.take()); err != nil {
			return false, err
		}
	}
	return true, nil
}

func ended(d round.Durable) bool {
	return d.State == round.Published || d.State == round.Lost || d.State == round.Abandoned && d.Settled
}

// begin opens a round: its budget reserved and its plan in the log.
func (d *driver) begin(t *thread, n uint64) ([]round.Effects, error) {
	w := d.r.w
	key := store.Key{Task: w.task, Round: n}
	row := store.Round{Key: key, Kind: "model", Durable: round.Durable{State: round.Created, Since: w.now}, Plan: planOf(n)}
	err := t.write(fmt.Sprintf("begin round %d", n), func() error {
		return d.r.st().Begin(context.Background(), d.fence(), w.now, row, cost, planRecord(w.task, n))
	})
	if err != nil {
		return nil, err
	}
	d.prepare(n)
	m, out := round.New(w.params(), w.now)
	d.groups[0].m, d.groups[0].stored = m, row.Durable
	return append([]round.Effects{out}, make([]round.Effects, len(d.groups)-1)...), nil
}

func (d *driver) prepare(n uint64) {
	d.number, d.groups = n, nil
	for shard := range d.r.w.s.Groups {
		d.groups = append(d.groups, &group{key: store.Key{Task: d.r.w.task, Round: n, Shard: uint32(shard)}, judged: map[round.ID]map[int]bool{}})
	}
}

// revive makes machines of what is stored.
func (d *driver) revive(rows []store.Round) ([]round.Effects, error) {
	d.prepare(rows[0].Round)
	first := make([]round.Effects, len(d.groups))
	for i, r := range rows {
		staged, err := d.r.st().Uploads(context.Background(), r.Key)
		if err != nil {
			return nil, err
		}
		entries := make([]round.Upload, len(staged))
		for i, u := range staged {
			entries[i] = u.Upload
		}
		g := d.groups[i]
		g.stored = r.Durable
		if s := g.stored.State; s == round.Released || s == round.Applied {
			if err := d.open(g); err != nil {
				return nil, err
			}
		}
		if d.r.w.broken == CollectAgain && r.Durable.State == round.Frozen {
			r.Durable.State, r.Durable.Set, r.Durable.Signed = round.Collecting, nil, nil
		}
		g.m, first[i] = round.Resume(d.r.w.params(), r.Durable, entries, d.r.w.now)
	}
	d.r.w.say("r%d resumes round %d in %v", d.r.index, d.number, rows[0].Durable.State)
	return first, nil
}

// read does what a letter says.
func (d *driver) read(t *thread, l letter) error {
	if l.publish {
		return d.publish(t)
	}
	for _, g := range d.groups {
		if g.m != nil && (l.all || l.key == g.key) {
			if err := d.step(t, g, l.in); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *driver) step(t *thread, g *group, in round.Input) error {
	return d.carryOut(t, g, g.m.Step(d.r.w.now, in))
}

// carryOut does what the machine asks, in the order of Effects.
func (d *driver) carryOut(t *thread, g *group, out round.Effects) error {
	if t := out.Persist; t != nil && (d.r.w.broken == SignFirst && t.To == round.Frozen || d.r.w.broken == ReleaseFirst && t.To == round.Certified) {
		for _, r := range out.Send {
			d.send(g, r)
		}
		out.Send = nil
	}
	if out.Persist != nil {
		if err := d.persist(t, step{g, out.Persist}); err != nil {
			return err
		}
	}
	if in := d.r.intakes[g.key]; in != nil && !(g.m.State() == round.Collecting && g.m.Taking()) && g.m.State() != round.Created {
		in.closed = true
	}
	for _, r := range out.Send {
		d.send(g, r)
	}
	for _, x := range out.Work {
		d.work(g, x)
	}
	d.wake(g, out.Wake)
	if out.Persist != nil {
		return d.afterwards()
	}
	return nil
}

// wake sends a Tick when the machine wants one.
func (d *driver) wake(g *group, at time.Time) {
	if g.wakeAt = at; at.IsZero() || d.r.w.broken == WaitForEver && g.m.State() == round.Frozen {
		return
	}
	d.r.w.after(at.Sub(d.r.w.now)+1, func() {
		if !d.gone && d.r.driver == d && g.wakeAt.Equal(at) {
			d.tell(g.key, round.Tick{})
		}
	})
}

// send carries a request to a member over a bad network, and its answer back.
func (d *driver) send(g *group, q round.Request) {
	w := d.r.w
	failed := func() { d.tell(g.key, round.Failed{Member: q.Member, Ask: q.Ask, Batch: q.Batch}) }
	if w.chance(w.s.Drop) && !w.calm() {
		w.after(time.Second, failed)
		return
	}
	durable := g.m.Durable() // its slices are never written again
	full := request{Request: q, key: g.key, set: durable.Set, certified: len(durable.Signed)}
	if q.Ask == round.AskReveal {
		full.keys = fmt.Sprint(durable.Keys)
	}
	if !d.attach(&full) {
		w.after(time.Second, failed)
		return
	}
	times := 1
	if w.chance(w.s.Repeat) {
		times = 2
	}
	for range times {
		w.after(w.delay(300*time.Millisecond), func() {
			m := w.members[q.Member]
			if m.down {
				w.after(50*time.Millisecond, failed)
				return
			}
			if lost := m.misses(full); len(lost) > 0 {
				again := full
				again.IDs = lost
				if again.Ask = round.AskJudge; d.gone || !d.attach(&again) { // the driver shows it what it has lost
					w.after(time.Second, failed)
					return
				}
				m.answer(again)
			}
			in := m.answer(full) // what it stored stays, even if its answer is lost
			if w.chance(w.s.Drop) && !w.calm() {
				w.after(time.Second, failed)
				return
			}
			w.after(w.delay(300*time.Millisecond), func() {
				g.hear(q, in)
				d.tell(g.key, in)
			})
		})
	}
}

// attach puts the headers of the uploads beside a request; false if one is not to be had.
func (d *driver) attach(q *request) bool {
	q.headers = nil
	for _, id := range q.IDs {
		header, err := d.r.st().Header(context.Background(), q.key, id)
		if err != nil {
			d.r.w.say("r%d has no header of device %d: %v", d.r.index, id[2], err)
			return false
		}
		q.headers = append(q.headers, header)
	}
	return true
}

// hear keeps what a shell keeps of a member's verdicts: who gave words on which upload.
func (g *group) hear(q round.Request, in round.Input) {
	judged, ok := in.(round.Judged)
	if !ok {
		return
	}
	for i, id := range q.IDs {
		if g.judged[id] == nil {
			g.judged[id] = map[int]bool{}
		}
		g.judged[id][q.Member] = judged.Accepted[i]
	}
}

// work is done beside the driver.
func (d *driver) work(g *group, x round.Work) {
	w := d.r.w
	switch {
	case x.Fold != nil:
		d.beside(func(t *thread) {
			_ = t.write(fmt.Sprintf("want %d folded", len(x.Fold)), func() error {
				return d.r.st().Fold(context.Background(), d.fence(), g.key, x.Fold, true)
			}) // assembling says it again
		})
	case x.Check != nil:
		found := d.words(g, *x.Check)
		w.after(w.delay(200*time.Millisecond), func() { d.tell(g.key, round.Checked{Batch: x.Check.Batch, Findings: found}) })
	case x.Assemble != nil:
		d.beside(func(t *thread) { d.assemble(t, g, x.Assemble) })
	case x.Unmask:
		answers := g.m.Durable().Answers
		w.after(w.delay(time.Second), func() {
			if _, wrong, ok := decode(answers); ok {
				d.tell(g.key, round.Unmasked{Wrong: wrong})
			} else {
				d.tell(g.key, round.Unmasked{Fault: round.Disagreement})
			}
		})
	}
}

func (d *driver) beside(do func(*thread)) { d.others = append(d.others, d.r.start(do)) }

// assemble makes the sum over a set out of the replicas' kept partial sums, durably, or says what cannot be had.
func (d *driver) assemble(t *thread, g *group, set []round.Upload) {
	missing, err := d.gather(t, g, set)
	d.tell(g.key, round.Assembled{Err: err != nil, Missing: missing})
}

func (d *driver) gather(t *thread, g *group, set []round.Upload) ([]round.ID, error) {
	ctx, st := context.Background(), d.r.st()
	wanted := make([]round.ID, len(set))
	for i, u := range set {
		wanted[i] = u.ID
	}
	if err := d.want(t, g, wanted); err != nil {
		return nil, err
	}
	since, last := d.r.w.now, -1
	for {
		partials, err := st.Partials(ctx, g.key)
		if err != nil {
			return nil, err
		}
		held := make([][]round.ID, len(partials))
		for i, p := range partials {
			held[i] = p.IDs
		}
		use, missing := round.Together(wanted, held)
		if d.r.w.broken == AnyPartial {
			use, missing = anyPartial(partials), nil
		}
		if len(missing) == 0 || d.r.w.broken == IgnoreMissing && d.r.w.now.Sub(since) > patience {
			total := make(sum, len(d.r.w.devices))
			for _, i := range use {
				for j, x := range parseSum(partials[i].Sum) {
					total[j] += x
				}
			}
			return nil, t.write(fmt.Sprintf("save the sum over %d of group %d", len(set), g.key.Shard), func() error { return st.SaveSum(ctx, d.fence(), g.key, total.marshal()) })
		}
		if len(missing) != last {
			last, since = len(missing), d.r.w.now
		}
		if d.r.w.now.Sub(since) > patience {
			d.r.w.say("r%d misses %d uploads", d.r.index, len(missing))
			return missing, nil
		}
		t.sleep(100 * time.Millisecond)
	}
}

// want tells the replicas which uploads their partial sums shall hold.
func (d *driver) want(t *thread, g *group, wanted []round.ID) error {
	ctx, st := context.Background(), d.r.st()
	rows, err := st.Uploads(ctx, g.key)
	if err != nil {
		return err
	}
	var others []round.ID
	for _, u := range rows {
		if !slices.Contains(wanted, u.ID) {
			others = append(others, u.ID)
		}
	}
	err = t.write(fmt.Sprintf("want %d of group %d", len(wanted), g.key.Shard), func() error { return st.Fold(ctx, d.fence(), g.key, wanted, true) })
	if err != nil || len(others) == 0 {
		return err
	}
	return t.write(fmt.Sprintf("do not want %d of group %d", len(others), g.key.Shard), func() error { return st.Fold(ctx, d.fence(), g.key, others, false) })
}

// over says that no group wants anything more.
func (d *driver) over() bool {
	for i, g := range d.groups {
		if g.m == nil && i > 0 && d.groups[0].m.Done() {
			continue
		}
		if g.m == nil || !g.m.Done() {
			return false
		}
	}
	return true
}
