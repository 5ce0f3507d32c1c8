package metric

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"tutti/model/rank"
)

// Options of an evaluation. The zero value is the project's main protocol for
// neural scores, with seen items competing; set MaskSeen for the main figures.
type Options struct {
	K        int  // cut-off of HR, NDCG and the lists; 0 means 10
	Ties     Ties // see TiesFree and TiesHalf
	MaskSeen bool // items in the history do not compete with the target
	Logits   bool // scores are logits of a softmax over the competing items: measure LogLoss too
	Workers  int  // goroutines; 0 means GOMAXPROCS; does not change the result
}

// Result holds the rank of every case, in the order of the cases, the lists
// that were recommended, and the means over them.
type Result struct {
	K     int
	Ranks []float64 // zero-based; see Rank. With several right items: of the best placed

	HR, NDCG, MRR float64 // means over the cases, in [0, 1]; 0 when there is none

	// Lists are the K best competing items of each case, best first, ties by the
	// lower index; shorter where fewer are left. Nil in a Result of Summarise.
	Lists [][]int32

	values [measures][]float64 // of each case, see Values
}

// BatchScore writes the scores of every item for some cases at once, row after
// row: len(out) = len(cases) * items. Else as Score.
type BatchScore func(cases []Case, out []float32)

// Evaluate ranks the whole catalogue (items 0 to items-1) for every case. The
// result does not depend on the number of workers. It fails when a case names
// an item outside the catalogue.
func Evaluate(cases []Case, items int, score Score, options Options) (Result, error) {
	return EvaluateBatch(cases, items, 1, func(one []Case, out []float32) {
		score(one[0].User, one[0].History, out)
	}, options)
}

// EvaluateBatch is Evaluate for models that score several cases at once, size
// at most (the last batch may be smaller).
func EvaluateBatch(cases []Case, items, size int, score BatchScore, options Options) (Result, error) {
	if options.K == 0 {
		options.K = 10
	}
	if size < 1 {
		return Result{}, fmt.Errorf("metric: batches of %d cases", size)
	}
	if err := check(cases, items, options); err != nil {
		return Result{}, err
	}
	r := newResult(len(cases), options)
	workers := options.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	batches := (len(cases) + size - 1) / size
	var next atomic.Int64
	var done sync.WaitGroup
	for range min(workers, batches) {
		done.Go(func() {
			scores := make([]float32, min(size, len(cases))*items)
			j := newJudge(items, options)
			for b := int(next.Add(1)) - 1; b < batches; b = int(next.Add(1)) - 1 {
				first := b * size
				batch := cases[first:min(first+size, len(cases))]
				score(batch, scores[:len(batch)*items])
				for i, c := range batch {
					r.set(first+i, j.judge(c, scores[i*items:(i+1)*items]))
				}
			}
		})
	}
	done.Wait()
	r.means()
	return r, nil
}

func check(cases []Case, items int, options Options) error {
	if options.K < 1 || items < 1 {
		return fmt.Errorf("metric: cut-off %d and catalogue of %d items must both be positive", options.K, items)
	}
	outside := func(item int32) bool { return item < 0 || int(item) >= items }
	for i, c := range cases {
		if outside(c.Target) {
			return fmt.Errorf("metric: case %d: target %d is outside the catalogue of %d items", i, c.Target, items)
		}
		for _, h := range c.History {
			if outside(h) {
				return fmt.Errorf("metric: case %d: history item %d is outside the catalogue of %d items", i, h, items)
			}
		}
		right := map[int32]bool{c.Target: true}
		for _, a := range c.Also {
			if outside(a) || right[a] {
				return fmt.Errorf("metric: case %d: right item %d is named twice or outside the catalogue of %d items", i, a, items)
			}
			right[a] = true
		}
	}
	return nil
}

func newResult(cases int, options Options) Result {
	r := Result{K: options.K, Ranks: make([]float64, cases), Lists: make([][]int32, cases)}
	for m := range r.values {
		if Measure(m) != LogLoss || options.Logits {
			r.values[m] = make([]float64, cases)
		}
	}
	return r
}

// set writes what is known of case i.
func (r *Result) set(i int, v verdict) {
	r.Ranks[i], r.Lists[i] = v.places[0], v.list
	for m, value := range v.measure(r.K) {
		if r.values[m] != nil {
			r.values[m][i] = value
		}
	}
}

func (r *Result) means() {
	r.HR, r.NDCG, r.MRR = r.Mean(HitRateAtK), r.Mean(NDCGAtK), r.Mean(ReciprocalRankAll)
}

// Summarise computes the means of zero-based ranks at cut-off k, for cases with
// a single right item. Such a Result knows no lists, no AUC and no log loss.
func Summarise(ranks []float64, k int) Result {
	r := Result{K: k, Ranks: ranks}
	for m := range r.values {
		if m := Measure(m); m != LogLoss && m != AUC {
			r.values[m] = make([]float64, len(ranks))
		}
	}
	for i, rank := range ranks {
		for m, value := range (verdict{places: []float64{rank}}).measure(k) {
			if r.values[m] != nil {
				r.values[m][i] = value
			}
		}
	}
	r.means()
	return r
}

// judge finds the places of the right items of one case after another.
type judge struct {
	options Options
	seen    []bool // all false between two cases
}

func newJudge(items int, options Options) *judge {
	return &judge{options: options, seen: make([]bool, items)}
}

// judge ranks the catalogue of one case.
func (j *judge) judge(c Case, scores []float32) verdict {
	masked := 0 // items that do not compete
	if j.options.MaskSeen {
		for _, h := range c.History {
			if !j.seen[h] {
				j.seen[h] = true
				masked++
			}
		}
		defer func() {
			for _, h := range c.History {
				j.seen[h] = false
			}
		}()
		// What is right always competes.
		masked -= j.unmask(c.Target)
		for _, a := range c.Also {
			masked -= j.unmask(a)
		}
	}
	v := verdict{items: len(scores) - masked}
	v.place(c, scores, j.seen, j.options.Ties)
	exclude := func(item int32) bool { return j.seen[item] }
	for _, r := range rank.Top(scores, j.options.K, exclude) {
		v.list = append(v.list, r.Item)
	}
	if j.options.Logits {
		v.logLoss = logLoss(c, scores, j.seen)
	}
	return v
}

// unmask reports 1 where the item had been masked.
func (j *judge) unmask(item int32) int {
	if !j.seen[item] {
		return 0
	}
	j.seen[item] = false
	return 1
}
