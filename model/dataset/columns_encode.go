package dataset

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"unicode"
)

// Dim is the number of features of a row.
func (e *Encoder) Dim() int { return e.dim }

// Names describes the features, such as "genre Drama" or "year 1990".
func (e *Encoder) Names() []string {
	all := make([]string, 0, e.dim)
	for i := range e.columns {
		all = append(all, e.columns[i].names()...)
	}
	return all
}

// Schema is what the encoder was fitted for.
func (e *Encoder) Schema() Schema {
	s := make(Schema, len(e.columns))
	for i := range e.columns {
		s[i] = e.columns[i].Column
	}
	return s
}

// Matrix encodes all rows, Dim numbers each.
func (e *Encoder) Matrix(rows Rows) ([]float32, error) {
	all := make([]float32, rows.Len()*e.dim)
	for i := range rows.Len() {
		if err := e.Row(func(column string) Value { return rows.Value(i, column) }, all[i*e.dim:(i+1)*e.dim]); err != nil {
			return nil, fmt.Errorf("row %d: %w", i, err)
		}
	}
	return all, nil
}

// Row encodes one item or user into out, which has Dim numbers.
func (e *Encoder) Row(value func(column string) Value, out []float32) error {
	if len(out) != e.dim {
		return fmt.Errorf("dataset: room for %d of %d features", len(out), e.dim)
	}
	clear(out)
	for i := range e.columns {
		f := &e.columns[i]
		v := value(f.Name)
		if err := f.fits(v); err != nil {
			return err
		}
		part := out[:f.width()]
		out = out[len(part):]
		if f.Kind != Constant && v.kind == missing {
			if f.Missing {
				part[len(part)-1] = 1
			}
		} else {
			f.encode(v, part)
		}
		if f.Norm > 0 {
			scaleTo(part, f.Norm)
		}
	}
	return nil
}

// encode writes the numbers of a value that is not missing; part is all 0.
func (f *fitted) encode(v Value, part []float32) {
	switch f.Kind {
	case Categorical, MultiHot:
		for _, l := range v.labels {
			if at, found := slices.BinarySearch(f.Vocabulary, l); found {
				part[at] = 1
			} else if f.Other && l != "" {
				part[len(f.Vocabulary)] = 1
			}
		}
	case Hashed:
		for _, l := range v.labels {
			if l == "" {
				continue
			}
			sum := hashOf(l)
			part[sum%uint64(f.Size)]++
			if f.Hashes == 2 {
				part[sum>>32%uint64(f.Size)]++
			}
		}
	case Standardised:
		if f.Deviation > 0 {
			part[0] = float32(min(standardEnds, max(-standardEnds, (v.number-f.Mean)/f.Deviation)))
		}
	case Quantiles:
		at, equal := slices.BinarySearch(f.Edges, v.number)
		if equal {
			at++
		}
		part[at] = 1
	case Radial:
		for j := range f.Size {
			distance := (v.number - f.First - float64(j)*f.Step) / f.Step
			part[j] = float32(math.Exp(-distance * distance / 2))
		}
	case Text:
		for place, n := range f.terms(v.text) {
			part[place] = float32(f.weigh(place, n))
		}
	case Dense:
		copy(part, v.vector)
	case Constant:
		part[0] = 1
	}
}

// weigh is the value of a place that terms added up to n.
func (f *fitted) weigh(place, n int) float64 {
	if !f.IDF || n == 0 {
		return float64(n)
	}
	w := (1 + math.Log(math.Abs(float64(n)))) * f.Weights[place]
	if n < 0 {
		return -w
	}
	return w
}

// terms adds up the words and n-grams of a text: place -> signed count. A word
// is a run of letters and digits, in small letters.
func (f *fitted) terms(text string) map[int]int {
	counts := map[int]int{}
	add := func(term string) {
		sum := hashOf(term)
		if place := int(sum % uint64(f.Size)); sum>>63 == 0 {
			counts[place]++
		} else {
			counts[place]--
		}
	}
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	for _, w := range words {
		add(w)
		if f.MaxGram == 0 {
			continue
		}
		// The ends of a word are letters of their own; "#" keeps grams apart from words.
		letters := []rune("#" + w + "#")
		for n := f.MinGram; n <= f.MaxGram; n++ {
			for i := 0; i+n <= len(letters); i++ {
				add("#" + string(letters[i:i+n]))
			}
		}
	}
	return counts
}

// hashOf is FNV-1a.
func hashOf(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}

// scaleTo gives a part of a row the L2 norm, or leaves it 0.
func scaleTo(part []float32, norm float64) {
	square := 0.0
	for _, v := range part {
		square += float64(v) * float64(v)
	}
	if square == 0 {
		return
	}
	for i := range part {
		part[i] = float32(float64(part[i]) / math.Sqrt(square) * norm)
	}
}
