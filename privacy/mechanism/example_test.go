package mechanism_test

import (
	"crypto/rand"
	"fmt"
	"math"

	"tutti/privacy/mechanism"
)

// One round: 60 devices send the same update of norm 5, clipped to 1. The
// server sees the sum only; the shares of 50 honest ones give the noise that is claimed.
func Example() {
	params, err := mechanism.Design(mechanism.Literal{
		Dim: 2, Clip: 1, NMin: 56, NMax: 104, Colluders: 6, Z: 0.5, Noise: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	codec, err := mechanism.NewCodec(params)
	if err != nil {
		fmt.Println(err)
		return
	}
	sum := make([]int64, params.PaddedDim)
	for range 60 {
		clipped := mechanism.Clip([]float32{3, -4}, params.Clip)
		encoded, err := codec.Encode(clipped, rand.Reader)
		if err != nil {
			fmt.Println(err)
			return
		}
		for i, v := range encoded.Values() {
			sum[i] += int64(v) // in real life: under a mask
		}
	}
	decoded, err := codec.DecodeSum(sum, 60)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("one participation costs rho =", params.Rho())
	fmt.Printf("the sum is (36, -48) within noise of %.1f: %v\n", params.NoiseOnSum(60),
		math.Abs(float64(decoded.Values[0])-36) < 6 && math.Abs(float64(decoded.Values[1])+48) < 6)
	fmt.Println("noise meter is calm:", math.Abs(decoded.Meter.ZScore) < 8)
	// Output:
	// one participation costs rho = 2/1
	// the sum is (36, -48) within noise of 0.5: true
	// noise meter is calm: true
}
