package grpc

import (
	"fmt"
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	l := NewLimiter(2, 5)
	now := time.Unix(1000, 0)
	count := func(key string, at time.Time) (n int) {
		for range 20 {
			if l.Allow(key, at) {
				n++
			}
		}
		return n
	}
	if got := count("a", now); got != 5 {
		t.Errorf("a burst of %d, want 5", got)
	}
	if got := count("b", now); got != 5 {
		t.Errorf("another key pays: %d", got)
	}
	if got := count("a", now.Add(time.Second)); got != 2 {
		t.Errorf("%d a second later, want 2", got)
	}
	for i := range 1000 {
		l.Allow(fmt.Sprint(i), now.Add(time.Second))
	}
	l.Allow("late", now.Add(time.Minute))
	if len(l.keys) != 1 {
		t.Errorf("%d keys are remembered after a quiet minute", len(l.keys))
	}
}
