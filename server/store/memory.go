package store

import (
	"bytes"
	"context"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"

	"tutti/privacy/ledger"
	"tutti/server/round"

	"golang.org/x/mod/sumdb/tlog"
)

// Disk is what a Memory keeps: the committed state, and each replica's staging files as far as they were synced. It
// outlives the handles that are opened on it, as a disk outlives processes. It is for simulations and tests: it is gone
// with the process.
type Disk struct {
	shared bool
	clock  func() time.Time
	bell   bell

	mu      sync.Mutex // guards what follows
	undo    []func()   // of the write under way, to be called from the end
	tasks   map[string]*memTask
	leases  map[string]memLease
	tokens  map[[32]byte]memToken
	blobs   map[[32]byte][]byte
	log     *ledger.State
	records [][]byte
	hashes  []tlog.Hash
	files   map[string]*memFiles // by directory, task, round and shard
}

type memTask struct {
	numbers  []uint64 // of its rounds, ascending
	rounds   map[uint64]*memRound
	versions []SignedVersion // ascending by number
	aliases  map[string]Alias
	kept     map[string][]byte
	stream   *Stream
	state    string
	devices  []round.ID // in the order of their places, from 1
	known    map[round.ID]bool
	told     []Happened
	toldSeq  uint64
}

// memRound is a round with all of its groups.
type memRound struct {
	groups  []*memGroup // by shard
	rho     *big.Rat    // nil: noise is off
	budget  BudgetState
	uploads map[round.ID]*memUpload
}

type memGroup struct {
	row      Round
	freed    bool
	bySeq    []*memUpload
	drops    map[string]int
	partials map[string]*Partial // without IDs
	sum      []byte
}

type memUpload struct {
	Staged
	want, folded bool
}

type memLease struct {
	holder string
	token  uint64
	until  time.Time
}

type memToken struct {
	task   string
	device *round.ID
}

// NewDisk is an empty one. clock is of the leases; shared says whether several replicas may use it at once, as they may a
// PostgreSQL, and not SQLite.
func NewDisk(clock func() time.Time, shared bool) *Disk {
	return &Disk{shared: shared, clock: clock, tasks: map[string]*memTask{}, leases: map[string]memLease{}, tokens: map[[32]byte]memToken{},
		blobs: map[[32]byte][]byte{}, log: new(ledger.State), files: map[string]*memFiles{}}
}

// Memory is a Store in memory: one process's handle of a Disk. A process that crashes leaves its handle; what it committed
// and synced stays.
type Memory struct {
	d   *Disk
	dir string

	mu     sync.Mutex
	closed bool
}

var _ Store = (*Memory)(nil)

// Open is a new process on the disk; dir names its directory. What was written to its files and not synced is lost. On a
// disk that is not shared the leases of the process before it end.
func (d *Disk) Open(dir string) *Memory {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.shared {
		for name, l := range d.leases {
			l.until = time.Time{}
			d.leases[name] = l
		}
	}
	d.openFiles(dir)
	return &Memory{d: d, dir: dir}
}

// Close makes the handle useless: a process that is dead writes nothing more.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

// Dir is "": there is no directory in the file system.
func (m *Memory) Dir() string { return "" }

// Shared says whether other replicas may use the same disk.
func (m *Memory) Shared() bool { return m.d.shared }

// Watch is Store.Watch.
func (m *Memory) Watch(ctx context.Context) <-chan struct{} { return m.d.bell.listen(ctx) }

// write runs do, all of it or nothing.
func (m *Memory) write(ctx context.Context, do func(d *Disk) error) error {
	m.mu.Lock()
	closed := m.closed
	m.mu.Unlock()
	if closed {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	m.d.mu.Lock()
	err := do(m.d)
	for i := len(m.d.undo) - 1; err != nil && i >= 0; i-- {
		m.d.undo[i]()
	}
	clear(m.d.undo)
	m.d.undo = m.d.undo[:0]
	m.d.mu.Unlock()
	if err == nil {
		m.d.bell.ring()
	}
	return err
}

// read runs do with the disk locked.
func (m *Memory) read(ctx context.Context, do func(d *Disk)) error {
	m.mu.Lock()
	closed := m.closed
	m.mu.Unlock()
	if closed {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	m.d.mu.Lock()
	defer m.d.mu.Unlock()
	do(m.d)
	return nil
}

func (d *Disk) onError(undo func()) { d.undo = append(d.undo, undo) }

// put is a map entry that goes back to what it was if the write fails.
func put[K comparable, V any](d *Disk, m map[K]V, k K, v V) {
	was, had := m[k]
	d.onError(func() {
		if had {
			m[k] = was
		} else {
			delete(m, k)
		}
	})
	m[k] = v
}

// set is a variable that goes back to what it was if the write fails.
func set[V any](d *Disk, p *V, v V) {
	was := *p
	d.onError(func() { *p = was })
	*p = v
}

// task is a task's state, made when it is first written.
func (d *Disk) task(name string) *memTask {
	t := d.tasks[name]
	if t == nil {
		t = &memTask{rounds: map[uint64]*memRound{}, aliases: map[string]Alias{}, kept: map[string][]byte{}, known: map[round.ID]bool{}}
		d.tasks[name] = t
	}
	return t
}

// group finds a group's row; nil if there is none.
func (d *Disk) group(k Key) *memGroup {
	if r := d.round(k); r != nil && int(k.Shard) < len(r.groups) {
		return r.groups[k.Shard]
	}
	return nil
}

func (d *Disk) round(k Key) *memRound {
	if t := d.tasks[k.Task]; t != nil {
		return t.rounds[k.Round]
	}
	return nil
}

func (d *Disk) fenced(f Fence) error {
	l, known := d.leases[f.Name]
	switch {
	case !known:
		return fmt.Errorf("%w (%q, token %d: there is none)", ErrFenced, f.Name, f.Token)
	case l.token != f.Token:
		return fmt.Errorf("%w (%s: token %d, newest %d)", ErrFenced, f.Name, f.Token, l.token)
	case !l.until.After(d.clock()):
		return fmt.Errorf("%w (%s: ran out)", ErrFenced, f.Name)
	}
	return nil
}

func (d *Disk) fencedUnlessOperator(f Fence) error {
	if f == (Fence{}) {
		return nil
	}
	return d.fenced(f)
}

// Acquire is Store.Acquire.
func (m *Memory) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (l Lease, won bool, err error) {
	err = m.write(ctx, func(d *Disk) error {
		now := d.clock()
		was, known := d.leases[name]
		if known && was.holder != holder && was.until.After(now) {
			l = Lease{name, was.holder, was.token, was.until}
			return nil
		}
		l, won = Lease{name, holder, was.token + 1, now.Add(ttl)}, true
		put(d, d.leases, name, memLease{holder, l.Token, l.Until})
		return nil
	})
	return l, won, err
}

// Renew is Store.Renew.
func (m *Memory) Renew(ctx context.Context, l Lease, ttl time.Duration) (Lease, error) {
	err := m.write(ctx, func(d *Disk) error {
		if err := d.fenced(l.Fence()); err != nil {
			return err
		}
		l.Until = d.clock().Add(ttl)
		put(d, d.leases, l.Name, memLease{l.Holder, l.Token, l.Until})
		return nil
	})
	return l, err
}

// Release is Store.Release.
func (m *Memory) Release(ctx context.Context, l Lease) error {
	return m.write(ctx, func(d *Disk) error {
		if was := d.leases[l.Name]; was.token == l.Token {
			was.until = time.Time{}
			put(d, d.leases, l.Name, was)
		}
		return nil
	})
}

// Keep is Store.Keep.
func (m *Memory) Keep(ctx context.Context, fence Fence, task, name string, value []byte) error {
	return m.write(ctx, func(d *Disk) error {
		if err := d.fenced(fence); err != nil {
			return err
		}
		put(d, d.task(task).kept, name, slices.Clone(notNull(value)))
		return nil
	})
}

// Kept is Store.Kept.
func (m *Memory) Kept(ctx context.Context, task, name string) (value []byte, found bool, err error) {
	err = m.read(ctx, func(d *Disk) {
		if t := d.tasks[task]; t != nil {
			value, found = t.kept[name]
		}
	})
	return bytes.Clone(value), found, err
}

// SetTaskState is Store.SetTaskState.
func (m *Memory) SetTaskState(ctx context.Context, fence Fence, task, state string) error {
	if !slices.Contains([]string{TaskRunning, TaskPaused, TaskStopped}, state) {
		return fmt.Errorf("%w: not %q", ErrTaskState, state)
	}
	return m.write(ctx, func(d *Disk) error {
		if err := d.fencedUnlessOperator(fence); err != nil {
			return err
		}
		t := d.task(task)
		if t.state == TaskStopped && state != TaskStopped {
			return fmt.Errorf("%w: task %s was stopped", ErrTaskState, task)
		}
		set(d, &t.state, state)
		return nil
	})
}

// TaskState is Store.TaskState.
func (m *Memory) TaskState(ctx context.Context, task string) (state string, err error) {
	state = TaskRunning
	err = m.read(ctx, func(d *Disk) {
		if t := d.tasks[task]; t != nil && t.state != "" {
			state = t.state
		}
	})
	return state, err
}

// Tell is Store.Tell.
func (m *Memory) Tell(ctx context.Context, hs []Happened) error {
	if len(hs) == 0 {
		return nil
	}
	return m.write(ctx, func(d *Disk) error {
		for _, h := range hs {
			t := d.task(h.Task)
			set(d, &t.toldSeq, t.toldSeq+1)
			h.Seq, h.At, h.Data = t.toldSeq, time.UnixMilli(h.At.UnixMilli()), slices.Clone(notNull(h.Data))
			told := append(t.told, h)
			if len(told) > 2*happeningsKept { // now and then, and not at each
				told = slices.Clone(told[len(told)-happeningsKept:])
			}
			set(d, &t.told, told)
		}
		return nil
	})
}

// Happenings is Store.Happenings.
func (m *Memory) Happenings(ctx context.Context, task string, after uint64, limit int) (out []Happened, err error) {
	err = m.read(ctx, func(d *Disk) {
		t := d.tasks[task]
		if t == nil {
			return
		}
		told := t.told[max(0, len(t.told)-happeningsKept):]
		i, _ := slices.BinarySearchFunc(told, after+1, func(h Happened, seq uint64) int { return int(int64(h.Seq - seq)) })
		out = slices.Clone(told[i:min(len(told), i+limit)])
	})
	return out, err
}
