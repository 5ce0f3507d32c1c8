package round

import (
	"slices"
	"testing"
	"time"
)

// TestMissingUploadsLeaveTheSet: uploads that cannot be had any more when the set is assembled are late, and the set is
// assembled again without them; below the minimum the round is abandoned.
func TestMissingUploadsLeaveTheSet(t *testing.T) {
	for _, c := range []struct {
		missing []ID
		left    int
		state   State
	}{{[]ID{{2}}, 3, Frozen}, {[]ID{{9}}, 4, Frozen}, {[]ID{{1}, {4}}, 0, Abandoned}} {
		m, set := assembling(t)
		out := m.Step(time.Unix(1_000_001, 0), Assembled{Missing: c.missing})
		if c.state == Abandoned {
			if m.State() != Abandoned || m.Durable().Abandon != TooFewUploads {
				t.Errorf("without %v the round is %v", c.missing, m.State())
			}
			continue
		}
		if len(out.Work) != 1 || len(out.Work[0].Assemble) != c.left || m.State() != Collecting {
			t.Fatalf("without %v of %v: %+v", c.missing, set, out.Work)
		}
		m.Step(time.Unix(1_000_002, 0), Assembled{})
		if m.State() != Frozen || len(m.Durable().Set) != c.left {
			t.Errorf("without %v the set has %d devices, %v", c.missing, len(m.Durable().Set), m.State())
		}
	}
}

// assembling is a machine that waits for its set of four.
func assembling(t *testing.T) (*Machine, []Upload) {
	t.Helper()
	p, err := NewParams(Literal{Members: 3, Quorum: 2, Need: 2, Goal: 4, Min: 3, Max: 6, Batch: 4, Windows: DefaultWindows(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_000_000, 0)
	set := []Upload{{ID: ID{1}}, {ID: ID{2}}, {ID: ID{3}}, {ID: ID{4}}}
	m, _ := Resume(p, Durable{State: Collecting, Version: 1, Opened: now, Since: now}, set, now)
	for j := range 3 {
		m.Step(now, Begun{Member: j})
	}
	for j := range 3 {
		m.Step(now, Judged{Member: j, Accepted: []bool{true, true, true, true}})
	}
	out := m.Step(now, Checked{Findings: slices.Repeat([]Finding{{Sharing: Sound}}, 4)})
	for _, w := range out.Work {
		if len(w.Assemble) == 4 {
			return m, set
		}
	}
	t.Fatalf("no set is assembled: %+v", out)
	return nil, nil
}
