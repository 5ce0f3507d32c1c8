package operator

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"math/big"
	"sync"
	"testing"
	"time"

	"tutti/privacy/ledger"
	"tutti/server/store"
)

// scene is a task as a test wants it to look, and what was done to it.
type scene struct {
	mu      sync.Mutex
	view    *View
	happens []Happening
	done    []string
	err     error
	changed chan struct{}
}

func (s *scene) View(context.Context) (*View, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view, s.err
}

func (s *scene) Happenings(_ context.Context, after uint64, limit int) ([]Happening, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Happening
	for _, h := range s.happens {
		if h.Seq > after && len(out) < limit {
			out = append(out, h)
		}
	}
	return out, nil
}

func (s *scene) Changed(context.Context) <-chan struct{} { return s.changed }

func (s *scene) did(what string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, what)
	return s.err
}

func (s *scene) Pause(context.Context) error              { return s.did("pause") }
func (s *scene) Resume(context.Context) error             { return s.did("resume") }
func (s *scene) Stop(context.Context) error               { return s.did("stop") }
func (s *scene) CloseRound(context.Context, uint64) error { return s.did("close") }
func (s *scene) Abandon(context.Context, uint64) error    { return s.did("abandon") }
func (s *scene) Rollback(context.Context, uint64, string) (uint64, error) {
	return 9, s.did("rollback")
}
func (s *scene) Rollout(context.Context, uint64, int, string) error { return s.did("rollout") }

func (s *scene) Report(_ context.Context, w io.Writer) ([]byte, error) {
	_, err := w.Write(make([]byte, piece+1))
	return []byte("note"), err
}

var morning = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

// shelf is a store of one task, in memory: a log that is as the package ledger writes it, and what a test says beside it.
type shelf struct {
	log      ledger.Log
	told     []store.Happened
	state    string
	kept     map[string][]byte
	rewrite  map[uint64][]byte // records that somebody changed behind the server's back
	groups   map[uint64][]store.Round
	enrolled int
}

func (s *shelf) Happenings(_ context.Context, _ string, after uint64, limit int) (out []store.Happened, err error) {
	for _, h := range s.told {
		if h.Seq > after && len(out) < limit {
			out = append(out, h)
		}
	}
	return out, nil
}
func (s *shelf) TaskState(context.Context, string) (string, error) { return s.state, nil }
func (s *shelf) Kept(_ context.Context, _, name string) ([]byte, bool, error) {
	b, found := s.kept[name]
	return b, found, nil
}
func (s *shelf) Totals(task string) (ledger.Totals, bool) { return s.log.Task(task) }
func (s *shelf) Budget(context.Context, string) (map[store.BudgetState]*big.Rat, error) {
	return map[store.BudgetState]*big.Rat{store.Held: new(big.Rat)}, nil
}
func (s *shelf) LastRound(context.Context, string) (uint64, error) { return 0, nil }
func (s *shelf) RoundGroups(_ context.Context, k store.Key) ([]store.Round, error) {
	return s.groups[k.Round], nil
}
func (s *shelf) UploadsSince(context.Context, store.Key, uint64) ([]store.Staged, error) {
	return nil, nil
}
func (s *shelf) Enrolled(context.Context, string) (int, error) { return s.enrolled, nil }
func (s *shelf) Participation(context.Context, string) (devices, most, total int, err error) {
	return 0, 0, 0, nil
}
func (s *shelf) Aliases(context.Context, string) ([]store.Alias, error) { return nil, nil }
func (s *shelf) Records(_ context.Context, from uint64, each func(uint64, []byte) error) error {
	for _, r := range s.log.Records[min(from, uint64(len(s.log.Records))):] {
		b, changed := s.rewrite[r.Seq]
		if !changed {
			var err error
			if b, err = r.Encode(); err != nil {
				return err
			}
		}
		if err := each(r.Seq, b); err != nil {
			return err
		}
	}
	return nil
}
func (s *shelf) Hashes() ledger.Hashes { return s.log.Hashes }
func (s *shelf) LogSize() uint64       { return s.log.Size() }
func (s *shelf) Root(size uint64) (ledger.Digest, error) {
	return ledger.Root(size, s.log.Hashes)
}

// newShelf is a task that was opened, with a budget of rho 1.
func newShelf(t testing.TB) *shelf {
	t.Helper()
	s := &shelf{state: store.TaskRunning, kept: map[string][]byte{}, rewrite: map[uint64][]byte{}, groups: map[uint64][]store.Round{}}
	s.write(t, &ledger.Task{Task: "films", Operator: make([]byte, ed25519.PublicKeySize), Purpose: "tests", Unit: "device", Adjacency: "zero-out", Delta: "1e-06", Budget: big.NewRat(1, 1)}, morning)
	return s
}

func (s *shelf) write(t testing.TB, b ledger.Body, at time.Time) ledger.Record {
	t.Helper()
	r, err := s.log.Append(b, at.Unix())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (s *shelf) tell(t testing.TB, at time.Time, round uint64, name string, told Told) {
	t.Helper()
	h, err := told.Happened(at, "films", round, name)
	if err != nil {
		t.Fatal(err)
	}
	h.Seq = uint64(len(s.told) + 1)
	s.told = append(s.told, h)
}

func (s *shelf) maker(clock func() time.Time) *Maker {
	return NewMaker(s, Setting{Task: "films", Replica: "a", Nodes: []string{"n1:1", "n2:1"}, Ended: "end", Clock: clock})
}

var errHere = errors.New("nothing works here")
