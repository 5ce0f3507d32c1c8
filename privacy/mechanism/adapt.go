package mechanism

import (
	"errors"
	"fmt"
	"math"
)

// ErrAdapt is wrapped where a number of the adaptive clip is out of range.
var ErrAdapt = errors.New("mechanism: out of range for an adaptive clip")

// maxEta bounds the learning rate: one step moves the clip by a factor of at
// most e.
const maxEta = 1

// NextClip returns the clip of the next round, C exp(-eta (b - gamma)), after
// a round in which a share b of the devices had updates of norm at most the
// clip C (Andrew, Thakkar, McMahan, Ramaswamy, arXiv 1905.03871, Algorithm 1).
// It heads for the gamma-quantile of the norms.
//
// The fraction is what the metrics of the round said, with their noise: it is
// cut to [0, 1] first, so that one round moves the clip by a factor within
// [exp(-eta (1-gamma)), exp(eta gamma)]. The result stays within what Params
// allow, [1e-9, 1e9]. Ranges: clip in [1e-9, 1e9], eta in (0, 1], gamma in
// [0, 1], any fraction but NaN; outside them the error wraps ErrAdapt.
func NextClip(clip, eta, gamma, fraction float64) (float64, error) {
	switch {
	case !(clip >= minClip && clip <= maxClip):
		return 0, fmt.Errorf("%w: a clip of %g", ErrAdapt, clip)
	case !(eta > 0 && eta <= maxEta):
		return 0, fmt.Errorf("%w: a learning rate of %g", ErrAdapt, eta)
	case !(gamma >= 0 && gamma <= 1):
		return 0, fmt.Errorf("%w: a quantile of %g", ErrAdapt, gamma)
	case math.IsNaN(fraction):
		return 0, fmt.Errorf("%w: a fraction that is not a number", ErrAdapt)
	}
	step := -eta * (min(max(fraction, 0), 1) - gamma)
	return min(max(clip*math.Exp(step), minClip), maxClip), nil
}

// SplitMultiplier returns z_delta = (z^-2 - (2 sigmaB)^-2)^(-1/2), the noise
// multiplier of the updates that, together with clip bits in {-1/2, 1/2}
// summed under noise of standard deviation sigmaB, costs as much as the
// multiplier z alone (arXiv 1905.03871, Theorem 1). z must be in [1e-6, 1e6]
// and sigmaB finite and above z/2: otherwise the bits alone cost more than z
// allows, and the error wraps ErrAdapt.
func SplitMultiplier(z, sigmaB float64) (float64, error) {
	if !(z >= 1e-6 && z <= 1e6) || !(sigmaB > z/2) || math.IsInf(sigmaB, 0) {
		return 0, fmt.Errorf("%w: a multiplier of %g with noise of %g on the clip bits", ErrAdapt, z, sigmaB)
	}
	rest := 1/(z*z) - 1/(4*sigmaB*sigmaB)
	if rest <= 0 { // rounding: sigmaB is too near to z/2
		return 0, fmt.Errorf("%w: noise of %g on the clip bits leaves nothing of a multiplier of %g", ErrAdapt, sigmaB, z)
	}
	return 1 / math.Sqrt(rest), nil
}
