package dataset

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tutti/model/metric"
)

func TestWarm(t *testing.T) {
	kinds := Cold{Validation: []int32{1}, Test: []int32{3, 4}}.kinds(6)
	for _, c := range []struct {
		history, warm []int32
		times         []int64
		last          [kept]met
	}{
		{[]int32{3, 0, 1, 2, 3, 4, 5, 1}, []int32{0, 2, 5}, []int64{1, 3, 6}, [kept]met{{1, 3}, {4, 2}}},
		{[]int32{3, 1, 0}, []int32{0}, []int64{2}, [kept]met{}}, // nothing before them
		{[]int32{0, 5}, []int32{0, 5}, []int64{0, 1}, [kept]met{}},
		{nil, nil, nil, [kept]met{}},
	} {
		u := User{ID: 7, History: c.history}
		for i := range c.history {
			u.Times, u.Ratings = append(u.Times, int64(i)), append(u.Ratings, float32(i))
		}
		warm, last := u.warm(kinds)
		if !slices.Equal(warm.History, c.warm) || !slices.Equal(warm.Times, c.times) || len(warm.Ratings) != len(c.warm) || warm.ID != 7 || last != c.last {
			t.Errorf("%v: %v %v", c.history, warm, last)
		}
	}
}

// Nothing that is held back is in any history, a user's training ends before
// both targets, and every case is what the user did, in this order.
func TestColdItemsDoNotLeak(t *testing.T) {
	data := generated(t, smallGenerator())
	split, cold, err := ColdItems(data, 0.1, 3)
	if err != nil {
		t.Fatal(err)
	}
	want := int(0.1 * float64(data.Catalogue.Len()))
	if n := len(cold.Test); n == 0 || n > want || len(cold.Validation) != n || len(split.Test) == 0 || len(split.Validation) == 0 {
		t.Fatalf("%d and %d items, %d and %d cases", len(cold.Validation), n, len(split.Validation), len(split.Test))
	}
	if warm := cold.Warm.Users[0]; len(warm.History) != len(warm.Times) || len(cold.Warm.Users) != len(data.Users) {
		t.Fatalf("%d events and %d times of %d users", len(warm.History), len(warm.Times), len(cold.Warm.Users))
	}
	held := map[int32]bool{}
	for _, i := range slices.Concat(cold.Validation, cold.Test) {
		if held[i] {
			t.Fatalf("item %d was drawn twice", i)
		}
		held[i] = true
	}
	for u, h := range split.Train {
		checkWarm(t, data, u, h, held)
	}
	for kind, cases := range map[string][]metric.Case{"validation": split.Validation, "test": split.Test} {
		from := cold.Validation
		if kind == "test" {
			from = cold.Test
		}
		for _, c := range cases {
			if _, drawn := slices.BinarySearch(from, c.Target); !drawn {
				t.Fatalf("%s asks for item %d, which was not drawn for it", kind, c.Target)
			}
			if len(c.History) == 0 || len(split.Train[c.User]) > len(c.History) {
				t.Fatalf("user %d trains on %d events and is asked after %d", c.User, len(split.Train[c.User]), len(c.History))
			}
			checkWarm(t, data, c.User, c.History, held)
			if !followed(data.Users[c.User].History, c, held) {
				t.Fatalf("user %d did not meet item %d after these %d events", c.User, c.Target, len(c.History))
			}
		}
	}
}

// checkWarm wants h to be the beginning of what a user met, without what is held.
func checkWarm(t *testing.T, data *Dataset, user int, h []int32, held map[int32]bool) {
	t.Helper()
	warm := slices.DeleteFunc(slices.Clone(data.Users[user].History), func(i int32) bool { return held[i] })
	if len(h) > len(warm) || !slices.Equal(h, warm[:len(h)]) {
		t.Fatalf("user %d: the history is not the beginning of what was met", user)
	}
}

// followed reports whether the target came right after the case's history, but
// for other items that are held.
func followed(whole []int32, c metric.Case, held map[int32]bool) bool {
	before := 0
	for _, item := range whole {
		if before == len(c.History) && item == c.Target {
			return true
		}
		if !held[item] {
			before++
		}
	}
	return false
}

func TestColdItemsAreDrawnBySeed(t *testing.T) {
	data := generated(t, smallGenerator())
	first, cold, err := ColdItems(data, 0.1, 3)
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := ColdItems(data, 0.1, 3)
	if diff := cmp.Diff(first, again); err != nil || diff != "" {
		t.Errorf("the same seed (%v): %s", err, diff)
	}
	// Chance would draw the same 10 of 100 items, or more of more, once in 10^13.
	if _, other, err := ColdItems(data, 0.1, 4); err != nil || slices.Equal(cold.Test, other.Test) {
		t.Errorf("another seed draws the same items (%v)", err)
	}
	for _, share := range []float64{0, -1, 0.5, 1e-9} {
		if _, _, err := ColdItems(data, share, 3); err == nil {
			t.Errorf("a share of %v was held back", share)
		}
	}
}
