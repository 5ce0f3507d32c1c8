package layer

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// losses.json holds what PyTorch computes in float64 with autograd;
// testdata/losses.py writes it.
type lossReference struct {
	Torch   string
	Sampled []struct {
		Kind              string
		Each              bool
		Loss              float64
		DH, DTable, DBias []float64
	}
	Pointwise []struct {
		Kind           string
		Loss           float64
		DH, DE, DW, DB []float64
	}
}

func readLossReference(t *testing.T) (r lossReference) {
	b, err := os.ReadFile("testdata/losses.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Sampled) != 6 || len(r.Pointwise) != 2 {
		t.Fatalf("%d and %d cases", len(r.Sampled), len(r.Pointwise))
	}
	return r
}

// draws and items repeat the generators of losses.py.
func draws(seed uint32, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		seed = seed*1664525 + 1013904223
		out[i] = float32(seed>>16)/16384 - 2
	}
	return out
}

func items(seed uint32, n, v int) []int32 {
	out := make([]int32, n)
	for i, x := range draws(seed, n) {
		out[i] = int32((float64(x) + 2) / 4 * float64(v))
	}
	return out
}

// referenceError is the largest difference, relative to the largest value.
func referenceError(t *testing.T, name string, got []float32, want []float64) (worst float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", name, len(got), len(want))
	}
	for i, w := range want {
		worst = math.Max(worst, math.Abs(float64(got[i])-w)/largest(want))
	}
	if !(worst <= 1e-6) {
		t.Errorf("%s is off by %g", name, worst)
	}
	return worst
}

func TestSampledLossesEqualPyTorch(t *testing.T) {
	const n, v, d, m = 9, 13, 4, 6
	for _, c := range readLossReference(t).Sampled {
		in := SampledArgs{
			N: n, V: v, D: d, H: draws(1, n*d), Table: draws(2, v*d), Bias: draws(3, v), Targets: items(4, n, v),
			Each: c.Each, Scale: 0.25, DH: make([]float32, n*d), DTable: make([]float32, v*d), DBias: make([]float32, v),
		}
		in.Targets[2] = -1
		drawn := m
		if c.Each {
			drawn = n * m
		}
		in.Negatives, in.LogCount = items(5, drawn, v), draws(6, drawn)
		var got float64
		switch s := NewSampled(); c.Kind {
		case "softmax":
			got = s.Softmax(in)
		case "gbce":
			got = s.GBCE(in, 0.75)
		case "bpr":
			got = s.BPR(in)
		}
		off := math.Abs(got-c.Loss) / c.Loss
		if !(off <= 1e-6) {
			t.Errorf("%s, each %v: loss %v, PyTorch %v", c.Kind, c.Each, got, c.Loss)
		}
		t.Logf("%s, each %v: error of loss %.1e, dH %.1e, dTable %.1e, dBias %.1e", c.Kind, c.Each, off,
			referenceError(t, c.Kind+" dH", in.DH, c.DH), referenceError(t, c.Kind+" dTable", in.DTable, c.DTable),
			referenceError(t, c.Kind+" dBias", in.DBias, c.DBias))
	}
}

func TestPointwiseLossesEqualPyTorch(t *testing.T) {
	const n, d = 9, 4
	for _, c := range readLossReference(t).Pointwise {
		in := PointwiseArgs{
			N: n, D: d, H: draws(11, n*d), E: draws(12, n*d), W: draws(13, d), B: draws(14, 1), Labels: draws(15, n), Scale: 0.25,
			DH: make([]float32, n*d), DE: make([]float32, n*d), DW: make([]float32, d), DB: make([]float32, 1),
		}
		loss := SquaredError
		if c.Kind == "logistic" {
			loss = Logistic
			for i, x := range in.Labels {
				in.Labels[i] = 0
				if x > 0 {
					in.Labels[i] = 1
				}
			}
		}
		got, labels := loss(in)
		off := math.Abs(got-c.Loss) / c.Loss
		if !(off <= 1e-6) || labels != n {
			t.Errorf("%s: loss %v of %d labels, PyTorch %v", c.Kind, got, labels, c.Loss)
		}
		t.Logf("%s: error of loss %.1e, dH %.1e, dE %.1e, dW %.1e, dB %.1e", c.Kind, off,
			referenceError(t, c.Kind+" dH", in.DH, c.DH), referenceError(t, c.Kind+" dE", in.DE, c.DE),
			referenceError(t, c.Kind+" dW", in.DW, c.DW), referenceError(t, c.Kind+" dB", in.DB, c.DB))
	}
}
