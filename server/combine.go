package server

import (
	"fmt"
	"math"

	"tutti/model/optim"
	"tutti/privacy/ledger"
	"tutti/privacy/mechanism"
	"tutti/server/round"
)

// Combine is how the sums of a round's groups become one. It is post-processing: it costs no privacy.
type Combine string

const (
	CombineSum     Combine = ""        // the sum of all: as if the round were not split, but for its noise
	CombineMedian  Combine = "median"  // of the groups' means, by coordinate: fewer than half of the groups may hold anything
	CombineTrimmed Combine = "trimmed" // the mean of the groups' means without the largest and the smallest fifth of them, by coordinate
)

// trimmed is the share of groups that CombineTrimmed leaves out at both ends.
const trimmed = 0.2

// Check says whether so many groups can be combined so.
func (c Combine) Check(groups int) error {
	switch {
	case c != CombineSum && c != CombineMedian && c != CombineTrimmed:
		return fmt.Errorf("server: sums of groups are not combined by %q: want %s, %s, or nothing for their sum", string(c), CombineMedian, CombineTrimmed)
	case c == CombineMedian && groups < 3:
		return fmt.Errorf("server: a median of %d groups leaves none out: at least 3 are needed", groups)
	case c == CombineTrimmed && groups < 5:
		return fmt.Errorf("server: a trimmed mean of %d groups leaves none out: at least 5 are needed", groups)
	}
	return nil
}

// spread is how much noisier, at most, the combination is than the mean of as many groups: a median has up to pi/2 times
// the variance of the mean, the mean of the inner three fifths of Gaussian values 1.15 times.
func (c Combine) spread() float64 {
	switch c {
	case CombineMedian:
		return math.Sqrt(math.Pi / 2)
	case CombineTrimmed:
		return math.Sqrt(1.15)
	}
	return 1
}

// GroupResult is what became of one group of a round that was split.
type GroupResult struct {
	Outcome   string   // ledger.Published, Lost or Abandoned
	N         int      // devices in its sum
	Aggregate [32]byte // digest of its opened integer sum
	Reason    string   // why there is none
}

// conclude makes the round's result once nothing can change what its groups come to, if any of their sums is open.
func (a *active) conclude() error {
	for _, g := range a.groups {
		if !g.concluded() {
			return nil
		}
	}
	if a.firstOpen() == nil || a.result != nil {
		return nil
	}
	result, err := a.combine()
	if err != nil {
		return fmt.Errorf("combining the groups of round %d: %w", a.key.Round, err)
	}
	a.result = result
	a.once.Do(func() { close(a.opened) })
	return nil
}

// combine makes one result of the groups' open sums.
func (a *active) combine() (*RoundResult, error) {
	counters, err := a.s.counters(a.ctx, a.key)
	if err != nil {
		return nil, err
	}
	result := &RoundResult{Round: a.key.Round, Plan: a.plan, Rho: a.cost(), Took: a.s.cfg.Clock().Sub(a.began), Counters: counters}
	var open []*opening
	var sums []ledger.Digest
	for _, g := range a.groups {
		b := g.record()
		sums = append(sums, b.Aggregate)
		one := GroupResult{Outcome: b.Outcome, Aggregate: b.Aggregate, Reason: b.Reason}
		if g.open() {
			one.N = g.sum.devices
			open = append(open, g.sum)
			result.N += g.sum.devices
			result.Wrong = append(result.Wrong, g.sum.wrong...)
		}
		result.Groups = append(result.Groups, one)
	}
	result.Metrics = metrics(a.plan, open)
	if len(a.groups) == 1 {
		result.Sum, result.Aggregate, result.Groups = open[0].sum, open[0].aggregate, nil
		return result, nil
	}
	result.Aggregate = ledger.Join(sums...)
	result.Sum.Meter = pooled(open)
	result.Sum.Values, result.Combined, err = combined(a.s.cfg.Combine, open, result.N)
	return result, err
}

// combined is the sum over all devices of the open groups, or what stands for it, and how it was made: where too few
// groups are open to trim any, their median, which is robust as far as there is a majority.
func combined(how Combine, open []*opening, devices int) ([]float32, Combine, error) {
	out := make([]float32, len(open[0].sum.Values))
	if how == CombineSum {
		for i := range out {
			total := 0.0
			for _, o := range open {
				total += float64(o.sum.Values[i])
			}
			out[i] = float32(total)
		}
		return out, how, nil
	}
	groups := make([]optim.Group, len(open))
	for k, o := range open {
		groups[k] = optim.Group{Name: fmt.Sprint(k), Devices: o.devices, Mean: make([]float32, len(out))}
		for i, v := range o.sum.Values {
			groups[k].Mean[i] = v / float32(o.devices)
		}
	}
	var mean []float32
	var err error
	if how == CombineTrimmed && how.Check(len(open)) == nil {
		mean, err = optim.TrimmedMean(groups, trimmed)
	} else {
		how = CombineMedian
		mean, err = optim.Median(groups)
	}
	if err != nil {
		return nil, how, err
	}
	for i, v := range mean {
		out[i] = v * float32(devices)
	}
	return out, how, nil
}

// pooled adds the readings of the groups' noise meters: the sum of all holds the noise of all.
func pooled(open []*opening) (m mechanism.NoiseMeter) {
	for _, o := range open {
		one := o.sum.Meter
		m.PadCoords = one.PadCoords
		m.MeasuredVar += one.MeasuredVar
		m.ExpectedVar += one.ExpectedVar
	}
	if m.PadCoords > 0 {
		m.ZScore = (m.MeasuredVar - m.ExpectedVar) / (m.ExpectedVar * math.Sqrt(2/float64(m.PadCoords)))
	}
	return m
}

// NoiseOnSum is the standard deviation, in the units of an update, of the noise on each number of Sum; 0 where noise was
// off.
func (r *RoundResult) NoiseOnSum() float64 {
	if r.Plan.Central != nil {
		return r.centralNoise() * r.Combined.spread()
	}
	return r.Plan.Mechanism.NoiseOnSum(r.N) * r.Combined.spread()
}

// fate says why no sum of the round is open, and how many uploads were staged.
func (a *active) fate() error {
	abandoned := &AbandonedError{Round: a.key.Round, Freed: true}
	for _, g := range a.groups {
		switch d := g.state(); d.State {
		case round.Lost:
			return &LostError{Round: a.key.Round, Reason: d.Lost}
		case round.Abandoned:
			abandoned.Reason, abandoned.Freed = d.Abandon, abandoned.Freed && d.Freed
			abandoned.Staged += g.staged
		case 0: // the round ended before it was split
		default:
			return fmt.Errorf("server: round %d is over (%v)", a.key.Round, d.State)
		}
	}
	return abandoned
}
