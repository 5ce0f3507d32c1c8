package dataset

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tutti/model/metric"
)

func tiny() *Dataset {
	return &Dataset{
		Catalogue: NewCatalogue([]Item{{ID: 1}, {ID: 2}, {ID: 3}, {ID: 4}, {ID: 5}}),
		Users: []User{
			{ID: 1, History: []int32{0, 1, 2, 3}, Times: []int64{10, 20, 70, 80}},
			{ID: 2, History: []int32{4, 3}, Times: []int64{30, 75}},
			{ID: 3, History: []int32{2, 1, 0}, Times: []int64{80, 85, 90}},
			{ID: 4, History: []int32{0, 2, 4}, Times: []int64{1, 2, 3}},
		},
	}
}

func TestLeaveOneOut(t *testing.T) {
	got := LeaveOneOut(tiny())
	want := Split{
		Train: [][]int32{{0, 1}, {4, 3}, {2}, {0}},
		Validation: []metric.Case{
			{User: 0, History: []int32{0, 1}, Target: 2},
			{User: 2, History: []int32{2}, Target: 1},
			{User: 3, History: []int32{0}, Target: 2},
		},
		Test: []metric.Case{
			{User: 0, History: []int32{0, 1, 2}, Target: 3},
			{User: 2, History: []int32{2, 1}, Target: 0},
			{User: 3, History: []int32{0, 2}, Target: 4},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The times are 1 2 3 10 20 30 70 75 80 80 85 90; the quantile .5 is 70.
func TestGlobalTime(t *testing.T) {
	train := [][]int32{{0}, {4}, nil, {0, 2}}
	validation := []metric.Case{{User: 0, History: []int32{0}, Target: 1}, {User: 3, History: []int32{0, 2}, Target: 4}}
	cases := []struct {
		target Target
		test   []metric.Case
	}{
		{TargetFirst, []metric.Case{
			{User: 0, History: []int32{0, 1}, Target: 2},
			{User: 1, History: []int32{4}, Target: 3},
			{User: 2, History: []int32{2}, Target: 1},
		}},
		{TargetLast, []metric.Case{
			{User: 0, History: []int32{0, 1, 2}, Target: 3},
			{User: 1, History: []int32{4}, Target: 3},
			{User: 2, History: []int32{2, 1}, Target: 0},
		}},
		{TargetSuccessive, []metric.Case{
			{User: 0, History: []int32{0, 1}, Target: 2},
			{User: 0, History: []int32{0, 1, 2}, Target: 3},
			{User: 1, History: []int32{4}, Target: 3},
			{User: 2, History: []int32{2}, Target: 1},
			{User: 2, History: []int32{2, 1}, Target: 0},
		}},
	}
	for _, c := range cases {
		got, cut, err := GlobalTime(tiny(), 0.5, c.target)
		if err != nil || cut != 70 {
			t.Fatalf("cut %d, error %v", cut, err)
		}
		if diff := cmp.Diff(Split{train, validation, c.test}, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("target %d (-want +got):\n%s", c.target, diff)
		}
	}
	if _, _, err := GlobalTime(&Dataset{Users: []User{{History: []int32{1}}}}, 0.5, TargetFirst); !errors.Is(err, ErrNoTimes) {
		t.Errorf("without times: %v", err)
	}
	for _, quantile := range []float64{0, 1, -1} {
		if _, _, err := GlobalTime(tiny(), quantile, TargetFirst); err == nil {
			t.Errorf("quantile %v was accepted", quantile)
		}
	}
}

// Nothing at or after the cut may be in the training data or be a validation
// target, nothing before it a test target; no case may know its answer's future.
func TestGlobalTimeDoesNotLeak(t *testing.T) {
	data := generated(t, smallGenerator())
	for _, target := range []Target{TargetFirst, TargetLast, TargetSuccessive} {
		split, cut, err := GlobalTime(data, 0.8, target)
		if err != nil {
			t.Fatal(err)
		}
		if len(split.Test) == 0 || len(split.Validation) == 0 {
			t.Fatalf("%d test and %d validation cases", len(split.Test), len(split.Validation))
		}
		for u, h := range split.Train {
			if n := len(h); n > 0 && data.Users[u].Times[n-1] >= cut {
				t.Fatalf("user %d trains on an event after the cut", u)
			}
		}
		checkCases(t, data, split.Validation, func(moment int64) bool { return moment < cut })
		checkCases(t, data, split.Test, func(moment int64) bool { return moment >= cut })
	}
}

// checkCases wants each history to be the beginning of the user's, the target
// to be what follows, and its time to be right.
func checkCases(t *testing.T, data *Dataset, cases []metric.Case, right func(moment int64) bool) {
	t.Helper()
	for _, c := range cases {
		u := &data.Users[c.User]
		n := len(c.History)
		if !cmp.Equal(u.History[:n], c.History) || u.History[n] != c.Target {
			t.Fatalf("case %+v is not the user's history", c)
		}
		if !right(u.Times[n]) {
			t.Fatalf("case of user %d has its target at %d, on the wrong side of the cut", c.User, u.Times[n])
		}
	}
}

func TestLeaveOneOutDoesNotLeakTheUsersOwnFuture(t *testing.T) {
	data := generated(t, smallGenerator())
	split := LeaveOneOut(data)
	for i, c := range split.Test {
		v := split.Validation[i]
		if c.User != v.User || len(c.History) != len(v.History)+1 || len(split.Train[c.User]) != len(v.History) {
			t.Fatalf("user %d: %d training, %d validation, %d test", c.User, len(split.Train[c.User]), len(v.History), len(c.History))
		}
	}
	always := func(int64) bool { return true }
	checkCases(t, data, split.Validation, always)
	checkCases(t, data, split.Test, always)
}
