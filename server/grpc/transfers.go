package grpc

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"tutti/server/round"
)

// transfers are the uploads that this server has a part of: one stream or call at a time holds a transfer and moves it; an
// interrupted one rests, and whoever comes next with the same header goes on where it stands. A bounded number rests, each
// for a bounded time; then its place is given up, and the upload begins anew.
type transfers struct {
	most int
	rest time.Duration

	mu     sync.Mutex
	all    map[transferKey]*transfer
	idle   *list.List // of *transfer, the longest rest first
	closed bool
}

// transferKey names an upload: what it is for and the digest of its header.
type transferKey [32]byte

func keyOf(task string, number, vectorBytes uint64, header [32]byte) transferKey {
	b := binary.BigEndian.AppendUint64(append([]byte("tutti/transfer\x00"), header[:]...), number)
	b = binary.BigEndian.AppendUint64(b, vectorBytes)
	return sha256.Sum256(append(b, task...))
}

// transfer is one upload. Its holder alone touches up, at and the fields of the hold.
type transfer struct {
	key   transferKey
	up    Upload
	total uint64
	at    uint64

	// guarded by transfers.mu
	yield    chan struct{} // closed when somebody else wants the transfer
	released chan struct{} // closed when the holder has let it go
	resting  *list.Element // nil while it is held
	woken    chan struct{} // closed when its rest is over
	gone     bool
}

func newTransfers(l Limits) *transfers {
	return &transfers{most: l.Resting, rest: l.Rest, all: map[transferKey]*transfer{}, idle: list.New()}
}

// claim takes hold of a transfer; its present holder is asked to let go, and waited for. nil if there is none.
func (ts *transfers) claim(ctx context.Context, key transferKey) (*transfer, error) {
	for {
		ts.mu.Lock()
		t := ts.all[key]
		if t == nil {
			ts.mu.Unlock()
			return nil, nil
		}
		if t.resting != nil {
			ts.wake(t)
			ts.hold(t)
			ts.mu.Unlock()
			t.up.Rest(false)
			return t, nil
		}
		select {
		case <-t.yield:
		default:
			close(t.yield)
		}
		released := t.released
		ts.mu.Unlock()
		select {
		case <-released:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (ts *transfers) hold(t *transfer) {
	t.yield, t.released = make(chan struct{}), make(chan struct{})
}

func (ts *transfers) wake(t *transfer) {
	ts.idle.Remove(t.resting)
	t.resting = nil
	close(t.woken)
}

// begin enters an upload that has just begun, held by the caller.
func (ts *transfers) begin(key transferKey, up Upload, total uint64) *transfer {
	t := &transfer{key: key, up: up, total: total}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.hold(t)
	ts.all[key] = t
	return t
}

// end takes a transfer that its holder has finished or aborted off the list.
func (ts *transfers) end(t *transfer) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.drop(t)
	close(t.released)
}

func (ts *transfers) drop(t *transfer) {
	t.gone = true
	if ts.all[t.key] == t {
		delete(ts.all, t.key)
	}
}

// release lets a transfer rest for whoever goes on with it.
func (ts *transfers) release(t *transfer) {
	t.up.Rest(true)
	ts.mu.Lock()
	var evicted *transfer
	if ts.closed {
		ts.drop(t)
		evicted = t
	} else {
		if ts.idle.Len() >= ts.most {
			evicted = ts.idle.Front().Value.(*transfer)
			ts.wake(evicted)
			ts.drop(evicted)
		}
		t.resting, t.woken = ts.idle.PushBack(t), make(chan struct{})
		go ts.watch(t, t.woken)
	}
	close(t.released)
	ts.mu.Unlock()
	if evicted != nil {
		evicted.up.Abort(round.DropDied)
	}
}

// watch gives a resting transfer up when its time is over or its place is wanted.
func (ts *transfers) watch(t *transfer, woken <-chan struct{}) {
	timer := time.NewTimer(ts.rest)
	defer timer.Stop()
	select {
	case <-woken:
		return
	case <-t.up.Left():
	case <-timer.C:
	}
	ts.mu.Lock()
	mine := t.resting != nil && t.woken == woken
	if mine {
		ts.wake(t)
		ts.drop(t)
	}
	ts.mu.Unlock()
	if mine {
		t.up.Abort(round.DropDied)
	}
}

// close gives up what rests, and lets nothing rest any more.
func (ts *transfers) close() {
	ts.mu.Lock()
	ts.closed = true
	var all []*transfer
	for e := ts.idle.Front(); e != nil; e = ts.idle.Front() {
		t := e.Value.(*transfer)
		ts.wake(t)
		ts.drop(t)
		all = append(all, t)
	}
	ts.mu.Unlock()
	for _, t := range all {
		t.up.Abort(round.DropDied)
	}
}

// Resting is how many interrupted uploads keep their place.
func (s *Server) Resting() int {
	s.transfers.mu.Lock()
	defer s.transfers.mu.Unlock()
	return s.transfers.idle.Len()
}
