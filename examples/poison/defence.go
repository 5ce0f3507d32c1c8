package main

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"sync"

	"tutti/aggregation"
	"tutti/model/optim"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
)

// rule is how the means of groups are combined.
type rule uint8

const (
	mean rule = iota
	median
	trimmed
	short
)

// trim is the share that the trimmed mean leaves out at each end.
const trim = 0.2

// defence is what is done about attackers.
type defence struct {
	check  bool // leave out devices whose vector exceeds the bound of plan.Norm
	groups int
	rule   rule
}

func defences() []defence {
	list := []defence{{groups: 1}, {check: true, groups: 1}}
	for _, g := range []int{5, 10, 20} {
		list = append(list, defence{groups: g, rule: median}, defence{groups: g, rule: trimmed}, defence{groups: g, rule: short},
			defence{check: true, groups: g, rule: median})
	}
	return list
}

// String is the defence's name.
func (d defence) String() string {
	if d.groups == 1 {
		if d.check {
			return "norm check"
		}
		return "none"
	}
	name := fmt.Sprintf("%d groups, %s", d.groups, [...]string{"mean", "median", "trimmed", "short only"}[d.rule])
	if d.check {
		name += ", norm check"
	}
	return name
}

// release is one vector of a task: its length, its clip, and what it may cost.
type release struct {
	dim  int
	clip float64
	rho  *big.Rat // nil: no noise
}

// design is the mechanism of one group of a round that wants so many devices, as server and devices would make it.
// why says that there is none.
func (d defence) design(devices int, r release) (m mechanism.Params, why string, err error) {
	if r.rho == nil { // what a sum hides is not the question then
		m, err = mechanism.Design(mechanism.Literal{Dim: r.dim, Clip: r.clip, NMin: 1, NMax: devices})
		return m, "", err
	}
	low, high := aggregation.Cohort(devices, d.groups)
	colluders := plan.Colluders(high, devices, plan.CorruptShare, aggregation.EveryDevice, d.groups)
	if low-colluders < 2 {
		return m, fmt.Sprintf("a group may hold only %d devices, of them %d corrupt", low, colluders), nil
	}
	m, err = mechanism.Design(mechanism.Literal{Dim: r.dim, Clip: r.clip, NMin: low, NMax: high, Colluders: colluders, Rho: r.rho, Noise: true})
	return m, "", err
}

// longest is the most that passes the check, in clips.
func (d defence) longest(m mechanism.Params) float64 {
	if !d.check {
		return math.Inf(1)
	}
	return plan.Slack(m)
}

// opened is what the server has after a round.
type opened struct {
	mean              []float32
	devices           int     // that the mean speaks of
	sigma             float64 // of the noise on each coordinate of mean
	leftOut, excluded int
}

// open sums what the devices sent by groups that the lot draws, adds the noise that honest devices bring, and combines.
func (d defence) open(sent [][]float32, bad []bool, m mechanism.Params, seed uint64) (opened, error) {
	random := rand.New(rand.NewPCG(seed, 0x10d))
	longest, o := d.longest(m)*m.Clip*(1+1e-6), opened{}
	groups := make([]optim.Group, d.groups)
	honest := make([]int, d.groups)
	for i, x := range sent {
		g := random.IntN(d.groups)
		if d.check && norm(x) > longest {
			o.excluded++
			continue
		}
		if groups[g].Mean == nil {
			groups[g].Mean = make([]float32, len(x))
		}
		for k, v := range x {
			groups[g].Mean[k] += v
		}
		groups[g].Devices++
		if !bad[i] {
			honest[g]++
		}
	}
	for g := range groups {
		groups[g].Name = fmt.Sprint(g)
		if groups[g].Devices == 0 {
			continue
		}
		sigma := 0.0
		if m.Noise {
			sigma = m.NoiseOnSum(honest[g]) // an attacker adds none
		}
		n := float32(groups[g].Devices)
		for k, v := range groups[g].Mean {
			groups[g].Mean[k] = (v + float32(sigma*random.NormFloat64())) / n
		}
		o.devices += groups[g].Devices
	}
	groups = slices.DeleteFunc(groups, func(g optim.Group) bool { return g.Devices == 0 })
	var err error
	if o.mean, o.leftOut, err = d.combine(groups, m); err != nil {
		return o, err
	}
	if m.Noise {
		o.sigma = m.NoiseOnSum(o.devices) / float64(o.devices) * d.efficiency() * math.Sqrt(float64(d.groups)/float64(d.groups-o.leftOut))
	}
	return o, nil
}

func (d defence) combine(groups []optim.Group, m mechanism.Params) (out []float32, leftOut int, err error) {
	switch d.rule {
	case median:
		out, err = optim.Median(groups)
	case trimmed:
		out, err = optim.TrimmedMean(groups, trim)
	case short:
		kept, long := optim.ShortEnough(groups, func(g optim.Group) float64 {
			sigma := 0.0
			if m.Noise {
				sigma = m.NoiseOnSum(g.Devices) / float64(g.Devices)
			}
			return optim.HonestNorm(m.Clip, sigma, m.Dim, 0x1p-40)
		})
		if leftOut = len(long); len(kept) == 0 {
			return make([]float32, len(groups[0].Mean)), leftOut - 1, nil // nothing is left: nothing is learned
		}
		out, err = optim.Mean(kept)
	default:
		out, err = optim.Mean(groups)
	}
	return out, leftOut, err
}

var (
	efficiencies   = map[defence]float64{}
	efficienciesMu sync.Mutex
)

// efficiency is how much larger the standard deviation of the combination of equally noisy Gaussian values is than that
// of their mean, measured on 20,000 draws: about 1.25 for a median of many.
func (d defence) efficiency() float64 {
	if d.rule != median && d.rule != trimmed {
		return 1
	}
	efficienciesMu.Lock()
	defer efficienciesMu.Unlock()
	if known, ok := efficiencies[d]; ok {
		return known
	}
	random := rand.New(rand.NewPCG(uint64(d.groups), 7))
	groups := make([]optim.Group, d.groups)
	for g := range groups {
		groups[g] = optim.Group{Devices: 1, Mean: make([]float32, 20_000)}
		for k := range groups[g].Mean {
			groups[g].Mean[k] = float32(random.NormFloat64())
		}
	}
	combined, _, err := d.combine(groups, mechanism.Params{})
	if err != nil {
		panic(err) // finite groups of one length
	}
	efficiencies[d] = norm(combined) / math.Sqrt(20_000) * math.Sqrt(float64(d.groups))
	return efficiencies[d]
}
