package server

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"tutti/server/api"
	"tutti/server/round"
	"tutti/server/store"
	"tutti/server/store/pgtest"
)

// TestReplicaRestoredAlone restores one of two replicas into a database of its own, while a round collects. Slots of the other
// one's files are not read here: its uploads are in the sum as far as its partial sum was kept, and leave the set otherwise.
func TestReplicaRestoredAlone(t *testing.T) {
	for name, kept := range map[string]bool{"with the other's partial sum": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 2, 20*time.Second)
			c.spec = c.world.spec(8, 4, 8)
			c.wanted.Store(1)
			var in []int
			for i, d := range c.spare[:6] {
				d.rpc = api.NewDevicesClient(c.members[i/4].conn) // four to the first, two to the second
				d.await()
				d.seal(i)
				if d.deliver() != api.UploadState_UPLOAD_STATE_STAGED {
					t.Fatalf("upload %d is not staged", i)
				}
				if kept || i < 4 {
					in = append(in, i)
				}
			}
			c.untilFolded(6)
			first := c.members[0].cfg
			other := c.members[1].server.Replica()
			for _, m := range c.members {
				m.kill()
			}
			if !kept {
				c.must(pgtest.Exec(first.DB, fmt.Sprintf(`DELETE FROM partials WHERE replica = '%s'`, other)))
				c.must(pgtest.Exec(first.DB, fmt.Sprintf(`UPDATE uploads SET folded = 0 WHERE replica = '%s'`, other)))
			}
			st, err := store.Open(t.Context(), store.Options{Dir: first.Dir, DB: first.DB})
			c.must(err)
			to := filepath.Join(t.TempDir(), "backup")
			_, err = st.Backup(t.Context(), to)
			c.must(errors.Join(err, st.Close()))

			alone := first
			alone.DB, alone.Dir = "", filepath.Join(t.TempDir(), "alone")
			_, err = store.Restore(t.Context(), to, store.Options{Dir: alone.Dir})
			c.must(err)
			s, err := Open(alone)
			c.must(err)
			defer s.Close()
			c.must(s.CloseCollection())
			result, err := s.Resume(t.Context())
			c.must(err)
			exact(t, result, in)
		})
	}
}

// untilFolded waits until the kept partial sums of the round under way hold so many uploads.
func (c *cluster) untilFolded(n int) {
	c.t.Helper()
	ctx := context.Background()
	for range 1000 {
		s, held := c.anyone(), 0
		last, err := s.st.LastRound(ctx, "test")
		c.must(err)
		all, err := s.st.Partials(ctx, store.Key{Task: "test", Round: last})
		c.must(err)
		for _, p := range all {
			held += len(p.IDs)
		}
		if held == n {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	c.t.Fatalf("the partial sums never hold %d uploads", n)
}

// TestRoundThatCannotBeginLetsGo: a round that is resumed while the server closes leaves no file open.
func TestRoundThatCannotBeginLetsGo(t *testing.T) {
	w := newWorld(t, nil)
	w.start(w.spec(4, 4, 8))
	d := w.device()
	d.await()
	d.seal(0)
	d.deliver()
	s := w.server
	s.mu.Lock()
	k := s.round.key
	s.mu.Unlock()
	s.leave(ErrClosed)
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	if err := s.resumeRound(); !errors.Is(err, ErrClosed) {
		t.Errorf("a server that closes resumes a round: %v", err)
	}
	if _, err := s.st.Header(t.Context(), k, round.ID(d.id())); !errors.Is(err, store.ErrNoHeader) {
		t.Errorf("the files of the round are still open: %v", err)
	}
}
