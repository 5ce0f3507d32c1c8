package server

import (
	"fmt"

	"tutti/aggregation"
	"tutti/server/round"
)

// folder adds accepted uploads to the one partial sum of the group while the collection goes on. Its memory does not
// grow with the number of devices but for their ids.
type folder struct {
	g      *group
	in     *intake
	jobs   *mailbox[foldJob]
	sum    *aggregation.Accumulator
	folded map[round.ID]bool
	vector []byte
}

type foldJob struct {
	fold     []round.ID
	assemble []round.Upload
}

func newFolder(g *group, in *intake) *folder {
	return &folder{g: g, in: in, jobs: newMailbox[foldJob](), sum: aggregation.NewAccumulator(g.cfg), folded: map[round.ID]bool{}, vector: make([]byte, in.vectorLen)}
}

func (f *folder) fold(ids []round.ID)         { f.jobs.put(foldJob{fold: ids}) }
func (f *folder) assemble(set []round.Upload) { f.jobs.put(foldJob{assemble: set}) }

func (f *folder) run() {
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
		if err := f.move(id, f.sum.Add); err != nil { // Assemble will try again, and say so
			f.g.s.log.Warn("folding", "round", f.g.key.Round, "error", err)
			continue
		}
		f.folded[id] = true
	}
	if j.assemble == nil {
		return
	}
	err := f.settle(j.assemble)
	if err != nil {
		f.g.s.log.Error("the partial sum cannot be made", "round", f.g.key.Round, "error", err)
	}
	f.g.tell(round.Assembled{Err: err != nil})
}

// move reads an upload's vector and adds it to the sum or takes it out.
func (f *folder) move(id round.ID, with func([]byte) error) error {
	s, ok := f.in.slot(id)
	if !ok {
		return fmt.Errorf("a device that is not staged")
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
			if err := f.move(id, f.sum.Sub); err != nil {
				return err
			}
			delete(f.folded, id)
		}
	}
	for _, u := range set {
		if !f.folded[u.ID] {
			if err := f.move(u.ID, f.sum.Add); err != nil {
				return err
			}
			f.folded[u.ID] = true
		}
	}
	if f.sum.Count() != len(set) {
		return fmt.Errorf("the partial sum holds %d uploads, the set %d", f.sum.Count(), len(set))
	}
	return f.g.s.st.SaveSum(f.g.ctx, f.g.s.fence(), f.g.key, f.sum.Marshal())
}
