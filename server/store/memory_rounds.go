package store

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"time"

	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/server/round"
)

// cloneDurable is what a database would give back: nothing is shared with the caller, times have no monotonic part, and
// what is empty is nil.
func cloneDurable(d round.Durable) round.Durable {
	said := func(in []round.Said) []round.Said {
		if len(in) == 0 {
			return nil
		}
		out := slices.Clone(in)
		for i := range out {
			out[i].Bytes = slices.Clone(out[i].Bytes)
		}
		return out
	}
	d.Opened, d.Since = d.Opened.Round(0), d.Since.Round(0)
	d.Keys, d.Coins, d.Signed, d.Answers, d.Refusals = said(d.Keys), said(d.Coins), said(d.Signed), said(d.Answers), said(d.Refusals)
	d.Quorum, d.Wrong, d.Set = slices.Clone(d.Quorum), slices.Clone(d.Wrong), slices.Clone(d.Set)
	return d
}

func cloneRound(r Round) Round {
	r.Durable = cloneDurable(r.Durable)
	r.Plan = plan.Signed{Bytes: bytes.Clone(r.Plan.Bytes), Signature: bytes.Clone(r.Plan.Signature)}
	r.Config, r.Certificate, r.Result = bytes.Clone(r.Config), bytes.Clone(r.Certificate), bytes.Clone(r.Result)
	return r
}

// Begin is Store.Begin.
func (m *Memory) Begin(ctx context.Context, fence Fence, now time.Time, r Round, rho *big.Rat, log ledger.Body) error {
	return m.write(ctx, func(d *Disk) error {
		if err := d.fenced(fence); err != nil {
			return err
		}
		if err := d.insert(now, r); err != nil {
			return err
		}
		one := d.round(r.Key)
		if one.budget != 0 {
			return fmt.Errorf("%w: the budget of %s/%d is there", ErrConflict, r.Task, r.Round)
		}
		set(d, &one.budget, Reserved)
		if rho != nil {
			one.rho = new(big.Rat).Set(rho)
		}
		return d.append(now, []ledger.Body{log})
	})
}

// insert writes the row of a group; groups come in their order.
func (d *Disk) insert(now time.Time, r Round) error {
	t := d.task(r.Task)
	one := t.rounds[r.Round]
	if one == nil {
		one = &memRound{uploads: map[round.ID]*memUpload{}}
		put(d, t.rounds, r.Round, one)
		i, _ := slices.BinarySearch(t.numbers, r.Round)
		set(d, &t.numbers, slices.Insert(slices.Clip(t.numbers), i, r.Round))
	}
	if int(r.Shard) != len(one.groups) {
		return fmt.Errorf("%w: group %d of %s/%d beside %d groups", ErrConflict, r.Shard, r.Task, r.Round, len(one.groups))
	}
	r = cloneRound(r)
	r.Created = time.UnixMilli(now.UnixMilli())
	r.Certificate, r.Result = nil, nil
	set(d, &one.groups, append(slices.Clip(one.groups), &memGroup{row: r, freed: r.Durable.Freed, drops: map[string]int{}, partials: map[string]*Partial{}}))
	return nil
}

// Move is Store.Move.
func (m *Memory) Move(ctx context.Context, fence Fence, now time.Time, changes ...Change) error {
	return m.write(ctx, func(d *Disk) error {
		if err := d.fenced(fence); err != nil {
			return err
		}
		var log []ledger.Body
		for _, c := range changes {
			if err := d.move(now, c); err != nil {
				return err
			}
			log = append(log, c.Log...)
		}
		return d.append(now, log)
	})
}

func (d *Disk) move(now time.Time, c Change) error {
	t, g := c.Transition, d.group(c.Key)
	if g == nil || g.row.Durable.Version+1 != t.Durable.Version {
		return fmt.Errorf("%w: %s/%d/%d, version %d", ErrConflict, c.Task, c.Round, c.Shard, t.Durable.Version)
	}
	row := g.row
	row.Durable = cloneDurable(t.Durable)
	for _, x := range []struct {
		to   *[]byte
		from []byte
	}{{&row.Config, c.Config}, {&row.Certificate, c.Certificate}, {&row.Result, c.Result}} {
		if x.from != nil {
			*x.to = bytes.Clone(x.from)
		}
	}
	set(d, &g.row, row)
	set(d, &g.freed, t.Free || t.Durable.Freed)
	d.moveUploads(c, g)
	if err := d.moveBudget(c); err != nil {
		return err
	}
	for reason, n := range c.Drops {
		put(d, g.drops, reason, n)
	}
	for _, r := range c.Groups {
		if err := d.insert(now, r); err != nil {
			return err
		}
	}
	for name, value := range c.Keep {
		put(d, d.task(c.Task).kept, name, slices.Clone(notNull(value)))
	}
	if t.To == round.Published || t.To == round.Lost || t.To == round.Abandoned && t.Durable.Settled {
		set(d, &g.partials, map[string]*Partial{})
		set(d, &g.sum, nil)
		for _, u := range g.bySeq {
			if u.Raw != nil || u.want || u.folded {
				set(d, &u.Raw, nil)
				set(d, &u.want, false)
				set(d, &u.folded, false)
			}
		}
	}
	if c.Stream != nil {
		set(d, &d.task(c.Task).stream, &Stream{c.Stream.ID, bytes.Clone(c.Stream.State)})
	}
	if c.Version != nil {
		return d.putVersion(c.Task, *c.Version)
	}
	return nil
}

// moveBudget is the books' rule: see moveBudget of SQL.
func (d *Disk) moveBudget(c Change) error {
	t, one := c.Transition, d.round(c.Key)
	to := Charged
	if !t.Charge {
		if t.To != round.Abandoned || !t.Durable.Settled {
			return nil
		}
		to = Freed
		for _, g := range one.groups {
			if !g.row.Durable.Settled {
				return nil // a group is under way, or charged the round: it decides
			}
			if !g.freed {
				to = Held
			}
		}
	}
	if one.budget == Reserved {
		set(d, &one.budget, to)
		return nil
	}
	if to == Charged && one.budget == Charged {
		for shard, g := range one.groups {
			if s := g.row.Durable.State; uint32(shard) != c.Shard && s.Charged() {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: the budget of %s/%d is not reserved", ErrConflict, c.Task, c.Round)
}

// moveUploads writes what became of the uploads: see moveUploads of SQL.
func (d *Disk) moveUploads(c Change, g *memGroup) {
	t, all := c.Transition, d.round(c.Key).uploads
	switch t.To {
	case round.Frozen:
		in := make(map[round.ID]bool, len(t.Durable.Set))
		for _, u := range t.Durable.Set {
			in[u.ID] = true
		}
		for _, r := range t.Refused {
			in[r.ID] = true
			if u := all[r.ID]; u != nil {
				set(d, &u.State, refusedState(r.Reason))
			}
		}
		for _, u := range g.bySeq {
			if !in[u.ID] {
				set(d, &u.State, LateUpload)
			}
		}
	case round.Certified:
		for _, x := range t.Durable.Set {
			if u := all[x.ID]; u != nil && u.State == StagedUpload {
				set(d, &u.State, CountedUpload)
			}
		}
		for _, u := range g.bySeq {
			if u.State == StagedUpload {
				set(d, &u.State, LateUpload)
			}
		}
	}
}

// Round is Store.Round.
func (m *Memory) Round(ctx context.Context, k Key) (r Round, found bool, err error) {
	err = m.read(ctx, func(d *Disk) {
		if g := d.group(k); g != nil {
			r, found = cloneRound(g.row), true
		}
	})
	return r, found, err
}

// RoundGroups is Store.RoundGroups.
func (m *Memory) RoundGroups(ctx context.Context, k Key) (out []Round, err error) {
	err = m.read(ctx, func(d *Disk) { out = d.rows(out, d.round(k)) })
	return out, err
}

func (d *Disk) rows(out []Round, one *memRound) []Round {
	if one != nil {
		for _, g := range one.groups {
			out = append(out, cloneRound(g.row))
		}
	}
	return out
}

// RoundsBefore is Store.RoundsBefore.
func (m *Memory) RoundsBefore(ctx context.Context, task string, before uint64, limit int) (out []Round, err error) {
	err = m.read(ctx, func(d *Disk) {
		t := d.tasks[task]
		if t == nil {
			return
		}
		last := len(t.numbers)
		if before > 0 {
			last, _ = slices.BinarySearch(t.numbers, before)
		}
		for i := last - 1; i >= max(0, last-limit); i-- {
			out = d.rows(out, t.rounds[t.numbers[i]])
		}
	})
	return out, err
}

// Groups is Store.Groups.
func (m *Memory) Groups(ctx context.Context, k Key) (n uint32, err error) {
	err = m.read(ctx, func(d *Disk) {
		if one := d.round(k); one != nil {
			n = uint32(len(one.groups))
		}
	})
	return n, err
}

// Unfinished is Store.Unfinished.
func (m *Memory) Unfinished(ctx context.Context) (out []Round, err error) {
	err = m.read(ctx, func(d *Disk) {
		for _, name := range slices.Sorted(maps.Keys(d.tasks)) {
			t := d.tasks[name]
			for _, n := range t.numbers {
				if slices.ContainsFunc(t.rounds[n].groups, unfinished) {
					out = d.rows(out, t.rounds[n])
				}
			}
		}
	})
	return out, err
}

func unfinished(g *memGroup) bool {
	s := g.row.Durable.State
	return s != round.Published && s != round.Lost && !g.row.Durable.Settled
}

// Fate is Store.Fate.
func (m *Memory) Fate(ctx context.Context, k Key) (f Fate, found bool, err error) {
	err = m.read(ctx, func(d *Disk) {
		g := d.group(k)
		if g == nil {
			return
		}
		f, found = Fate{State: g.row.Durable.State, Settled: g.row.Durable.Settled}, true
		if f.State == round.Abandoned {
			f.Abandon = bytes.Clone(g.row.Certificate)
		}
	})
	return f, found, err
}

// LastRound is Store.LastRound.
func (m *Memory) LastRound(ctx context.Context, task string) (n uint64, err error) {
	err = m.read(ctx, func(d *Disk) {
		if t := d.tasks[task]; t != nil && len(t.numbers) > 0 {
			n = t.numbers[len(t.numbers)-1]
		}
	})
	return n, err
}

// Drops is Store.Drops.
func (m *Memory) Drops(ctx context.Context, k Key) (out map[string]int, err error) {
	out = map[string]int{}
	err = m.read(ctx, func(d *Disk) {
		if g := d.group(k); g != nil {
			maps.Copy(out, g.drops)
		}
	})
	return out, err
}

// Budget is Store.Budget.
func (m *Memory) Budget(ctx context.Context, task string) (out map[BudgetState]*big.Rat, err error) {
	out = noBudget()
	err = m.read(ctx, func(d *Disk) {
		t := d.tasks[task]
		if t == nil {
			return
		}
		for _, n := range t.numbers {
			if one := t.rounds[n]; one.rho != nil && one.budget != 0 {
				out[one.budget].Add(out[one.budget], one.rho)
			}
		}
	})
	return out, err
}

// Stream is Store.Stream.
func (m *Memory) Stream(ctx context.Context, task string) (out Stream, found bool, err error) {
	err = m.read(ctx, func(d *Disk) {
		if t := d.tasks[task]; t != nil && t.stream != nil {
			out, found = Stream{t.stream.ID, bytes.Clone(t.stream.State)}, true
		}
	})
	return out, found, err
}
