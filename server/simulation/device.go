package simulation

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"tutti/server/round"
	"tutti/server/store"
)

// device is one of the population. What it knows of a round is what it was told.
type device struct {
	w     *world
	index int
	id    round.ID
	bad   []int // members whose envelope does not open
	skew  []int // members whose share is not of the key that the others hold a share of
	told  map[uint64]answer
}

// sealed is an upload: its header names the device, the round and the variant, so that its digest names all of them.
type sealed struct {
	device *device
	header []byte
	digest [32]byte
	mask   int64
}

// answer is what a device is told of its upload.
type answer uint8

const (
	unknown answer = iota
	staged
	conflict // another upload of the device is staged: this one is not
	counted
	late
	rejected
	abandoned // with the committee's certificate: the device takes its charge back
)

var answerNames = [...]string{"unknown", "staged", "conflict", "counted", "late", "rejected", "abandoned"}

func (a answer) String() string { return answerNames[a] }

// final answers are about the round, and the device acts on them.
func (a answer) final() bool { return a >= counted }

func (w *world) makeDevices() {
	rng := rand.New(rand.NewPCG(w.s.Seed, 7))
	for i := range w.s.Devices {
		d := &device{w: w, index: i, id: round.ID{byte(rng.IntN(256)), byte(rng.IntN(256)), byte(i)}, told: map[uint64]answer{}}
		switch rng.IntN(12) {
		case 0:
			d.bad = []int{rng.IntN(members)}
		case 1:
			d.bad = []int{0, 1, 2, 3, 4}[:2+rng.IntN(4)]
		case 2:
			d.skew = []int{rng.IntN(members)}
		}
		w.devices = append(w.devices, d)
	}
}

func (w *world) device(id round.ID) *device { return w.devices[id[2]] }

// shardOf is the lot.
func (w *world) shardOf(d *device) uint32 { return uint32(d.index % w.s.Groups) }

// seal makes a device's upload for a round; the same variant again gives the same bytes.
func (d *device) seal(n uint64, variant int) *sealed {
	header := fmt.Appendf(nil, "device %d round %d variant %d", d.index, n, variant)
	digest := sha256.Sum256(header)
	if u := d.w.uploads[digest]; u != nil {
		return u
	}
	u := &sealed{device: d, header: header, digest: digest, mask: int64(binary.BigEndian.Uint64(digest[:]) >> 24)}
	d.w.uploads[digest] = u
	return u
}

// come uploads to a replica, if there is a round; without an answer the device tries the next replica a few times, with
// the same bytes.
func (d *device) come(via, variant, tries int) {
	w := d.w
	r := w.replicas[via%len(w.replicas)]
	again := func() {
		if tries > 1 {
			w.after(time.Second+w.delay(time.Second), func() { d.come(via+1, variant, tries-1) })
		}
	}
	if !r.up || w.chance(w.s.Drop) && !w.calm() {
		again()
		return
	}
	n, err := w.st.LastRound(context.Background(), w.task)
	if err != nil || n == 0 || d.told[n].final() {
		return
	}
	u := d.seal(n, variant)
	key := store.Key{Task: w.task, Round: n, Shard: w.shardOf(d)}
	answered := false
	w.after(time.Second+w.delay(time.Second), func() { // the device waits no longer: what it sent may still arrive
		if !answered {
			answered = true
			again()
		}
	})
	r.start(func(t *thread) {
		a, err := r.receive(t, key, u)
		if answered {
			return
		}
		answered = true
		w.say("device %d uploads for round %d to r%d: %v %v", d.index, n, r.index, a, orNothing(err))
		if err != nil || w.chance(w.s.Drop) && !w.calm() {
			w.after(0, again)
			return
		}
		d.hear(n, a)
	})
}

func orNothing(err error) string {
	if err == nil {
		return ""
	}
	return "(" + plainly(err) + ")"
}

// ask wants to know what became of the device's upload of every round that it was not told of for good.
func (d *device) ask(via int) {
	r := d.w.replicas[via%len(d.w.replicas)]
	last, err := d.w.st.LastRound(context.Background(), d.w.task)
	if err != nil || !r.up || r.still.After(d.w.now) {
		return
	}
	for n := uint64(1); n <= last; n++ {
		if !d.told[n].final() {
			a, err := r.receipt(store.Key{Task: d.w.task, Round: n, Shard: d.w.shardOf(d)}, d.id)
			if err == nil {
				d.hear(n, a)
			}
		}
	}
}

func (d *device) hear(n uint64, a answer) {
	d.w.say("device %d hears of round %d: %v", d.index, n, a)
	if a.final() {
		d.told[n] = a
		d.w.check.told(d, n, a)
	}
}

// intake is a replica's place for the uploads of one group: the model of server/intake.go and server/upload.go.
type intake struct {
	key    store.Key
	closed bool
	staged map[round.ID]store.Staged
	under  map[round.ID]bool
	seen   uint64
	files  *files
}

// files are a replica's staging files of a group: they stay when it crashes.
type files struct {
	slots map[int][32]byte // digest of the upload whose vector lies there
	next  int
	free  []int
}

func (f *files) take() int {
	if n := len(f.free); n > 0 {
		slot := f.free[n-1]
		f.free = f.free[:n-1]
		return slot
	}
	f.next++
	return f.next - 1
}

// receive takes an upload in: the answer, or an error after which the device does not know.
func (r *replica) receive(t *thread, key store.Key, u *sealed) (answer, error) {
	in := r.intakes[key]
	if in == nil {
		return r.past(key, u)
	}
	if s, known := in.staged[u.device.id]; known {
		if s.Digest == u.digest {
			return staged, nil
		}
		return conflict, nil
	}
	switch {
	case in.closed:
		if r.w.broken == LateFromMemory {
			return late, nil
		}
		return r.past(key, u)
	case in.under[u.device.id]:
		return unknown, errBusy
	case len(in.staged)+len(in.under) >= r.w.s.Max:
		return r.past(key, u)
	}
	in.under[u.device.id] = true
	defer delete(in.under, u.device.id)
	slot := in.files.take()
	in.files.slots[slot] = u.digest
	row := store.Staged{Upload: round.Upload{ID: u.device.id, Digest: u.digest}, Slot: slot, Header: len(u.header), Raw: u.header}
	var outcomes []error
	err := t.write(fmt.Sprintf("stage device %d", u.device.index), func() (err error) {
		outcomes, err = r.st().Stage(context.Background(), key, r.name, r.w.s.Max, []store.Staged{row})
		return err
	})
	if err != nil { // it may be there: its slot is not used again, and the rows are looked at once more
		if in.seen = 0; r.w.broken == ReuseSlot {
			in.files.free = append(in.files.free, slot)
		}
		return unknown, err
	}
	if outcomes[0] != nil {
		in.files.free = append(in.files.free, slot)
	}
	switch err := outcomes[0]; {
	case err == nil:
		row.Replica = r.name
		in.staged[u.device.id] = row
		r.tell(key, round.Staged{Uploads: []round.Upload{row.Upload}})
		return staged, nil
	case errors.Is(err, store.ErrSame):
		in.seen = 0
		return staged, nil
	case errors.Is(err, store.ErrOther):
		return conflict, nil
	default:
		return r.past(key, u)
	}
}

// errBusy has a device try again.
var errBusy = errors.New("try again")

// past answers an upload that is not taken by what is durable: late only if the group takes none any more, from anybody.
func (r *replica) past(key store.Key, u *sealed) (answer, error) {
	a, err := r.receipt(key, u.device.id)
	if err != nil || a != unknown {
		return a, err
	}
	fate, found, err := r.st().Fate(context.Background(), key)
	if err != nil || !found || fate.State <= round.Collecting {
		return unknown, errBusy
	}
	return late, nil
}

// receipt is what the rows say of a device (server/backend.go).
func (r *replica) receipt(key store.Key, id round.ID) (answer, error) {
	ctx := context.Background()
	u, known, err := r.st().Upload(ctx, key, id)
	if err != nil {
		return unknown, err
	}
	fate, found, err := r.st().Fate(ctx, key)
	switch {
	case err != nil || !found:
		return unknown, err
	case fate.State == round.Abandoned && fate.Abandon != nil:
		return abandoned, nil
	case !known:
		return unknown, nil
	case fate.State == round.Abandoned && fate.Settled:
		return late, nil
	case r.w.broken == CountedWhenStaged && fate.State >= round.Collecting && u.State == store.StagedUpload:
		return counted, nil
	}
	switch u.State {
	case store.CountedUpload:
		return counted, nil
	case store.LateUpload:
		return late, nil
	case store.StagedUpload:
		return staged, nil
	}
	return rejected, nil
}
