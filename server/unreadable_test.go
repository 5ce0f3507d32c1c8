package server

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"

	"tutti/server/store"
)

// unreadable is a store whose sums cannot be read for a while.
type unreadable struct {
	store.Store
	broken atomic.Bool
}

func (u *unreadable) Sum(ctx context.Context, k store.Key) ([]byte, error) {
	if u.broken.Load() {
		return nil, syscall.EIO
	}
	return u.Store.Sum(ctx, k)
}

// TestUnreadableSumStandsStill: a disk that fails while the sum is opened must not end a charged round. It stands still,
// says why, and goes on when the disk is back.
func TestUnreadableSumStandsStill(t *testing.T) {
	st := new(unreadable)
	w := newWorld(t, func(c *Config) {
		c.wrap = func(s store.Store) store.Store { st.Store = s; return st }
	})
	w.server.fault = func(at string) error {
		if at == "after frozen->certified" {
			st.broken.Store(true)
		}
		return nil
	}
	r := w.start(w.spec(4, 4, 8))
	w.together(4)
	r.wait(t)
	var lost *LostError
	if errors.As(r.err, &lost) || !errors.Is(r.err, syscall.EIO) {
		t.Fatalf("RunRound: %v, want that the sum cannot be read", r.err)
	}
	st.broken.Store(false)
	r = w.resume()
	r.wait(t)
	w.must(r.err)
	exact(t, r.result, []int{0, 1, 2, 3})
	w.publish(r.result)
}
