package metric

import "fmt"

// Measure names a figure that every case has; the figure of a Result is the
// mean over its cases.
type Measure uint8

// The measures, for cases with one right item or several; "in the list" means a
// place below K.
const (
	// HitRateAtK is 1 when a right item is in the list.
	HitRateAtK Measure = iota
	// NDCGAtK is the discounted cumulative gain with gain 1 for each right item
	// in the list, divided by the best possible (Järvelin and Kekäläinen 2002).
	NDCGAtK
	// ReciprocalRankAll is 1/(place+1) of the best placed right item, without cut-off.
	ReciprocalRankAll
	// PrecisionAtK is the share of the K places that hold right items.
	PrecisionAtK
	// RecallAtK is the share of the right items in the list.
	RecallAtK
	// F1AtK is the harmonic mean of precision and recall, 0 without a hit.
	F1AtK
	// PrecisionAverageAtK is the mean precision at the places of the right items
	// in the list, over the number that could be there; its mean over the cases
	// is MAP@K.
	PrecisionAverageAtK
	// Accuracy is 1 when the first place is right.
	Accuracy
	// AUC is the probability that a right item stands before a wrong one that
	// competes, ties counting half (whatever Options.Ties says); 0 where no
	// wrong item competes.
	AUC
	// LogLoss is -log of the softmax probability of the right item, natural
	// logarithm, mean over several; only with Options.Logits. Lower is better.
	LogLoss

	measures = int(LogLoss) + 1
)

var measureNames = [measures]string{"HR", "NDCG", "MRR", "precision", "recall", "F1", "MAP", "accuracy", "AUC", "log loss"}

// String is the measure's usual name, without its cut-off.
func (m Measure) String() string {
	if int(m) >= measures {
		return fmt.Sprintf("measure %d", uint8(m))
	}
	return measureNames[m]
}

// cut reports whether the measure depends on K.
func (m Measure) cut() bool {
	return m != ReciprocalRankAll && m != Accuracy && m != AUC && m != LogLoss
}

// Values is the measure of every case, in the order of the cases; nil where it
// was not measured. The slice is the Result's own.
func (r Result) Values(m Measure) []float64 {
	if int(m) >= measures {
		return nil
	}
	return r.values[m]
}

// Mean is the mean of Values; 0 when there is none.
func (r Result) Mean(m Measure) float64 { return mean(r.Values(m)) }

func mean(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// Figure is a number with its 95 % interval.
type Figure struct {
	Name  string // such as "NDCG@10"
	Value float64
	Interval
	Cases int // that it is taken over
}

// Figures are all measures that the Result has, with intervals of the given
// number of bootstrap draws (see Bootstrap).
func (r Result) Figures(draws int, seed uint64) []Figure {
	var all []Figure
	var columns [][]float64
	for m := range Measure(measures) {
		values := r.values[m]
		if len(values) == 0 {
			continue
		}
		name := m.String()
		if m.cut() {
			name = fmt.Sprintf("%s@%d", name, r.K)
		}
		all = append(all, Figure{Name: name, Value: mean(values), Cases: len(values)})
		columns = append(columns, values)
	}
	for i, interval := range bootstrapMeans(columns, draws, seed) {
		all[i].Interval = interval
	}
	return all
}

// NDCGInterval is the 95 % percentile bootstrap interval of the mean NDCG over
// the cases, from draws resamples (1,000 is usual) with the given seed.
func (r Result) NDCGInterval(draws int, seed uint64) Interval {
	return Bootstrap(r.values[NDCGAtK], draws, seed)
}

// HRInterval is NDCGInterval for the hit rate.
func (r Result) HRInterval(draws int, seed uint64) Interval {
	return Bootstrap(r.values[HitRateAtK], draws, seed)
}
