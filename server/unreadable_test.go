package server

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnreadableSumStandsStill: a disk that fails while the sum is opened must not end a charged round. It stands still,
// says why, and goes on when the disk is back.
func TestUnreadableSumStandsStill(t *testing.T) {
	w := newWorld(t, nil)
	partial := filepath.Join(w.cfg.Dir, "rounds", "test", "1", "partial")
	w.server.fault = func(at string) error {
		if at == "after frozen->certified" {
			return os.Rename(partial, partial+".away")
		}
		return nil
	}
	r := w.start(w.spec(4, 4, 8))
	w.together(4)
	r.wait(t)
	var lost *LostError
	if r.err == nil || errors.As(r.err, &lost) || !strings.Contains(r.err.Error(), "partial") {
		t.Fatalf("RunRound: %v, want that the partial sum cannot be read", r.err)
	}
	w.must(os.Rename(partial+".away", partial))
	r = w.resume()
	r.wait(t)
	w.must(r.err)
	exact(t, r.result, []int{0, 1, 2, 3})
	w.publish(r.result)
}
