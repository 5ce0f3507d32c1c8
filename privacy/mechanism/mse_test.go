package mechanism

import (
	"math"
	"math/big"
	"os"
	"testing"
)

// bitScale is formula 2.2(3) of the design: the grid units per clip at which
// the sum of n vectors of D coordinates, worst case aligned, would fit b bits
// at four standard deviations, with noise of multiplier z.
func bitScale(bits, n, padded int, z float64) float64 {
	const k = 4
	s := math.Exp2(float64(bits)) / float64(n)
	for range 20 {
		sigma, _ := bigL2Bound(s, padded).Float64()
		sigma *= z / s / math.Sqrt(float64(n))
		size := float64(n)*float64(n)/float64(padded) + float64(n)*sigma*sigma
		s = math.Sqrt(math.Exp2(float64(2*bits))-float64(n)*k*k) / (2 * k * math.Sqrt(size))
	}
	return s
}

// meanSquare returns the mean squared error of a decoded sum of n vectors of
// norm 1 at the given scale, over that of a central Gaussian of multiplier z;
// NaN where the kind's sampler does not reach so far. Both cost rho =
// 1/(2 z^2). The scale may be coarser than a plan could have.
func meanSquare(t *testing.T, kind NoiseKind, grid int64, n, padded int, z float64) float64 {
	p := Params{
		Dim: padded, PaddedDim: padded, Block: min(padded, MaxBlock), Clip: 1, NMin: n, NMax: n,
		SumLimit: MaxSumLimit, Noise: true, Kind: kind, Unmetered: true,
	}
	z2 := decimal(z)
	z2.Mul(z2, z2)
	rho := new(big.Rat).Inv(new(big.Rat).Add(z2, z2))
	p.setGrid(grid, wish{share: z2.Quo(z2, new(big.Rat).SetInt64(int64(n))), rho: rho})
	noise, err := newSampler(kind, p.Sigma2.Rat())
	if err != nil {
		return math.NaN()
	}
	c := &Codec{
		params: p, signs: expandSigns(p.Signs, padded), block: make([]float64, p.Block),
		values: make([]int32, padded), scratch: make([]byte, scratchBytes), noise: noise,
	}
	var inputs [4]Clipped
	for i := range inputs {
		inputs[i] = Clip(testVector(padded, uint64(i)), 1)
	}
	sum, want := make([]int64, padded), make([]float64, padded)
	for i := range n {
		x := inputs[i%len(inputs)]
		for j, v := range x.data.values {
			want[j] += float64(v)
		}
		accumulate(t, c, x, seeded(uint64(i)), sum)
	}
	decoded, err := c.DecodeSum(sum, n)
	if err != nil {
		t.Fatal(err)
	}
	square := 0.0
	for j, v := range decoded.Values {
		square += (float64(v) - want[j]) * (float64(v) - want[j])
	}
	return square / float64(padded) / (z * z)
}

// The mean squared error of a decoded sum against a central Gaussian of the
// same cost, at scales that 12 to 18 bits would allow. From 16 bits on it is
// within [.97, 1.03]; a plan's least scale, 2^13, is finer than that. The
// relative standard deviation of each figure is sqrt(2/D): 0.0055 at 2^16, so
// that the bar is 5 of them away (false rejection 6e-7, fixed draws).
// It is run at 16 bits; TUTTI_MSE=full adds the rest of the table (three minutes).
func TestErrorAtTheScaleOfSixteenBits(t *testing.T) {
	full := os.Getenv("TUTTI_MSE") == "full"
	for i, setup := range []struct {
		n, padded int
		z         float64
	}{{100, 1 << 16, 1}, {100, 1 << 16, 0.5}, {500, 1 << 16, 1}, {50, 1 << 20, 1}} {
		for _, bits := range []int{12, 14, 16, 18} {
			if !full && (i > 0 || bits != 16) {
				continue
			}
			scale := bitScale(bits, setup.n, setup.padded, setup.z)
			ratio := meanSquare(t, DiscreteGaussian, int64(scale), setup.n, setup.padded, setup.z)
			other := math.NaN()
			if full {
				other = meanSquare(t, Skellam, int64(scale), setup.n, setup.padded, setup.z)
			}
			t.Logf("n %d, D %d, z %g, %d bits: scale %.0f, error %.4f of a central Gaussian's; Skellam %.4f",
				setup.n, setup.padded, setup.z, bits, scale, ratio, other)
			if bits >= 16 && !(ratio >= 0.97 && ratio <= 1.03) {
				t.Errorf("n %d, D %d, z %g, %d bits: %g", setup.n, setup.padded, setup.z, bits, ratio)
			}
		}
	}
}
