package round

import (
	"fmt"
	"slices"
	"testing"
)

// TestTogether: partial sums are added if they hold nothing but the set, and no upload twice; what is in none is missing.
func TestTogether(t *testing.T) {
	ids := func(names string) (out []ID) {
		for i := range names {
			out = append(out, ID{names[i]})
		}
		return out
	}
	for _, c := range []struct {
		set     string
		held    []string
		use     []int
		missing string
	}{
		{"abcd", []string{"ab", "dc"}, []int{0, 1}, ""},
		{"abcd", []string{"ab", "", "d"}, []int{0, 2}, "c"},
		{"abc", []string{"abx", "c"}, []int{1}, "ab"}, // nobody but its replica takes x out
		{"abc", []string{"ab", "bc"}, []int{0}, "c"},  // b twice would be a 2 in the sum
		{"ab", nil, nil, "ab"},
		{"", []string{"a"}, nil, ""},
	} {
		var held [][]ID
		for _, h := range c.held {
			held = append(held, ids(h))
		}
		use, missing := Together(ids(c.set), held)
		if !slices.Equal(use, c.use) || fmt.Sprint(missing) != fmt.Sprint(ids(c.missing)) {
			t.Errorf("%s of %v: %v, missing %v", c.set, c.held, use, missing)
		}
	}
}
