package seqrec

import (
	"errors"
	"fmt"
	"math"

	"tutti/model/kernel"
)

// ErrNoHead says that a model has no head for what it was asked.
var ErrNoHead = errors.New("the model has no such head")

// Ratings writes the rating that the user of q is expected to give to each of
// the items; out is as long.
func (s *Scorer) Ratings(q Query, items []int32, out []float32) error {
	if err := s.pointwise(q, items, out, s.params.rating, s.params.ratingBias); err != nil {
		return fmt.Errorf("ratings: %w", err)
	}
	return nil
}

// Clicks writes the probability that the user of q clicks on each of the items
// when it is shown; out is as long.
func (s *Scorer) Clicks(q Query, items []int32, out []float32) error {
	if err := s.pointwise(q, items, out, s.params.click, s.params.clickBias); err != nil {
		return fmt.Errorf("clicks: %w", err)
	}
	for i, r := range out {
		out[i] = float32(1 / (1 + math.Exp(-float64(r))))
	}
	return nil
}

// pointwise writes weight . (h * e_item) + bias of every item (He et al. 2017,
// section 3.2).
func (s *Scorer) pointwise(q Query, items []int32, out, weight, bias []float32) error {
	d := s.model.cfg.Dim
	if weight == nil {
		return ErrNoHead
	}
	if len(out) != len(items) {
		return fmt.Errorf("room for %d of %d items", len(out), len(items))
	}
	if err := checkItems(items, s.model.cfg.Items); err != nil {
		return err
	}
	return s.with(q, func(h []float32) error {
		weighed := make([]float32, d)
		for j, w := range weight {
			weighed[j] = w * h[j]
		}
		for i, id := range items {
			out[i] = kernel.Dot(weighed, s.items[int(id)*d:(int(id)+1)*d]) + bias[0]
		}
		return nil
	})
}
