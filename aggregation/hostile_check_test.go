package aggregation

import (
	"errors"
	"slices"
	"testing"
)

// A check of exactly c+ρ answers speaks for the members that it heard. A device that shares garbage with everybody else passes it;
// released by those who were heard, the sum is exact, and a member that was not heard cannot make it wrong, only void.
func TestRule10_ACheckSpeaksForWhomItHeard(t *testing.T) {
	w := newWorld(t, checkParams(), 4)
	ups := w.sealUnits()
	w.reshare(ups[3], 3, func(m int, words []uint64) {
		if m > 3 {
			w.garbage(words)
		}
	})
	answers := w.checks(ups[3].Header, all(5))
	if wrong, err := CheckShares(w.cfg, ups[3].Header, nil, answers[:3]); err != nil || wrong != nil {
		t.Fatalf("heard by three: %d, %v", wrong, err)
	}
	for _, heard := range [][]CheckAnswer{answers[:4], answers} {
		if _, err := CheckShares(w.cfg, ups[3].Header, nil, heard); !errors.Is(err, ErrSharing) {
			t.Errorf("heard by %d: %v", len(heard), err)
		}
	}
	w.acceptAll(all(5), ups)
	set := setOf(t, ups)
	said := w.answers(all(5), w.certify(all(5), set))
	sum, wrong, err := Unmask(w.cfg, set, w.sumOf(ups), said[:3])
	if err != nil || wrong != nil {
		t.Fatal(wrong, err)
	}
	checkIndicator(t, sum, indexSet(all(4)))
	for _, from := range [][]int{{0, 1, 3}, {0, 1, 2, 3}, all(5)} {
		var some []Answer
		for _, j := range from {
			some = append(some, said[j])
		}
		sum, _, err := Unmask(w.cfg, set, w.sumOf(ups), some)
		if sum != nil || !errors.Is(err, ErrGarbled) && !errors.Is(err, ErrInconsistent) {
			t.Errorf("members %v, from 0: %v", slices.Clone(from), err)
		}
	}
}

// A device and a member together, both within the bounds, can void a round and never falsify it (m = 5, c = 1): the device is unfair
// to one honest member, whose lone complaint costs it its place, and of the quorum that is left the member lies at the release.
func TestRule8_ADeviceAndAMemberVoidARoundAtMost(t *testing.T) {
	w := newWorld(t, checkParams(), 4)
	ups := w.sealUnits()
	w.reshare(ups[3], 3, func(m int, words []uint64) {
		if m == 5 {
			w.garbage(words)
		}
	})
	wrong, err := CheckShares(w.cfg, ups[3].Header, nil, w.checks(ups[3].Header, all(5)))
	if err != nil || !slices.Equal(wrong, []uint16{5}) {
		t.Fatalf("the complaint: %d, %v", wrong, err)
	}
	w.acceptAll(all(4), ups)
	set := setOf(t, ups)
	said := w.answers(all(4), w.certify(all(4), set))
	said[1].Words[9] ^= 1
	said[1].sign(w.nodes[1].setup.Identity)
	if sum, _, err := Unmask(w.cfg, set, w.sumOf(ups), said); sum != nil || !errors.Is(err, ErrInconsistent) {
		t.Errorf("four answers, one a lie: %v", err)
	}
}
