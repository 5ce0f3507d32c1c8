package main

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

// entry is one variant of one contestant in one cell.
type entry struct {
	process *process
	name    string // unique in its process
	who     string // "direct", "graph", or the PyTorch
	variant string
	shape   string
	steps   int // per turn
	best    answer
	first   []float64 // losses of the first steps
}

const (
	turn    = 250 * time.Millisecond // how long a turn lasts at least
	trial   = 80 * time.Millisecond
	patient = 60 * time.Millisecond // threads of the one before stop spinning
)

// load prepares an entry with the weights of the workload and warms it up: three steps, whose losses it keeps.
func (e *entry) load(w *workload) (loss float64, err error) {
	got, err := e.process.do(ask{Op: "load", Name: e.name, Work: w, Variant: e.variant, Shape: e.shape})
	if err != nil || got.Error != "" {
		return 0, refused(err, got)
	}
	warm, err := e.process.do(ask{Op: "steps", Name: e.name, N: 3})
	if err != nil || warm.Error != "" {
		return 0, refused(err, warm)
	}
	e.first, e.best = warm.Losses, warm
	return got.Loss, nil
}

// refusal is what a contestant cannot do; the contest goes on without that variant.
type refusal string

func (r refusal) Error() string { return string(r) }

func refused(err error, a answer) error {
	if err != nil {
		return err
	}
	return refusal(a.Error)
}

// takeTurn takes a turn of at least the given time.
func (e *entry) takeTurn(atLeast time.Duration) error {
	e.steps = max(1, min(200, int(atLeast.Seconds()/e.best.Wall)))
	got, err := e.process.must(ask{Op: "steps", Name: e.name, N: e.steps})
	if err != nil {
		return err
	}
	e.best.Wall, e.best.CPU = min(e.best.Wall, got.Wall), min(e.best.CPU, got.CPU)
	e.best.Allocs, e.best.Bytes = got.Allocs, got.Bytes
	return nil
}

// time is what counts: processor time of one thread, the clock on the wall for several.
func (e *entry) time(threads int) float64 {
	if threads == 1 {
		return e.best.CPU
	}
	return e.best.Wall
}

// cell measures one batch: the peers look for their best variant, then everybody takes turns.
func (s *stage) cell(ours *process, peers []peer, g group, c cell, dropout float64) error {
	w, err := newWorkload(c.count, c.length, c.ragged, dropout)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s, %d threads, dropout %v%s\n", c, g.threads, dropout, map[bool]string{true: ", no AVX-512"}[g.avx2])
	defer ours.do(ask{Op: "forget"})
	entries := []*entry{{process: ours, name: direct, who: direct, variant: direct}}
	if g.threads == 1 {
		entries = append(entries, &entry{process: ours, name: onGraph, who: onGraph, variant: onGraph})
	}
	for _, p := range peers {
		defer p.do(ask{Op: "forget"})
		best, err := s.bestOf(p, w, g, c)
		if err != nil {
			return err
		}
		entries = append(entries, best...)
	}
	if err := agree(entries, w); err != nil {
		return err
	}
	for range s.rounds {
		for _, e := range entries {
			time.Sleep(patient)
			if err := e.takeTurn(turn); err != nil {
				return err
			}
		}
	}
	s.report.add(g, c, dropout, w.tokens(), entries)
	return nil
}

// agree loads everybody and demands the same losses: of the first evaluation, and without dropout of the first three steps,
// so of gradients and Adam too.
func agree(entries []*entry, w *workload) error {
	var want float64
	for i, e := range entries {
		loss, err := e.load(w)
		if err != nil {
			return fmt.Errorf("%s %s: %w", e.who, e.variant, err)
		}
		if i == 0 {
			want = loss
		}
		if math.Abs(loss-want) > 1e-5*want {
			return fmt.Errorf("%s %s starts with loss %v, ours with %v: not the same model", e.who, e.variant, loss, want)
		}
		for k, l := range e.first {
			own := entries[0].first[k]
			if w.Dropout == 0 && math.Abs(l-own) > 1e-4*own {
				return fmt.Errorf("%s %s: loss %v at step %d, ours %v: not the same training", e.who, e.variant, l, k, own)
			}
		}
	}
	return nil
}

// bestOf is the fastest variant of a peer; for ragged batches one entry with padding and one in the peer's best other shape.
func (s *stage) bestOf(p peer, w *workload, g group, c cell) ([]*entry, error) {
	h := p.hello
	best := &entry{variant: h.Attention[0] + "+" + h.LossKinds[0] + "+" + h.Adam[0], shape: "padded"}
	if err := s.try(p, w, g, &best, best.variant, best.shape); err != nil {
		return nil, err
	}
	for i, choices := range [][]string{h.Attention, h.LossKinds, h.Adam} {
		for _, choice := range choices[1:] {
			parts := strings.Split(best.variant, "+")
			parts[i] = choice
			if err := s.try(p, w, g, &best, strings.Join(parts, "+"), best.shape); err != nil {
				return nil, err
			}
		}
	}
	if h.Compile && s.compile && c.count == 1 {
		if err := s.try(p, w, g, &best, best.variant+"+compile", best.shape); err != nil {
			return nil, err
		}
	}
	best.who, best.name = p.label, "padded"
	out := []*entry{best}
	if !c.ragged {
		return out, nil
	}
	var other *entry
	for _, shape := range h.Shapes[1:] {
		if err := s.try(p, w, g, &other, best.variant, shape); err != nil {
			return nil, err
		}
	}
	if other != nil {
		other.who, other.name = p.label, "other"
		out = append(out, other)
	}
	return out, nil
}

// try replaces best by a variant that is faster. A variant that this peer cannot run is said and left out.
func (s *stage) try(p peer, w *workload, g group, best **entry, variant, shape string) error {
	e := &entry{process: p.process, name: "trial", variant: variant, shape: shape}
	_, err := e.load(w)
	if r, ok := err.(refusal); ok {
		s.report.refused(p.label, variant, shape, string(r))
		return nil
	}
	if err != nil {
		return err
	}
	old := *best
	if old == nil || old.best.Wall == 0 || e.time(g.threads) < 1.2*old.time(g.threads) {
		if err := e.takeTurn(trial); err != nil {
			return err
		}
	}
	if old == nil || old.best.Wall == 0 || e.time(g.threads) < old.time(g.threads) {
		*best = e
	}
	return nil
}

// fastest is the best of the entries for which keep holds, nil if there is none.
func fastest(entries []*entry, threads int, keep func(*entry) bool) *entry {
	kept := slices.DeleteFunc(slices.Clone(entries), func(e *entry) bool { return !keep(e) })
	if len(kept) == 0 {
		return nil
	}
	return slices.MinFunc(kept, func(a, b *entry) int {
		if a.time(threads) < b.time(threads) {
			return -1
		}
		return 1
	})
}
