// Package metric measures a recommender by full ranking: for every case (a
// history and the item or items that came next) the model scores the whole
// catalogue, and the places of the true items decide HR@k, NDCG@k, the
// reciprocal rank and what else a Result holds. The lists that the same pass
// leaves behind tell what lies beyond accuracy: coverage, novelty, diversity,
// exposure. Predictions of clicks, classes and ratings have measures of their
// own (Binary, Confusion, Ratings).
//
// Ranks are zero-based: rank 0 is the first place. Sampled negatives are not
// offered, because they change the order of models (Krichene and Rendle, "On
// Sampled Metrics for Item Recommendation", KDD 2020).
package metric

import "math"

// Case is one question to the model: what follows History?
type Case struct {
	User    int     // position of the user in the data set; handed to the Score function
	History []int32 // item indices, oldest first; what the model may see
	Target  int32   // the item that really came next
	Also    []int32 // further items that are right, without Target and without repeats; usually nil
}

// Score writes the score of every item into out (len(out) = size of the
// catalogue; higher is better). The buffer is reused between calls and holds
// old scores when the function is entered. Evaluate calls it from several
// goroutines at once.
type Score func(user int, history []int32, out []float32)

// Ties says what items with the target's own score do to its rank.
type Ties uint8

const (
	// TiesFree counts only strictly greater scores: the convention for neural
	// scores, where ties do not occur unless the model has collapsed.
	TiesFree Ties = iota
	// TiesHalf adds half of the other items that have the target's score: the
	// expected rank when ties are broken by chance. The convention for models
	// that count, whose scores often are equal or zero.
	TiesHalf
)

// Rank is the zero-based rank of target: the number of items with a strictly
// greater score, plus half of the ties under TiesHalf. Items marked in seen
// (nil, or one entry for each item) do not compete; the target always does. A
// NaN never flatters: a target with a NaN score comes last, and a rival with a
// NaN score counts as greater. A target outside the catalogue comes last.
func Rank(scores []float32, target int32, seen []bool, ties Ties) float64 {
	if target < 0 || int(target) >= len(scores) || scores[target] != scores[target] {
		return float64(len(scores))
	}
	greater, equal := rivals(scores, target, seen)
	if ties == TiesHalf {
		return float64(greater) + float64(equal)/2
	}
	return float64(greater)
}

// rivals counts the items that compete with target, whose score is a number.
func rivals(scores []float32, target int32, seen []bool) (greater, equal int) {
	own := scores[target]
	for i, s := range scores {
		if s < own || int32(i) == target || (seen != nil && seen[i]) {
			continue
		}
		if s == own {
			equal++
		} else {
			greater++
		}
	}
	return greater, equal
}

// HitRate is 1 when the zero-based rank lies within the first k places, else 0.
func HitRate(rank float64, k int) float64 {
	if rank < float64(k) {
		return 1
	}
	return 0
}

// NDCG is the normalised discounted cumulative gain at k for a single relevant
// item: 1/log2(rank+2) within the first k places, else 0 (Järvelin and
// Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002).
func NDCG(rank float64, k int) float64 {
	if rank < float64(k) {
		return 1 / math.Log2(rank+2)
	}
	return 0
}

// ReciprocalRank is 1/(rank+1) for a zero-based rank.
func ReciprocalRank(rank float64) float64 { return 1 / (rank + 1) }
