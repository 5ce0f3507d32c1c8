package plan

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"

	"tutti/privacy/mechanism"
)

// Metrics is a second vector that the devices of a round make: what only they know, such as their loss. It travels
// behind the main vector in the same upload, with a bound and noise of its own.
type Metrics struct {
	Names     []string // what coordinate i says: 1 to 48 of a-z 0-9 . _ - /, all different
	Mechanism mechanism.Params
}

// DesignMetrics chooses bound and noise of the metrics beside a main vector: the same cohort, as much noise as makes one
// participation cost rho; nil: noise is off. It refuses a name that is not of the closed list, or a mean without the
// metric that counts its devices.
func DesignMetrics(names []string, main mechanism.Params, rho *big.Rat, signs [32]byte) (*Metrics, error) {
	m := &Metrics{Names: names}
	if err := m.listed(); err != nil {
		return nil, err
	}
	var err error
	m.Mechanism, err = mechanism.Design(mechanism.Literal{
		Dim: len(names), Clip: longest(names), NMin: main.NMin, NMax: main.NMax, Colluders: main.Colluders,
		Rho: rho, Noise: rho != nil, SumLimit: main.SumLimit, Signs: signs, Unmetered: true,
	})
	if err == nil {
		err = m.check()
	}
	return m, err
}

// listed says whether every name is of the closed list, and each mean stands beside its count.
func (m *Metrics) listed() error {
	if len(m.Names) == 0 {
		return fmt.Errorf("%w: no metrics", ErrPlan)
	}
	for _, name := range m.Names {
		one, found := measureOf(name)
		if !found {
			return fmt.Errorf("%w: there is no metric %q", ErrPlan, name)
		}
		if one.of != "" && !slices.Contains(m.Names, one.of) {
			return fmt.Errorf("%w: the metric %q without %q", ErrPlan, name, one.of)
		}
	}
	return nil
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
