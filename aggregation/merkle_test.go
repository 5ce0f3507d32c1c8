package aggregation

import (
	"fmt"
	"testing"
)

// Every leaf of every tree of up to 20 leaves leads to the root from its own place, and from no other place or count.
func TestMerklePathsExhaustively(t *testing.T) {
	for n := 1; n <= 20; n++ {
		var envelopes [][]byte
		for i := range n {
			envelopes = append(envelopes, fmt.Appendf(nil, "envelope %d", i))
		}
		leaves := envelopeLeaves(envelopes)
		root := envelopeRoot(n, merkleRoot(leaves))
		for i := range n {
			path := merklePath(leaves, i)
			for m := 1; m <= 21; m++ {
				for j := range m {
					if ok := merkleVerify(root, leaves[i], j, m, path); ok != (m == n && j == i) {
						t.Fatalf("leaf %d of %d at place %d of %d: %v", i, n, j, m, ok)
					}
				}
			}
		}
	}
	if path := merklePath(make([]Digest, MaxMembers), 0); len(path) != maxPathLen {
		t.Errorf("paths of %d members are %d long", MaxMembers, len(path))
	}
}

func TestReasonsAndRefusalsAreComplete(t *testing.T) {
	labels := map[string]bool{}
	for r := Accepted; r < reasonCount; r++ {
		if r.Label() == "" || r.Sentence() == "" || labels[r.Label()] || !r.Valid() {
			t.Errorf("reason %d: label %q, sentence %q", r, r.Label(), r.Sentence())
		}
		labels[r.Label()] = true
	}
	labels = map[string]bool{}
	for r := Refusal(1); r < refusalCount; r++ {
		if r.Label() == "" || r.Sentence() == "" || labels[r.Label()] || r.Label() == "unknown" {
			t.Errorf("refusal %d: label %q, sentence %q", r, r.Label(), r.Sentence())
		}
		labels[r.Label()] = true
	}
	if reasonCount.Valid() || reasonCount.Label() != "unknown" || Refusal(0).Label() != "unknown" || refusalCount.Sentence() != "Unknown refusal." {
		t.Error("values outside the lists have no name of their own")
	}
}
