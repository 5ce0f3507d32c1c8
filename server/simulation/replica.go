package simulation

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"tutti/server/round"
	"tutti/server/store"
)

// Times of a replica.
const (
	lease    = 3 * time.Second
	poll     = 500 * time.Millisecond // where no word comes of what the others store
	patience = 2 * time.Second        // for another replica's partial sum
)

// replica is one server process and its disk.
type replica struct {
	w        *world
	index    int
	name     string
	store    *watched
	writes   int // over all of its lives
	up, dead bool
	still    time.Time     // it stands still until then
	slow     time.Duration // how much longer its next write takes
	disk     map[store.Key]*files

	// gone with the process
	threads  []*thread
	intakes  map[store.Key]*intake
	folders  map[store.Key]*folder
	looker   *thread
	driver   *driver
	finished bool
}

func (r *replica) st() store.Store { return r.store }

// boot starts the process.
func (r *replica) boot() {
	if r.up || r.dead {
		return
	}
	r.w.say("r%d starts", r.index)
	r.up, r.finished = true, false
	r.threads, r.driver = nil, nil
	r.intakes, r.folders = map[store.Key]*intake{}, map[store.Key]*folder{}
	r.start(r.lead)
	r.looker = r.start(r.look)
}

// crash loses everything but the disk.
func (r *replica) crash(back time.Duration) {
	if !r.up {
		return
	}
	r.up = false
	for _, t := range r.threads {
		t.land(.5)
		t.kill()
	}
	r.w.after(back, r.boot)
}

// pause makes the whole process stand still.
func (r *replica) pause(d time.Duration) {
	if until := r.w.now.Add(d); until.After(r.still) {
		r.still = until
	}
}

// lead takes the lease and keeps it.
func (r *replica) lead(t *thread) {
	ctx := context.Background()
	for {
		var l store.Lease
		var won bool
		err := t.write("acquire", func() (err error) {
			l, won, err = r.st().Acquire(ctx, store.DriverLease(r.w.task), r.name, lease)
			return err
		})
		if err != nil || !won {
			t.sleep(lease/4 + r.w.delay(lease/2))
			continue
		}
		r.w.say("r%d drives with token %d", r.index, l.Token)
		r.drive(l)
		for err == nil {
			t.sleep(lease / 3)
			if r.driver == nil || r.driver.gone {
				break
			}
			var next store.Lease
			if err = t.write("renew", func() (err error) {
				next, err = r.st().Renew(ctx, l, lease)
				return err
			}); err == nil {
				l = next
			} else if !errors.Is(err, store.ErrFenced) && r.w.now.Before(l.Until.Add(-lease/3)) {
				err = nil // try again while it lasts
			}
		}
		r.stepDown()
		_ = t.write("release", func() error { return r.st().Release(ctx, l) })
		t.sleep(r.w.delay(lease))
	}
}

func (r *replica) drive(l store.Lease) {
	d := &driver{r: r, lease: l}
	r.driver = d
	d.thread = r.start(d.run)
}

// stepDown ends the term at once, wherever the driver is.
func (r *replica) stepDown() {
	if d := r.driver; d != nil {
		r.w.say("r%d drives no longer", r.index)
		d.stop()
		r.driver = nil
	}
}

// tell tells the driver, if it is in this process.
func (r *replica) tell(key store.Key, in round.Input) {
	if r.driver != nil {
		r.driver.tell(key, in)
	}
}

// nudge has a replica look at the rows.
func (r *replica) nudge() {
	if r.up {
		r.looker.put(letter{})
	}
}

// look keeps up with what the others store: it joins rounds, learns of uploads, and keeps the partial sums.
func (r *replica) look(t *thread) {
	r.w.after(r.w.delay(poll), func() { r.polls(t) })
	for {
		t.take()
		t.mail = nil
		if err := r.lookAround(t); err != nil {
			r.w.say("r%d looks around: %v", r.index, plainly(err))
		}
		t.sleep(20 * time.Millisecond)
	}
}

func (r *replica) polls(t *thread) {
	if !t.over {
		t.put(letter{})
		r.w.after(poll, func() { r.polls(t) })
	}
}

func (r *replica) lookAround(t *thread) error {
	ctx := context.Background()
	last, err := r.st().LastRound(ctx, r.w.task)
	if err != nil || last == 0 {
		return err
	}
	for shard := range uint32(r.w.s.Groups) {
		key := store.Key{Task: r.w.task, Round: last, Shard: shard}
		fate, _, err := r.st().Fate(ctx, key)
		if err == nil && fate.State == round.Collecting {
			err = r.join(key)
		} else {
			r.leave(key)
		}
		if err != nil {
			return err
		}
	}
	for _, f := range r.ordered() {
		if err := r.catchUp(f.in); err != nil {
			return err
		}
		if err := f.pull(t); err != nil {
			return err
		}
	}
	return nil
}

func (r *replica) ordered() (out []*folder) {
	for _, f := range r.folders {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b *folder) int { return int(a.in.key.Shard) - int(b.in.key.Shard) })
	return out
}

// join opens the intake of a group that takes uploads.
func (r *replica) join(key store.Key) error {
	if r.intakes[key] != nil {
		return nil
	}
	rows, err := r.st().Uploads(context.Background(), key)
	if err != nil {
		return err
	}
	if r.disk[key] == nil {
		r.disk[key] = &files{slots: map[int][32]byte{}}
	}
	f := r.disk[key]
	f.free = nil // a slot that an earlier life wrote may be named by a commit that is still on its way
	in := &intake{key: key, staged: map[round.ID]store.Staged{}, under: map[round.ID]bool{}, files: f}
	taken := map[int]bool{}
	for _, u := range rows {
		in.staged[u.ID] = u
		in.seen = max(in.seen, u.Seq)
		if u.Replica == r.name {
			taken[u.Slot] = true
			f.next = max(f.next, u.Slot+1)
		}
	}
	for slot := range f.next {
		if !taken[slot] && r.w.broken == ReuseAfterCrash {
			f.free = append(f.free, slot)
		}
	}
	r.intakes[key] = in
	r.folders[key] = &folder{r: r, in: in}
	return nil
}

// leave lets go of a group that takes no uploads any more.
func (r *replica) leave(key store.Key) {
	delete(r.intakes, key)
	delete(r.folders, key)
}

// catchUp learns of uploads that were staged elsewhere.
func (r *replica) catchUp(in *intake) error {
	us, err := r.st().UploadsSince(context.Background(), in.key, in.seen)
	if err != nil {
		return err
	}
	var fresh []round.Upload
	for _, u := range us {
		if in.under[u.ID] && u.Replica == r.name {
			break // its own stream tells of it, or has it looked for again
		}
		in.seen = max(in.seen, u.Seq)
		if _, known := in.staged[u.ID]; !known {
			in.staged[u.ID] = u
			fresh = append(fresh, u.Upload)
		}
	}
	if len(fresh) > 0 {
		r.tell(in.key, round.Staged{Uploads: fresh})
	}
	return nil
}

// sum is a partial sum: a number for every device's coordinate.
type sum []int64

func (s sum) marshal() []byte {
	b := make([]byte, 0, 8*len(s))
	for _, x := range s {
		b = binary.BigEndian.AppendUint64(b, uint64(x))
	}
	return b
}

func parseSum(b []byte) sum {
	s := make(sum, len(b)/8)
	for i := range s {
		s[i] = int64(binary.BigEndian.Uint64(b[8*i:]))
	}
	return s
}

// move adds what lies in a slot, or takes it out.
func (s sum) move(u *sealed, sign int64) {
	for i := range s {
		s[i] += sign * u.mask
	}
	s[u.device.index] += sign
}

// folder keeps a replica's own partial sum of a group (server/share.go).
type folder struct {
	r       *replica
	in      *intake
	loaded  bool
	version uint64
	folded  map[round.ID]bool
	sum     sum
	dirty   int
	ids     []round.ID // of the variant that keeps stale ones
}

// pull makes the partial sum hold what the driver wants of this replica's uploads, and keeps it.
func (f *folder) pull(t *thread) error {
	ctx := context.Background()
	if !f.loaded {
		if err := f.load(); err != nil {
			return err
		}
	}
	rows, err := f.r.st().ToFold(ctx, f.in.key, f.r.name)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.Want == f.folded[row.ID] && f.r.w.broken != DoubleFold {
			continue
		}
		sign := int64(1)
		if !row.Want {
			sign = -1
		}
		u := f.r.w.uploads[f.in.files.slots[row.Slot]]
		if u == nil {
			return fmt.Errorf("slot %d is empty", row.Slot)
		}
		f.sum.move(u, sign)
		if f.folded[row.ID] = row.Want; !row.Want {
			delete(f.folded, row.ID)
		}
		f.dirty++
	}
	if f.dirty == 0 {
		return nil
	}
	p := store.Partial{Replica: f.r.name, Version: f.version + 1, Sum: f.sum.marshal()}
	if f.r.w.broken == StalePartial {
		p.IDs, f.ids = f.ids, nil
	}
	for id := range f.folded {
		if f.r.w.broken != StalePartial {
			p.IDs = append(p.IDs, id)
		}
		f.ids = append(f.ids, id)
	}
	slices.SortFunc(p.IDs, func(a, b round.ID) int { return a.Compare(b) })
	err = t.write(fmt.Sprintf("keep a partial sum of %d of group %d", len(p.IDs), f.in.key.Shard), func() error { return f.r.st().PutPartial(ctx, f.in.key, p) })
	if err != nil {
		f.loaded = false
		return err
	}
	f.version++
	f.dirty = 0
	return nil
}

// load begins with what this replica kept before.
func (f *folder) load() error {
	all, err := f.r.st().Partials(context.Background(), f.in.key)
	if err != nil {
		return err
	}
	f.loaded, f.version, f.dirty = true, 0, 0
	f.folded, f.sum = map[round.ID]bool{}, make(sum, len(f.r.w.devices))
	for _, p := range all {
		if p.Replica == f.r.name {
			f.version, f.sum = p.Version, parseSum(p.Sum)
			for _, id := range p.IDs {
				f.folded[id] = true
			}
		}
	}
	return nil
}
