package metric

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
)

// Options of an evaluation. The zero value is the project's main protocol for
// neural scores, with seen items competing; set MaskSeen for the main figures.
type Options struct {
	K        int  // cut-off of HR and NDCG; 0 means 10
	Ties     Ties // see TiesFree and TiesHalf
	MaskSeen bool // items in the history do not compete with the target
	Workers  int  // goroutines; 0 means GOMAXPROCS; does not change the result
}

// Result holds the rank of every case, in the order of the cases, and the
// means over them.
type Result struct {
	K     int
	Ranks []float64 // zero-based; see Rank

	HR, NDCG, MRR float64 // means over the cases, in [0, 1]; 0 when there is none
}

// Evaluate ranks the whole catalogue (items 0 to items-1) for every case. The
// result does not depend on the number of workers. It fails when a case names
// an item outside the catalogue.
func Evaluate(cases []Case, items int, score Score, options Options) (Result, error) {
	if options.K == 0 {
		options.K = 10
	}
	if err := check(cases, items, options); err != nil {
		return Result{}, err
	}
	ranks := make([]float64, len(cases))
	workers := options.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	var next atomic.Int64
	var done sync.WaitGroup
	for range min(workers, len(cases)) {
		done.Go(func() {
			scores := make([]float32, items)
			seen := make([]bool, items)
			for i := int(next.Add(1)) - 1; i < len(cases); i = int(next.Add(1)) - 1 {
				ranks[i] = rankCase(cases[i], scores, seen, score, options)
			}
		})
	}
	done.Wait()
	return Summarise(ranks, options.K), nil
}

func check(cases []Case, items int, options Options) error {
	if options.K < 1 || items < 1 {
		return fmt.Errorf("metric: cut-off %d and catalogue of %d items must both be positive", options.K, items)
	}
	for i, c := range cases {
		if c.Target < 0 || int(c.Target) >= items {
			return fmt.Errorf("metric: case %d: target %d is outside the catalogue of %d items", i, c.Target, items)
		}
		for _, h := range c.History {
			if h < 0 || int(h) >= items {
				return fmt.Errorf("metric: case %d: history item %d is outside the catalogue of %d items", i, h, items)
			}
		}
	}
	return nil
}

// rankCase leaves seen all false, as it found it.
func rankCase(c Case, scores []float32, seen []bool, score Score, options Options) float64 {
	score(c.User, c.History, scores)
	if !options.MaskSeen {
		return Rank(scores, c.Target, nil, options.Ties)
	}
	for _, h := range c.History {
		seen[h] = true
	}
	rank := Rank(scores, c.Target, seen, options.Ties)
	for _, h := range c.History {
		seen[h] = false
	}
	return rank
}

// Summarise computes the means of zero-based ranks at cut-off k.
func Summarise(ranks []float64, k int) Result {
	r := Result{K: k, Ranks: ranks}
	if len(ranks) == 0 {
		return r
	}
	for _, rank := range ranks {
		r.HR += HitRate(rank, k)
		r.NDCG += NDCG(rank, k)
		r.MRR += ReciprocalRank(rank)
	}
	n := float64(len(ranks))
	r.HR, r.NDCG, r.MRR = r.HR/n, r.NDCG/n, r.MRR/n
	return r
}

// Interval is a two-sided confidence interval of a mean.
type Interval struct{ Low, High float64 }

// NDCGInterval is the 95 % percentile bootstrap interval of the mean NDCG over
// the cases, from draws resamples (1,000 is usual) with the given seed.
func (r Result) NDCGInterval(draws int, seed uint64) Interval {
	gains := make([]float64, len(r.Ranks))
	for i, rank := range r.Ranks {
		gains[i] = NDCG(rank, r.K)
	}
	return Bootstrap(gains, draws, seed)
}

// HRInterval is NDCGInterval for the hit rate.
func (r Result) HRInterval(draws int, seed uint64) Interval {
	hits := make([]float64, len(r.Ranks))
	for i, rank := range r.Ranks {
		hits[i] = HitRate(rank, r.K)
	}
	return Bootstrap(hits, draws, seed)
}

// Bootstrap is the 95 % percentile interval of the mean of values over draws
// resamples with replacement (Efron and Tibshirani, "An Introduction to the
// Bootstrap", 1993, section 13.3). The same seed gives the same interval.
func Bootstrap(values []float64, draws int, seed uint64) Interval {
	if len(values) == 0 || draws < 1 {
		return Interval{}
	}
	random := rand.New(rand.NewPCG(seed, 0x626f6f7473747261))
	means := make([]float64, draws)
	for d := range means {
		sum := 0.0
		for range values {
			sum += values[random.IntN(len(values))]
		}
		means[d] = sum / float64(len(values))
	}
	sort.Float64s(means)
	tail := int(0.025 * float64(draws))
	return Interval{Low: means[tail], High: means[draws-1-tail]}
}

// Group is the result of the cases that share a label.
type Group struct {
	Label string
	Result
}

// By breaks a result down: label names the group of case i, "" leaves the case
// out. Groups come in the order of their labels.
func (r Result) By(label func(i int) string) []Group {
	ranks := map[string][]float64{}
	for i, rank := range r.Ranks {
		if name := label(i); name != "" {
			ranks[name] = append(ranks[name], rank)
		}
	}
	groups := make([]Group, 0, len(ranks))
	for name, own := range ranks {
		groups = append(groups, Group{Label: name, Result: Summarise(own, r.K)})
	}
	sort.Slice(groups, func(i, j int) bool { return groups[i].Label < groups[j].Label })
	return groups
}
