package round

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// TestSimulation plays a few thousand schedules from one list of seeds; a seed that fails is printed and replays alone.
func TestSimulation(t *testing.T) {
	const schedules = 4000
	ends, crashes := map[string]int{}, map[string]int{}
	unsound, contradicted, corrected := 0, 0, 0
	for seed := range uint64(schedules) {
		s := newSim(seed)
		s.run()
		if s.broken != nil {
			t.Fatalf("seed %d: %v\ntransitions %v", seed, s.broken, s.log)
		}
		end := s.stored.State.String()
		switch s.stored.State {
		case Abandoned:
			end += " " + s.stored.Abandon.String()
		case Lost:
			end += " " + s.stored.Lost.String()
		}
		ends[end]++
		unsound, contradicted, corrected = unsound+s.voids, contradicted+s.named, corrected+len(s.stored.Wrong)
		for where, n := range s.crashes {
			crashes[where] += n
		}
	}
	t.Logf("ends: %v; %d unsound sharings, %d contradicted words, %d corrected answers", ends, unsound, contradicted, corrected)
	if unsound < 100 || contradicted < 100 || corrected < 10 {
		t.Errorf("the schedules hold %d unsound sharings, %d contradicted words, %d corrected answers", unsound, contradicted, corrected)
	}
	for _, want := range []string{"published", "abandoned too_few_uploads", "abandoned committee_absent", "abandoned committee_lost",
		"abandoned set_unsigned", "abandoned stopped", "lost answers_disagree"} {
		if ends[want] == 0 {
			t.Errorf("no schedule ended as %q", want)
		}
	}
	path := []State{Created, Collecting, Frozen, Certified, Released, Applied, Published}
	for i, from := range path[:len(path)-1] {
		for _, when := range []string{"before", "after"} {
			if where := fmt.Sprintf("%s %v->%v", when, from, path[i+1]); crashes[where] < 20 {
				t.Errorf("only %d crashes %s", crashes[where], where)
			}
		}
	}
}

func TestReasonsAreClosed(t *testing.T) {
	type reasoned interface {
		String() string
		Sentence() string
		Retry() Retry
	}
	kinds := map[string][]reasoned{}
	for r := AbandonReason(1); r < lastAbandonPlus1; r++ {
		kinds["abandon"] = append(kinds["abandon"], r)
	}
	for r := LostReason(1); r < lastLostPlus1; r++ {
		kinds["lost"] = append(kinds["lost"], r)
	}
	for r := DropReason(1); r < lastDropPlus1; r++ {
		kinds["drop"] = append(kinds["drop"], r)
	}
	for kind, rs := range kinds {
		seen := map[string]bool{}
		for i, r := range rs {
			if r.String() == "" || r.String() == "unknown" || seen[r.String()] || len(r.Sentence()) < 10 || r.Retry().String() == "" {
				t.Errorf("%s reason %d: label %q, sentence %q", kind, i+1, r, r.Sentence())
			}
			seen[r.String()] = true
		}
	}
	if AbandonReason(0).String() != "unknown" || lastDropPlus1.String() != "unknown" {
		t.Error("what is not a reason has a label")
	}
}

func TestParams(t *testing.T) {
	good := Literal{Members: 5, Quorum: 4, Need: 3, Goal: 10, Min: 7, Max: 13, Batch: 64, Windows: DefaultWindows(time.Minute)}
	if _, err := NewParams(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Literal){
		"no members":       func(l *Literal) { l.Members = 0 },
		"too many members": func(l *Literal) { l.Members = 2000 },
		"two quorums":      func(l *Literal) { l.Quorum = 2; l.Need = 2 },
		"half a quorum":    func(l *Literal) { l.Members = 8; l.Quorum = 4 },
		"quorum beyond":    func(l *Literal) { l.Quorum = 6 },
		"need beyond":      func(l *Literal) { l.Need = 5 },
		"no need":          func(l *Literal) { l.Need = 0 },
		"one device":       func(l *Literal) { l.Min = 1 },
		"goal below":       func(l *Literal) { l.Goal = 6 },
		"goal above":       func(l *Literal) { l.Goal = 14 },
		"huge batch":       func(l *Literal) { l.Batch = 65 },
		"no window":        func(l *Literal) { l.Windows.Sign = 0 },
	} {
		l := good
		change(&l)
		if _, err := NewParams(l); !errors.Is(err, ErrParams) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestResumeAsksBeforeItGivesUp: a server that was away for longer than every window asks its committee first. What was
// charged, and what devices wait for, is not given up for the time in which nobody asked.
func TestResumeAsksBeforeItGivesUp(t *testing.T) {
	p, err := NewParams(Literal{Members: 5, Quorum: 4, Need: 3, Goal: 4, Min: 4, Max: 6, Batch: 4, Windows: DefaultWindows(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	long := 24 * time.Hour
	began := time.Unix(1_000_000, 0)
	set := []Upload{{ID: ID{1}}, {ID: ID{2}}, {ID: ID{3}}, {ID: ID{4}}}
	for state, ask := range map[State]Ask{Created: AskOpen, Frozen: AskSign, Certified: AskRelease, Abandoned: AskAbandon} {
		d := Durable{State: state, Version: 1, Opened: began, Since: began}
		if state == Frozen || state == Certified {
			d.Set, d.Quorum = set, []int{0, 1, 2, 3}
		}
		m, out := Resume(p, d, nil, began.Add(long))
		if out.Persist != nil || m.State() != state || len(out.Send) == 0 {
			t.Errorf("%v: went to %v with %d requests", state, m.State(), len(out.Send))
			continue
		}
		for _, r := range out.Send {
			if r.Ask != ask {
				t.Errorf("%v: asks %v, want %v", state, r.Ask, ask)
			}
		}
		if out = m.Step(began.Add(2*long), Tick{}); out.Persist == nil {
			t.Errorf("%v: waits for ever", state)
		}
	}
}
