package server

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"tutti/aggregation"
	"tutti/privacy/ledger"
	"tutti/server/api"
	"tutti/server/round"
	"tutti/server/store"
)

// together lets devices 0..n-1 await, seal and deliver at the same time.
func (w *world) together(n int) []*device {
	w.t.Helper()
	devices := make([]*device, n)
	var wg sync.WaitGroup
	for i := range n {
		d := w.device()
		devices[i] = d
		wg.Go(func() {
			if d.await(); d.offer != nil {
				d.seal(i)
				d.deliver()
			}
		})
	}
	wg.Wait()
	return devices
}

func (w *world) publish(r *RoundResult) {
	w.t.Helper()
	_, err := w.server.Publish(context.Background(), Publication{Round: r})
	w.must(err)
}

// untilDied waits until the server has noticed n broken uploads.
func (w *world) untilDied(n int) {
	for range 500 {
		if w.server.round.groups[0].drops()[round.DropDied.String()] == n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.t.Errorf("the server has not noticed %d broken uploads", n)
}

func TestDevicesDieMidUpload(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start(w.spec(7, 5, 12))
	var devices []*device
	var alive []int
	for i := range 10 {
		d := w.device()
		devices = append(devices, d)
		d.await()
		d.seal(i)
		if i%3 == 0 && i < 9 { // 3 of 10
			d.die()
			continue
		}
		alive = append(alive, i)
		w.untilDied(min(3, i/3+1)) // one upload at a time, so that the dying are told apart
		d.deliver()
	}
	r.wait(t)
	if r.err != nil {
		t.Fatal(r.err)
	}
	exact(t, r.result, alive)
	for i, d := range devices {
		want := api.UploadState_UPLOAD_STATE_COUNTED
		if i%3 == 0 && i < 9 {
			want = api.UploadState_UPLOAD_STATE_UNKNOWN
		}
		if got := d.receipt(r.result.Round).GetState(); got != want {
			t.Errorf("device %d: receipt %v, want %v", i, got, want)
		}
	}
	if got := r.result.Counters.Drops[round.DropDied.String()]; got != 3 {
		t.Errorf("%d uploads are counted as died, want 3", got)
	}
	w.publish(r.result)
}

// TestNodeDiesMidRound kills one node while uploads come in; another restarts and has to be shown its headers again.
func TestNodeDiesMidRound(t *testing.T) {
	w := newWorld(t, nil)
	w.cfg.Windows = nil
	r := w.start(w.spec(6, 4, 8))
	var all []int
	for i := range 6 {
		if i == 3 {
			w.nodes[1].kill()
			w.nodes[3].kill()
			w.nodes[3].start()
		}
		d := w.device()
		d.await()
		d.seal(i)
		d.deliver()
		all = append(all, i)
	}
	r.wait(t)
	if r.err != nil {
		t.Fatal(r.err)
	}
	exact(t, r.result, all)
	w.publish(r.result)

	// the next round opens without the dead node
	w.mu.Lock()
	w.events = nil
	w.mu.Unlock()
	r = w.start(w.spec(4, 4, 8))
	w.together(4)
	r.wait(t)
	if r.err != nil {
		t.Fatal(r.err)
	}
	exact(t, r.result, []int{0, 1, 2, 3})
	if got := len(r.result.Plan.Committee); got != 4 {
		t.Errorf("the committee has %d members, want 4", got)
	}
	w.publish(r.result)

	w.nodes[0].kill()
	_, err := w.server.RunRound(context.Background(), w.spec(4, 4, 8))
	var missing *CommitteeError
	if !errors.As(err, &missing) || len(missing.Missing) != 2 {
		t.Errorf("with two of five nodes down: %v", err)
	}
}

func TestTooFewDevicesAbandonAndFree(t *testing.T) {
	w := newWorld(t, nil)
	w.noisy = true
	spec := w.spec(6, 4, 8)
	r := w.start(spec)
	devices := w.together(3)
	w.server.CloseCollection()
	r.wait(t)
	var abandoned *AbandonedError
	if !errors.As(r.err, &abandoned) || abandoned.Reason != round.TooFewUploads || !abandoned.Freed {
		t.Fatalf("round ended with %v", r.err)
	}
	remaining, err := w.server.Remaining(context.Background())
	if err != nil || remaining.Cmp(big.NewRat(1, 1)) != 0 {
		t.Errorf("remaining budget is %v, %v", remaining, err)
	}
	for _, d := range devices {
		receipt := d.receipt(abandoned.Round)
		if receipt.GetState() != api.UploadState_UPLOAD_STATE_ABANDONED {
			t.Fatalf("receipt says %v", receipt.GetState())
		}
		cfg, err := aggregation.ParseConfig(d.offer.GetConfig())
		w.must(err)
		cert, err := aggregation.ParseAbandonCertificate(receipt.GetAbandonCertificate())
		w.must(err)
		if err := cert.Verify(cfg); err != nil {
			t.Errorf("the abandon certificate does not hold: %v", err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(w.cfg.Dir, "rounds", "*", "*", "*")); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}

// TestAbandonWithoutCertificateHolds: nobody is told that the budget is free as long as the committee has not signed it.
func TestAbandonWithoutCertificateHolds(t *testing.T) {
	w := newWorld(t, nil)
	w.noisy = true
	r := w.start(w.spec(6, 4, 8))
	devices := w.together(1)
	w.nodes[0].kill()
	w.nodes[1].kill()
	w.server.Abandon()
	r.wait(t)
	var abandoned *AbandonedError
	if !errors.As(r.err, &abandoned) || abandoned.Reason != round.StoppedByCaller || abandoned.Freed {
		t.Fatalf("round ended with %v", r.err)
	}
	remaining, err := w.server.Remaining(context.Background())
	if err != nil || remaining.Cmp(new(big.Rat).Sub(big.NewRat(1, 1), w.spec(6, 4, 8).Mechanism.Rho())) != 0 {
		t.Errorf("remaining budget is %v, %v", remaining, err)
	}
	if got := devices[0].receipt(abandoned.Round); got.GetState() == api.UploadState_UPLOAD_STATE_ABANDONED {
		t.Error("a device was told that it is not charged, without a certificate")
	}
}

func TestBudgetIsTheEnd(t *testing.T) {
	w := newWorld(t, nil)
	w.noisy = true
	rounds := 0
	for ; rounds < 10; rounds++ {
		r := w.start(w.spec(3, 3, 4))
		if err := w.refused(r); err != nil {
			var spent *BudgetError
			if !errors.As(err, &spent) {
				t.Fatal(err)
			}
			break
		}
		w.together(3)
		r.wait(t)
		if r.err != nil {
			t.Fatal(r.err)
		}
		if m := r.result.Sum.Meter; m.PadCoords < 32768 || m.ZScore > 5 || m.ZScore < -5 { // false alarm: 6e-7
			t.Errorf("noise meter: %+v", m)
		}
		w.publish(r.result)
	}
	if rounds != 4 && rounds != 3 { // rho is 1/4 up to rounding up
		t.Errorf("%d rounds fitted into the budget", rounds)
	}
	totals := w.server.Ledger().Totals()
	if totals.Spent.Cmp(totals.Budget) > 0 || totals.Reserved.Sign() != 0 {
		t.Errorf("the log says %v spent, %v reserved of %v", totals.Spent, totals.Reserved, totals.Budget)
	}
}

// refused gives a round a moment to be refused before it opens.
func (w *world) refused(r *running) error {
	for range 200 {
		select {
		case <-r.done:
			return r.err
		default:
		}
		w.server.mu.Lock()
		open := w.server.round != nil
		w.server.mu.Unlock()
		if open {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return errors.New("neither open nor refused")
}

func TestDirectoryThatCannotBeWritten(t *testing.T) {
	if runtime.GOOS == "windows" || os.Getuid() == 0 {
		t.Skip("permissions do not bind this user")
	}
	w := newWorld(t, nil)
	w.stop()
	w.must(os.Chmod(w.cfg.Dir, 0o500))
	_, err := Open(w.cfg)
	w.must(os.Chmod(w.cfg.Dir, 0o700))
	if !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("read-only directory: %v", err)
	}
	w.open()
}

// TestStorageFailsAndComesBack: the disk fills at a transition; the round stands still, and goes on when there is room.
func TestStorageFailsAndComesBack(t *testing.T) {
	w := newWorld(t, nil)
	full := true
	w.server.fault = func(at string) error {
		if full && at == "before collecting->frozen" {
			return store.Explain(w.cfg.Dir, fmt.Errorf("write: %w", store.ErrFull))
		}
		return nil
	}
	r := w.start(w.spec(3, 3, 4))
	w.together(3)
	r.wait(t)
	if !errors.Is(r.err, store.ErrFull) {
		t.Fatalf("round ended with %v", r.err)
	}
	if _, err := w.server.RunRound(context.Background(), w.spec(3, 3, 4)); !errors.Is(err, ErrUnfinished) {
		t.Fatalf("a second round beside it: %v", err)
	}
	full = false
	r = w.resume()
	r.wait(t)
	if r.err != nil {
		t.Fatal(r.err)
	}
	exact(t, r.result, []int{0, 1, 2})
	w.publish(r.result)
}

func TestSecondProcessIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	if _, err := Open(w.cfg); !errors.Is(err, store.ErrInUse) {
		t.Errorf("a second server on the directory: %v", err)
	}
}

// TestLogExtends: the checkpoint in every plan is extended by the next, and the records add up.
func TestLogExtends(t *testing.T) {
	w := newWorld(t, nil)
	var last ledger.Checkpoint
	for range 3 {
		r := w.start(w.spec(3, 3, 4))
		devices := w.together(3)
		r.wait(t)
		if r.err != nil {
			t.Fatal(r.err)
		}
		w.publish(r.result)
		next, err := ledger.OpenCheckpoint(r.result.Plan.Checkpoint, "tutti/test", w.server.Operator())
		w.must(err)
		proof, err := w.server.st.Proof(last.Size, next.Size)
		w.must(err)
		if last.Size > 0 {
			if err := ledger.CheckConsistency(last, next, proof); err != nil {
				t.Fatal(err)
			}
		}
		if got := devices[0].offer.GetLogged().GetConsistency(); len(got) != 0 { // the device had seen nothing
			t.Errorf("a proof of %d hashes from the empty log", len(got))
		}
		last = next
	}
	state := new(ledger.State)
	err := w.server.Ledger().Records(context.Background(), 0, func(r ledger.Record) error {
		_, err := state.Add(r)
		return err
	})
	if err != nil || state.Size() != 7 {
		t.Errorf("records: %d, %v", state.Size(), err)
	}
}

// TestNodeDiesWhileTheRoundOpens: the round that it was planned for ends unseen, and another opens without it.
func TestNodeDiesWhileTheRoundOpens(t *testing.T) {
	w := newWorld(t, nil)
	var once sync.Once
	w.nodes[2].cfg.Tasks = []string{"else"} // it answers, and refuses every plan
	w.nodes[2].kill()
	w.nodes[2].start()
	observe := w.cfg.Observer
	w.server.cfg.Observer = func(e Event) {
		if _, ok := e.(Abandoned); ok {
			once.Do(func() { w.nodes[2].server.Stop() })
		}
		observe(e)
	}
	r := w.start(w.spec(3, 3, 4))
	w.together(3)
	r.wait(t)
	if r.err != nil {
		t.Fatal(r.err)
	}
	if r.result.Round != 2 || len(r.result.Plan.Committee) != 4 {
		t.Errorf("round %d with %d members, want round 2 with 4", r.result.Round, len(r.result.Plan.Committee))
	}
	exact(t, r.result, []int{0, 1, 2})
	w.publish(r.result)
}
