package simulation

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"tutti/server/store"
	"tutti/server/store/pgtest"
)

// shelf is a kind of store that many schedules are played on. On a database they follow one another in the same tables,
// each with a task of its own; in memory each has a store of its own.
type shelf struct {
	stores   []store.Store // empty: a new one in memory for every schedule
	ownClock bool
	now      func() time.Time
	n        int
}

func (x *shelf) clock() time.Time {
	if x.now == nil {
		return Began
	}
	return x.now()
}

func memory() *shelf { return &shelf{} }

// sqlite has its files in memory where the system allows it: what is tested are the statements.
func sqlite(t testing.TB) *shelf {
	t.Helper()
	x := &shelf{}
	x.stores = []store.Store{open(t, x, "")}
	return x
}

// postgres has a handle for each replica, as processes have.
func postgres(t testing.TB) *shelf {
	t.Helper()
	x := &shelf{ownClock: true}
	dsn := pgtest.DSN(t)
	for range 3 {
		x.stores = append(x.stores, open(t, x, dsn))
	}
	return x
}

func open(t testing.TB, x *shelf, db string) store.Store {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "tutti-simulation-")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	st, err := store.Open(context.Background(), store.Options{Dir: dir, DB: db, Clock: x.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

func (x *shelf) play(s Schedule, b Break, trace func(string, ...any)) Result {
	x.n++
	x.now = nil
	o := Options{Stores: x.stores, Task: fmt.Sprintf("task-%d", x.n), OwnClock: x.ownClock, Break: b, Trace: trace, Clock: func(now func() time.Time) { x.now = now }}
	if len(o.Stores) == 0 {
		disk := store.NewDisk(x.clock, true)
		for i := range s.Replicas {
			o.Stores = append(o.Stores, disk.Open(fmt.Sprintf("replica-%d", i)))
		}
	}
	return Play(s, o)
}
