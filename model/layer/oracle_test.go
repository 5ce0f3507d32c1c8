package layer

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The oracles are the definitions in float64, written without any thought of
// speed; gradients are central differences of the oracles. Nothing here shares
// code with the package.

func random(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

func wide(x []float32) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

func inner(x, y []float64) (sum float64) {
	for i, v := range x {
		sum += v * y[i]
	}
	return sum
}

func largest(x []float64) (most float64) {
	for _, v := range x {
		most = math.Max(most, math.Abs(v))
	}
	return most
}

const tolerance = 2e-6 // of the largest value of a tensor

func compare(t *testing.T, name string, got []float32, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", name, len(got), len(want))
	}
	limit := tolerance * math.Max(1e-3, largest(want))
	for i, w := range want {
		if !(math.Abs(float64(got[i])-w) <= limit) {
			t.Fatalf("%s[%d] = %v, want %v (limit %g)", name, i, got[i], w, limit)
		}
	}
}

// slope is d loss/d x by central differences.
func slope(x []float64, loss func() float64) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		h := 1e-5 * math.Max(1, math.Abs(v))
		x[i] = v + h
		up := loss()
		x[i] = v - h
		down := loss()
		x[i] = v
		out[i] = (up - down) / (2 * h)
	}
	return out
}

// ones starts gradients at 1, so that a test sees that backward adds.
func ones(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = 1
	}
	return x
}

// compareSum checks a gradient that started at 1.
func compareSum(t *testing.T, name string, got []float32, want []float64) {
	t.Helper()
	for i := range want {
		want[i]++
	}
	compare(t, name, got, want)
}

func linearOracle(x, w, b []float64, n, in, out int) []float64 {
	y := make([]float64, n*out)
	for i := range n {
		for o := range out {
			if b != nil {
				y[i*out+o] = b[o]
			}
			for k := range in {
				y[i*out+o] += x[i*in+k] * w[k*out+o]
			}
		}
	}
	return y
}

func normOracle(x, gain, bias []float64, n, d int) []float64 {
	y := make([]float64, n*d)
	for i := range n {
		mean, variance := 0.0, 0.0
		for j := range d {
			mean += x[i*d+j] / float64(d)
		}
		for j := range d {
			variance += math.Pow(x[i*d+j]-mean, 2) / float64(d)
		}
		for j := range d {
			y[i*d+j] = (x[i*d+j]-mean)/math.Sqrt(variance+1e-5)*gain[j] + bias[j]
		}
	}
	return y
}

// crossEntropyOracle sums -sum_v q_v log p_v over the rows of q (N x V).
func crossEntropyOracle(h, table, bias, q []float64, n, v, d int) (loss float64) {
	for i := range n {
		logits := make([]float64, v)
		total := 0.0
		for item := range v {
			for c := range d {
				logits[item] += h[i*d+c] * table[item*d+c]
			}
			if bias != nil {
				logits[item] += bias[item]
			}
			total += math.Exp(logits[item])
		}
		for item := range v {
			loss -= q[i*v+item] * (logits[item] - math.Log(total))
		}
	}
	return loss
}
