package server

import (
	"testing"
	"time"

	"tutti/server/store/pgtest"
)

// TestAssemblingSurvivesTheDatabase: the database fails while the set is to be assembled. The round goes on when it answers
// again, and does not wait for ever.
func TestAssemblingSurvivesTheDatabase(t *testing.T) {
	dsn := pgtest.DSN(t)
	w := newWorld(t, func(c *Config) { c.DB = dsn })
	r := w.start(w.spec(4, 4, 8))
	for i := range 4 {
		d := w.device()
		d.await()
		d.seal(i)
		if i == 3 { // the goal is reached
			w.must(pgtest.Exec(dsn, `ALTER TABLE uploads RENAME COLUMN want TO away`))
		}
		d.deliver()
	}
	time.Sleep(500 * time.Millisecond)
	w.must(pgtest.Exec(dsn, `ALTER TABLE uploads RENAME COLUMN away TO want`))
	r.wait(t)
	w.must(r.err)
	exact(t, r.result, []int{0, 1, 2, 3})
	w.publish(r.result)
}
