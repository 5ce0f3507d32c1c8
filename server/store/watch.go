package store

import (
	"context"
	"sync"
)

// bell wakes whoever waits for a change.
type bell struct {
	mu  sync.Mutex
	out map[chan struct{}]bool
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.out {
		select {
		case c <- struct{}{}:
		default: // it has not taken the last one yet
		}
	}
}

func (b *bell) listen(ctx context.Context) <-chan struct{} {
	c := make(chan struct{}, 1)
	b.mu.Lock()
	if b.out == nil {
		b.out = map[chan struct{}]bool{}
	}
	b.out[c] = true
	b.mu.Unlock()
	context.AfterFunc(ctx, func() {
		b.mu.Lock()
		delete(b.out, c)
		b.mu.Unlock()
	})
	return c
}

// Watch gives a channel that gets an element after something was written, by this replica or another; several writes
// may share one. The channel is the caller's own until ctx ends, and is never closed.
func (s *SQL) Watch(ctx context.Context) <-chan struct{} { return s.bell.listen(ctx) }
