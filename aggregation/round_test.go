package aggregation

import (
	"testing"
)

func TestRoundOfUnitVectors(t *testing.T) {
	w := newWorld(t, testParams(4096, 2, 40), 20)
	ups := w.sealUnits()
	sum, err := w.open(ups, all(5), all(5), all(5))
	if err != nil {
		t.Fatal(err)
	}
	checkIndicator(t, sum, indexSet(all(20)))
}
