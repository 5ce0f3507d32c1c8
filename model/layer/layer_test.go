package layer

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestLinear(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, s := range []struct{ n, in, out int }{{1, 1, 1}, {1, 5, 3}, {7, 8, 12}, {50, 6, 9}} {
		n, in, out := s.n, s.in, s.out
		x, w, b, dy := random(rng, n*in), random(rng, in*out), random(rng, out), random(rng, n*out)
		x64, w64, b64, dy64 := wide(x), wide(w), wide(b), wide(dy)
		loss := func() float64 { return inner(dy64, linearOracle(x64, w64, b64, n, in, out)) }

		y := make([]float32, n*out)
		LinearForward(y, x, w, b, n, in, out)
		compare(t, "y", y, linearOracle(x64, w64, b64, n, in, out))
		LinearForward(y, x, w, nil, n, in, out)
		compare(t, "y without bias", y, linearOracle(x64, w64, nil, n, in, out))

		dx, dw, db := ones(n*in), ones(in*out), ones(out)
		LinearBackward(dx, dw, db, dy, x, w, make([]float32, in*out), n, in, out)
		compareSum(t, "dx", dx, slope(x64, loss))
		compareSum(t, "dw", dw, slope(w64, loss))
		compareSum(t, "db", db, slope(b64, loss))
	}
}

func TestLinearT(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	const n, in, out = 7, 6, 5
	x, w, b, dy := random(rng, n*in), random(rng, out*in), random(rng, out), random(rng, n*out)
	x64, w64, b64, dy64 := wide(x), wide(w), wide(b), wide(dy)
	forward := func() []float64 {
		turned := make([]float64, in*out)
		for o := range out {
			for k := range in {
				turned[k*out+o] = w64[o*in+k]
			}
		}
		return linearOracle(x64, turned, b64, n, in, out)
	}
	loss := func() float64 { return inner(dy64, forward()) }
	y := make([]float32, n*out)
	LinearTForward(y, x, w, b, make([]float32, in*out), n, in, out)
	compare(t, "y", y, forward())
	dx, dw, db := ones(n*in), ones(in*out), ones(out)
	LinearTBackward(dx, dw, db, dy, x, w, n, in, out)
	compareSum(t, "dx", dx, slope(x64, loss))
	compareSum(t, "dw", dw, slope(w64, loss))
	compareSum(t, "db", db, slope(b64, loss))
}

func TestNorm(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, d := range []int{3, 5, 64} {
		const n = 6
		x, gain, bias, dy := random(rng, n*d), random(rng, d), random(rng, d), random(rng, n*d)
		clear(x[:d]) // a constant row: only NormEpsilon keeps it finite
		x64, gain64, bias64, dy64 := wide(x), wide(gain), wide(bias), wide(dy)
		loss := func() float64 { return inner(dy64, normOracle(x64, gain64, bias64, n, d)) }

		y, mean, rstd := make([]float32, n*d), make([]float32, n), make([]float32, n)
		NormForward(y, mean, rstd, x, gain, bias, n, d)
		compare(t, "y", y, normOracle(x64, gain64, bias64, n, d))
		dx, dGain, dBias := ones(n*d), ones(d), ones(d)
		NormBackward(dx, dGain, dBias, dy, x, mean, rstd, gain, n, d)
		want := slope(x64, loss)
		compareSum(t, "dx of the other rows", dx[d:], want[d:])
		compareSum(t, "dGain", dGain, slope(gain64, loss))
		compareSum(t, "dBias", dBias, slope(bias64, loss))
	}
}

func TestNormOfAConstantRow(t *testing.T) {
	y, mean, rstd := make([]float32, 4), make([]float32, 1), make([]float32, 1)
	NormForward(y, mean, rstd, []float32{3, 3, 3, 3}, ones(4), []float32{1, 2, 3, 4}, 1, 4)
	if !slices.Equal(y, []float32{1, 2, 3, 4}) {
		t.Errorf("got %v, want the bias alone", y)
	}
}

func TestEmbedding(t *testing.T) {
	const d = 3
	table := []float32{1, 2, 3, 4, 5, 6, 7, 8, 9}
	position := []float32{100, 0, 0, 0, 200, 0, 0, 0, 300}
	ids, offsets := []int32{2, 0, 2}, []int32{0, 2, 3}
	y := make([]float32, 9)
	GatherForward(y, table, ids, d)
	PositionForward(y, position, offsets, d)
	if want := []float32{107, 8, 9, 1, 202, 3, 107, 8, 9}; !slices.Equal(y, want) {
		t.Errorf("got %v, want %v", y, want)
	}
	dy := []float32{1, 2, 3, 10, 20, 30, 100, 200, 300}
	dTable, dPosition := make([]float32, 9), make([]float32, 9)
	GatherBackward(dTable, dy, ids, d)
	PositionBackward(dPosition, dy, offsets, d)
	if want := []float32{10, 20, 30, 0, 0, 0, 101, 202, 303}; !slices.Equal(dTable, want) {
		t.Errorf("table gradient %v, want %v", dTable, want)
	}
	if want := []float32{101, 202, 303, 10, 20, 30, 0, 0, 0}; !slices.Equal(dPosition, want) {
		t.Errorf("position gradient %v, want %v", dPosition, want)
	}
}

func TestGELUAddsToGradient(t *testing.T) {
	dx := []float32{5}
	GELUBackward(dx, []float32{1}, []float32{0})
	if dx[0] != 5.5 {
		t.Errorf("got %v, want 5 plus the slope 1/2 at 0", dx[0])
	}
}
