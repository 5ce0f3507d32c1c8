package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"math"
	"slices"
	"strings"

	"tutti/aggregation"
	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/server/round"
	"tutti/server/store"
)

// checked is one opened sum beside what it must be.
type checked struct {
	round     uint64
	kind      string
	devices   int
	killed    string
	deviation float64 // largest difference to the true sum over the certified set
	power     float64 // largest number of the least visible device, of those that sent any: so much would be missing with it
	fault     string  // "" if the sum is right
}

// tolerance is far above what rounding leaves (a sum of at most 32 vectors on a grid of 2^-22) and far below what any
// device that is missing, or counted twice, would show as.
const tolerance = 1e-4

// check opens the server's data directory, which nobody serves any more, and recomputes every opened sum.
func (s *story) check(ctx context.Context) ([]checked, error) {
	st, err := store.Open(ctx, store.Options{Dir: s.path("server")})
	if err != nil {
		return nil, err
	}
	defer st.Close()
	b, err := s.readBooks(ctx, st)
	if err != nil {
		return nil, err
	}
	var out []checked
	for _, r := range b.rounds {
		c, err := b.check(ctx, s, r)
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", r.Round, err)
		}
		c.killed = strings.Join(s.fallen[r.Round], ", ")
		out = append(out, c)
	}
	if len(out) != 4 {
		return out, fmt.Errorf("%d sums were opened, 4 are planned", len(out))
	}
	return out, nil
}

// check recomputes one sum.
func (b *books) check(ctx context.Context, s *story, r *ledger.Round) (checked, error) {
	c := checked{round: r.Round, kind: r.What, power: math.Inf(1)}
	row, found, err := b.st.Round(ctx, store.Key{Task: r.Task, Round: r.Round})
	if err != nil || !found {
		return c, fmt.Errorf("the server has no such round: %w", err)
	}
	set := ids(row.Durable.Set)
	c.devices = len(set)
	switch {
	case r.Outcome != ledger.Published || r.Noise:
		c.fault = fmt.Sprintf("outcome %s, noise %v", r.Outcome, r.Noise)
		return c, nil
	case r.Survived != uint64(len(set)) || r.Participants != root(set):
		c.fault = "the log names another set"
		return c, nil
	}
	got, err := b.opened(r)
	if err != nil {
		return c, err
	}
	want, counted, err := b.truth(ctx, &c, set)
	if err != nil {
		return c, err
	}
	for i := range got {
		c.deviation = max(c.deviation, math.Abs(float64(got[i])-want[i]))
	}
	c.fault = s.judge(c, b, row, got, want, counted)
	return c, nil
}

// truth is the sum over a set of devices, from what their people watched, and who those are.
func (b *books) truth(ctx context.Context, c *checked, set []aggregation.DeviceID) (sum []float64, counted map[int]bool, err error) {
	p := b.plans[c.round]
	vectorOf, err := b.maker(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	sum, counted = make([]float64, p.Mechanism.Dim), map[int]bool{}
	for _, id := range set {
		person, known := b.people[id]
		if !known || counted[person] {
			return nil, nil, fmt.Errorf("device %x in the set is nobody's, or is in it twice", id[:4])
		}
		counted[person] = true
		items, err := b.items(person)
		if err != nil {
			return nil, nil, err
		}
		v, err := vectorOf(items)
		if err != nil {
			return nil, nil, fmt.Errorf("person %d: %w", person, err)
		}
		largest := 0.0
		for i, x := range v {
			sum[i] += x
			largest = max(largest, math.Abs(x))
		}
		if largest > 0 {
			c.power = min(c.power, largest)
		}
	}
	return sum, counted, nil
}

// judge says what is wrong with a sum; "" if nothing is.
func (s *story) judge(c checked, b *books, row store.Round, got []float32, want []float64, counted map[int]bool) string {
	switch {
	case !(c.deviation <= tolerance):
		return "the sum is not the sum of the set"
	case c.power < 10*tolerance:
		return "the check could not see a missing device"
	case c.kind == plan.Popularity.String() && !halves(got, want):
		return "the sum is not the whole number of halves that it must be"
	}
	if c.round == s.crashed {
		for person := range s.safe {
			if !counted[person] {
				return fmt.Sprintf("person %d had a receipt when the server was killed, and is not in the sum", person)
			}
		}
		s.say("round %d was resumed: all %d uploads that had a receipt when the server was killed are in its sum", c.round, len(s.safe))
	}
	if c.round == otherFalls {
		member := slices.IndexFunc(b.plans[c.round].Committee, func(key ed25519.PublicKey) bool { return key.Equal(b.task.committee[nodes-1]) })
		signed := slices.ContainsFunc(row.Durable.Signed, func(said round.Said) bool { return said.Member == member })
		if member < 0 || !signed {
			return fmt.Sprintf("node %d was back, and did not sign", nodes)
		}
		s.say("round %d: node %d, killed in round %d, is back and one of the %d that certified the set", c.round, nodes, nodeFalls, len(row.Durable.Signed))
	}
	return ""
}

// halves says whether a sum, rounded, is exactly what it must be.
func halves(got []float32, want []float64) bool {
	for i := range got {
		if math.Round(2*float64(got[i])) != math.Round(2*want[i]) {
			return false
		}
	}
	return true
}
