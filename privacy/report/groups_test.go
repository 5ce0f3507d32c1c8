package report

import (
	"testing"

	"tutti/privacy/ledger"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
)

// TestGroupsAreThePlans: a round has the groups that its plan splits it into, each of a size that the plan allows.
func TestGroupsAreThePlans(t *testing.T) {
	group := func(outcome string, n uint64) *ledger.Group { return &ledger.Group{Outcome: outcome, Survived: n} }
	for name, c := range map[string]struct {
		planned uint32
		groups  []*ledger.Group
		good    bool
	}{
		"one sum":              {1, nil, true},
		"two groups":           {2, []*ledger.Group{group(ledger.Published, 5), group(ledger.Lost, 9)}, true},
		"one abandoned":        {2, []*ledger.Group{group(ledger.Published, 5), group(ledger.Abandoned, 0)}, true},
		"not split":            {2, nil, false},
		"split all the same":   {1, []*ledger.Group{group(ledger.Published, 5), group(ledger.Published, 5)}, false},
		"one group too few":    {3, []*ledger.Group{group(ledger.Published, 5), group(ledger.Published, 5)}, false},
		"a group too small":    {2, []*ledger.Group{group(ledger.Published, 5), group(ledger.Published, 4)}, false},
		"a group too large":    {2, []*ledger.Group{group(ledger.Published, 5), group(ledger.Published, 10)}, false},
		"a lost one too large": {2, []*ledger.Group{group(ledger.Published, 5), group(ledger.Lost, 10)}, false},
	} {
		p := plan.Plan{Groups: c.planned, Mechanism: mechanism.Params{NMin: 5, NMax: 9}}
		r := roundFact{record: &ledger.Round{Round: 1}, plan: planFact{plan: p}, groups: c.groups}
		if bad := r.checkGroups(); (bad == nil) != c.good || bad != nil && bad.Reason != ReasonCohort {
			t.Errorf("%s: %v", name, bad)
		}
	}
}
