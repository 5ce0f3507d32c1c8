package layer

// ForwardAfter is Forward for sequences that go on where others of before end:
// the first row of sequence s has the position before[s+1]-before[s].
func (r *Rotary) ForwardAfter(x Rows, heads int, offsets, before []int32) {
	r.eachAfter(x, heads, offsets, before, 1)
}

// BackwardAfter turns the gradients of ForwardAfter back, in place.
func (r *Rotary) BackwardAfter(dx Rows, heads int, offsets, before []int32) {
	r.eachAfter(dx, heads, offsets, before, -1)
}

func (r *Rotary) eachAfter(x Rows, heads int, offsets, before []int32, sign float32) {
	d := heads * 2 * r.half
	for s := 1; s < len(offsets); s++ {
		first, position := int(offsets[s-1]), int(before[s]-before[s-1])
		for i := first; i < int(offsets[s]); i++ {
			r.turn(x.X[i*x.Step:i*x.Step+d], heads, position+i-first, sign)
		}
	}
}
