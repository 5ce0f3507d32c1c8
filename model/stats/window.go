package stats

import (
	"errors"
	"fmt"
	"math"
)

// Window says which pairs of events count as a transition, and how much: two
// events d places apart weigh Decay^(d-1) for d up to Width.
type Window struct {
	Width int
	Decay float64
}

// DefaultWindow is the study's choice: widths of 3, 8, 20 and 40 gave NDCG
// .100, .108, .105 and .096 at epsilon 8 (model.md, section 5.3).
var DefaultWindow = Window{Width: 8, Decay: 0.75}

var errWindow = errors.New("stats: window needs a width of 1 to 64 and a decay in (0, 1]")

// Check refuses windows that make no sense.
func (w Window) Check() error {
	if w.Width < 1 || w.Width > 64 || !(w.Decay > 0 && w.Decay <= 1) {
		return fmt.Errorf("%w, have %d and %v", errWindow, w.Width, w.Decay)
	}
	return nil
}

// weights lists Decay^(d-1) at position d-1.
func (w Window) weights() []float64 {
	weights := make([]float64, w.Width)
	for d := range weights {
		weights[d] = math.Pow(w.Decay, float64(d))
	}
	return weights
}
