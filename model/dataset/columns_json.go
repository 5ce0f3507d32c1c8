package dataset

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
)

// MarshalJSON writes declarations and what was fitted, so that a device or a
// later run makes the same features.
func (e *Encoder) MarshalJSON() ([]byte, error) { return json.Marshal(e.columns) }

// maxEncoderBytes bounds what ParseEncoder reads.
const maxEncoderBytes = 64 << 20

// ParseEncoder reads what MarshalJSON wrote, and refuses what Fit could not
// have made.
func ParseEncoder(data []byte) (*Encoder, error) {
	if len(data) > maxEncoderBytes {
		return nil, fmt.Errorf("dataset: an encoder of %d bytes is too large", len(data))
	}
	e := &Encoder{}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&e.columns); err != nil {
		return nil, fmt.Errorf("dataset: encoder: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("dataset: encoder: something follows it")
	}
	if err := e.Schema().check(); err != nil {
		return nil, err
	}
	for i := range e.columns {
		if f := &e.columns[i]; !f.sound() {
			return nil, fmt.Errorf("dataset: encoder: column %q does not hold what a %s column learns", f.Name, f.Kind)
		}
	}
	return e, e.measure()
}

// sound reports whether the fitted values can be of this kind of column.
func (f *fitted) sound() bool {
	labels := f.Kind == Categorical || f.Kind == MultiHot
	ascending := func(n int, less func(i int) bool) bool {
		for i := 1; i < n; i++ {
			if !less(i) {
				return false
			}
		}
		return true
	}
	most := f.Size
	if most == 0 {
		most = manyLabels
	}
	weights := 0
	if f.IDF {
		weights = f.Size
	}
	switch {
	case !labels && f.Vocabulary != nil, f.Kind != Quantiles && f.Edges != nil, f.Kind != Standardised && (f.Mean != 0 || f.Deviation != 0):
		return false
	case labels && (len(f.Vocabulary) > most || slices.Contains(f.Vocabulary, "")):
		return false
	case f.Kind == Quantiles && len(f.Edges) >= f.Size:
		return false
	case len(f.Weights) != weights || slices.ContainsFunc(f.Weights, func(w float64) bool { return !(w >= 0 && w <= 1e6) }):
		return false
	case !(f.Deviation >= 0 && f.Deviation <= math.MaxFloat64):
		return false
	}
	return ascending(len(f.Vocabulary), func(i int) bool { return f.Vocabulary[i-1] < f.Vocabulary[i] }) &&
		ascending(len(f.Edges), func(i int) bool { return f.Edges[i-1] < f.Edges[i] })
}
