package plan

import (
	"fmt"
	"math/big"

	"tutti/privacy/mechanism"
)

// MetricsAuto lets the planner decide: MetricsBasic where its figures say something, else MetricsOff.
const MetricsAuto MetricSet = "auto"

// Shares of the metrics, in 1/10,000 of rho, and in how many model rounds they are asked: at epsilon 8, three in a hundred
// of rho tell the share of devices with a hit in each of four rounds to +-.03 with 1,000 devices, to +-.05 with 610, and
// to +-.26 with 100; ten in a hundred, spent in a single round, would still leave the 100 devices +-.08. Hit rates are of
// the order of .1, so auto measures from +-.03 on: some 1,000 devices.
const (
	shareMetrics   = 300
	shareClip      = 100 // of the clip bits of the rounds that measure nothing else
	measuredRounds = 4
	usefulWidth    = 0.03 // half an interval
)

// Measurement is what a task asks of its devices besides the vectors: in which model rounds, and at what cost.
type Measurement struct {
	Set    MetricSet
	Points int      // model rounds that measure, spread evenly from the first to the last
	Round  *big.Rat // rho of each
	Width  float64  // half of the 95 % interval that hit10 gets in each when all devices of the goal count

	Bits     int      // further model rounds that ask the clip bit alone
	BitEvery int      // every so many-th of them does
	Bit      *big.Rat // rho of each

	rounds int
}

// Total is the rho of all of it.
func (m Measurement) Total() *big.Rat {
	total := new(big.Rat)
	if m.Points > 0 {
		total.Mul(m.Round, big.NewRat(int64(m.Points), 1))
	}
	if m.Bits > 0 {
		total.Add(total, new(big.Rat).Mul(m.Bit, big.NewRat(int64(m.Bits), 1)))
	}
	return total
}

// Of says what model round r, from 0, asks, and what that costs; nothing: it asks nothing.
func (m Measurement) Of(r int) (names []string, rho *big.Rat) {
	switch {
	case m.measures(r):
		return m.Set.Names(), m.Round
	case m.Bits > 0 && r < m.rounds && r%m.BitEvery == 0:
		return MetricsClip.Names(), m.Bit
	}
	return nil, nil
}

func (m Measurement) measures(r int) bool {
	if m.Points == 1 {
		return r == m.rounds-1
	}
	for i := range m.Points {
		if r == i*(m.rounds-1)/(m.Points-1) {
			return true
		}
	}
	return false
}

// measure plans the metrics of the model rounds.
func (s *Split) measure(w Wish) error {
	s.Measure = Measurement{Set: w.Metrics, Round: new(big.Rat), Bit: new(big.Rat), rounds: s.Rounds}
	m := &s.Measure
	if m.Set == "" || s.Rounds == 0 && m.Set == MetricsAuto {
		m.Set = MetricsOff
	}
	if s.Rounds > 0 && m.Set != MetricsOff {
		if err := s.choosePoints(); err != nil {
			return err
		}
	}
	if w.AdaptiveClip && s.Trust == TrustCentralMF {
		return fmt.Errorf("%w: a stream of correlated noise needs one clip for all of its rounds", ErrSplit)
	}
	if s.Rounds > 0 && w.AdaptiveClip {
		return s.chooseBits()
	}
	return nil
}

// choosePoints asks in as many rounds as there are, but for few of many; in one where the noise of a small share is more
// than a sum carries.
func (s *Split) choosePoints() error {
	m := &s.Measure
	auto := m.Set == MetricsAuto
	if auto {
		m.Set = MetricsBasic
	}
	if len(m.Set.Names()) == 0 {
		return fmt.Errorf("%w: there are no metrics %q: want %s, %s, %s or %s", ErrSplit, string(m.Set), MetricsOff, MetricsBasic, MetricsGroups, MetricsAuto)
	}
	var err error
	for m.Points = min(measuredRounds, s.Rounds); m.Points > 0; m.Points-- {
		m.Round = s.part(shareMetrics, m.Points)
		if m.Width, err = s.width(m.Set.Names(), m.Round); err == nil {
			break
		}
	}
	switch {
	case auto && (err != nil || m.Width > usefulWidth):
		m.Set, m.Points, m.Round = MetricsOff, 0, new(big.Rat)
	case err != nil:
		return fmt.Errorf("%w: metrics: %w", ErrSplit, err)
	}
	return nil
}

// chooseBits asks the clip bit in every round that measures nothing, or in fewer, where the noise of so small a share is
// more than a sum carries.
func (s *Split) chooseBits() error {
	m := &s.Measure
	var err error
	for m.BitEvery = 1; m.BitEvery <= s.Rounds; m.BitEvery *= 2 {
		m.Bits = 0
		for r := 0; r < s.Rounds; r += m.BitEvery {
			if !m.measures(r) {
				m.Bits++
			}
		}
		if m.Bits == 0 {
			return nil
		}
		m.Bit = s.part(shareClip, m.Bits)
		if _, err = s.design(MetricsClip.Names(), m.Bit); err == nil {
			return nil
		}
	}
	m.Bits, m.Bit = 0, new(big.Rat)
	if m.Points > 0 {
		return nil
	}
	return fmt.Errorf("%w: adaptive clipping: %w", ErrSplit, err)
}

// part is one of n equal parts of a share of the budget.
func (s *Split) part(share int64, n int) *big.Rat {
	return new(big.Rat).Mul(s.Rho, big.NewRat(share, shareAll*int64(n)))
}

func (s *Split) design(names []string, rho *big.Rat) (*Metrics, error) {
	return DesignMetrics(names, mechanism.Params{NMin: s.NMin, NMax: s.NMax, Colluders: s.Colluders}, rho, [32]byte{})
}

// width is half of hit10's interval when every device of the goal is evaluated and one in ten has a hit.
func (s *Split) width(names []string, rho *big.Rat) (float64, error) {
	m, err := s.design(names, rho)
	if err != nil {
		return 0, err
	}
	n := float64(s.Goal)
	sum := make([]float32, len(names))
	for i, name := range names {
		switch name {
		case metricEvaluated:
			sum[i] = float32(n / 2)
		case metricHit:
			sum[i] = float32(-0.4 * n)
		}
	}
	for _, f := range m.Figures(sum, s.Goal, m.Mechanism.NoiseOnSum(s.Goal)) {
		if f.Name == metricHit {
			return f.High - f.Value, nil // the lower end may be cut off at 0
		}
	}
	return 0, nil
}

func (s *Split) explainMetrics(w Wish, say func(string, ...any)) {
	switch m := s.Measure; {
	case w.Metrics == "" || s.Rounds == 0:
	case m.Points > 0:
		say("Quality and loss on the devices are measured in %d of the model rounds, for %.1f %% of rho: the share of devices with a hit among ten to about +-%.3f.",
			m.Points, 100*ratio(new(big.Rat).Mul(m.Round, big.NewRat(int64(m.Points), 1)), s.Rho), m.Width)
	case w.Metrics == MetricsAuto:
		say("Quality on the devices is not measured: with %d devices it would be too uncertain.", s.Goal)
	}
	if m := s.Measure; m.Bits > 0 {
		say("%d further model rounds ask whether an update was within the clip, for %.1f %% of rho, so that the next clip follows.",
			m.Bits, 100*ratio(new(big.Rat).Mul(m.Bit, big.NewRat(int64(m.Bits), 1)), s.Rho))
	}
}
