package dataset

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Encoder turns rows into features by a Schema that was fitted. It is
// immutable.
type Encoder struct {
	columns []fitted
	dim     int
}

// fitted is a column and what it learned from the training rows.
type fitted struct {
	Column
	Vocabulary []string  `json:"vocabulary,omitempty"` // ascending
	Edges      []float64 `json:"edges,omitempty"`      // Quantiles: bucket j holds x with j edges <= x
	Mean       float64   `json:"mean,omitempty"`
	Deviation  float64   `json:"deviation,omitempty"`
	Weights    []float64 `json:"weights,omitempty"` // Text with IDF: of each place
}

// Fit learns vocabularies, quantiles, means and text weights from the training
// rows, and from them alone: nil takes all rows. The result depends on the
// declarations and the values only.
func (s Schema) Fit(rows Rows, training []int) (*Encoder, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if training == nil {
		training = make([]int, rows.Len())
		for i := range training {
			training[i] = i
		}
	}
	e := &Encoder{}
	for _, c := range s {
		f := fitted{Column: c}
		if err := f.fit(rows, training); err != nil {
			return nil, err
		}
		e.columns = append(e.columns, f)
	}
	return e, e.measure()
}

// measure sums the widths up.
func (e *Encoder) measure() error {
	e.dim = 0
	for i := range e.columns {
		e.dim += e.columns[i].width()
	}
	if e.dim > maxDim {
		return fmt.Errorf("dataset: rows of %d features, at most %d can be", e.dim, maxDim)
	}
	return nil
}

func (f *fitted) fit(rows Rows, training []int) error {
	var numbers []float64
	counts := map[string]int{}
	used := make([]int, f.Size)
	for _, row := range training {
		if row < 0 || row >= rows.Len() {
			return fmt.Errorf("dataset: training row %d of %d", row, rows.Len())
		}
		v := rows.Value(row, f.Name)
		if err := f.fits(v); err != nil {
			return fmt.Errorf("row %d: %w", row, err)
		}
		switch v.kind {
		case hasLabels:
			for i, l := range v.labels {
				if l != "" && !slices.Contains(v.labels[:i], l) {
					counts[l]++
				}
			}
		case hasNumber:
			numbers = append(numbers, v.number)
		case hasText:
			if f.IDF {
				for place := range f.terms(v.text) {
					used[place]++
				}
			}
		}
	}
	switch f.Kind {
	case Categorical, MultiHot:
		f.Vocabulary = f.vocabulary(counts)
	case Standardised:
		f.Mean, f.Deviation = momentsOf(numbers)
	case Quantiles:
		f.Edges = quantileEdges(numbers, f.Size)
	case Text:
		if f.IDF {
			f.Weights = make([]float64, f.Size)
			for i, n := range used {
				f.Weights[i] = math.Log(float64(1+len(training))/float64(1+n)) + 1
			}
		}
	}
	return nil
}

// fits refuses a value of another kind than the column's.
func (f *fitted) fits(v Value) error {
	want := hasLabels
	switch f.Kind {
	case Standardised, Quantiles, Radial:
		want = hasNumber
	case Text:
		want = hasText
	case Dense:
		want = hasVector
	case Constant:
		want = v.kind // whatever it is, it is not read
	}
	switch {
	case v.kind == missing:
		return nil
	case v.kind != want:
		return fmt.Errorf("dataset: column %q is %s and got another kind of value", f.Name, f.Kind)
	case f.Kind == Categorical && len(v.labels) > 1:
		return fmt.Errorf("dataset: column %q is %s and got %d labels", f.Name, f.Kind, len(v.labels))
	case f.Kind == Dense && len(v.vector) != f.Size:
		return fmt.Errorf("dataset: column %q has vectors of %d and got %d numbers", f.Name, f.Size, len(v.vector))
	}
	for _, x := range v.vector {
		if x-x != 0 {
			return fmt.Errorf("dataset: column %q got a number that is not finite", f.Name)
		}
	}
	return nil
}

// vocabulary keeps the most frequent labels, in alphabetical order.
func (f *fitted) vocabulary(counts map[string]int) []string {
	var all []string
	for label, n := range counts {
		if n >= f.MinCount {
			all = append(all, label)
		}
	}
	slices.SortFunc(all, func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	most := f.Size
	if most == 0 {
		most = manyLabels
	}
	all = all[:min(len(all), most)]
	slices.Sort(all)
	return all
}

// momentsOf are the mean and the standard deviation, 0 and 0 of nothing.
func momentsOf(numbers []float64) (mean, deviation float64) {
	if len(numbers) == 0 {
		return 0, 0
	}
	n := float64(len(numbers))
	for _, x := range numbers {
		mean += x / n
	}
	for _, x := range numbers {
		deviation += (x - mean) / n * (x - mean)
	}
	return mean, math.Sqrt(deviation)
}

// quantileEdges are the borders of count buckets with about as many numbers
// each; fewer where numbers repeat.
func quantileEdges(numbers []float64, count int) []float64 {
	slices.Sort(numbers)
	var edges []float64
	for j := 1; j < count && len(numbers) > 0; j++ {
		edge := numbers[j*len(numbers)/count]
		if edge > numbers[0] && (len(edges) == 0 || edge > edges[len(edges)-1]) {
			edges = append(edges, edge)
		}
	}
	return edges
}

// width is how many numbers the column gives.
func (f *fitted) width() int {
	n := f.body()
	if f.Missing {
		n++
	}
	return n
}

// body is width without the mark of a missing value.
func (f *fitted) body() int {
	switch f.Kind {
	case Categorical, MultiHot:
		if f.Other {
			return len(f.Vocabulary) + 1
		}
		return len(f.Vocabulary)
	case Standardised, Constant:
		return 1
	case Quantiles:
		return len(f.Edges) + 1
	}
	return f.Size
}

// names of the numbers that the column gives.
func (f *fitted) names() []string {
	var all []string
	for j := range f.body() {
		switch name := f.Name + " "; {
		case j < len(f.Vocabulary):
			all = append(all, name+f.Vocabulary[j])
		case f.Other:
			all = append(all, name+"(other)")
		case f.Kind == Standardised || f.Kind == Constant:
			all = append(all, f.Name)
		case f.Kind == Radial:
			all = append(all, name+short(f.First+float64(j)*f.Step))
		case f.Kind == Quantiles && len(f.Edges) == 0:
			all = append(all, name+"(any)")
		case f.Kind == Quantiles && j == 0:
			all = append(all, name+"below "+short(f.Edges[0]))
		case f.Kind == Quantiles:
			all = append(all, name+"from "+short(f.Edges[j-1]))
		default:
			all = append(all, name+strconv.Itoa(j))
		}
	}
	if f.Missing {
		all = append(all, f.Name+" (missing)")
	}
	return all
}

func short(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
