package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"tutti/privacy/audit"
	"tutti/privacy/audit/attack"
)

// TestAttack: fast attacks by name, their files, and their document. Two of them draw the system's randomness: false
// rejection 1e-4 for the copied generator, 1e-3 for each of three figures of the central mode's noise.
func TestAttack(t *testing.T) {
	dir := t.TempDir()
	names := []string{"float_gaussian", "dropout", "malicious_plan", "bad_device", "cloned_rng"}
	out := wants(t, exitDone, "", append([]string{"attack", "--quick", "--json", "--out", dir}, names...)...)
	var result attackResult
	if err := json.Unmarshal([]byte(out), &result); err != nil || result.Verdict != audit.VerdictPass || len(result.Sections) != len(names) {
		t.Fatalf("%v: %s", err, out)
	}
	for i, name := range names {
		data, err := os.ReadFile(filepath.Join(dir, "attack_"+name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := audit.ParseSection(data)
		if err != nil || s.Kind != name || s.Kind != result.Sections[i].Kind || s.PositiveControl == nil || !s.PositiveControl.Detected {
			t.Errorf("%s: %v, %+v", name, err, s)
		}
	}
}

func TestAttackRefuses(t *testing.T) {
	wants(t, exitUsage, "there is no attack", "attack", "everything")
	wants(t, exitUsage, "--shadows 2", "attack", "--shadows", "2", "--out", t.TempDir())
	wants(t, exitFailed, "no data at", "attack", "dropout", "--data", "nowhere", "--out", t.TempDir())
}

// TestAttackExit: a protection that did not hold is a failure, a test that shows nothing is incomplete.
func TestAttackExit(t *testing.T) {
	for _, c := range []struct {
		verdicts []string
		want     int
	}{
		{[]string{audit.VerdictPass, audit.VerdictInfo}, exitDone},
		{[]string{audit.VerdictPass, audit.VerdictBroken}, exitIncomplete},
		{[]string{audit.VerdictInconclusive}, exitIncomplete},
		{[]string{audit.VerdictBroken, audit.VerdictFail}, exitFailed},
	} {
		if got := showVerdicts(t, c.verdicts); got != c.want {
			t.Errorf("%v: exit %d, want %d", c.verdicts, got, c.want)
		}
	}
}

func showVerdicts(t *testing.T, verdicts []string) int {
	t.Helper()
	a := &app{out: discard{}, err: discard{}}
	var found []*audit.Section
	for _, v := range verdicts {
		found = append(found, &audit.Section{Kind: "x", Verdict: v})
	}
	return a.report(t.Context(), a.showAttacks(a.newUI(), t.TempDir(), attackKinds()[:len(found)], found, 0))
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// TestAttackKinds: what the attacks take for the items of a vector is what the device held.
func TestAttackKinds(t *testing.T) {
	const items = 300
	histories := uniformHistories(4, items, attackHistory, 1)
	table, err := tableKind(histories, items, 1)
	if err != nil {
		t.Fatal(err)
	}
	transitions, err := transitionsKind(histories, items, 40)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []attack.Kind{table, transitions, popularityKind(histories, items)} {
		score := make([]float64, items)
		k.Score(k.Vector(0), score)
		held := map[int32]bool{}
		least := 1e300
		for _, item := range k.Held(0) {
			held[item] = true
			least = min(least, score[item])
		}
		for item, s := range score {
			if !held[int32(item)] && s >= least && s > 0 {
				t.Errorf("%s: item %d scores %v and was not held; the least of those held scores %v", k.Name, item, s, least)
				break
			}
		}
		if len(held) == 0 {
			t.Errorf("%s holds nothing", k.Name)
		}
	}
}
