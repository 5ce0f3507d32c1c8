package registry

import (
	"fmt"
	"math"
	"slices"

	"tutti/privacy/plan"
)

// Policy is how versions are rolled out. The zero values of optional fields take the default in brackets.
type Policy struct {
	Start      uint32   // percent of the devices that a new version of a model round is offered to at once [100: everybody]
	Steps      []uint32 // percentages after Start, rising; the last is 100 [25, 100]
	FalseAlarm float64  // probability that a version which is as good as the stable one is stopped [0.001]
	Tolerance  float64  // of the hit rate at ten, in [0, 1]: a version that is shown to lose less goes on [0.05]
}

// Complete fills in the defaults and checks.
func (p Policy) Complete() (Policy, error) {
	if p.Start == 0 {
		p.Start = Everybody
	}
	if len(p.Steps) == 0 {
		p.Steps = []uint32{25, Everybody}
	}
	if p.FalseAlarm == 0 {
		p.FalseAlarm = 0.001
	}
	if p.Tolerance == 0 {
		p.Tolerance = 0.05
	}
	rising := slices.IsSorted(p.Steps) && len(slices.Compact(slices.Clone(p.Steps))) == len(p.Steps)
	switch {
	case p.Start > Everybody || p.Steps[0] < 1 || !rising || p.Steps[len(p.Steps)-1] != Everybody:
		return p, fmt.Errorf("%w: a start at %d %% and steps of %v", ErrPercent, p.Start, p.Steps)
	case !(p.FalseAlarm > 0 && p.FalseAlarm < 0.5):
		return p, fmt.Errorf("a roll-out's false alarms have a probability between 0 and 0.5, not %g", p.FalseAlarm)
	case !(p.Tolerance > 0 && p.Tolerance < 1):
		return p, fmt.Errorf("a roll-out's tolerance is a hit rate between 0 and 1, not %g", p.Tolerance)
	}
	return p, nil
}

// Staged says whether versions are rolled out in steps at all.
func (p Policy) Staged() bool { return p.Start < Everybody }

// next is the percentage after one that was reached.
func (p Policy) next(percent uint32) uint32 {
	for _, s := range p.Steps {
		if s > percent {
			return s
		}
	}
	return Everybody
}

// Measured is one figure of a version. Error is its standard error: of the noise, and of which devices happened to be
// asked.
type Measured struct {
	Name         string
	Value, Error float64
}

// compared are the figures that decide; larger is better for the first, smaller for the second.
var compared = []struct {
	name, counts string  // the figure, and that which counts its devices
	low, high    float64 // between which a device's value lies
	sign         float64 // +1: larger is better
}{
	{"hit10", "evaluated", 0, 1, 1},
	{"loss", "trained", 0, 2, -1},
}

// normal95 is the half width of a 95 % interval in standard deviations, as plan.Figure has it.
const normal95 = 1.959964

// Measure reads the figures that decide from what a round opened. One that is drowned in noise is left out. The noise's
// standard error is read from the figure's interval, its wider side; that of the devices who were asked is at most
// sqrt((x-low)(high-x)/n) for a mean x of n values between low and high (Bhatia and Davis, A better bound on the variance,
// 2000), with equality for the hit rate; x is moved towards the middle by two devices, so that a rate of 0 has an error.
func Measure(figures []plan.Figure) []Measured {
	find := func(name string) (plan.Figure, bool) {
		i := slices.IndexFunc(figures, func(f plan.Figure) bool { return f.Name == name })
		if i < 0 {
			return plan.Figure{}, false
		}
		return figures[i], true
	}
	var out []Measured
	for _, c := range compared {
		f, found := find(c.name)
		devices, counted := find(c.counts)
		if !found || !counted || !(devices.Value >= 1) || f.Low <= c.low && f.High >= c.high {
			continue
		}
		x := (f.Value*devices.Value + c.low + c.high) / (devices.Value + 2)
		noise := max(f.High-f.Value, f.Value-f.Low) / normal95
		out = append(out, Measured{c.name, f.Value, math.Sqrt((x-c.low)*(c.high-x)/devices.Value + noise*noise)})
	}
	return out
}

// Action is what a decision comes to.
type Action uint8

// The actions.
const (
	Hold  Action = iota // as it is: not enough is known
	Widen               // to the next percentage
	Stop                // it is worse
)

// String is the action's label.
func (a Action) String() string { return [...]string{"hold", "widen", "stop"}[a] }

// Decision is what was decided, and from what.
type Decision struct {
	Action  Action
	Percent uint32 // with Widen: the next percentage
	Why     string // in words
}

// widenSure is the one-sided confidence with which a version must lose less than the tolerance, in standard deviations: 95 %.
const widenSure = 1.644854

// Decide compares a canary with the stable version, both as rounds measured them that started from them.
//
// It stops the canary where any figure is worse than the stable one's by more than z standard errors of the difference, a
// one-sided test of "it is not worse" for each of the k figures that both have, at FalseAlarm/k, so that a canary which is
// as good is stopped with probability FalseAlarm at most (Bonferroni), in one decision. It widens where the hit rate is
// shown, with 95 % confidence, to lose less than the tolerance. Otherwise it holds.
//
// Errors are taken as normal: the noise is, and a mean over a hundred devices or more nearly. With ten devices and no noise
// three canaries in 1,000 are stopped where FalseAlarm is 0.001, with twenty to fifty up to two. Each version of a roll-out
// is decided on once, against the same figures of the stable version: in a roll-out that holds for long, one of its good
// versions is stopped the more probably, at most their number times FalseAlarm.
func (p Policy) Decide(stable, canary []Measured, percent uint32) Decision {
	var both [][2]Measured
	var signs []float64
	for _, c := range compared {
		a, b := named(stable, c.name), named(canary, c.name)
		if a != nil && b != nil {
			both, signs = append(both, [2]Measured{*a, *b}), append(signs, c.sign)
		}
	}
	if len(both) == 0 {
		return Decision{Hold, 0, "nothing was measured of both versions, or noise drowns it"}
	}
	z := math.Sqrt2 * math.Erfinv(1-2*p.FalseAlarm/float64(len(both)))
	for i, m := range both {
		gain, spread := signs[i]*(m[1].Value-m[0].Value), math.Hypot(m[0].Error, m[1].Error)
		if gain < -z*spread {
			return Decision{Stop, 0, fmt.Sprintf("%s is %.4f, and was %.4f: worse by %.1f standard errors, %.1f would be chance", m[1].Name, m[1].Value, m[0].Value, -gain/spread, z)}
		}
	}
	hit := both[0]
	if hit[0].Name != compared[0].name {
		return Decision{Hold, 0, "the hit rate was not measured of both versions, or noise drowns it"}
	}
	gain, spread := hit[1].Value-hit[0].Value, math.Hypot(hit[0].Error, hit[1].Error)
	if worst := gain - widenSure*spread; worst <= -p.Tolerance {
		return Decision{Hold, 0, fmt.Sprintf("hit10 is %.4f, and was %.4f, give or take %.4f: it may be worse by %.4f, and %.4f is tolerated", hit[1].Value, hit[0].Value, spread, -worst, p.Tolerance)}
	}
	return Decision{Widen, p.next(percent), fmt.Sprintf("hit10 is %.4f, and was %.4f, give or take %.4f", hit[1].Value, hit[0].Value, spread)}
}

func named(ms []Measured, name string) *Measured {
	for i := range ms {
		if ms[i].Name == name {
			return &ms[i]
		}
	}
	return nil
}
