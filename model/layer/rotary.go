package layer

import "math"

// Rotary turns queries and keys by their position (Su et al. 2021, RoFormer,
// eqs. 14, 15 and 34), so that their inner product depends on how far apart they
// are. Pairs are neighbours, as in eq. 34: in every head the components 2i and
// 2i+1 turn by position * 10000^(-2i/width), i counted from 0.
//
// It is immutable: any number of goroutines may use it.
type Rotary struct {
	half     int // pairs in a head
	cos, sin []float32
}

// NewRotary is for heads of an even width, and positions counted from 0.
func NewRotary(width, positions int) *Rotary {
	if width < 2 || width%2 != 0 {
		panic("layer: rotary positions turn pairs")
	}
	half := width / 2
	r := &Rotary{half: half, cos: make([]float32, positions*half), sin: make([]float32, positions*half)}
	for p := range positions {
		for i := range half {
			sin, cos := math.Sincos(float64(p) * math.Pow(10000, -float64(i)/float64(half)))
			r.sin[p*half+i], r.cos[p*half+i] = float32(sin), float32(cos)
		}
	}
	return r
}

// Forward turns every row of a ragged batch in place, its heads side by side, by
// its place in its sequence.
func (r *Rotary) Forward(x Rows, heads int, offsets []int32) { r.each(x, heads, offsets, 1) }

// Backward turns gradients of the rows back, in place: a rotation's transpose is
// its inverse.
func (r *Rotary) Backward(dx Rows, heads int, offsets []int32) { r.each(dx, heads, offsets, -1) }

// Row turns one row, its heads side by side, as position's.
func (r *Rotary) Row(row []float32, heads, position int) { r.turn(row, heads, position, 1) }

func (r *Rotary) each(x Rows, heads int, offsets []int32, sign float32) {
	d := heads * 2 * r.half
	for s := 1; s < len(offsets); s++ {
		first := int(offsets[s-1])
		for i := first; i < int(offsets[s]); i++ {
			r.turn(x.X[i*x.Step:i*x.Step+d], heads, i-first, sign)
		}
	}
}

func (r *Rotary) turn(row []float32, heads, position int, sign float32) {
	lo, hi := position*r.half, (position+1)*r.half
	cos, sin := r.cos[lo:hi], r.sin[lo:hi]
	for h := range heads {
		head := row[h*2*r.half : (h+1)*2*r.half]
		for i, c := range cos {
			a, b, s := head[2*i], head[2*i+1], sign*sin[i]
			head[2*i], head[2*i+1] = a*c-b*s, b*c+a*s
		}
	}
}
