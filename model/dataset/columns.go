package dataset

import (
	"errors"
	"fmt"
	"math"
)

// ColumnKind says what a column holds and how it becomes numbers.
type ColumnKind string

// The kinds. Size, and the other fields of a Column, mean something else for
// each.
const (
	// Categorical takes one label; a number for each label of the vocabulary, 1
	// at the label. Size: largest vocabulary, the most frequent labels stay.
	Categorical ColumnKind = "categorical"
	// MultiHot takes any number of labels, else as Categorical.
	MultiHot ColumnKind = "multi-hot"
	// Hashed takes any number of labels and needs no vocabulary: each label adds
	// 1 at Hashes of Size places.
	Hashed ColumnKind = "hashed"
	// Standardised takes a number x and gives (x-mean)/deviation of the training
	// rows, cut at -+8.
	Standardised ColumnKind = "standardised"
	// Quantiles takes a number; 1 at one of Size buckets, which hold about as
	// many training rows each.
	Quantiles ColumnKind = "quantiles"
	// Radial takes a number x and gives exp(-((x-c)/Step)^2/2) for the Size
	// centres c = First, First+Step, ...
	Radial ColumnKind = "radial"
	// Text takes text: its words, and the character n-grams of MinGram to MaxGram
	// letters in them, each add +1 or -1 at one of Size places (feature hashing,
	// Weinberger et al. 2009). With IDF a place weighs log((1+n)/(1+df))+1, df of
	// the n training rows having used it, and repetitions count by 1+log.
	Text ColumnKind = "text"
	// Dense takes a vector of Size numbers as it is.
	Dense ColumnKind = "dense"
	// Constant takes nothing and gives 1.
	Constant ColumnKind = "constant"
)

// Column declares one property of an item or a user.
type Column struct {
	Name string     `json:"name"`
	Kind ColumnKind `json:"kind"`
	Size int        `json:"size,omitempty"` // see the kinds; 0 means 4,096 labels for Categorical and MultiHot

	// Norm is the L2 norm that the column's part of a row is scaled to (a part
	// that is zero stays so); 0 leaves it as it is.
	Norm float64 `json:"norm,omitempty"`
	// Missing adds a number that is 1 (or Norm) where a row has no value; the
	// rest of the part is 0 then.
	Missing bool `json:"missing,omitempty"`

	MinCount int     `json:"min_count,omitempty"` // Categorical, MultiHot: labels of fewer training rows are not in the vocabulary
	Other    bool    `json:"other,omitempty"`     // Categorical, MultiHot: a number for labels outside the vocabulary
	Hashes   int     `json:"hashes,omitempty"`    // Hashed: 1 or 2 places for each label; 0 means 1
	First    float64 `json:"first,omitempty"`     // Radial
	Step     float64 `json:"step,omitempty"`      // Radial
	MinGram  int     `json:"min_gram,omitempty"`  // Text: 0 means words only
	MaxGram  int     `json:"max_gram,omitempty"`
	IDF      bool    `json:"idf,omitempty"`
}

// Schema declares what is known of items, or of users: the parts of a row of
// features, in their order.
type Schema []Column

// Value is what a row has in a column. The zero Value is missing. Use Labels,
// Number, Words and Vector to make one.
type Value struct {
	kind   valueKind
	labels []string
	number float64
	text   string
	vector []float32
}

type valueKind uint8

const (
	missing valueKind = iota
	hasLabels
	hasNumber
	hasText
	hasVector
)

// Labels is for Categorical, MultiHot and Hashed; without a label, or with only
// the label "", it is missing.
func Labels(labels ...string) Value {
	for _, l := range labels {
		if l != "" {
			return Value{kind: hasLabels, labels: labels}
		}
	}
	return Value{}
}

// Number is for Standardised, Quantiles and Radial; one that is not finite, or
// beyond 1e100, is missing.
func Number(x float64) Value {
	if !(math.Abs(x) <= 1e100) {
		return Value{}
	}
	return Value{kind: hasNumber, number: x}
}

// Words is for Text; "" is missing.
func Words(text string) Value {
	if text == "" {
		return Value{}
	}
	return Value{kind: hasText, text: text}
}

// Vector is for Dense; an empty one is missing.
func Vector(v []float32) Value {
	if len(v) == 0 {
		return Value{}
	}
	return Value{kind: hasVector, vector: v}
}

// Rows are items or users with their properties.
type Rows interface {
	Len() int
	Value(row int, column string) Value
}

// Limits of what a Schema may ask for.
const (
	maxColumns   = 1024
	maxSize      = 1 << 16
	maxDim       = 1 << 18
	manyLabels   = 4096
	standardEnds = 8.0
)

// ErrColumn is wrapped by errors about a declaration.
var ErrColumn = errors.New("the column cannot be")

// check refuses what means nothing, fields of other kinds among it.
func (s Schema) check() error {
	if len(s) == 0 || len(s) > maxColumns {
		return fmt.Errorf("dataset: %d columns: 1 to %d can be", len(s), maxColumns)
	}
	names := map[string]bool{}
	for _, c := range s {
		if c.Name == "" || names[c.Name] {
			return fmt.Errorf("dataset: %w: name %q is empty or taken", ErrColumn, c.Name)
		}
		names[c.Name] = true
		if why := c.check(); why != "" {
			return fmt.Errorf("dataset: %w: %q: %s", ErrColumn, c.Name, why)
		}
	}
	return nil
}

func (c Column) check() (why string) {
	labels := c.Kind == Categorical || c.Kind == MultiHot
	sized := c.Size > 0
	switch c.Kind {
	case Categorical, MultiHot:
		sized = c.Size >= 0
	case Standardised, Constant:
		sized = c.Size == 0
	case Hashed, Quantiles, Radial, Text, Dense:
	default:
		return fmt.Sprintf("no kind is called %q", string(c.Kind))
	}
	finite := func(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
	switch {
	case !sized || c.Size > maxSize:
		return fmt.Sprintf("a size of %d", c.Size)
	case !(c.Norm >= 0 && c.Norm <= 1e6):
		return fmt.Sprintf("a norm of %v", c.Norm)
	case c.MinCount < 0 || !labels && (c.MinCount > 0 || c.Other):
		return "min_count and other are for labels"
	case c.Hashes < 0 || c.Hashes > 2 || c.Kind != Hashed && c.Hashes > 0:
		return fmt.Sprintf("%d hashes", c.Hashes)
	case c.Kind == Radial && !(c.Step > 0 && finite(c.Step) && finite(c.First)), c.Kind != Radial && (c.First != 0 || c.Step != 0):
		return fmt.Sprintf("centres from %v by %v", c.First, c.Step)
	case c.MinGram < 0 || c.MaxGram < c.MinGram || c.MaxGram > 8 || c.MinGram == 0 && c.MaxGram > 0 || c.Kind != Text && (c.MaxGram > 0 || c.IDF):
		return fmt.Sprintf("n-grams of %d to %d letters", c.MinGram, c.MaxGram)
	case c.Kind == Constant && c.Missing:
		return "a constant is never missing"
	}
	return ""
}
