package silo

import (
	"slices"
	"testing"
)

func TestExactSums(t *testing.T) {
	for name, c := range map[string]struct {
		model        Model
		from, active []int
	}{
		"3 of 3":                       {Model{Organisations: 3, Corrupt: 1, Minimum: 3, Length: 9000, Bound: 1 << 15}, upTo(3), upTo(3)},
		"4 of 5, one missing":          {Model{Organisations: 5, Corrupt: 1, Present: 4, Minimum: 4, Length: 100, Bound: 1 << 20}, []int{0, 2, 3, 4}, []int{0, 2, 3, 4}},
		"5 of 5, two did not give":     {Model{Organisations: 5, Corrupt: 1, Minimum: 3, Length: 100, Bound: 1}, []int{1, 2, 4}, upTo(5)},
		"13 of 20, seven missing":      {Model{Organisations: 20, Corrupt: 5, Present: 13, Minimum: 10, Length: 50, Bound: 1 << 15}, upTo(13), []int{19, 18, 17, 12, 11, 10, 9, 8, 7, 6, 5, 4, 0}},
		"20 of 20, largest bound":      {Model{Organisations: 20, Corrupt: 18, Minimum: 20, Length: 50, Bound: 1 << 32}, upTo(20), upTo(20)},
		"3 of 3, ring's edge":          {Model{Organisations: 3, Corrupt: 1, Minimum: 3, Length: 8192, Bound: 7}, upTo(3), upTo(3)},
		"3 of 3, one past ring's edge": {Model{Organisations: 3, Corrupt: 1, Minimum: 3, Length: 8193, Bound: 7}, upTo(3), upTo(3)},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.model)
			w.makeKeys()
			want := w.contribute(5, c.from...)
			tally := w.tally()
			got := w.open(tally, w.propose(tally, c.active...), c.active...)
			if !slices.Equal(got, want) {
				t.Fatal("not the exact sum")
			}
		})
	}
}
