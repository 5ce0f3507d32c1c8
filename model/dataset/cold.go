package dataset

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"tutti/model/metric"
)

// Cold is what ColdItems held back.
type Cold struct {
	Validation, Test []int32  // the items, ascending
	Warm             *Dataset // all that was met but for them
}

// ColdItems asks for items that nobody met in training: what only their features
// tell. Of the items that were met, the given share, in (0, 0.5), is drawn for
// the test, and as many others for validation; a seed draws the same ones again.
// No training history and no history of a case holds an item of either kind.
//
// A user's case is the last event with such an item, after whatever else the
// user met before it. Training ends, for this user, before the earlier of the
// two; users without a case train with all that is left. The split does not look
// at times: others' training may be later than a case, as with LeaveOneOut.
//
// The histories are the beginnings of those of Cold.Warm, which also has their
// times and ratings. Features that were made from all the events, such as the
// popularity of an item, would tell what training must not know.
func ColdItems(d *Dataset, share float64, seed uint64) (Split, Cold, error) {
	cold, err := drawCold(d, share, seed)
	if err != nil {
		return Split{}, Cold{}, err
	}
	kinds := cold.kinds(d.Catalogue.Len())
	cold.Warm = &Dataset{Catalogue: d.Catalogue, Users: make([]User, len(d.Users))}
	s := Split{Train: make([][]int32, len(d.Users))}
	for i := range d.Users {
		warm, last := d.Users[i].warm(kinds)
		cold.Warm.Users[i] = warm
		h := warm.History
		end := len(h)
		for k, list := range []*[]metric.Case{validation: &s.Validation, test: &s.Test} {
			if n := last[k].before; n > 0 {
				*list = append(*list, metric.Case{User: i, History: h[:n:n], Target: last[k].item})
				end = min(end, n)
			}
		}
		s.Train[i] = h[:end:end]
	}
	return s, cold, nil
}

// Kinds of items that are held back.
const (
	validation = iota
	test
	kept // not held back
)

// kinds has the kind of every item.
func (c Cold) kinds(items int) []uint8 {
	out := slices.Repeat([]uint8{kept}, items)
	for _, i := range c.Validation {
		out[i] = validation
	}
	for _, i := range c.Test {
		out[i] = test
	}
	return out
}

// met is an event with an item that is held back, and how many others the user
// met before it.
type met struct {
	item   int32
	before int
}

// warm is the user without what is held back, and the last event of either kind
// that comes after something else.
func (u User) warm(kinds []uint8) (w User, last [kept]met) {
	w = u
	w.History = make([]int32, 0, len(u.History))
	w.Times, w.Ratings = nil, nil
	for i, item := range u.History {
		if k := kinds[item]; k != kept {
			if n := len(w.History); n > 0 {
				last[k] = met{item, n}
			}
			continue
		}
		w.History = append(w.History, item)
		if u.Times != nil {
			w.Times = append(w.Times, u.Times[i])
		}
		if u.Ratings != nil {
			w.Ratings = append(w.Ratings, u.Ratings[i])
		}
	}
	return w, last
}

func drawCold(d *Dataset, share float64, seed uint64) (Cold, error) {
	if !(share > 0 && share < 0.5) {
		return Cold{}, fmt.Errorf("dataset: a share of %v items cannot be held back twice, want more than 0 and less than .5", share)
	}
	known := make([]bool, d.Catalogue.Len())
	for i := range d.Users {
		for _, item := range d.Users[i].History {
			known[item] = true
		}
	}
	var items []int32
	for i, yes := range known {
		if yes {
			items = append(items, int32(i))
		}
	}
	n := int(share * float64(len(items)))
	if n == 0 {
		return Cold{}, fmt.Errorf("dataset: a share of %v of %d items is none", share, len(items))
	}
	rng := rand.New(rand.NewPCG(seed, 0x636f6c64)) // "cold"
	rng.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	c := Cold{Validation: slices.Clone(items[n : 2*n]), Test: slices.Clone(items[:n])}
	slices.Sort(c.Validation)
	slices.Sort(c.Test)
	return c, nil
}
