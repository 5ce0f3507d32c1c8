package optim

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// A round that is split into groups opens one sum per group, so that devices that send poison reach only their own
// group's mean, and the means can be combined so that a minority of bad ones does little.
//
// What it costs. Each group's sum carries the differential-privacy noise of a sum of its own, sized for that group's
// n_min; a device is in one group, so the ledger takes the maximum over the groups, not their sum, but the mean over G
// groups is sqrt(G) times as noisy as that of one sum. On top of that the median wastes part of what the means hold:
// of Gaussian values its variance is up to pi/2 times that of their mean (1.35 for 3 groups, 1.43 for 5, 1.57 for many).
//
// What it cannot do. The lot spreads corrupt devices over the groups: with a share f of them and m devices in a group,
// a group is free of them with probability (1-f)^m only. Where every group holds some, the median sees G means that are
// all a little wrong, and takes a middle one. It limits what one device can do, not what a share of devices that keep
// within the clip can.

// ErrGroups says that group means cannot be combined: none, of several lengths, not finite, or with more to trim than
// there is.
var ErrGroups = errors.New("optim: group means")

// Group is the mean update of one group of devices.
type Group struct {
	Name    string    // for reports
	Devices int       // in the sum, at least 1
	Mean    []float32 // finite
}

func checkGroups(groups []Group) error {
	if len(groups) == 0 {
		return fmt.Errorf("%w: there is none", ErrGroups)
	}
	for _, g := range groups {
		switch {
		case len(g.Mean) != len(groups[0].Mean):
			return fmt.Errorf("%w: %q has %d numbers, %q has %d", ErrGroups, g.Name, len(g.Mean), groups[0].Name, len(groups[0].Mean))
		case g.Devices < 1:
			return fmt.Errorf("%w: %q is the mean of %d devices", ErrGroups, g.Name, g.Devices)
		case !finite(g.Mean):
			return fmt.Errorf("%w: %q holds a number that is not finite", ErrGroups, g.Name)
		}
	}
	return nil
}

func finite(x []float32) bool {
	for _, v := range x {
		if v-v != 0 {
			return false
		}
	}
	return true
}

// Mean is the mean over all devices of all groups. One bad group moves it as far as it likes.
func Mean(groups []Group) ([]float32, error) {
	if err := checkGroups(groups); err != nil {
		return nil, err
	}
	devices := 0.0
	for _, g := range groups {
		devices += float64(g.Devices)
	}
	return byCoordinate(groups, func(values []float64) float64 {
		sum := 0.0
		for k, v := range values {
			sum += v * (float64(groups[k].Devices) / devices)
		}
		return sum
	}), nil
}

// Median is the coordinate-wise median of the group means, each counting the same; of an even number the mean of the
// middle two (Yin, Chen, Ramchandran, Bartlett, Byzantine-Robust Distributed Learning: Towards Optimal Statistical
// Rates, ICML 2018, algorithm 1, option I). Up to floor((G-1)/2) groups may hold anything: the result stays between the
// values of the others, coordinate by coordinate.
func Median(groups []Group) ([]float32, error) {
	if err := checkGroups(groups); err != nil {
		return nil, err
	}
	return byCoordinate(groups, func(values []float64) float64 {
		slices.Sort(values)
		half := len(values) / 2
		if len(values)%2 == 1 {
			return values[half]
		}
		return (values[half-1] + values[half]) / 2
	}), nil
}

// TrimmedMean leaves the floor(beta G) largest and as many smallest values of each coordinate out and takes the mean of
// the others, each group counting the same (the same paper, option II). Up to floor(beta G) groups may hold anything.
// beta is in [0, 1/2).
func TrimmedMean(groups []Group, beta float64) ([]float32, error) {
	if err := checkGroups(groups); err != nil {
		return nil, err
	}
	if !(beta >= 0 && beta < 0.5) {
		return nil, fmt.Errorf("%w: a share of %v cannot be trimmed at both ends", ErrGroups, beta)
	}
	cut := int(beta*float64(len(groups)) + 1e-9)
	return byCoordinate(groups, func(values []float64) float64 {
		slices.Sort(values)
		kept, sum := values[cut:len(values)-cut], 0.0
		for _, v := range kept {
			sum += v / float64(len(kept))
		}
		return sum
	}), nil
}

// byCoordinate combines the values of each coordinate; combine may reorder them.
func byCoordinate(groups []Group, combine func(values []float64) float64) []float32 {
	out := make([]float32, len(groups[0].Mean))
	values := make([]float64, len(groups))
	for i := range out {
		for k, g := range groups {
			values[k] = float64(g.Mean[i])
		}
		out[i] = float32(combine(values))
	}
	return out
}

// LeftOut is a group whose mean is too long to be honest.
type LeftOut struct {
	Name          string
	Norm, Longest float64 // Euclidean norm of its mean, and the most that honest devices and noise make
}

// ShortEnough keeps the groups whose mean is not longer than longest says of them, and names the others. A group that
// holds a NaN or an infinity is left out too, with that as its norm. Devices that keep within the clip are never found
// by it, whatever they send; where noise is on, neither is a group that its noise hides: see HonestNorm.
func ShortEnough(groups []Group, longest func(Group) float64) (kept []Group, out []LeftOut) {
	for _, g := range groups {
		square := 0.0
		for _, v := range g.Mean {
			square += float64(v) * float64(v)
		}
		norm, most := math.Sqrt(square), longest(g)
		if norm <= most { // false for NaN
			kept = append(kept, g)
		} else {
			out = append(out, LeftOut{g.Name, norm, most})
		}
	}
	return kept, out
}

// HonestNorm is the longest that a group's mean is when every device clips to `clip`: the mean of such updates is no
// longer than the clip, and noise of standard deviation sigma in each of dim coordinates of the mean is added. An honest
// group exceeds it with probability at most miss, in (0, 1), by Birge's bound for the non-central chi-square
// (An alternative point of view on Lepski's method, 2001, lemma 8.1), which Gaussian noise obeys.
func HonestNorm(clip, sigma float64, dim int, miss float64) float64 {
	u, d, s2, c2 := -math.Log(miss), float64(dim), sigma*sigma, clip*clip
	return math.Sqrt(d*s2+c2+2*sigma*math.Sqrt((d*s2+2*c2)*u)+2*s2*u) * (1 + 1e-6) // float32 updates
}
