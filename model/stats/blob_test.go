package stats

import (
	"bytes"
	"encoding/hex"
	"slices"
	"testing"
)

func TestMarshalByHand(t *testing.T) {
	popularity, transitions, _ := small(t)
	wantPopularity := hex.EncodeToString([]byte("tutti/stats/popularity\x01")) + "00000006" +
		"40000000" + "80000000" + "00000000" + "00000000" + "ffffffff" + "40000000"
	if got := hex.EncodeToString(popularity.Marshal()); got != wantPopularity {
		t.Errorf("popularity\n%s, want\n%s", got, wantPopularity)
	}
	unit := "6.985132477315826e-10" // 3 / 65535^2
	wantTransitions := hex.EncodeToString([]byte("tutti/stats/transitions\x01")) + "00000006" + "00000003" +
		"00000004" + "00000001" + "00000000" + "15" + hex.EncodeToString([]byte(unit)) + "ffff" + "93cd" + "0000" // 65535/sqrt 3 = 37836.7
	if got := hex.EncodeToString(transitions.Marshal()); got != wantTransitions {
		t.Errorf("transitions\n%s, want\n%s", got, wantTransitions)
	}
}

func TestParseGivesBackTheSameScores(t *testing.T) {
	popularity, transitions, _ := small(t)
	p, err := ParsePopularity(popularity.Marshal(), 6)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.Shares(), popularity.Shares()) || p.Digest() != popularity.Digest() {
		t.Error("popularity changed on its way")
	}
	parsed, err := ParseTransitions(transitions.Marshal(), 6)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(parsed.rows, transitions.rows) || parsed.Digest() != transitions.Digest() {
		t.Error("transitions changed on their way")
	}
}

func TestParseRefuses(t *testing.T) {
	popularity, transitions, _ := small(t)
	p, tr := popularity.Marshal(), transitions.Marshal()
	head := len(transitionsDomain)
	change := func(b []byte, at int, to ...byte) []byte {
		b = bytes.Clone(b)
		copy(b[at:], to)
		return b
	}
	for name, b := range map[string][]byte{
		"empty":            nil,
		"cut":              p[:len(p)-1],
		"longer":           append(bytes.Clone(p), 0),
		"other domain":     change(p, 0, 'x'),
		"other version":    change(p, len(popularityDomain)-1, 2),
		"all weights 0":    append(bytes.Clone(p[:len(popularityDomain)+4]), make([]byte, 24)...),
		"too many items":   change(p, len(popularityDomain), 0xff, 0xff, 0xff, 0xff),
		"the other's type": tr,
	} {
		if _, err := ParsePopularity(b, 6); err == nil {
			t.Errorf("popularity, %s: accepted", name)
		}
	}
	if _, err := ParsePopularity(p, 7); err == nil {
		t.Error("popularity of another catalogue was accepted")
	}
	for name, b := range map[string][]byte{
		"empty":             nil,
		"cut":               tr[:len(tr)-1],
		"cut in the unit":   tr[:head+8+12+5],
		"cut in the items":  tr[:head+8+5],
		"longer":            append(bytes.Clone(tr), 0),
		"huge k":            change(tr, head+4, 0xff, 0xff, 0xff, 0xff),
		"k of 1":            change(tr, head+4, 0, 0, 0, 1),
		"item twice":        change(tr, head+8, 0, 0, 0, 1),
		"item outside":      change(tr, head+8, 0, 0, 0, 6),
		"item negative":     change(tr, head+8, 0xff, 0xff, 0xff, 0xff),
		"unit of length 0":  change(tr, head+20, 0),
		"unit not shortest": change(tr, head+21, '0'),
		"unit not a number": change(tr, head+21, 'x'),
		"unit negative":     change(tr, head+21, '-'),
		"the other's type":  p,
		"catalogue too big": change(tr, head, 0x7f),
	} {
		if _, err := ParseTransitions(b, 6); err == nil {
			t.Errorf("transitions, %s: accepted", name)
		}
	}
}

// What parses is canonical: it marshals to the same bytes.
func FuzzParsePopularity(f *testing.F) {
	popularity, _, _ := small(f)
	f.Add(popularity.Marshal(), 6)
	f.Fuzz(func(t *testing.T, b []byte, catalogue int) {
		p, err := ParsePopularity(b, catalogue)
		if err == nil && !bytes.Equal(p.Marshal(), b) {
			t.Fatalf("%x marshals to %x", b, p.Marshal())
		}
	})
}

func FuzzParseTransitions(f *testing.F) {
	_, transitions, _ := small(f)
	f.Add(transitions.Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		parsed, err := ParseTransitions(b, 6)
		if err != nil {
			return
		}
		if !bytes.Equal(parsed.Marshal(), b) {
			t.Fatalf("%x marshals to %x", b, parsed.Marshal())
		}
		out := make([]float32, 6)
		parsed.Scores([]int32{0, 1, 2, 3, 4, 5}, out)
		for i, v := range out {
			if !(v >= 0 && v <= 6) {
				t.Fatalf("item %d scores %v", i, v)
			}
		}
	})
}
