package metric

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Binary holds predictions of yes or no, such as clicks: what was true, and the
// probability or score that the model gave.
type Binary struct {
	truth       []bool
	probability []float64
}

// NewBinary shares the slices. A probability must be a number; where LogLoss is
// wanted, one in [0, 1].
func NewBinary(truth []bool, probability []float64) (Binary, error) {
	if len(truth) != len(probability) {
		return Binary{}, fmt.Errorf("metric: %d outcomes and %d predictions", len(truth), len(probability))
	}
	for i, p := range probability {
		if p != p {
			return Binary{}, fmt.Errorf("metric: prediction %d is not a number", i)
		}
	}
	return Binary{truth, probability}, nil
}

// Confusion counts a prediction as yes where its probability is at least
// threshold; class 1 is yes.
func (b Binary) Confusion(threshold float64) *Confusion {
	c := NewConfusion(2)
	for i, t := range b.truth {
		c.counts[side(t)*2+side(b.probability[i] >= threshold)]++
	}
	return c
}

func side(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// AUC is the area under the ROC curve: the probability that a yes has a larger
// prediction than a no, ties counting half (Hanley and McNeil 1982). It is not
// defined where all outcomes are the same.
func (b Binary) AUC() (area float64, defined bool) {
	order := make([]int, len(b.truth))
	for i := range order {
		order[i] = i
	}
	return b.auc(order)
}

// auc is of the cases of order, which it sorts: the rank-sum statistic of Mann
// and Whitney.
func (b Binary) auc(order []int) (float64, bool) {
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(b.probability[i], b.probability[j]) })
	yes, ranks := 0.0, 0.0
	for first := 0; first < len(order); {
		end := first + 1
		for end < len(order) && b.probability[order[end]] == b.probability[order[first]] {
			end++
		}
		for _, i := range order[first:end] {
			if b.truth[i] {
				yes++
				ranks += float64(first+end-1) / 2 // the mean zero-based rank of the tie
			}
		}
		first = end
	}
	no := float64(len(order)) - yes
	if yes == 0 || no == 0 {
		return 0, false
	}
	return (ranks - yes*(yes-1)/2) / (yes * no), true
}

// LogLoss is the mean of -log of the probability of what was true, natural
// logarithm. Probabilities are kept 2^-52 away from 0 and 1, so that one sure
// error does not make it infinite.
func (b Binary) LogLoss() float64 { return mean(b.logLosses()) }

func (b Binary) logLosses() []float64 {
	losses := make([]float64, len(b.truth))
	for i, t := range b.truth {
		p := min(1-0x1p-52, max(0x1p-52, b.probability[i]))
		if !t {
			p = 1 - p
		}
		losses[i] = -math.Log(p)
	}
	return losses
}

// Figures are accuracy, precision, recall and F1 of the yes at threshold, AUC
// where it is defined, and the log loss, with bootstrap intervals.
func (b Binary) Figures(threshold float64, draws int, seed uint64) []Figure {
	n := len(b.truth)
	sampled := func(sample []int) *Confusion {
		c := NewConfusion(2)
		for _, i := range sample {
			c.counts[side(b.truth[i])*2+side(b.probability[i] >= threshold)]++
		}
		return c
	}
	var figures []Figure
	for _, m := range []struct {
		name string
		of   func(*Confusion) float64
	}{
		{"accuracy", (*Confusion).Accuracy},
		{"precision", func(c *Confusion) float64 { return c.Precision(1) }},
		{"recall", func(c *Confusion) float64 { return c.Recall(1) }},
		{"F1", func(c *Confusion) float64 { return c.F1(1) }},
	} {
		figures = append(figures, Figure{Name: m.name, Value: m.of(b.Confusion(threshold)), Cases: n,
			Interval: BootstrapOf(n, draws, seed, func(sample []int) float64 { return m.of(sampled(sample)) })})
	}
	if area, defined := b.AUC(); defined {
		figures = append(figures, Figure{Name: "AUC", Value: area, Cases: n,
			Interval: BootstrapOf(n, draws, seed, func(sample []int) float64 {
				if a, ok := b.auc(sample); ok {
					return a
				}
				return 0.5 // a resample of one kind says nothing
			})})
	}
	losses := b.logLosses()
	return append(figures, Figure{Name: "log loss", Value: mean(losses), Cases: n, Interval: Bootstrap(losses, draws, seed)})
}

// Confusion counts predicted classes for true ones.
type Confusion struct {
	classes int
	counts  []int // truth, then prediction
}

// NewConfusion is empty; classes are 0 to classes-1.
func NewConfusion(classes int) *Confusion {
	return &Confusion{classes: classes, counts: make([]int, classes*classes)}
}

// Add counts one prediction.
func (c *Confusion) Add(truth, predicted int) error {
	if truth < 0 || truth >= c.classes || predicted < 0 || predicted >= c.classes {
		return fmt.Errorf("metric: class %d predicted as %d, of %d classes", truth, predicted, c.classes)
	}
	c.counts[truth*c.classes+predicted]++
	return nil
}

// Count is how often class truth was predicted as class predicted.
func (c *Confusion) Count(truth, predicted int) int { return c.counts[truth*c.classes+predicted] }

// Accuracy is the share of right predictions; 0 of none.
func (c *Confusion) Accuracy() float64 {
	right, all := 0, 0
	for t := range c.classes {
		right += c.Count(t, t)
		all += c.truths(t)
	}
	return ratio(right, all)
}

// Precision is the share of the predictions of a class that were right; 0 where
// it was never predicted.
func (c *Confusion) Precision(class int) float64 {
	predicted := 0
	for t := range c.classes {
		predicted += c.Count(t, class)
	}
	return ratio(c.Count(class, class), predicted)
}

// Recall is the share of the cases of a class that were found; 0 where there is
// none.
func (c *Confusion) Recall(class int) float64 {
	return ratio(c.Count(class, class), c.truths(class))
}

// F1 is the harmonic mean of Precision and Recall; 0 where nothing was right.
func (c *Confusion) F1(class int) float64 {
	p, r := c.Precision(class), c.Recall(class)
	if p+r == 0 {
		return 0
	}
	return 2 * p * r / (p + r)
}

// Macro is the mean of precision, recall and F1 over the classes.
func (c *Confusion) Macro() (precision, recall, f1 float64) {
	for k := range c.classes {
		precision += c.Precision(k)
		recall += c.Recall(k)
		f1 += c.F1(k)
	}
	n := float64(max(c.classes, 1))
	return precision / n, recall / n, f1 / n
}

func (c *Confusion) truths(class int) int {
	n := 0
	for p := range c.classes {
		n += c.Count(class, p)
	}
	return n
}

func ratio(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// Ratings are the root mean square error and the mean absolute error of
// predictions of numbers, with bootstrap intervals.
func Ratings(truth, predicted []float64, draws int, seed uint64) ([]Figure, error) {
	if len(truth) != len(predicted) {
		return nil, fmt.Errorf("metric: %d ratings and %d predictions", len(truth), len(predicted))
	}
	squares, sizes := make([]float64, len(truth)), make([]float64, len(truth))
	for i, t := range truth {
		d := predicted[i] - t
		if d != d || math.IsInf(d, 0) {
			return nil, fmt.Errorf("metric: rating %d is not finite", i)
		}
		squares[i], sizes[i] = d*d, math.Abs(d)
	}
	// The root is monotonic: so it is of the interval's ends.
	square := Bootstrap(squares, draws, seed)
	return []Figure{
		{Name: "RMSE", Value: math.Sqrt(mean(squares)), Cases: len(truth), Interval: Interval{math.Sqrt(square.Low), math.Sqrt(square.High)}},
		{Name: "MAE", Value: mean(sizes), Cases: len(truth), Interval: Bootstrap(sizes, draws, seed)},
	}, nil
}
