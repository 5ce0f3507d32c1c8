package stats

import "math/rand/v2"

// Teacher invents histories from the two releases and says what should follow
// in each of them, so that another model can be distilled from it (section
// 5.4). It is post-processing and costs no privacy.
type Teacher struct {
	scorer *Scorer
}

// NewTeacher teaches what a scorer knows.
func NewTeacher(scorer *Scorer) *Teacher { return &Teacher{scorer} }

// Sequence invents a history of up to length different items: the first by
// popularity, each next one by the scorer's distribution given those before.
// The same seed gives the same history. It ends early when nothing is left.
func (t *Teacher) Sequence(length int, seed uint64) []int32 {
	random := rand.New(rand.NewPCG(seed, 0x74656163686572))
	out := make([]float32, t.scorer.popularity.Catalogue())
	history := make([]int32, 0, max(0, length))
	copy(out, t.scorer.popularity.shares)
	for len(history) < length {
		item := draw(out, random.Float64())
		if item < 0 {
			break
		}
		history = append(history, item)
		t.scorer.Distribution(history, out)
	}
	return history
}

// draw picks the item at which the running sum of probabilities passes u; -1
// when all are 0.
func draw(probabilities []float32, u float64) int32 {
	last := int32(-1)
	sum := 0.0
	for i, p := range probabilities {
		if p <= 0 {
			continue
		}
		last = int32(i)
		if sum += float64(p); sum > u {
			break
		}
	}
	return last
}

// Targets visits every position of a history with the distribution of what
// follows it: seen items 0, the rest sums to 1. The slice is reused.
func (t *Teacher) Targets(history []int32, visit func(position int, target []float32)) {
	out := make([]float32, t.scorer.popularity.Catalogue())
	for i := range history {
		t.scorer.Distribution(history[:i+1], out)
		visit(i, out)
	}
}
