package server

import (
	"math"
	"testing"

	"tutti/privacy/mechanism"
)

func openings(groups ...[]float32) []*opening {
	var out []*opening
	for _, values := range groups {
		out = append(out, &opening{devices: 2, sum: mechanism.Decoded{Values: values,
			Meter: mechanism.NoiseMeter{PadCoords: 8, MeasuredVar: 5, ExpectedVar: 4}}})
	}
	return out
}

// TestCombined: one group of five holds nonsense. The sum takes it in; the median and the trimmed mean do not.
func TestCombined(t *testing.T) {
	open := openings([]float32{2, -4}, []float32{4, -8}, []float32{6, -12}, []float32{8, -16}, []float32{1e6, 1e6})
	for how, want := range map[Combine][2]float32{
		CombineSum:     {1e6 + 20, 1e6 - 40},
		CombineMedian:  {30, -40}, // of the means 1, 2, 3, 4, 5e5 and -2, -4, -6, -8, 5e5, times ten devices
		CombineTrimmed: {30, -40}, // (2 + 3 + 4) / 3 and (-2 - 4 - 6) / 3, times ten
	} {
		got, used, err := combined(how, open, 10)
		if err != nil || used != how || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("%q: %v by %q, want %v, %v", how, got, used, want, err)
		}
	}
	if _, used, err := combined(CombineTrimmed, open[:4], 8); err != nil || used != CombineMedian {
		t.Errorf("four groups cannot be trimmed and were combined by %q, %v", used, err)
	}
	m := pooled(open)
	if m.MeasuredVar != 25 || m.ExpectedVar != 20 || math.Abs(m.ZScore-5/(20*math.Sqrt(2.0/8))) > 1e-12 {
		t.Errorf("the meters of five groups say %+v", m)
	}
}

func TestCombineRefusals(t *testing.T) {
	for _, c := range []struct {
		how    Combine
		groups int
		fits   bool
	}{{CombineSum, 1, true}, {CombineMedian, 2, false}, {CombineMedian, 3, true}, {CombineTrimmed, 4, false}, {CombineTrimmed, 5, true}, {"best", 9, false}} {
		if err := c.how.Check(c.groups); (err == nil) != c.fits {
			t.Errorf("%q of %d groups: %v", c.how, c.groups, err)
		}
	}
}
