package layer

import (
	"math"
	"math/cmplx"
	"math/rand/v2"
	"testing"
)

// rotaryOracle is RoFormer's eq. 34 with complex numbers: component pair i of a
// head times e^(i*position*theta_i).
func rotaryOracle(x []float64, heads, width int, offsets []int32, start int) []float64 {
	d := heads * width
	y := make([]float64, len(x))
	for s := 1; s < len(offsets); s++ {
		for row := int(offsets[s-1]); row < int(offsets[s]); row++ {
			for c := 0; c < d; c += 2 {
				theta := math.Pow(10000, -float64(c%width)/float64(width))
				at := row*d + c
				z := complex(x[at], x[at+1]) * cmplx.Rect(1, float64(start+row-int(offsets[s-1]))*theta)
				y[at], y[at+1] = real(z), imag(z)
			}
		}
	}
	return y
}

func TestRotary(t *testing.T) {
	rng := rand.New(rand.NewPCG(30, 30))
	const heads, width, n, step = 3, 4, 9, 20 // rows are wider than their heads
	offsets := []int32{0, 5, 6, 9}
	r := NewRotary(width, 5)
	x, dy := random(rng, n*heads*width), random(rng, n*heads*width)
	x64, dy64 := wide(x), wide(dy)
	want := rotaryOracle(x64, heads, width, offsets, 0)

	rows, rest := make([]float32, n*step), make([]float32, n*(step-heads*width))
	for i := range n {
		copy(rows[i*step:], x[i*heads*width:(i+1)*heads*width])
	}
	r.Forward(Rows{rows, step}, heads, offsets)
	got := make([]float32, 0, len(x))
	for i := range n {
		got = append(got, rows[i*step:i*step+heads*width]...)
		copy(rest[i*(step-heads*width):], rows[i*step+heads*width:(i+1)*step])
	}
	compare(t, "y", got, want)
	compare(t, "the rest of the rows", rest, make([]float64, len(rest)))

	dx := append([]float32{}, dy...)
	r.Backward(Rows{dx, heads * width}, heads, offsets)
	compare(t, "dx", dx, slope(x64, func() float64 {
		return inner(dy64, rotaryOracle(x64, heads, width, offsets, 0))
	}))
	last := append([]float32{}, x[4*heads*width:5*heads*width]...)
	r.Row(last, heads, 4)
	compare(t, "one row", last, want[4*heads*width:5*heads*width])
}

// What attention sees of two turned rows is how far apart they are.
func TestRotaryIsRelative(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 31))
	const width = 8
	r := NewRotary(width, 100)
	q, k := random(rng, width), random(rng, width)
	product := func(i, j int) float64 {
		a, b := append([]float32{}, q...), append([]float32{}, k...)
		r.Row(a, 1, i)
		r.Row(b, 1, j)
		return inner(wide(a), wide(b))
	}
	for _, shift := range []int{1, 30, 80} {
		if near, far := product(12, 5), product(12+shift, 5+shift); !(math.Abs(near-far) <= 1e-5) {
			t.Errorf("seven apart the product is %v, and %v %d later", near, far, shift)
		}
	}
	if math.Abs(product(12, 5)-product(12, 6)) < 1e-3 {
		t.Error("the distance makes no difference")
	}
}

func TestSwiGLU(t *testing.T) {
	rng := rand.New(rand.NewPCG(32, 32))
	const n, h = 5, 7
	x, dy := random(rng, n*2*h), random(rng, n*h)
	x64, dy64 := wide(x), wide(dy)
	forward := func() []float64 {
		out := make([]float64, n*h)
		for i := range out {
			a, b := x64[i/h*2*h+i%h], x64[i/h*2*h+h+i%h]
			out[i] = a / (1 + math.Exp(-a)) * b
		}
		return out
	}
	y, dx := make([]float32, n*h), ones(n*2*h)
	SwiGLUForward(y, x, n, h)
	compare(t, "y", y, forward())
	SwiGLUBackward(dx, dy, x, n, h)
	compareSum(t, "dx", dx, slope(x64, func() float64 { return inner(dy64, forward()) }))
}

// Dropout keeps a fair share, scales it, and treats a sequence alike wherever it
// lies in a batch; its backward keeps what forward kept.
func TestDropout(t *testing.T) {
	const d, n, p = 16, 400, 0.3
	x := ones(n * d)
	offsets, seeds, keys := []int32{0, 150, 400}, []uint64{5, 6}, make([]uint64, 2)
	DropoutKeys(keys, seeds, 3)
	y := make([]float32, n*d)
	Dropout(y, x, offsets, keys, d, p)
	kept := 0
	for _, v := range y {
		if v != 0 {
			kept++
			if !(math.Abs(float64(v)-1/0.7) <= 1e-6) {
				t.Fatalf("a kept one is %v", v)
			}
		}
	}
	// 6,400 draws: 5 standard deviations are 183; false rejection below 1e-6.
	if !(math.Abs(float64(kept)-0.7*n*d) <= 183) {
		t.Errorf("%d of %d are kept", kept, n*d)
	}
	alone := make([]float32, 250*d)
	Dropout(alone, x[:250*d], []int32{0, 250}, []uint64{DropoutKey(6, 3)}, d, p)
	compare(t, "the second sequence", alone, wide(y[150*d:]))
	dx := append([]float32{}, x...)
	Dropout(dx, dx, offsets, keys, d, p)
	compare(t, "backward", dx, wide(y))
	DropoutKeys(keys, seeds, 4)
	Dropout(dx, x, offsets, keys, d, p)
	same := 0
	for i, v := range dx {
		if v == y[i] {
			same++
		}
	}
	// Two fair masks agree with probability .58: 5 standard deviations are 198.
	if !(math.Abs(float64(same)-0.58*n*d) <= 198) {
		t.Errorf("another site agrees in %d of %d places", same, n*d)
	}
}

func TestVectorsOfSequences(t *testing.T) {
	const d = 2
	offsets := []int32{0, 2, 2, 3}
	y := ones(3 * d)
	SequenceForward(y, []float32{1, 2, 3, 4, 5, 6}, offsets, d)
	compare(t, "y", y, []float64{2, 3, 2, 3, 6, 7})
	dVectors := ones(3 * d)
	SequenceBackward(dVectors, []float32{1, 2, 3, 4, 5, 6}, offsets, d)
	compare(t, "dVectors", dVectors, []float64{5, 7, 1, 1, 6, 7})
	GatherAdd(y, []float32{10, 20, 30, 40}, []int32{1, 0, 1}, d)
	compare(t, "y after rows were added", y, []float64{32, 43, 12, 23, 36, 47})
}

// The keys belong to every run that is to be repeated: they must never change.
func TestDropoutKeys(t *testing.T) {
	keys := make([]uint64, 2)
	DropoutKeys(keys, []uint64{1, 1 << 63}, 2)
	for i, want := range []uint64{0xdaa66d2c7ddf7440, 0x5aa66d2c7ddf743f} {
		if keys[i] != want {
			t.Errorf("key %d is %#x, want %#x", i, keys[i], want)
		}
	}
}
