package blend

import (
	"fmt"
	"math"
	"sync"

	"tutti/model"
	"tutti/model/seqrec"
	"tutti/model/stats"
)

// Parts of a recommender. Popularity is always there; without Transitions or Model the others speak alone.
type Parts struct {
	Popularity  *stats.Popularity
	Transitions *stats.Transitions // nil: not released yet
	Model       *seqrec.Model      // nil: no Transformer yet
	Params      model.Params       // of Model
	Weight      float64            // of the Transformer in the blend, in [0, 1]
}

// Recommender joins the heads: weight x softmax(Transformer) + (1 - weight) x the distribution of the statistics, both
// over the items that the history does not hold. It is safe for concurrent use.
type Recommender struct {
	statistics  *stats.Scorer
	transformer *seqrec.Scorer // nil without a Model
	weight      float64
	items       int
	scratch     sync.Pool
}

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
	r.scratch.New = func() any { s := make([]float32, r.items); return &s }
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
	r.statistics.Distribution(history, out)
	if r.transformer == nil || r.weight == 0 || len(history) == 0 {
		return nil
	}
	buffer := r.scratch.Get().(*[]float32)
	defer r.scratch.Put(buffer)
	if err := r.transformerShares(history, *buffer); err != nil {
		return err
	}
	for i, p := range *buffer {
		out[i] = float32(r.weight)*p + float32(1-r.weight)*out[i]
	}
	return nil
}

// transformerShares is the softmax of the Transformer's logits over the items that the history does not hold.
func (r *Recommender) transformerShares(history []int32, out []float32) error {
	if err := r.transformer.Scores(history, out); err != nil {
		return err
	}
	softmaxUnseen(history, out)
	return nil
}

func softmaxUnseen(history []int32, logits []float32) {
	for _, i := range history {
		if i >= 0 && int(i) < len(logits) {
			logits[i] = float32(math.Inf(-1))
		}
	}
	top := float32(math.Inf(-1))
	for _, x := range logits {
		top = max(top, x)
	}
	if math.IsInf(float64(top), -1) {
		clear(logits)
		return
	}
	sum := 0.0
	for i, x := range logits {
		p := math.Exp(float64(x - top))
		logits[i] = float32(p)
		sum += p
	}
	scale := float32(1 / sum)
	for i := range logits {
		logits[i] *= scale
	}
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
	scores := make([]float32, r.items)
	if err := r.Scores(history, scores); err != nil {
		return nil, err
	}
	seen := make(map[int32]bool, len(history))
	for _, i := range history {
		seen[i] = true
	}
	top := seqrec.Top(scores, n, func(i int32) bool { return seen[i] || exclude != nil && exclude(i) })
	out := make([]Recommendation, len(top))
	if len(top) == 0 {
		return out, nil
	}
	statistics := make([]float32, r.items)
	r.statistics.Distribution(history, statistics)
	for k, t := range top {
		out[k] = r.explain(history, t.Item, scores[t.Item], statistics[t.Item])
	}
	return out, nil
}

// explain names the head with the largest part of the score.
func (r *Recommender) explain(history []int32, item int32, score, statistics float32) Recommendation {
	why := r.statistics.Explain(history, item)
	rec := Recommendation{Item: item, Score: float64(score), Kind: Popular, Because: why.Because}
	fromStatistics := (1 - r.weight) * float64(statistics)
	if r.weight == 0 || r.transformer == nil || len(history) == 0 {
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
