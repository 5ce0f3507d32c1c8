package graph

import (
	"fmt"

	"tutti/model/kernel"
	"tutti/model/layer"
	"tutti/model/seqrec"
)

// batch is what the operations work on and no node holds: the integers of a
// ragged batch of n tokens, and what is asked of the run.
type batch struct {
	n        int
	ids      []int32     // n
	offsets  []int32     // sequences + 1
	targets  []int32     // n
	rows     [][]float32 // n: the soft rows, nil where a token has none
	soft     [][]float32 // rows, or nil where no sequence has any
	tokens   int         // positions with a target
	wantGrad bool
}

// pack checks the sequences and lays them one after another.
func (b *batch) pack(cfg seqrec.Config, sequences []seqrec.Sequence) error {
	b.ids, b.offsets = b.ids[:0], append(b.offsets[:0], 0)
	b.targets, b.rows, b.soft = b.targets[:0], b.rows[:0], nil
	anySoft := false
	for i, s := range sequences {
		if err := checkSequence(cfg, s); err != nil {
			return fmt.Errorf("sequence %d: %w", i, err)
		}
		b.append(cfg.Items, s)
		anySoft = anySoft || s.Soft != nil
	}
	if anySoft {
		b.soft = b.rows
	}
	b.n, b.tokens = len(b.ids), 0
	for i := range b.n {
		if layer.HasTarget(b.targets, b.soft, i) {
			b.tokens++
		}
	}
	if b.tokens == 0 {
		return seqrec.ErrNothingToLearn
	}
	return nil
}

func (b *batch) append(v int, s seqrec.Sequence) {
	b.ids = append(b.ids, s.Items...)
	b.offsets = append(b.offsets, int32(len(b.ids)))
	if s.Soft == nil {
		b.targets = append(b.targets, s.Targets...)
		b.rows = append(b.rows, make([][]float32, len(s.Items))...)
		return
	}
	for p := range s.Items {
		b.targets = append(b.targets, seqrec.NoTarget)
		b.rows = append(b.rows, s.Soft[p*v:(p+1)*v])
	}
}

// fillTargets writes the distribution that each token should predict into rows
// of v values; rows without a target, and those after the last token, are zero.
func (b *batch) fillTargets(rows []float32, v int) {
	clear(rows)
	for i := range b.n {
		if b.soft != nil && b.soft[i] != nil {
			copy(rows[i*v:(i+1)*v], b.soft[i])
		} else if b.targets[i] >= 0 {
			rows[i*v+int(b.targets[i])] = 1
		}
	}
}

// fillMask writes a one for every token with a target.
func (b *batch) fillMask(rows []float32) {
	clear(rows)
	for i := range b.n {
		if layer.HasTarget(b.targets, b.soft, i) {
			rows[i] = 1
		}
	}
}

// checkSequence refuses what does not fit the model, as seqrec does.
func checkSequence(cfg seqrec.Config, s seqrec.Sequence) error {
	n := len(s.Items)
	if n == 0 || n > cfg.MaxLen {
		return fmt.Errorf("%d items, want 1 to %d", n, cfg.MaxLen)
	}
	for i, id := range s.Items {
		if id < 0 || int(id) >= cfg.Items {
			return fmt.Errorf("item %d is %d, outside the catalogue of %d", i, id, cfg.Items)
		}
	}
	if s.Soft != nil {
		if len(s.Soft) != n*cfg.Items {
			return fmt.Errorf("%d soft values for %d positions of %d items", len(s.Soft), n, cfg.Items)
		}
		return nil
	}
	if len(s.Targets) != n {
		return fmt.Errorf("%d targets for %d items", len(s.Targets), n)
	}
	for i, t := range s.Targets {
		if t != seqrec.NoTarget && (t < 0 || int(t) >= cfg.Items) {
			return fmt.Errorf("target %d is %d, outside the catalogue of %d", i, t, cfg.Items)
		}
	}
	return nil
}

// shared is memory that operations use while they run and leave to the next.
type shared struct {
	transposed []float32 // one transposed weight matrix
	attention  *layer.Attention
}

// transpose returns room for n values.
func (s *shared) transpose(n int) []float32 {
	s.transposed = kernel.Grow(s.transposed, n)
	return s.transposed
}
