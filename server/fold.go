package server

import (
	"fmt"

	"tutti/aggregation"
	"tutti/server/round"
)

// folder adds accepted uploads to this replica's one partial sum of the group while the collection goes on. Its memory does
// not grow with the number of devices but for their ids.
//
// Where the database is this process's own, the partial sum lives in memory until the set is assembled: what a crash loses
// is folded again from the staged files. Replicas keep theirs in the database as they grow (share.go), so that the others
// can finish without them. So does a server that was restored into a database of its own out of one that replicas shared,
// in a round that was under way: of the others' uploads it has what their kept partial sums hold, and misses the rest.
type folder struct {
	g      *group
	in     *intake
	jobs   *mailbox[foldJob]
	sum    *aggregation.Accumulator
	folded map[round.ID]bool
	vector []byte
	kept   shared
	shares bool // the set may want uploads of other replicas
}

type foldJob struct {
	fold     []round.ID
	assemble []round.Upload
	look     bool // at what the driver wants folded
}

func newFolder(g *group, in *intake) *folder {
	return &folder{g: g, in: in, jobs: newMailbox[foldJob](), sum: aggregation.NewAccumulator(g.cfg), folded: map[round.ID]bool{}, vector: make([]byte, in.vectorLen), shares: g.s.st.Shared() || in.foreign()}
}

func (f *folder) fold(ids []round.ID)         { f.jobs.put(foldJob{fold: ids}) }
func (f *folder) assemble(set []round.Upload) { f.jobs.put(foldJob{assemble: set}) }

func (f *folder) run() {
	if f.shares {
		f.runShared()
		return
	}
	for {
		select {
		case <-f.g.ctx.Done():
			return
		case <-f.jobs.wake:
			for _, j := range f.jobs.take() {
				if f.g.ctx.Err() != nil {
					return
				}
				f.do(j)
			}
		}
	}
}

func (f *folder) do(j foldJob) {
	for _, id := range j.fold {
		if f.folded[id] {
			continue
		}
		if err := f.add(id); err != nil { // Assemble will try again, and say so
			f.g.s.log.Warn("folding", "round", f.g.key.Round, "error", err)
		}
	}
	if j.assemble != nil {
		f.assembled(nil, f.settle(j.assemble))
	}
}

// assembled tells the machine.
func (f *folder) assembled(missing []round.ID, err error) {
	if err != nil {
		f.g.s.log.Error("the partial sum cannot be made", "round", f.g.key.Round, "error", err)
	}
	f.g.tell(round.Assembled{Err: err != nil, Missing: missing})
}

func (f *folder) add(id round.ID) error {
	if err := f.move(id, f.sum.Add); err != nil {
		return err
	}
	f.folded[id] = true
	return nil
}

func (f *folder) takeOut(id round.ID) error {
	if err := f.move(id, f.sum.Sub); err != nil {
		return err
	}
	delete(f.folded, id)
	return nil
}

// move reads an upload's vector and adds it to the sum or takes it out.
func (f *folder) move(id round.ID, with func([]byte) error) error {
	s, ok := f.in.slot(id)
	if !ok || !f.in.own(s) {
		return fmt.Errorf("a device that is not staged here")
	}
	if err := f.in.staging.Vector(s.Slot, f.vector); err != nil {
		return err
	}
	return with(f.vector)
}

// settle makes the sum hold exactly the set, and makes that durable (rule 8).
func (f *folder) settle(set []round.Upload) error {
	wanted := make(map[round.ID]bool, len(set))
	for _, u := range set {
		wanted[u.ID] = true
	}
	for id := range f.folded { // first out, then in: the sum never holds more than n_max
		if !wanted[id] {
			if err := f.takeOut(id); err != nil {
				return err
			}
		}
	}
	for _, u := range set {
		if !f.folded[u.ID] {
			if err := f.add(u.ID); err != nil {
				return err
			}
		}
	}
	return f.save(f.sum, len(set))
}

// save makes the sum over the whole set durable: only then is the set frozen.
func (f *folder) save(sum *aggregation.Accumulator, devices int) error {
	if sum.Count() != devices {
		return fmt.Errorf("the partial sum holds %d uploads, the set %d", sum.Count(), devices)
	}
	return f.g.s.st.SaveSum(f.g.ctx, f.g.term.fence(), f.g.key, sum.Marshal())
}
