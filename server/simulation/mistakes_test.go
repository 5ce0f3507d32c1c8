package simulation

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mistakes are the variants that the simulation must find, with what is wrong with them.
var mistakes = []struct {
	mistake Break
	why     string
}{
	{NoFence, "a replica that stood still for longer than its lease goes on with the write that it had begun"},
	{NoFenceNoCompare, "two drivers move the same round"},
	{AnybodyLeads, "two replicas hold the lease at once"},
	{DoubleFold, "the folder adds an upload every time it looks"},
	{StalePartial, "a partial sum and the ids of the uploads in it are not of one moment"},
	{AnyPartial, "a dead replica's partial sum holds an upload that is not in the set"},
	{IgnoreMissing, "the set names uploads whose replica is gone, and the sum does not hold them"},
	{ReuseSlot, "an upload that was staged, although its replica was told otherwise, is written over by another device's"},
	{ReuseAfterCrash, "a replica dies with a commit on its way, starts again, gives the slot to another device, and then the row is there"},
	{SignFirst, "members sign a set that a crash then forgets"},
	{ReleaseFirst, "the sum is opened, and a crash forgets that it is to be paid for"},
	{NoCharge, "a set is certified for nothing"},
	{FreeEarly, "devices take their charge back, and the members may still sign"},
	{CollectAgain, "a second set is proposed after a crash"},
	{LateFromMemory, "an upload that hangs at one replica is staged after another one told its device that the round is closed"},
	{CountedWhenStaged, "a device is told COUNTED, and the committee refuses its upload"},
	{NoRecord, "the log does not say what happened"},
	{TwoRecords, "the log says it twice"},
	{WaitForEver, "nobody ends a round whose members do not sign"},
}

func pathOf(b Break) string {
	return filepath.Join("testdata", "mistakes", strings.ReplaceAll(string(b), " ", "-")+".txt")
}

// TestMistakesAreFound: each invariant bites. The schedules are those that found the mistake, made smaller; with
// TUTTI_SIM_FREEZE=1 they are looked for anew, which takes a minute.
func TestMistakesAreFound(t *testing.T) {
	bitten := map[string]bool{}
	for _, m := range mistakes {
		if os.Getenv("TUTTI_SIM_FREEZE") != "" {
			freeze(t, m.mistake, m.why)
		}
		c := readCase(t, pathOf(m.mistake))
		x := memory()
		if c.mistake != m.mistake {
			t.Errorf("%s holds %q", pathOf(m.mistake), c.mistake)
		}
		if res := x.play(c.schedule, m.mistake, nil); res.Broken == nil || res.Broken.Invariant != c.invariant {
			t.Errorf("%s: %v, want a broken %s", m.mistake, res.Broken, c.invariant)
		}
		if res := x.play(c.schedule, Sound, nil); res.Broken != nil {
			t.Error(explain(x, c.schedule, Sound, res.Broken))
		}
		bitten[c.invariant] = true
	}
	for _, invariant := range []string{"sum", "set", "budget", "fence", "told", "log", "end"} {
		if !bitten[invariant] {
			t.Errorf("no mistake breaks %q", invariant)
		}
	}
}

// freeze looks for a seed that finds a mistake, and writes the smallest schedule that does.
func freeze(t *testing.T, b Break, why string) {
	x := memory()
	for seed := range uint64(20_000) {
		res := x.play(New(seed), b, nil)
		if res.Broken == nil {
			continue
		}
		small := Shrink(New(seed), 600, func(s Schedule) bool {
			r := x.play(s, b, nil)
			return r.Broken != nil && r.Broken.Invariant == res.Broken.Invariant && x.play(s, Sound, nil).Broken == nil
		})
		last := x.play(small, b, nil)
		var file strings.Builder
		fmt.Fprintf(&file, "# mistake: %s\n# breaks: %s\n# found by seed %d: %s\n# %s\n", b, last.Broken.Invariant, seed, last.Broken.What, why)
		if err := small.Write(&file); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(pathOf(b)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(pathOf(b), []byte(file.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Logf("%-20s seed %5d, %2d operations: %v", b, seed, len(small.Ops), last.Broken)
		return
	}
	t.Errorf("no seed finds %q", b)
}

// TestFrozenCases: what went wrong once stays mended. The head of each file says what it was.
func TestFrozenCases(t *testing.T) {
	files, err := filepath.Glob("testdata/found/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	slices.Sort(files)
	for _, f := range files {
		c, x := readCase(t, f), memory()
		if res := x.play(c.schedule, Sound, nil); res.Broken != nil {
			t.Error(explain(x, c.schedule, Sound, res.Broken))
		}
	}
}
