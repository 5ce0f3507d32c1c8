package aggregation

import (
	"errors"
	"testing"
)

// checkIndicator fails the test unless sum is 1 at the members of U and 0 elsewhere.
func checkIndicator(t testing.TB, sum []int64, in map[int]bool) {
	t.Helper()
	for i, v := range sum {
		want := int64(0)
		if in[i] {
			want = 1
		}
		if v != want {
			t.Fatalf("coordinate %d of the sum is %d, want %d", i, v, want)
		}
	}
}

func all(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

func wantRefusal(t testing.TB, what string, err error, want Refusal) {
	t.Helper()
	var got Refusal
	if !errors.As(err, &got) || got != want {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func indexSet(list []int) map[int]bool {
	m := map[int]bool{}
	for _, i := range list {
		m[i] = true
	}
	return m
}
