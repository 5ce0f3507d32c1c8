package delta

import (
	"errors"
	"math"
)

// Exponents of a step: float32 has none below, and a larger one moves nothing that training makes.
const (
	minExponent = -149
	maxExponent = 127
)

// mostSteps bounds a difference: steps that fine save nothing.
const mostSteps = 1 << 20

// finestWanted is how much finer than the largest change steps may be to be worth a try.
const finestWanted = 24

// moved is the word of a float32 that lies k steps of 2^e from another's.
func moved(from uint32, k int32, e int16) uint32 {
	if k == 0 {
		return from
	}
	step := math.Ldexp(float64(k), int(e)) // exact, so that a fused addition rounds alike
	return math.Float32bits(float32(float64(math.Float32frombits(from)) + step))
}

// stepsBetween is how many steps of 2^e lead from one float32 to another, exactly; false: none do.
func stepsBetween(from, to uint32, e int16) (int32, bool) {
	if from == to {
		return 0, true
	}
	d := float64(math.Float32frombits(to)) - float64(math.Float32frombits(from))
	k := math.RoundToEven(math.Ldexp(d, -int(e)))
	if !(math.Abs(k) <= mostSteps) { // NaN too
		return 0, false
	}
	return int32(k), moved(from, int32(k), e) == to
}

// commonStep finds the largest 2^e of which every word of result is a whole number of steps from base's.
func commonStep(base, result []byte) (e int16, found bool) {
	n := (len(result) + 3) / 4
	largest := 0.0
	for i := range n {
		from, to := word(base, i), word(result, i)
		if from == to {
			continue
		}
		d := math.Abs(float64(math.Float32frombits(to)) - float64(math.Float32frombits(from)))
		if math.IsNaN(d) || math.IsInf(d, 0) {
			return 0, false
		}
		largest = max(largest, d)
	}
	if largest == 0 {
		return 0, true
	}
	_, top := math.Frexp(largest) // largest < 2^top
	for e := top; e > top-finestWanted && e >= minExponent; e-- {
		if e > maxExponent {
			continue
		}
		if allSteps(base, result, n, int16(e)) {
			return int16(e), true
		}
	}
	return 0, false
}

func allSteps(base, result []byte, n int, e int16) bool {
	for i := range n {
		if _, ok := stepsBetween(word(base, i), word(result, i), e); !ok {
			return false
		}
	}
	return true
}

// Snap moves next to a whole number of steps from base, so that a delta between the two needs a few bits a weight. A
// step is the largest power of two that is at most an eighth of the root mean square of the change: what is lost is
// 1/768 of the change's power at most where the rounding falls evenly, as noise makes it, and 1/256 in any case. Of the
// noise alone it is as little only where the noise is most of the change, and single weights that move by less than a
// sixteenth of the root mean square, without noise, do not move at all. Both are as long; next is changed in place. It answers the
// step, or 0 where nothing changed, and refuses a change that is not finite.
func Snap(base, next []float32) (step float64, err error) {
	if len(base) != len(next) {
		return 0, errors.New("delta: weights of different lengths")
	}
	power := 0.0
	for i, x := range next {
		d := float64(x) - float64(base[i])
		power += d * d
	}
	if power == 0 {
		return 0, nil
	}
	rms := math.Sqrt(power / float64(len(next)))
	if math.IsNaN(rms) || math.IsInf(rms, 0) {
		return 0, errors.New("delta: a change that is not finite")
	}
	_, e := math.Frexp(rms / 8)
	e = max(e-1, minExponent)
	for i, x := range next {
		k := math.RoundToEven(math.Ldexp(float64(x)-float64(base[i]), -e)) // at most 16 sqrt(len(next))
		next[i] = math.Float32frombits(moved(math.Float32bits(base[i]), int32(k), int16(e)))
	}
	return math.Ldexp(1, e), nil
}
