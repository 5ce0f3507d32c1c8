package aggregation

import (
	"errors"
	"fmt"
)

// ErrVector reports a packed vector of the wrong length, hash or padding.
var ErrVector = errors.New("aggregation: masked vector")

// Accumulator is a partial sum of masked vectors of one round, mod P. It holds nothing secret:
// without the committee's answer it is indistinguishable from random. One goroutine owns it.
type Accumulator struct {
	params *Params
	cfg    Digest
	sums   []uint64 // one per coordinate; only its low log2 P bits mean anything
	n      int
}

// NewAccumulator starts an empty partial sum: 8·D bytes of memory.
func NewAccumulator(cfg *Config) *Accumulator {
	return &Accumulator{params: cfg.params, cfg: cfg.digest, sums: make([]uint64, cfg.params.Dim())}
}

// Count is the number of vectors in the sum.
func (a *Accumulator) Count() int { return a.n }

// Add folds a whole packed vector in. The caller checked its hash (VectorCheck).
func (a *Accumulator) Add(vector []byte) error {
	if a.n >= a.params.NMax() {
		return fmt.Errorf("%w: more than %d vectors", ErrCohort, a.params.NMax())
	}
	if err := a.params.mask.Fold(a.sums, vector); err != nil {
		return fmt.Errorf("%w: %w", ErrVector, err)
	}
	a.n++
	return nil
}

// Sub takes a vector out again, exactly; the caller vouches that it is in (rule 8).
func (a *Accumulator) Sub(vector []byte) error {
	if a.n < 1 {
		return fmt.Errorf("%w: nothing to take out", ErrCohort)
	}
	if err := a.params.mask.Unfold(a.sums, vector); err != nil {
		return fmt.Errorf("%w: %w", ErrVector, err)
	}
	a.n--
	return nil
}

// Merge adds another partial sum of the same round; the caller vouches that they share no device.
func (a *Accumulator) Merge(other *Accumulator) error {
	if a.cfg != other.cfg {
		return fmt.Errorf("%w: partial sums of different rounds", ErrConfig)
	}
	if a.n+other.n > a.params.NMax() {
		return fmt.Errorf("%w: more than %d vectors", ErrCohort, a.params.NMax())
	}
	for i, v := range other.sums {
		a.sums[i] += v
	}
	a.n += other.n
	return nil
}

// Marshal returns the canonical bytes: equal sums give equal bytes.
func (a *Accumulator) Marshal() []byte {
	w := newWriter(labelPartial, 48+a.params.VectorLen())
	w.raw(a.cfg[:])
	w.u32(uint32(a.n))
	at := len(w.b)
	w.b = append(w.b, make([]byte, a.params.VectorLen())...)
	a.params.mask.Pack(w.b[at:], a.sums)
	return w.b
}

// ParseAccumulator accepts exactly the bytes that Marshal gives for a partial sum of this round.
func ParseAccumulator(cfg *Config, b []byte) (*Accumulator, error) {
	r := newReader(labelPartial, b)
	a := NewAccumulator(cfg)
	var digest Digest
	r.fixed(digest[:])
	n := r.u32()
	packed := r.raw(cfg.params.VectorLen())
	if r.err == nil && (digest != cfg.digest || n > uint32(cfg.params.NMax())) {
		r.fail("partial sum of another round, or of %d vectors", n)
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	if err := cfg.params.mask.Fold(a.sums, packed); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	a.n = int(n)
	return a, nil
}
