package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"tutti/model"
	"tutti/privacy/central"
	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	lifecycle "tutti/server/round"
)

// streamSpec is a model round of a stream over four rows that costs 1/8 as a whole.
func (w *world) streamSpec() RoundSpec {
	s := w.spec(4, 4, 8)
	s.Kind, s.Training = plan.Model, plan.Training{Steps: 1, MaxLen: 8, LearningRate: "1", Optimizer: "sgd"}
	s.Central = &plan.Central{Noise: plan.CentralBLT, Z: "2", Theta: []string{"0.9", "0.5"}, Omega: []string{"0.2", "0.3"}, Rounds: 4}
	s.Participations, s.Separation = 2, 2
	return s
}

// all has four devices upload e_0 to e_3 for a round that runs.
func (w *world) all(t *testing.T, r *running) {
	t.Helper()
	var uploads sync.WaitGroup
	for i := range 4 {
		d := w.device()
		uploads.Go(func() {
			if d.await(); d.offer != nil {
				d.seal(i)
				d.deliver()
			}
		})
	}
	r.wait(t)
	uploads.Wait()
}

func (w *world) release(r *RoundResult) error {
	blob := fmt.Appendf(nil, "round %d", r.Round)
	_, err := w.server.Publish(context.Background(), Publication{Round: r, Version: &model.Version{Popularity: sha256.Sum256(blob)}, Blobs: [][]byte{blob}, Cause: "test"})
	return err
}

// keptSums are the opened sums in the data directory.
func (w *world) keptSums(t *testing.T) (sums [][]byte) {
	t.Helper()
	err := filepath.WalkDir(w.cfg.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte("tutti/sum/v1")) {
			sums = append(sums, content)
		}
		return err
	})
	w.must(err)
	return sums
}

// TestCentralNoise: what is decoded, digested, logged and kept of a sum carries the server's noise, the true sum is nowhere.
// A mean of 64 squares of standard Gaussians is outside [0.2, 3] with probability below 1e-10.
func TestCentralNoise(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.KeepSums = true })
	spec := w.spec(4, 4, 8)
	spec.Central = plan.CentralFor(big.NewRat(1, 8))
	r := w.start(spec)
	w.all(t, r)
	w.must(r.err)
	if got := w.keptSums(t); len(got) > 0 {
		t.Errorf("%d sums are kept before anything is published", len(got))
	}
	square := 0.0
	for _, x := range r.result.Sum.Values {
		square += float64(x) * float64(x) / float64(len(r.result.Sum.Values))
	}
	m := r.result.Plan.Mechanism
	if sd := r.result.NoiseOnSum(); sd < 1.99 || sd > 2.01*float64(m.L2Bound)/float64(m.ClipGrid) || square < .2*sd*sd || square > 3*sd*sd {
		t.Errorf("noise of %.3f was promised on the sum, its mean square is %.3f", sd, square)
	}
	raw := make([]int64, m.PaddedDim)
	raw[0], raw[1], raw[2], raw[3] = 1, 1, 1, 1
	if r.result.Aggregate == sha256.Sum256(SumBytes(raw)) {
		t.Error("the digest is that of the sum without noise: whoever guesses it can confirm it")
	}
	w.must(w.release(r.result))
	if got := w.keptSums(t); len(got) != 1 || sha256.Sum256(got[0]) != r.result.Aggregate {
		t.Errorf("%d sums are kept, or another one", len(got))
	}
	last := w.lastRound()
	if last.Noise || last.Central != "gaussian" || last.Aggregate != r.result.Aggregate || last.Rho.Cmp(big.NewRat(1, 8)) != 0 || last.Meter.Coords != 0 {
		t.Errorf("the log says %+v", last)
	}
}

// row is the number of rows of noise that are drawn for good.
func (w *world) row(t *testing.T, p plan.Plan) int {
	t.Helper()
	kept, found, err := w.server.st.Stream(context.Background(), "test")
	w.must(err)
	if !found {
		return 0
	}
	setting, err := streamSetting(p)
	w.must(err)
	stream, err := central.ParseStream(kept.State, setting)
	w.must(err)
	return stream.Row()
}

// TestStreamOverCrashes: a row of the stream is drawn once for what is published. A server that dies before the publication
// is durable noises the sum afresh; one that dies behind it never noises it again. Rounds that are abandoned take rows. The
// stream is charged once.
func TestStreamOverCrashes(t *testing.T) {
	w := newWorld(t, nil)
	var served *active
	round := func(index uint32, cost *big.Rat) *RoundResult {
		t.Helper()
		r := w.start(w.streamSpec())
		w.all(t, r)
		w.must(r.err)
		w.server.mu.Lock()
		served = w.server.round
		w.server.mu.Unlock()
		if r.result.Plan.Central.Index != index || r.result.Rho.Cmp(cost) != 0 {
			t.Fatalf("round %d is row %d and costs %v, want row %d and %v", r.result.Round, r.result.Plan.Central.Index, r.result.Rho, index, cost)
		}
		return r.result
	}
	die := func(r *RoundResult, when string) {
		t.Helper()
		point := fmt.Sprintf("%s %v->%v", when, lifecycle.Applied, lifecycle.Published)
		w.server.fault = func(at string) error {
			if at == point {
				return errDied
			}
			return nil
		}
		if err := w.release(r); !errors.Is(err, errDied) {
			t.Fatalf("the server never came to %q: %v", point, err)
		}
		w.stop()
		w.open()
	}
	whole, nothing := big.NewRat(1, 8), new(big.Rat)

	first := round(0, whole)
	die(first, "before")
	if got := w.row(t, first.Plan); got != 0 {
		t.Errorf("%d rows are drawn for good before anything was published", got)
	}
	r := w.resume()
	r.wait(t)
	w.must(r.err)
	if r.result.Aggregate == first.Aggregate {
		t.Error("noise that was lost came back")
	}
	w.must(w.release(r.result))

	second := round(1, nothing)
	if len(served.rest) != 4 {
		t.Errorf("%d devices rest, four were in the round before", len(served.rest))
	}
	die(second, "after")
	if r = w.resume(); true {
		if r.wait(t); !errors.Is(r.err, ErrNothing) {
			t.Errorf("a published round is opened again: %v", r.err)
		}
	}
	if got, last := w.row(t, second.Plan), w.lastRound(); got != 2 || last.Aggregate != second.Aggregate || last.Central != "blt" {
		t.Errorf("%d rows are drawn, and the log says %+v", got, last)
	}

	abandoned := w.start(w.streamSpec())
	for w.server.open() == nil {
		select {
		case <-abandoned.done:
			t.Fatal(abandoned.err)
		default:
		}
	}
	w.server.Abandon()
	abandoned.wait(t)
	fourth := round(3, nothing)
	w.must(w.release(fourth))
	if got := w.row(t, fourth.Plan); got != 4 {
		t.Errorf("%d rows are drawn", got)
	}
	var ended *StreamEndedError
	if _, err := w.server.RunRound(context.Background(), w.streamSpec()); !errors.As(err, &ended) || ended.Rounds != 4 {
		t.Errorf("a fifth row of four: %v", err)
	}
	if total := w.server.Ledger().Totals(); total.Spent.Cmp(whole) != 0 || total.Reserved.Sign() != 0 || total.Stream != ledger.Digest(fourth.Plan.Stream()) {
		t.Errorf("the task has spent %v", total.Spent)
	}
}

// TestCentralNoiseThatCannotBe: refused before a round opens, with nothing reserved.
func TestCentralNoiseThatCannotBe(t *testing.T) {
	w := newWorld(t, nil)
	for name, change := range map[string]func(*RoundSpec){
		"more than a sum carries": func(s *RoundSpec) { s.Central.Z = "100000" },
		"beside the devices'":     func(s *RoundSpec) { w.noisy = true; s.Mechanism = w.spec(4, 4, 8).Mechanism; w.noisy = false },
		"dearer than the budget":  func(s *RoundSpec) { s.Central.Z = "0.5" },
	} {
		s := w.streamSpec()
		if change(&s); true {
			if _, err := w.server.RunRound(context.Background(), s); err == nil {
				t.Errorf("noise %s was accepted", name)
			}
		}
	}
	if total := w.server.Ledger().Totals(); total.Spent.Sign() != 0 || total.Reserved.Sign() != 0 {
		t.Errorf("%+v", total)
	}
	split := newWorld(t, func(c *Config) { c.Groups = 2 })
	if _, err := split.server.RunRound(context.Background(), split.streamSpec()); !errors.Is(err, plan.ErrPlan) {
		t.Errorf("a stream over two groups: %v", err)
	}
}

// TestCentralNoiseOfGroups: each group's sum has noise of its own. The lot puts fewer than four of 40 devices into one of two
// groups with probability below 2^-25.
func TestCentralNoiseOfGroups(t *testing.T) {
	w := splitWorld(t, 2, 40, false)
	spec := w.spec(8, 2, 20)
	spec.Central = plan.CentralFor(big.NewRat(1, 8))
	r := w.start(spec)
	for _, members := range w.byGroup(w.spare, 2) {
		if len(members) < 4 {
			t.Fatalf("a group of %d devices", len(members))
		}
		bring(t, members[:4], []int{0, 1, 2, 3})
	}
	w.server.CloseCollection()
	r.wait(t)
	w.must(r.err)
	clear := indicator(r.result.Plan.Mechanism.PaddedDim, []int{0, 1, 2, 3})
	if len(r.result.Groups) != 2 || r.result.Groups[0].Aggregate == clear || r.result.Groups[1].Aggregate == clear || r.result.Groups[0].Aggregate == r.result.Groups[1].Aggregate {
		t.Errorf("groups %+v", r.result.Groups)
	}
	one, err := centralDeviation(r.result.Plan)
	w.must(err)
	if got, want := r.result.NoiseOnSum(), 1.4142*one/r.result.Plan.Mechanism.Scale(); got < want || got > 1.001*want {
		t.Errorf("noise of %.4f on the sum of two groups, want %.4f", got, want)
	}
	w.must(w.release(r.result))
}
