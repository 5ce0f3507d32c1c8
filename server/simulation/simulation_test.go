package simulation

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"tutti/server/store"
)

// shelf is a store that many schedules use one after the other, each with a task of its own.
type shelf struct {
	st  store.Store
	now func() time.Time
	n   int
	own bool
}

func sqlite(t testing.TB) *shelf {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "sim-")
	if err != nil {
		dir = t.TempDir()
	} else {
		t.Cleanup(func() { os.RemoveAll(dir) })
	}
	x := &shelf{}
	st, err := store.Open(context.Background(), store.Options{Dir: dir, Clock: func() time.Time {
		if x.now == nil {
			return Began
		}
		return x.now()
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	x.st = st
	return x
}

func (x *shelf) play(s Schedule, b Break, trace func(string, ...any)) Result {
	x.n++
	return Play(s, Options{Store: x.st, Task: fmt.Sprintf("task-%d", x.n), OwnClock: x.own, Break: b, Trace: trace,
		Clock: func(now func() time.Time) { x.now = now }})
}

func TestSQLite(t *testing.T) {
	x := sqlite(t)
	ends := map[string]int{}
	began := time.Now()
	for seed := range uint64(200) {
		res := x.play(New(seed), Sound, nil)
		if res.Broken != nil {
			x.play(New(seed), Sound, func(f string, a ...any) { fmt.Printf(f+"\n", a...) })
			t.Fatalf("seed %d: %v", seed, res.Broken)
		}
		for e, n := range res.Ends {
			ends[e] += n
		}
	}
	t.Log(ends, time.Since(began))
}
