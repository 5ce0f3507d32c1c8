package accounting

import (
	"errors"
	"math"
	"math/big"
	"reflect"
	"testing"
)

// The theorem against every pattern of participation, for several
// strategies, n up to 9 rounds.
func TestToeplitzSensitivityByEnumeration(t *testing.T) {
	for name, c := range map[string][]float64{
		"identity": {1}, "sqrt": SqrtToeplitz(9), "banded": SqrtToeplitz(3), "prefix sums": {1, 1, 1, 1, 1, 1, 1, 1, 1},
		"blt": BLT{[]float64{0.95, 0.4}, []float64{0.3, 0.4}}.Coefficients(9),
	} {
		for n := 1; n <= 9; n++ {
			for k := 1; k <= n; k++ {
				for sep := 1; sep <= n; sep++ {
					column := c[:min(n, len(c))]
					got, err := ToeplitzSensitivity(column, n, k, sep)
					if want := worstPattern(column, n, k, sep); err != nil || got < want || got > want*(1+1e-13) {
						t.Fatalf("%s: n %d, k %d, separation %d: %.15g, by enumeration %.15g, %v", name, n, k, sep, got, want, err)
					}
				}
			}
		}
	}
}

// The square of a sensitivity is not below that of the exact sums.
func TestSensitivityIsRoundedUp(t *testing.T) {
	for n := 1; n <= 60; n++ {
		c := SqrtToeplitz(n)
		for _, k := range []int{1, 2, 5} {
			const sep = 7
			exact := new(big.Rat)
			for i := range n {
				sum := new(big.Rat)
				for j := 0; j < k && j*sep <= i; j++ {
					sum.Add(sum, new(big.Rat).SetFloat64(c[i-j*sep]))
				}
				exact.Add(exact, sum.Mul(sum, sum))
			}
			got, err := ToeplitzSensitivity(c, n, min(k, n), min(sep, n))
			if n < sep { // then one round is all that a device is in
				continue
			}
			square := new(big.Rat).SetFloat64(got)
			if square.Mul(square, square); err != nil || square.Cmp(exact) < 0 {
				t.Errorf("n %d, k %d: %g is below the exact sensitivity, %v", n, k, got, err)
			}
		}
	}
}

func worstPattern(c []float64, n, k, sep int) float64 {
	worst := 0.0
	for pattern := range 1 << n {
		sum, last, times, allowed := make([]float64, n), -sep, 0, true
		for j := range n {
			if pattern>>j&1 == 0 {
				continue
			}
			allowed = allowed && j-last >= sep
			last = j
			times++
			for i := 0; i < len(c) && j+i < n; i++ {
				sum[j+i] += c[i]
			}
		}
		if !allowed || times > k {
			continue
		}
		square := 0.0
		for _, x := range sum {
			square += x * x
		}
		worst = max(worst, math.Sqrt(square))
	}
	return worst
}

// C times its inverse is 1, and the buffers' recursion gives the inverse
// that long division gives.
func TestBLTInverse(t *testing.T) {
	const n = 300
	for _, b := range []BLT{{}, {[]float64{0.9}, []float64{1}}, {[]float64{0.99, 0.75, 0}, []float64{0.16, 0.31, 0.5}}} {
		c, inverse := b.Coefficients(n), b.InverseCoefficients(n)
		for i := range n {
			sum := 0.0
			for j := 0; j <= i; j++ {
				sum += c[j] * inverse[i-j]
			}
			if want := map[bool]float64{true: 1}[i == 0]; math.Abs(sum-want) > 1e-12 {
				t.Fatalf("%v: coefficient %d of the product is %g", b, i, sum)
			}
		}
		buffers, err := b.Error(n)
		if err != nil {
			t.Fatal(err)
		}
		division, err := ToeplitzError(c, n)
		if err != nil || !relative(buffers.Last, division.Last, 1e-9) || !relative(buffers.Mean, division.Mean, 1e-9) {
			t.Errorf("%v: %v by buffers, %v by division, %v", b, buffers, division, err)
		}
	}
}

func TestChooseBLT(t *testing.T) {
	for _, test := range []struct{ n, k, sep, buffers int }{{1, 1, 1, 1}, {10, 10, 1, 3}, {100, 5, 20, 2}, {300, 1, 300, 4}, {64, 3, 30, 8}} {
		b, err := ChooseBLT(test.n, test.k, test.sep, test.buffers)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ChooseBLT(test.n, test.k, test.sep, test.buffers)
		if err != nil || !reflect.DeepEqual(b, again) {
			t.Errorf("%+v: %v, then %v, %v", test, b, again, err)
		}
		loss, err := b.MaxLoss(test.n, test.k, test.sep)
		if err != nil {
			t.Fatal(err)
		}
		identity, err := BLT{}.MaxLoss(test.n, test.k, test.sep)
		if err != nil || loss > identity*(1+1e-6) {
			t.Errorf("%+v: %v has loss %g, independent noise %g, %v", test, b, loss, identity, err)
		}
	}
	for _, test := range []struct{ n, k, sep, buffers int }{
		{0, 1, 1, 1}, {10, 11, 1, 1}, {10, 1, 11, 1}, {10, 0, 1, 1}, {10, 1, 1, 0}, {10, 1, 1, 9}, {maxSearchRounds + 1, 1, 1, 1},
	} {
		if b, err := ChooseBLT(test.n, test.k, test.sep, test.buffers); err == nil {
			t.Errorf("%+v: %v", test, b)
		}
	}
}

func TestBLTValid(t *testing.T) {
	nan := math.NaN()
	for _, b := range []BLT{
		{[]float64{0.5}, nil}, {[]float64{1.01}, []float64{0.1}}, {[]float64{-0.1}, []float64{0.1}}, {[]float64{0.5}, []float64{-0.1}},
		{[]float64{0.5, 0.6}, []float64{0.6, 0.5}}, {[]float64{nan}, []float64{0.1}}, {[]float64{0.5}, []float64{nan}},
		{make([]float64, 17), make([]float64, 17)},
	} {
		if err := b.Valid(10); !errors.Is(err, ErrEvent) {
			t.Errorf("%v is valid: %v", b, err)
		}
		if s, err := b.Sensitivity(10, 1, 1); !errors.Is(err, ErrEvent) {
			t.Errorf("%v has a sensitivity of %g, %v", b, s, err)
		}
	}
}
