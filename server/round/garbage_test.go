package round

import (
	"testing"
	"time"
)

// A sum that is garbage with exactly as many answers as it needs may be one liar's work: another answer is waited for. With
// an answer to spare it is a device's, and the round is void.
func TestGarbageWaitsForAnAnswerToSpare(t *testing.T) {
	p, err := NewParams(Literal{Members: 5, Quorum: 4, Need: 3, Goal: 4, Min: 4, Max: 6, Batch: 4, Windows: DefaultWindows(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_000_000, 0)
	d := Durable{State: Certified, Version: 1, Opened: now, Since: now, Quorum: []int{0, 1, 2, 3},
		Set: []Upload{{ID: ID{1}}, {ID: ID{2}}, {ID: ID{3}}, {ID: ID{4}}}}
	unmasks := func(out Effects) bool { return len(out.Work) == 1 && out.Work[0].Unmask }
	play := func() *Machine {
		m, _ := Resume(p, d, nil, now)
		for j := range 3 {
			m.Step(now, Answered{Member: j, Answer: []byte{1}})
		}
		if !unmasks(m.Step(now.Add(time.Second), Tick{})) {
			t.Fatal("three answers are enough to open the sum")
		}
		m.Step(now.Add(time.Second), Unmasked{Fault: Garbage})
		if m.State() != Certified {
			t.Fatalf("%v after garbage without an answer to spare", m.State())
		}
		if !unmasks(m.Step(now.Add(2*time.Second), Answered{Member: 3, Answer: []byte{1}})) {
			t.Fatal("the fourth answer opens nothing")
		}
		return m
	}

	m := play()
	m.Step(now.Add(3*time.Second), Unmasked{Wrong: []int{1}})
	if m.State() != Released || len(m.Durable().Wrong) != 1 {
		t.Errorf("%v, wrong %v: the fourth answer named the liar", m.State(), m.Durable().Wrong)
	}
	m = play()
	m.Step(now.Add(3*time.Second), Unmasked{Fault: Garbage})
	if m.State() != Lost || m.Durable().Lost != Garbage {
		t.Errorf("%v (%v): garbage with an answer to spare is a device's", m.State(), m.Durable().Lost)
	}

	m, _ = Resume(p, d, nil, now) // the fourth never comes
	for j := range 3 {
		m.Step(now, Answered{Member: j, Answer: []byte{1}})
	}
	m.Step(now.Add(time.Second), Tick{})
	m.Step(now.Add(time.Second), Unmasked{Fault: Garbage})
	m.Step(now.Add(time.Hour), Tick{})
	if m.State() != Lost || m.Durable().Lost != Garbage {
		t.Errorf("%v (%v) when no other answer comes", m.State(), m.Durable().Lost)
	}
}
