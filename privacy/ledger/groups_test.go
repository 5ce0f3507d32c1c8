package ledger

import (
	"errors"
	"math/big"
	"testing"
)

// splitLog is a task with one planned round and the records that end it in three groups: one opened, one lost, one abandoned.
func splitLog(t *testing.T) (*State, []Body) {
	t.Helper()
	rho := big.NewRat(1, 4)
	p := &Plan{Task: "t", Round: 1, What: "popularity", Rho: rho, Bytes: []byte("plan"), Signature: []byte("signature")}
	s := new(State)
	for _, b := range []Body{&Task{Task: "t", Operator: make([]byte, 32), Budget: big.NewRat(1, 2)}, p} {
		if _, err := s.Add(s.Next(b, 1)); err != nil {
			t.Fatal(err)
		}
	}
	one := func(b byte) Digest { return Digest{b} }
	groups := []Body{
		&Group{Task: "t", Round: 1, Group: 0, Plan: p.Digest(), Outcome: Published, Survived: 7, Participants: one(1), Certificate: one(2), Aggregate: one(3)},
		&Group{Task: "t", Round: 1, Group: 1, Plan: p.Digest(), Outcome: Lost, Survived: 5, Participants: one(4), Certificate: one(5), Reason: "no_answers"},
		&Group{Task: "t", Round: 1, Group: 2, Plan: p.Digest(), Outcome: Abandoned, Certificate: one(6), Reason: "too_few"},
	}
	return s, append(groups, &Round{Task: "t", Round: 1, What: "popularity", Plan: p.Digest(), Outcome: Published, Survived: 7, NMin: 5, Noise: true,
		Rho: rho, Participants: Join(one(1), one(4), Digest{}), Certificate: Join(one(2), one(5), one(6)), Aggregate: Join(one(3), Digest{}, Digest{})})
}

func addAll(s *State, bodies []Body) error {
	for _, b := range bodies {
		if _, err := s.Add(s.Next(b, 2)); err != nil {
			return err
		}
	}
	return nil
}

func TestGroupsOfARound(t *testing.T) {
	s, bodies := splitLog(t)
	if err := addAll(s, bodies); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.Task("t"); got.Spent.Cmp(big.NewRat(1, 4)) != 0 || got.Reserved.Sign() != 0 {
		t.Errorf("three groups cost %v, and %v stays reserved", got.Spent, got.Reserved)
	}
}

func TestGroupsThatContradictTheirRound(t *testing.T) {
	group := func(bodies []Body, i int) *Group { return bodies[i].(*Group) }
	last := func(bodies []Body) *Round { return bodies[3].(*Round) }
	for name, c := range map[string]struct {
		change func([]Body) []Body
		fault  Fault
	}{
		"a larger set":             {func(b []Body) []Body { group(b, 0).Survived++; return b }, FaultCohort},
		"a set below the minimum":  {func(b []Body) []Body { group(b, 1).Survived = 4; return b }, FaultCohort},
		"an abandoned set":         {func(b []Body) []Body { group(b, 2).Survived = 9; return b }, FaultCohort},
		"another certificate":      {func(b []Body) []Body { group(b, 1).Certificate[1]++; return b }, FaultRound},
		"no certificate":           {func(b []Body) []Body { group(b, 0).Certificate = Digest{}; return b }, FaultCohort},
		"another sum":              {func(b []Body) []Body { group(b, 0).Aggregate[1]++; return b }, FaultRound},
		"a sum that was lost":      {func(b []Body) []Body { group(b, 1).Aggregate[1]++; return b }, FaultRound},
		"another plan":             {func(b []Body) []Body { group(b, 1).Plan[1]++; return b }, FaultPlan},
		"no such outcome":          {func(b []Body) []Body { group(b, 1).Outcome = "fine"; return b }, FaultRound},
		"a group twice":            {func(b []Body) []Body { group(b, 1).Group = 0; return b }, FaultRound},
		"a group left out":         {func(b []Body) []Body { return append(b[:1], b[2:]...) }, FaultRound},
		"one group alone":          {func(b []Body) []Body { return append(b[:1], b[3]) }, FaultRound},
		"a group after its round":  {func(b []Body) []Body { return append(b, b[0]) }, FaultPlan},
		"something in between":     {func(b []Body) []Body { b[2] = &Version{Task: "t", Number: 1, Digest: Digest{9}, Cause: "x"}; return b }, FaultRound},
		"lost, and a group opened": {func(b []Body) []Body { last(b).Outcome, last(b).Survived = Lost, 5; return b }, FaultRound},
		"another round's set":      {func(b []Body) []Body { last(b).Participants[0]++; return b }, FaultRound},
		"charged twice":            {func(b []Body) []Body { last(b).Rho = big.NewRat(1, 2); return b }, FaultRho},
	} {
		s, bodies := splitLog(t)
		var v *Violation
		if err := addAll(s, c.change(bodies)); !errors.As(err, &v) || v.Fault != c.fault {
			t.Errorf("%s: %v, want %v", name, err, c.fault)
		}
	}
}

func TestGroupRecordsReadBack(t *testing.T) {
	s, bodies := splitLog(t)
	for _, b := range bodies {
		r := s.Next(b, 2)
		data, err := s.Add(r)
		if err != nil {
			t.Fatal(err)
		}
		line, err := r.EncodeJSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeJSON(line)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range []Record{again, twice} {
			if back, err := x.Encode(); err != nil || string(back) != string(data) {
				t.Errorf("a record of kind %v reads back as another", b.Kind())
			}
		}
	}
}
