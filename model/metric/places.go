package metric

import (
	"math"
	"slices"
)

// verdict is what is known of one case.
type verdict struct {
	items   int       // that compete, the right ones among them
	places  []float64 // zero-based, of the right items, ascending; at least one
	auc     float64
	logLoss float64
	list    []int32
}

// place finds the places of the right items. The wrong items with a greater
// score (and half of those with the same, under TiesHalf) and the right items
// placed before it come before a right item; with a single right item that is
// Rank.
func (v *verdict) place(c Case, scores []float32, seen []bool, ties Ties) {
	wrong := float64(v.items - 1 - len(c.Also))
	greater, equal := []int{0}, []int{0}
	switch target := scores[c.Target]; {
	case len(c.Also) > 0:
		greater, equal = wrongAbove(c, scores, seen)
	case target == target:
		greater[0], equal[0] = rivals(scores, c.Target, seen)
	default: // no number: after everything else
		greater[0] = len(scores)
	}
	v.places = make([]float64, len(greater))
	for i := range greater {
		v.places[i] = float64(greater[i] + i)
		if ties == TiesHalf {
			v.places[i] += float64(equal[i]) / 2
		}
		if wrong > 0 {
			above := min(wrong, float64(greater[i])+float64(equal[i])/2)
			v.auc += (1 - above/wrong) / float64(len(greater))
		}
	}
}

// wrongAbove counts, for each right item from the best to the worst, the wrong
// competing items with a greater and with an equal score.
func wrongAbove(c Case, scores []float32, seen []bool) (greater, equal []int) {
	right := map[int32]bool{c.Target: true}
	own := []float32{scores[c.Target]}
	for _, a := range c.Also {
		right[a] = true
		own = append(own, scores[a])
	}
	lost := len(own) // right items without a number come last
	own = slices.DeleteFunc(own, func(s float32) bool { return s != s })
	lost -= len(own)
	slices.Sort(own)
	slices.Reverse(own)
	greater, equal = make([]int, len(own)), make([]int, len(own))
	for i, s := range scores {
		if seen[i] || right[int32(i)] || len(own) > 0 && s < own[len(own)-1] {
			continue
		}
		for j := len(own) - 1; j >= 0; j-- {
			switch {
			case s < own[j]:
				j = 0 // all others are greater still
			case s == own[j]:
				equal[j]++
			default: // greater, or no number, which never flatters
				greater[j]++
			}
		}
	}
	for range lost {
		greater, equal = append(greater, len(scores)), append(equal, 0)
	}
	return greater, equal
}

// logLoss is the mean of -log softmax(scores)[i] over the right items i, the
// softmax being over the competing items; +Inf where a score is no number.
func logLoss(c Case, scores []float32, seen []bool) float64 {
	top := math.Inf(-1)
	for i, s := range scores {
		if !seen[i] {
			top = math.Max(top, float64(s)) // NaN stays
		}
	}
	sum := 0.0
	for i, s := range scores {
		if !seen[i] {
			sum += math.Exp(float64(s) - top)
		}
	}
	loss := -float64(scores[c.Target])
	for _, a := range c.Also {
		loss -= float64(scores[a])
	}
	loss = loss/float64(1+len(c.Also)) + top + math.Log(sum)
	if loss != loss {
		return math.Inf(1)
	}
	return loss
}

// measure computes all measures at cut-off k.
func (v verdict) measure(k int) (m [measures]float64) {
	n := float64(len(v.places))
	hits, ideal := 0.0, 0.0
	for i, place := range v.places {
		if place < float64(k) {
			hits++
			m[NDCGAtK] += 1 / math.Log2(place+2)
			m[PrecisionAverageAtK] += hits / (place + 1)
		}
		if i < k {
			ideal += 1 / math.Log2(float64(i)+2)
		}
	}
	m[NDCGAtK] /= ideal
	m[PrecisionAverageAtK] /= math.Min(n, float64(k))
	m[HitRateAtK] = HitRate(v.places[0], k)
	m[ReciprocalRankAll] = ReciprocalRank(v.places[0])
	m[PrecisionAtK] = hits / float64(k)
	m[RecallAtK] = hits / n
	if hits > 0 {
		m[F1AtK] = 2 * m[PrecisionAtK] * m[RecallAtK] / (m[PrecisionAtK] + m[RecallAtK])
	}
	m[Accuracy] = HitRate(v.places[0], 1)
	m[AUC], m[LogLoss] = v.auc, v.logLoss
	return m
}
