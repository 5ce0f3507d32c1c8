package server

import (
	"context"
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"testing"

	"tutti/server/store"
)

// sound runs fsck on a data directory that nobody uses.
func sound(t *testing.T, o store.Options, operator ed25519.PublicKey) store.Findings {
	t.Helper()
	found, err := store.Fsck(context.Background(), store.Check{Options: o, Signature: func(_ string, v store.SignedVersion) error {
		if !ed25519.Verify(operator, VersionMessage(v.Version), v.Signature) {
			return errors.New("the signature is not the operator's")
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range found.Problems {
		t.Errorf("%s: %s", p.Where, p.What)
	}
	return found
}

// TestSoundAtEveryPoint: at every transition of a round, what a server that dies leaves is sound; so is what is restored
// from a backup that was made there.
func TestSoundAtEveryPoint(t *testing.T) {
	for _, at := range []string{"", "after collecting->frozen", "after frozen->certified", "after certified->released"} {
		t.Run(at, func(t *testing.T) {
			w := newWorld(t, nil)
			w.server.fault = func(point string) error {
				if point == at {
					return errors.New("the process dies here")
				}
				return nil
			}
			r := w.start(w.spec(4, 3, 6))
			w.together(4)
			if r.wait(t); (r.err == nil) != (at == "") {
				t.Fatal(r.err)
			}
			if at == "" {
				w.publish(r.result)
			}
			operator := w.server.Operator()
			to := filepath.Join(t.TempDir(), "backup")
			if _, err := w.server.st.(*store.SQL).Backup(context.Background(), to); err != nil {
				t.Fatal(err)
			}
			w.stop()
			if found := sound(t, store.Options{Dir: w.cfg.Dir}, operator); found.Rounds != 1 || found.Uploads != 4 {
				t.Errorf("%+v", found)
			}
			o := store.Options{Dir: filepath.Join(t.TempDir(), "restored")}
			if _, err := store.Restore(context.Background(), to, o); err != nil {
				t.Fatal(err)
			}
			if found := sound(t, o, operator); found.Uploads != 4 {
				t.Errorf("restored: %+v", found)
			}
			w.open()
		})
	}
}
