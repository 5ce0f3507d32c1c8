package aggregation

import (
	"errors"
	"slices"
	"testing"
)

// Lying members never make a sum: what a norm round opens is no more than what its devices proved, whoever answers. One lie among
// c+ρ answers leaves nothing to compare it with; two among six can pass for the honest polynomial with an honest member as the liar.
func TestNormLiesNeverMakeASum(t *testing.T) {
	w := newWorld(t, normParams(3000), 3)
	ups := w.sealUnits()
	ups[2] = w.seal(2, w.constant(1800))
	w.acceptAll(all(9), ups)
	set := setOf(t, ups)
	honest := w.answers(all(9), w.certify(all(9), set))
	field := w.cfg.params.shares.Field()
	lie := func(j int, change func(words []uint64)) Answer {
		a := *honest[j].clone()
		change(a.Words)
		a.sign(w.nodes[j].setup.Identity)
		return a
	}
	shift := func(j int) Answer { // by (x-1)(x-2)(x-3), which the answers of members 1 to 3 do not show
		return lie(j, func(words []uint64) {
			x := uint64(j + 1)
			words[5] = field.Plus(words[5], field.Mul(field.Mul(x-1, x-2), x-3))
		})
	}
	for name, answers := range map[string][]Answer{
		"one lie, none to spare":         {honest[0], honest[1], honest[2], lie(3, func(words []uint64) { words[5] ^= 1 })},
		"garbage, none to spare":         {honest[0], honest[1], honest[2], lie(3, func(words []uint64) { w.garbage(words) })},
		"two that lie alike, two spared": {honest[0], honest[1], honest[2], honest[3], shift(4), shift(5)},
	} {
		sum, wrong, err := Unmask(w.cfg, set, w.sumOf(ups), answers)
		if !errors.Is(err, ErrGarbled) || sum != nil || wrong != nil {
			t.Errorf("%s: %d coordinates, %d named, %v", name, len(sum), wrong, err)
		}
	}
	sum, wrong, err := Unmask(w.cfg, set, w.sumOf(ups), []Answer{honest[0], honest[1], honest[2], honest[3], honest[6], shift(5)})
	if err != nil || !slices.Equal(wrong, []uint16{6}) || sum[7] != 1800 {
		t.Errorf("one lie, two to spare: %d named, %v", wrong, err)
	}
}
