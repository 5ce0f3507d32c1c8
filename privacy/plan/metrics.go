package plan

import (
	"fmt"
	"math"
	"strings"

	"tutti/privacy/mechanism"
)

// Metrics is a second vector that the devices of a round make: what only they know, such as their loss. It travels
// behind the main vector in the same upload, with a bound and noise of its own.
type Metrics struct {
	Names     []string // what coordinate i says: 1 to 48 of a-z 0-9 . _ - /, all different
	Mechanism mechanism.Params
}

// Bounds of the format.
const (
	MaxMetrics    = 64
	maxMetricName = 48
)

func (m *Metrics) check() error {
	if m == nil {
		return nil
	}
	if len(m.Names) == 0 || len(m.Names) > MaxMetrics || m.Mechanism.Dim != len(m.Names) {
		return fmt.Errorf("%w: %d metrics for a vector of %d", ErrPlan, len(m.Names), m.Mechanism.Dim)
	}
	seen := map[string]bool{}
	for _, name := range m.Names {
		if name == "" || len(name) > maxMetricName || seen[name] || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789._-/") != "" {
			return fmt.Errorf("%w: the metric's name %q", ErrPlan, name)
		}
		seen[name] = true
	}
	return nil
}

// Dim is the number of integers in one upload: the main vector's, then those of the metrics.
func (p Plan) Dim() int {
	if p.Metrics == nil {
		return p.Mechanism.PaddedDim
	}
	return p.Mechanism.PaddedDim + p.Metrics.Mechanism.PaddedDim
}

// InputBound is the largest absolute value in one upload.
func (p Plan) InputBound() int64 {
	if p.Metrics == nil {
		return p.Mechanism.InputBound
	}
	return max(p.Mechanism.InputBound, p.Metrics.Mechanism.InputBound)
}

// Norm is the longest that an honest device's upload is, noise included; see Norm.
func (p Plan) Norm() int64 {
	if p.Metrics == nil {
		return Norm(p.Mechanism)
	}
	return int64(math.Ceil(math.Hypot(float64(Norm(p.Mechanism)), float64(Norm(p.Metrics.Mechanism)))))
}

func (w *writer) metrics(m *Metrics) {
	w.flag(m != nil)
	if m == nil {
		return
	}
	w.u32(uint32(len(m.Names)))
	for _, name := range m.Names {
		w.text(name)
	}
	w.text(string(m.Mechanism.AppendCanonical(nil)))
}

func (r *reader) metrics() *Metrics {
	if !r.flag() {
		return nil
	}
	n := r.u32()
	if n > MaxMetrics {
		r.fail("too many metrics")
		return nil
	}
	m := &Metrics{Names: make([]string, n)}
	for i := range m.Names {
		m.Names[i] = r.text(maxMetricName)
	}
	var err error
	if m.Mechanism, err = mechanism.ParseParams([]byte(r.text(maxMechanism))); err != nil {
		r.fail("the numbers of the metrics")
	}
	return m
}
