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
	model   *Model
	params  weights
	vectors *itemVectors
	items   []float32 // V x d
	bias    []float32 // V
	spare   sync.Pool // of *scratch
}

// scratch is what one call of a Scorer works on.
type scratch struct {
	enc    *encoder
	dec    *decoder // nil but for an EncoderDecoder
	batch  Batch
	room   queryRoom
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
	s.vectors = newItemVectors(m)
	s.vectors.prepare(&s.params)
	s.items, s.bias = s.vectors.table, s.params.itemBias
	if c := m.cfg; s.items == nil {
		s.items, s.bias = make([]float32, c.Items*c.Dim), make([]float32, c.Items)
		layer.LinearForward(s.items, m.features, s.params.projection, nil, c.Items, c.FeatureDim, c.Dim)
		layer.LinearForward(s.bias, m.features, s.params.itemBias, nil, c.Items, c.FeatureDim, 1)
	}
	s.spare.New = func() any { return s.newScratch() }
	return s, nil
}

func (s *Scorer) newScratch() *scratch {
	tmp := &scratch{enc: newEncoder(s.model, s.vectors), scores: make([]float32, s.model.cfg.Items)}
	if s.model.cfg.Arch == EncoderDecoder {
		tmp.dec = newDecoder(s.model, s.vectors)
	}
	return tmp
}

// Items is V, the length of the scores.
func (s *Scorer) Items() int { return s.model.cfg.Items }

// Scores writes the logits of all V items as the next one after history, of
// which it reads as many of the last items as fit; len(out) must be V.
func (s *Scorer) Scores(history []int32, out []float32) error {
	return s.ScoresOf(Query{Items: history}, out)
}

// ScoresOf is Scores for all that may be known when a recommendation is asked
// for. A Bidirectional model appends MASK and scores what it hides; an
// EncoderDecoder scores the first item of its continuation.
//
// The time from the last event to q.Now is what the model learned from the times
// of targets: a vector added to the last item, or for a Bidirectional model the
// gap before MASK. Without q.Times or q.Now it is unknown, as it is in training
// where Times has none for the last target.
func (s *Scorer) ScoresOf(q Query, out []float32) error {
	tmp := s.spare.Get().(*scratch)
	defer s.spare.Put(tmp)
	return s.scores(tmp, q, out)
}

func (s *Scorer) scores(tmp *scratch, q Query, out []float32) error {
	if c := s.model.cfg; len(out) != c.Items {
		return fmt.Errorf("scores: room for %d of %d items", len(out), c.Items)
	}
	h, err := s.encode(tmp, q)
	if err != nil {
		return fmt.Errorf("scores: %w", err)
	}
	copy(out, s.bias)
	kernel.MatVec(out, s.items, s.model.cfg.Dim, h)
	return nil
}

// encode is what the model says to q: d values, whose inner products with the
// item vectors are the scores.
func (s *Scorer) encode(tmp *scratch, q Query) ([]float32, error) { return s.encodeFor(tmp, q, 1) }

// Rank returns the n best items after history, best first; equal scores go by
// the lower index. Items for which exclude returns true are left out; a nil
// exclude keeps all. Fewer than n come back where fewer are left.
func (s *Scorer) Rank(history []int32, n int, exclude func(item int32) bool) ([]Ranked, error) {
	return s.RankOf(Query{Items: history}, n, exclude)
}

// RankOf is Rank for all that may be known when a recommendation is asked for.
func (s *Scorer) RankOf(q Query, n int, exclude func(item int32) bool) ([]Ranked, error) {
	tmp := s.spare.Get().(*scratch)
	defer s.spare.Put(tmp)
	if err := s.scores(tmp, q, tmp.scores); err != nil {
		return nil, err
	}
	return Top(tmp.scores, n, exclude), nil
}
