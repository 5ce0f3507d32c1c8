package simulation

import (
	"testing"
)

// mistakes are the variants that the simulation must find, each with the invariant that it breaks.
var mistakes = []Break{NoFence, NoFenceNoCompare, AnybodyLeads, DoubleFold, StalePartial, AnyPartial, IgnoreMissing, ReuseSlot, SignFirst, ReleaseFirst,
	NoCharge, FreeEarly, CollectAgain, LateFromMemory, CountedWhenStaged, NoRecord, TwoRecords, WaitForEver}

func TestMistakesAreFound(t *testing.T) {
	x := memory()
	for _, b := range mistakes {
		found := false
		for seed := range uint64(3000) {
			if res := x.play(New(seed), b, nil); res.Broken != nil {
				t.Logf("%-20s seed %d: %v", b, seed, res.Broken)
				found = true
				break
			}
		}
		if !found {
			t.Errorf("%s is not found", b)
		}
	}
}
