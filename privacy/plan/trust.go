package plan

import (
	"fmt"
	"math"
	"math/big"
	"strconv"

	"tutti/privacy/accounting"
)

// Trust says who adds the noise of a task, and so what the operator sees.
type Trust uint8

// The modes.
const (
	TrustDevices   Trust = iota // every device adds a share: the operator sees noised sums only
	TrustCentral                // the operator adds it to every sum, and sees the sums without
	TrustCentralMF              // so, and the noise of the model rounds is one stream (matrix factorisation)
)

var trustNames = [...]string{TrustDevices: "distributed", TrustCentral: "central", TrustCentralMF: "central-mf"}

// String is the mode's name.
func (t Trust) String() string {
	if int(t) < len(trustNames) {
		return trustNames[t]
	}
	return fmt.Sprintf("trust(%d)", uint8(t))
}

// ParseTrust reads a mode's name; "" is "distributed".
func ParseTrust(name string) (Trust, error) {
	if name == "" {
		return TrustDevices, nil
	}
	for t, s := range trustNames {
		if s == name {
			return Trust(t), nil
		}
	}
	return 0, fmt.Errorf("%w: there is no mode %q: want distributed, central or central-mf", ErrPlan, name)
}

// streamBuffers is how many buffers a stream is given: a third earns half a percent over the second, a fourth nothing
// that matters (design, 2.7), and each is a copy of the model.
const streamBuffers = 3

// idleBuffer is the weight below which a buffer does nothing and is left out.
const idleBuffer = 1e-6

// CentralFor is independent central noise for rounds that cost rho each, at most.
func CentralFor(rho *big.Rat) *Central {
	return &Central{Noise: CentralGaussian, Z: multiplierFor(rho)}
}

// multiplierFor is the smallest decimal z of some six digits with 1/(2 z^2) <= rho.
func multiplierFor(rho *big.Rat) string {
	x, _ := rho.Float64()
	z := math.Sqrt(1 / (2 * x))
	for _, factor := range []float64{1, 1 + 2e-6, 1 + 1e-5} {
		c := Central{Z: FormatDecimal(mustFloat(strconv.FormatFloat(z*factor, 'g', 6, 64)))}
		if have := c.Rho(); have != nil && have.Cmp(rho) <= 0 {
			return c.Z
		}
	}
	return FormatDecimal(z * (1 + 1e-4))
}

// StreamFor is correlated central noise over so many rounds, which costs rho as a whole, for devices that are in at most k
// of them, b apart: a BLT that nearly minimises the noise on the sum of all.
func StreamFor(rho *big.Rat, rounds, k, b int) (*Central, error) {
	b = max(1, min(b, rounds))
	k = max(1, min(k, (rounds+b-1)/b))
	blt, err := accounting.ChooseBLT(rounds, k, b, streamBuffers)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSplit, err)
	}
	c := &Central{Noise: CentralBLT, Z: multiplierFor(rho), Rounds: uint32(rounds)}
	for j, omega := range blt.Omega {
		if theta := blt.Theta[j]; omega >= idleBuffer && theta >= idleBuffer {
			c.Theta, c.Omega = append(c.Theta, FormatDecimal(theta)), append(c.Omega, FormatDecimal(omega))
		}
	}
	if len(c.Theta) == 0 { // the best is independent noise: where every device is in every round
		c.Theta, c.Omega = []string{"0.5"}, []string{FormatDecimal(idleBuffer)}
	}
	return c, nil
}
