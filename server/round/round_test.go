package round

import (
	"fmt"
	"testing"
)

// TestSimulation plays a few thousand schedules from one list of seeds; a seed that fails is printed and replays alone.
func TestSimulation(t *testing.T) {
	const schedules = 4000
	ends, crashes := map[string]int{}, map[string]int{}
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
		for where, n := range s.crashes {
			crashes[where] += n
		}
	}
	t.Logf("ends: %v", ends)
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
