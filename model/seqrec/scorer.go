package seqrec

import (
	"errors"
	"fmt"
	"sync"

	"tutti/model"
	"tutti/model/kernel"
	"tutti/model/layer"
)

// ErrEmptyHistory says that there is nothing to read: the caller falls back on
// popularity.
var ErrEmptyHistory = errors.New("the history is empty")

// Scorer ranks with fixed weights. It keeps the matrix of item vectors and is
// safe for concurrent use.
type Scorer struct {
	model  *Model
	params weights
	items  []float32 // V x d
	bias   []float32 // V
	spare  sync.Pool // of *scratch
}

// scratch is what one call of a Scorer works on.
type scratch struct {
	enc    *encoder
	scores []float32 // V, for Rank
}

// Ranked is an item with its score, a logit: larger is better, and only
// differences mean something.
type Ranked struct {
	Item  int32
	Score float32
}

// NewScorer copies the weights, so that later changes to params do not reach
// it, and makes the item vectors. Weights that are not finite are refused.
func NewScorer(m *Model, params model.Params) (*Scorer, error) {
	if params.Layout().Digest() != m.layout.Digest() {
		return nil, errors.New("scorer: weights of another layout")
	}
	if !kernel.Finite(params.Values()) {
		return nil, errors.New("scorer: a weight is not finite")
	}
	s := &Scorer{model: m}
	s.params.bind(m.cfg, params.Clone().Values())
	s.items, s.bias = s.params.table, s.params.itemBias
	if c := m.cfg; c.FeatureDim > 0 {
		s.items, s.bias = make([]float32, c.Items*c.Dim), make([]float32, c.Items)
		layer.LinearForward(s.items, m.features, s.params.projection, nil, c.Items, c.FeatureDim, c.Dim)
		layer.LinearForward(s.bias, m.features, s.params.itemBias, nil, c.Items, c.FeatureDim, 1)
	}
	s.spare.New = func() any { return &scratch{enc: newEncoder(m), scores: make([]float32, m.cfg.Items)} }
	return s, nil
}

// Items is V, the length of the scores.
func (s *Scorer) Items() int { return s.model.cfg.Items }

// Scores writes the logits of all V items as the next one after history, of
// which it reads the last MaxLen items; len(out) must be V.
func (s *Scorer) Scores(history []int32, out []float32) error {
	tmp := s.spare.Get().(*scratch)
	defer s.spare.Put(tmp)
	return s.scores(tmp, history, out)
}

func (s *Scorer) scores(tmp *scratch, history []int32, out []float32) error {
	c := s.model.cfg
	if len(out) != c.Items {
		return fmt.Errorf("scores: room for %d of %d items", len(out), c.Items)
	}
	if len(history) == 0 {
		return fmt.Errorf("scores: %w", ErrEmptyHistory)
	}
	history = history[max(0, len(history)-c.MaxLen):]
	if err := checkItems(history, c.Items); err != nil {
		return fmt.Errorf("scores: %w", err)
	}
	h := tmp.enc.last(&s.params, history)
	copy(out, s.bias)
	kernel.MatVec(out, s.items, c.Dim, h)
	return nil
}

// Rank returns the n best items after history, best first; equal scores go by
// the lower index. Items for which exclude returns true are left out; a nil
// exclude keeps all. Fewer than n come back where fewer are left.
func (s *Scorer) Rank(history []int32, n int, exclude func(item int32) bool) ([]Ranked, error) {
	tmp := s.spare.Get().(*scratch)
	defer s.spare.Put(tmp)
	if err := s.scores(tmp, history, tmp.scores); err != nil {
		return nil, err
	}
	return Top(tmp.scores, n, exclude), nil
}
