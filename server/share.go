package server

import (
	"errors"
	"fmt"
	"time"

	"tutti/aggregation"
	"tutti/server/round"
	"tutti/server/store"
)

// Partial sums of replicas. The driver says in the rows of the uploads which of them it wants in the sum; every replica makes
// its own partial sum hold exactly those of them that it staged, and keeps it, with their ids, in one transaction. To assemble
// a set the driver waits until the kept partial sums hold it. Those of a replica that died count as far as it kept them; the
// rest of its uploads cannot be had, and leave the set before it is frozen.

// shared is what a folder knows of its kept partial sum.
type shared struct {
	version uint64
	changes int       // so far
	dirty   int       // of them, since it was kept
	since   time.Time // the first of them
	loaded  bool
}

const (
	keepMany  = 64                     // changes after which a partial sum is kept
	keepQuiet = 150 * time.Millisecond // or how long after the last one
	keepLate  = time.Second            // or how long after the first one
)

// look has the folder do what the driver wants.
func (f *folder) look() {
	if f != nil {
		f.jobs.put(foldJob{look: true})
	}
}

// runShared is run where replicas share the database.
func (f *folder) runShared() {
	quiet := time.NewTimer(time.Hour)
	defer quiet.Stop()
	for said := ""; ; {
		var err error
		had := f.kept.changes
		select {
		case <-f.g.ctx.Done():
			return
		case <-f.jobs.wake:
			err = f.work(f.jobs.take())
		case <-quiet.C:
			err = f.keep()
		}
		if err != nil && f.g.ctx.Err() == nil && !errors.Is(err, store.ErrRoundClosed) && err.Error() != said {
			said = err.Error()
			f.g.s.log.Warn("the replica's partial sum", "round", f.g.key.Round, "error", err)
		}
		if f.kept.dirty > 0 && f.kept.changes != had { // a look that finds nothing to do does not put it off
			quiet.Reset(min(keepQuiet, max(0, keepLate-time.Since(f.kept.since))))
		}
	}
}

// work does what has come, in its order, as one. A set that is to be assembled is always answered: the machine waits for it.
func (f *folder) work(jobs []foldJob) error {
	var wanted []round.ID
	var set []round.Upload
	for _, j := range jobs {
		wanted = append(wanted, j.fold...)
		if j.assemble != nil {
			set = j.assemble
		}
	}
	if set != nil {
		f.answer(set)
		return nil
	}
	if len(wanted) > 0 {
		if err := f.want(wanted, true); err != nil {
			return err // assembling says it again
		}
	}
	return f.pull()
}

// answer assembles a set. What fails is tried again for a while: a database that was away for a moment costs no round.
func (f *folder) answer(set []round.Upload) {
	for began := time.Now(); ; f.rest(100 * time.Millisecond) {
		missing, err := f.gather(set)
		switch {
		case f.g.ctx.Err() != nil:
			return
		case err == nil, time.Since(began) > f.g.s.cfg.Patience:
			f.assembled(missing, err)
			return
		}
		f.g.s.log.Warn("assembling the set is tried again", "round", f.g.key.Round, "error", err)
	}
}

// want is the driver's word.
func (f *folder) want(ids []round.ID, want bool) error {
	return f.g.s.fenced(f.g.term, f.g.s.st.Fold(f.g.ctx, f.g.term.fence(), f.g.key, ids, want))
}

// pull makes the sum in memory hold what the driver wants of this replica's uploads.
func (f *folder) pull() error {
	if err := f.load(); err != nil {
		return err
	}
	rows, err := f.g.s.st.ToFold(f.g.ctx, f.g.key, f.g.s.replica)
	if err != nil {
		return err
	}
	wanted := make(map[round.ID]bool, len(rows))
	for _, r := range rows {
		wanted[r.ID] = r.Want
	}
	for id := range f.folded { // first out, then in
		if !wanted[id] {
			if err := f.changed(f.takeOut(id)); err != nil {
				return err
			}
		}
	}
	for _, r := range rows {
		if r.Want && !f.folded[r.ID] && f.g.ctx.Err() == nil {
			if err := f.changed(f.add(r.ID)); err != nil {
				return fmt.Errorf("slot %d: %w", r.Slot, err)
			}
		}
	}
	return nil
}

// changed counts a change, and keeps the partial sum after many.
func (f *folder) changed(err error) error {
	if err != nil {
		return err
	}
	f.kept.changes++
	if f.kept.dirty++; f.kept.dirty == 1 {
		f.kept.since = time.Now()
	}
	if f.kept.dirty < keepMany {
		return nil
	}
	return f.keep()
}

// load begins with the partial sum that this replica kept before it was started again.
func (f *folder) load() error {
	if f.kept.loaded {
		return nil
	}
	all, err := f.g.s.st.Partials(f.g.ctx, f.g.key)
	if err != nil {
		return err
	}
	f.sum, f.folded, f.kept = aggregation.NewAccumulator(f.g.cfg), map[round.ID]bool{}, shared{loaded: true, changes: f.kept.changes}
	for _, p := range all {
		if p.Replica != f.g.s.replica {
			continue
		}
		if f.sum, err = aggregation.ParseAccumulator(f.g.cfg, p.Sum); err != nil {
			return err
		}
		f.kept.version = p.Version
		for _, id := range p.IDs {
			f.folded[id] = true
		}
	}
	return nil
}

// keep makes the partial sum durable together with the ids of the uploads in it.
func (f *folder) keep() error {
	if f.kept.dirty == 0 {
		return nil
	}
	ids := make([]round.ID, 0, len(f.folded))
	for id := range f.folded {
		ids = append(ids, id)
	}
	err := f.g.s.st.PutPartial(f.g.ctx, f.g.key, store.Partial{Replica: f.g.s.replica, Version: f.kept.version + 1, IDs: ids, Sum: f.sum.Marshal()})
	if err != nil { // it may have been kept: begin with what is there
		f.kept.loaded, f.kept.dirty = false, 0
		return err
	}
	f.kept.version++
	f.kept.dirty = 0
	return nil
}

// gather makes the sum over a set out of all replicas' partial sums, durably, or gives the devices of it that cannot be had.
func (f *folder) gather(set []round.Upload) ([]round.ID, error) {
	wanted := make(map[round.ID]bool, len(set))
	ids := make([]round.ID, len(set))
	for i, u := range set {
		wanted[u.ID], ids[i] = true, u.ID
	}
	if err := f.want(ids, true); err != nil {
		return nil, err
	}
	if err := f.want(f.in.others(wanted), false); err != nil {
		return nil, err
	}
	for last, since := -1, time.Now(); ; {
		if err := errors.Join(f.pull(), f.keep()); err != nil {
			return nil, err
		}
		missing, sum, err := f.together(ids)
		if err != nil {
			return nil, err
		}
		if len(missing) == 0 {
			return nil, f.save(sum, len(set))
		}
		if len(missing) != last {
			last, since = len(missing), time.Now()
		}
		if !f.g.s.st.Shared() || time.Since(since) > f.g.s.cfg.Patience { // nobody else comes, or not in time
			f.g.s.log.Warn("uploads of a replica that is gone leave the set", "round", f.g.key.Round, "uploads", len(missing))
			return missing, nil
		}
		f.rest(50 * time.Millisecond)
	}
}

// together adds the kept partial sums that hold nothing but the set, or says what is in none of them. One that holds anything
// else is of a replica that has not taken it out yet, or that is gone.
func (f *folder) together(set []round.ID) (missing []round.ID, sum *aggregation.Accumulator, err error) {
	all, err := f.g.s.st.Partials(f.g.ctx, f.g.key)
	if err != nil {
		return nil, nil, err
	}
	held := make([][]round.ID, len(all))
	for i, p := range all {
		held[i] = p.IDs
	}
	use, missing := round.Together(set, held)
	if len(missing) > 0 {
		return missing, nil, nil
	}
	sum = aggregation.NewAccumulator(f.g.cfg)
	for _, i := range use {
		one, err := aggregation.ParseAccumulator(f.g.cfg, all[i].Sum)
		if err == nil && one.Count() != len(all[i].IDs) {
			err = fmt.Errorf("a partial sum of %d uploads names %d: %w", one.Count(), len(all[i].IDs), store.ErrCorrupt)
		}
		if err == nil {
			err = sum.Merge(one)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return nil, sum, nil
}

// others are the staged uploads that are not wanted.
func (in *intake) others(wanted map[round.ID]bool) (ids []round.ID) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for id := range in.staged {
		if !wanted[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

// rest waits until something changed, or for a while.
func (f *folder) rest(d time.Duration) {
	select {
	case <-f.g.ctx.Done():
	case <-f.jobs.wake: // pull looks by itself; what else is asked for waits in the machine until this is answered
		f.jobs.take()
	case <-time.After(d):
	}
}
