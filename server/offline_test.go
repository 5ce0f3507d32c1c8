package server

import (
	"context"
	"errors"
	"testing"
	"time"

	"tutti/server/store"
)

// TestOffline: whoever opens a data directory for its log leaves the round that is under way as it is.
func TestOffline(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, nil)
	r := w.start(w.spec(3, 3, 8))
	for w.underWay() == nil {
		time.Sleep(5 * time.Millisecond)
	}
	w.stop()
	<-r.done
	before := w.unfinished(t)

	cfg := w.cfg
	cfg.Offline = true
	offline, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := offline.RunRound(ctx, w.spec(3, 3, 8)); !errors.Is(err, ErrOffline) {
		t.Errorf("a round was run offline: %v", err)
	}
	if _, err := offline.Resume(ctx); !errors.Is(err, ErrNothing) {
		t.Errorf("a round was resumed offline: %v", err)
	}
	if _, err := offline.Ledger().Checkpoint(); err != nil {
		t.Error(err)
	}
	if err := offline.Close(); err != nil {
		t.Fatal(err)
	}
	if after := w.unfinished(t); after != before {
		t.Errorf("the round's stored version went from %d to %d", before, after)
	}
}

// underWay is the round that the server drives.
func (w *world) underWay() *active {
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	return w.server.round
}

// unfinished is the stored version of the one round that is under way, read without a server.
func (w *world) unfinished(t *testing.T) uint64 {
	t.Helper()
	st, err := store.Open(context.Background(), store.Options{Dir: w.cfg.Dir})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	rounds, err := st.Unfinished(context.Background())
	if err != nil || len(rounds) != 1 {
		t.Fatalf("%d rounds under way, %v", len(rounds), err)
	}
	return uint64(rounds[0].Durable.Version)
}
