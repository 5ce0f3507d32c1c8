package client

import (
	"errors"
	"slices"
	"sync"
)

// errUnmade is what a value is whose making did not come back: it panicked.
var errUnmade = errors.New("client: it could not be made")

// recent keeps the last few values that were made, newest first. A value is
// made once, however many goroutines ask for it at the same time; one whose
// making fails is not kept.
type recent[K comparable, V any] struct {
	limit   int
	mu      sync.Mutex
	entries []*recentEntry[K, V]
}

type recentEntry[K comparable, V any] struct {
	key   K
	once  sync.Once
	value V
	err   error
}

// get returns the value of key, and makes it if it is not there.
func (r *recent[K, V]) get(key K, make func() (V, error)) (V, error) {
	e := r.entry(key)
	e.once.Do(func() {
		e.err = errUnmade // where make panics, no later caller may take the zero value for an answer
		e.value, e.err = make()
	})
	if e.err != nil {
		r.drop(e)
	}
	return e.value, e.err
}

func (r *recent[K, V]) entry(key K) *recentEntry[K, V] {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.entries, func(e *recentEntry[K, V]) bool { return e.key == key })
	if i == 0 {
		return r.entries[0]
	}
	e := &recentEntry[K, V]{key: key}
	if i > 0 {
		e = r.entries[i]
		r.entries = slices.Delete(r.entries, i, i+1)
	}
	r.entries = slices.Insert(r.entries, 0, e)
	if len(r.entries) > r.limit {
		r.entries = slices.Delete(r.entries, r.limit, len(r.entries))
	}
	return e
}

func (r *recent[K, V]) drop(e *recentEntry[K, V]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries = slices.DeleteFunc(r.entries, func(other *recentEntry[K, V]) bool { return other == e })
}
