package blend

import (
	"fmt"
	"sync"

	"tutti/model"
	"tutti/model/kernel"
	"tutti/model/rank"
	"tutti/model/seqrec"
	"tutti/model/stats"
)

// Parts of a recommender. Popularity is always there; without Transitions or Model the others speak alone.
type Parts struct {
	Popularity  *stats.Popularity
	Transitions *stats.Transitions // nil: not released yet
	Model       *seqrec.Model      // nil: no Transformer yet
	Params      model.Params       // of Model; shared: they must not change any more
	Weight      float64            // of the Transformer in the blend, in [0, 1]
}

// Recommender joins the heads: weight x softmax(Transformer) + (1 - weight) x the distribution of the statistics, both
// over the items that the history does not hold. It is safe for concurrent use.
type Recommender struct {
	statistics  *stats.Scorer
	transformer *seqrec.Scorer // nil without a Model
	weight      float64
	items       int
	spare       sync.Pool // of *scratch
}

// scratch holds V numbers of each.
type scratch struct{ statistics, scores []float32 }

// New joins the parts; it refuses a weight outside [0, 1] and parts of different catalogues.
func New(p Parts) (*Recommender, error) {
	if p.Popularity == nil {
		return nil, fmt.Errorf("blend: no popularity")
	}
	if !(p.Weight >= 0 && p.Weight <= 1) {
		return nil, fmt.Errorf("blend: a weight of %v", p.Weight)
	}
	statistics, err := stats.NewScorer(p.Popularity, p.Transitions)
	if err != nil {
		return nil, err
	}
	r := &Recommender{statistics: statistics, weight: p.Weight, items: p.Popularity.Catalogue()}
	r.spare.New = func() any { return &scratch{make([]float32, r.items), make([]float32, r.items)} }
	if p.Model == nil {
		r.weight = 0
		return r, nil
	}
	if p.Model.Config().Items != r.items {
		return nil, fmt.Errorf("blend: a Transformer of %d items beside statistics of %d", p.Model.Config().Items, r.items)
	}
	r.transformer, err = seqrec.NewScorer(p.Model, p.Params)
	return r, err
}

// Items is V.
func (r *Recommender) Items() int { return r.items }

// Scores writes the probability of every item as the next one; items of the history get 0. len(out) must be V.
func (r *Recommender) Scores(history []int32, out []float32) error {
	tmp := r.spare.Get().(*scratch)
	defer r.spare.Put(tmp)
	return r.scores(history, tmp.statistics, out)
}

// scores also writes what the statistics say alone.
func (r *Recommender) scores(history []int32, statistics, out []float32) error {
	r.statistics.Distribution(history, statistics)
	if !r.asksTransformer(history) {
		copy(out, statistics)
		return nil
	}
	if err := r.transformer.Probabilities(seqrec.Query{Items: history}, history, out); err != nil {
		return err
	}
	kernel.Scale(out, float32(r.weight))
	kernel.Axpy(out, float32(1-r.weight), statistics)
	return nil
}

// asksTransformer says whether the Transformer has a say.
func (r *Recommender) asksTransformer(history []int32) bool {
	return r.transformer != nil && r.weight != 0 && len(history) > 0
}

// Kind says which head speaks loudest for a recommendation.
type Kind uint8

// The kinds of reason.
const (
	Popular Kind = iota // many people like it
	Because             // an item of the history leads to it
	Taste               // the Transformer sees it in the whole history
)

// String is the kind's label.
func (k Kind) String() string { return [...]string{"popular", "because", "taste"}[k] }

// Recommendation is one ranked item and why it is there.
type Recommendation struct {
	Item    int32
	Score   float64 // probability, over the items not in the history
	Kind    Kind
	Because int32 // with Because and Taste: the item of the history that speaks loudest; -1 if none does
}

// Rank lists the n best items that the history does not hold and exclude (may be nil) lets through, best first, ties by
// lower index.
func (r *Recommender) Rank(history []int32, n int, exclude func(item int32) bool) ([]Recommendation, error) {
	tmp := r.spare.Get().(*scratch)
	defer r.spare.Put(tmp)
	if err := r.scores(history, tmp.statistics, tmp.scores); err != nil {
		return nil, err
	}
	seen := rank.Seen(history)
	top := rank.Top(tmp.scores, n, func(i int32) bool { return seen(i) || exclude != nil && exclude(i) })
	out := make([]Recommendation, len(top))
	for k, t := range top {
		out[k] = r.explain(history, t.Item, t.Score, tmp.statistics[t.Item])
	}
	return out, nil
}

// explain names the head with the largest part of the score.
func (r *Recommender) explain(history []int32, item int32, score, statistics float32) Recommendation {
	why := r.statistics.Explain(history, item)
	rec := Recommendation{Item: item, Score: float64(score), Kind: Popular, Because: why.Because}
	fromStatistics := (1 - r.weight) * float64(statistics)
	if !r.asksTransformer(history) {
		fromStatistics = float64(statistics)
	}
	switch fromTransformer := float64(score) - fromStatistics; {
	case fromTransformer > fromStatistics:
		rec.Kind = Taste
	case why.Because >= 0 && why.Popular < 0.5:
		rec.Kind = Because
	default:
		rec.Because = -1
	}
	return rec
}
