package layer

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// What goes on after others turns as the tail of one long sequence.
func TestRotaryAfter(t *testing.T) {
	const d, heads = 8, 2
	before, offsets := []int32{0, 3, 3, 5}, []int32{0, 2, 3, 7}
	whole := []int32{0, 5, 6, 12} // both, one after another
	r := NewRotary(d/heads, 6)
	x := random(rand.New(rand.NewPCG(9, 9)), 7*d)
	long := make([]float32, 12*d)
	for s := range 3 {
		from, to := int(offsets[s])*d, int(offsets[s+1])*d
		copy(long[int(whole[s+1])*d-(to-from):], x[from:to])
	}
	got := slices.Clone(x)
	r.ForwardAfter(Rows{got, d}, heads, offsets, before)
	r.Forward(Rows{long, d}, heads, whole)
	for s := range 3 {
		from, to := int(offsets[s])*d, int(offsets[s+1])*d
		end := int(whole[s+1]) * d
		if !slices.Equal(got[from:to], long[end-(to-from):end]) {
			t.Errorf("sequence %d turned otherwise than in one piece", s)
		}
	}
	r.BackwardAfter(Rows{got, d}, heads, offsets, before)
	compare(t, "turned back", got, wide(x))
}
