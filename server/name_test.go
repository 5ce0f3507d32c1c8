package server

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tutti/server/store"
	"tutti/server/store/pgtest"
)

// TestCopiedReplica: a copy of a replica's directory is refused as long as the replica lives. A replica that was killed comes
// back at once on its own directory; a copy of it when its lease has run out.
func TestCopiedReplica(t *testing.T) {
	dsn := pgtest.DSN(t)
	w := newWorld(t, func(c *Config) { c.DB, c.Lease = dsn, 500*time.Millisecond })
	other := w.cfg
	other.Dir = filepath.Join(w.dir, "copy")
	w.copyKeys(w.cfg.Dir, other.Dir)
	name, err := os.ReadFile(filepath.Join(w.cfg.Dir, store.ReplicaFile))
	w.must(err)
	w.must(os.WriteFile(filepath.Join(other.Dir, store.ReplicaFile), name, 0o600))
	if s, err := Open(other); !errors.Is(err, ErrReplicaName) {
		if err == nil {
			s.Close()
		}
		t.Fatalf("a copy of a replica that runs: %v", err)
	}
	dies := func(c Config) {
		t.Helper()
		s, err := Open(c)
		w.must(err)
		s.mu.Lock()
		s.named = store.Lease{} // it is not given back
		s.mu.Unlock()
		w.must(s.Close())
	}
	w.stop()
	dies(w.cfg)
	dies(other)

	long := other
	long.Lease = time.Hour
	dies(long)
	back := make(chan error, 1)
	go func() {
		s, err := Open(long)
		if err == nil {
			err = s.Close()
		}
		back <- err
	}()
	select {
	case err := <-back:
		w.must(err)
	case <-time.After(30 * time.Second):
		t.Fatal("a replica that was killed waits for its own lease")
	}
}
