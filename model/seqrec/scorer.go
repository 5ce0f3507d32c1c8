package seqrec

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"tutti/model"
	"tutti/model/kernel"
	"tutti/model/layer"
	"tutti/model/rank"
)

// ErrEmptyHistory says that there is nothing to read: the caller falls back on
// popularity.
var ErrEmptyHistory = errors.New("the history is empty")

// errScores says that finite weights give scores that are not.
var errScores = errors.New("the weights are too large: a score is not finite")

// Scorer ranks with fixed weights. It is safe for concurrent use.
//
// The score of an item is a logit: larger is better, and only differences mean
// something. Scores and Rank compute the same numbers, in package rank's exact
// arithmetic, so that the order of the one is that of the other.
type Scorer struct {
	model   *Model
	params  weights
	vectors *itemVectors
	items   []float32 // V x d
	bias    []float32 // V
	index   *rank.Index
	best    rank.Searcher // the index, or an int8 table of it
	spare   sync.Pool     // of *scratch
}

// scratch is what one call of a Scorer works on.
type scratch struct {
	enc   *encoder
	dec   *decoder // nil but for an EncoderDecoder
	batch Batch
	room  queryRoom
}

// NewScorer makes the item vectors. The weights are shared, not copied: they must
// not change while the Scorer is in use. Weights that are not finite, or beyond
// what rank.NewIndex takes, are refused.
//
// A model with a learned table needs no memory for its items besides the
// weights: 256 MB for a million items of 64 numbers. Public features, Hybrid or
// not, make a second table, of the vectors that they add up to.
func NewScorer(m *Model, params model.Params) (*Scorer, error) {
	if params.Layout().Digest() != m.layout.Digest() {
		return nil, errors.New("scorer: weights of another layout")
	}
	if !kernel.Finite(params.Values()) {
		return nil, errors.New("scorer: a weight is not finite")
	}
	s := &Scorer{model: m}
	s.params.bind(m.cfg, params.Values())
	s.vectors = newItemVectors(m)
	s.vectors.prepare(&s.params)
	s.bias = s.params.itemBias
	if c := m.cfg; s.vectors.table == nil {
		s.vectors.table, s.bias = make([]float32, c.Items*c.Dim), make([]float32, c.Items)
		layer.LinearForward(s.vectors.table, m.features, s.params.projection, nil, c.Items, c.FeatureDim, c.Dim)
		layer.LinearForward(s.bias, m.features, s.params.itemBias, nil, c.Items, c.FeatureDim, 1)
	}
	s.items = s.vectors.table
	var err error
	if s.index, err = rank.NewIndex(s.items, s.bias, m.cfg.Dim); err != nil {
		return nil, fmt.Errorf("scorer: %w", err)
	}
	s.best = s.index
	s.spare.New = func() any { return s.newScratch() }
	return s, nil
}

// Int8Items is the size of a catalogue from which NewInt8Scorer makes a table.
// Measured with d = 64 after three items, history included: at 24,000 items Rank
// takes 0.1 ms either way, at 50,000 0.17 instead of 0.27 ms, at 200,000 1.1
// instead of 3.1, at a million 2.6 instead of 20, for 76 MB besides 260.
const Int8Items = 50_000

// NewInt8Scorer is NewScorer for many rankings with the same weights. From
// Int8Items items on it also keeps the vectors in one byte a number, d+12 bytes
// an item: Rank reads those, and the vectors only of what may belong to the best.
// The answers are the same, to the last bit. Making the table takes as long as 60
// rankings without it at a million items, some hundreds at 50,000.
func NewInt8Scorer(m *Model, params model.Params) (*Scorer, error) {
	s, err := NewScorer(m, params)
	if err != nil || m.cfg.Items < Int8Items {
		return s, err
	}
	if s.best, err = rank.NewInt8(s.index); err != nil {
		return nil, fmt.Errorf("scorer: %w", err)
	}
	return s, nil
}

func (s *Scorer) newScratch() *scratch {
	tmp := &scratch{enc: newEncoder(s.model, s.vectors)}
	if s.model.cfg.Arch == EncoderDecoder {
		tmp.dec = newDecoder(s.model, s.vectors)
	}
	return tmp
}

// Items is V, the length of the scores.
func (s *Scorer) Items() int { return s.model.cfg.Items }

// Index holds the item vectors and biases, for other ways of searching than
// Rank: rank.NewClusters, rank.Pack, many queries at once. Vector gives what to
// ask it.
func (s *Scorer) Index() *rank.Index { return s.index }

// Vector writes what the model says to q, d numbers: their inner products with
// the item vectors, plus the biases, are the scores.
func (s *Scorer) Vector(q Query, out []float32) error {
	if d := s.model.cfg.Dim; len(out) != d {
		return fmt.Errorf("vector: room for %d of %d numbers", len(out), d)
	}
	return s.with(q, func(h []float32) error { copy(out, h); return nil })
}

// with lends use what the model says to q.
func (s *Scorer) with(q Query, use func(h []float32) error) error {
	tmp := s.spare.Get().(*scratch)
	defer s.spare.Put(tmp)
	h, err := s.encode(tmp, q)
	if err != nil {
		return err
	}
	return use(h)
}

// encode is what the model says to q, in memory of tmp.
func (s *Scorer) encode(tmp *scratch, q Query) ([]float32, error) { return s.encodeFor(tmp, q, 1) }

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
// where Times has none for the last target. An EncoderDecoder whose Horizon is 8
// or more goes on from items that it takes for said, and does not read q.Now
// unless there is but one item.
func (s *Scorer) ScoresOf(q Query, out []float32) error {
	if err := s.with(q, func(h []float32) error { return s.index.Scores(h, out) }); err != nil {
		return fmt.Errorf("scores: %w", err)
	}
	return nil
}

// Probabilities writes the softmax of the scores over all items but those of
// without, which get 0; len(out) must be V. It computes in float32 and is many
// times as fast as Scores; of two items whose scores differ by a rounding it may
// prefer the other. Weights whose scores are not finite are an error.
func (s *Scorer) Probabilities(q Query, without []int32, out []float32) error {
	c := s.model.cfg
	if len(out) != c.Items {
		return fmt.Errorf("probabilities: room for %d of %d items", len(out), c.Items)
	}
	err := s.with(q, func(h []float32) error {
		copy(out, s.bias)
		kernel.MatVec(out, s.items, c.Dim, h)
		if !kernel.Finite(out) {
			return errScores
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("probabilities: %w", err)
	}
	for _, item := range without {
		if item >= 0 && int(item) < len(out) {
			out[item] = float32(math.Inf(-1))
		}
	}
	if math.IsInf(float64(kernel.Max(out)), -1) { // nothing is left
		clear(out)
		return nil
	}
	kernel.Softmax(out, 1)
	return nil
}

// Rank returns the n best items after history, best first; equal scores go by
// the lower index. Items for which exclude returns true are left out; a nil
// exclude keeps all. For a large catalogue it is called from several goroutines.
// Fewer than n come back where fewer are left.
func (s *Scorer) Rank(history []int32, n int, exclude func(item int32) bool) ([]rank.Ranked, error) {
	return s.RankOf(Query{Items: history}, n, exclude)
}

// RankOf is Rank for all that may be known when a recommendation is asked for.
func (s *Scorer) RankOf(q Query, n int, exclude func(item int32) bool) (best []rank.Ranked, err error) {
	err = s.with(q, func(h []float32) error {
		best, err = s.best.Top(h, n, exclude)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ranking: %w", err)
	}
	return best, nil
}
