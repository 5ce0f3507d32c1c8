package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"tutti/model"
	"tutti/server/api"
	"tutti/server/round"
)

var errDied = errors.New("the process died here")

// TestServerDiesAtEveryTransition lets the server die before and after every transition, with everything in memory
// lost, and its committee nodes as well every other time; the next process finishes the round with the same set.
func TestServerDiesAtEveryTransition(t *testing.T) {
	w := newWorld(t, nil)
	states := []round.State{round.Created, round.Collecting, round.Frozen, round.Certified, round.Released, round.Applied, round.Published}
	version := model.Digest{}
	for i, from := range states[:len(states)-1] {
		for j, when := range []string{"before", "after"} {
			point := fmt.Sprintf("%s %v->%v", when, from, states[i+1])
			w.server.fault = func(at string) error {
				if at == point {
					return errDied
				}
				return nil
			}
			died := w.dieOnce(t, point, j == i%2, &version)
			if !died {
				t.Errorf("the server never came to %s", point)
			}
		}
	}
}

// dieOnce runs a round whose server dies once, and finishes it in the next process.
func (w *world) dieOnce(t *testing.T, point string, nodesToo bool, version *model.Digest) bool {
	t.Helper()
	died, ctx := false, context.Background()
	revive := func() *running {
		died = true
		w.stop()
		if nodesToo {
			for _, n := range w.nodes {
				n.kill()
				n.start()
			}
		}
		w.open()
		return w.resume()
	}
	r := w.start(w.spec(4, 4, 8))
	var devices []*device
	for range 4 {
		devices = append(devices, w.device())
	}
	var uploads sync.WaitGroup
	for i, d := range devices {
		uploads.Go(func() {
			d.await()
			if d.offer != nil {
				d.seal(i)
				d.deliver()
			}
		})
	}
	if r.wait(t); errors.Is(r.err, errDied) {
		r = revive()
		r.wait(t)
	}
	uploads.Wait()
	if r.err != nil {
		t.Fatalf("%s: %v", point, r.err)
	}
	exact(t, r.result, []int{0, 1, 2, 3})
	first := r.result.Aggregate
	blob := []byte(point)
	v := &model.Version{Popularity: sha256.Sum256(blob)}
	_, err := w.server.Publish(ctx, Publication{Round: r.result, Version: v, Blobs: [][]byte{blob}, Cause: "test"})
	if errors.Is(err, errDied) {
		r = revive()
		r.wait(t)
		switch {
		case errors.Is(r.err, ErrNothing): // it had been published
		case r.err != nil:
			t.Fatalf("%s: %v", point, r.err)
		default:
			if r.result.Aggregate != first {
				t.Fatalf("%s: the second process opened another sum", point)
			}
			_, err = w.server.Publish(ctx, Publication{Round: r.result, Version: v, Blobs: [][]byte{blob}, Cause: "test"})
			w.must(err)
		}
	} else if err != nil {
		t.Fatalf("%s: %v", point, err)
	}
	published, ok := w.server.Version()
	if !ok || published.Parent != *version || published.Popularity != v.Popularity {
		t.Fatalf("%s: published version is %+v", point, published)
	}
	*version = published.Digest()
	for _, d := range devices {
		if got := d.receipt(d.round()).GetState(); got != api.UploadState_UPLOAD_STATE_COUNTED {
			t.Fatalf("%s: a receipt says %v", point, got)
		}
	}
	if left, err := filepath.Glob(filepath.Join(w.cfg.Dir, "rounds", "*", "*", "*")); err != nil || len(left) > 0 {
		t.Errorf("%s: files of the round are left: %v", point, left)
	}
	return died
}
