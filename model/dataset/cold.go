package dataset

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"tutti/model/metric"
)

// Cold are the items that ColdItems held back, in ascending order: no training
// history and no history of a case holds one, of either kind.
type Cold struct {
	Validation, Test []int32
}

// ColdItems asks for items that nobody met in training: what only their features
// tell. Of the items that were met, the given share, in (0, 0.5), is drawn for
// the test, and as many others for validation; a seed draws the same ones again.
//
// A user's case is the last event with such an item, after whatever else the
// user met before it. Training ends, for this user, before the earlier of the
// two; users without a case train with all that is left. The split does not look
// at times: others' training may be later than a case, as with LeaveOneOut.
//
// The histories are copies. Features that were made from all the events, such as
// the popularity of an item, would tell what training must not know.
func ColdItems(d *Dataset, share float64, seed uint64) (Split, Cold, error) {
	cold, err := drawCold(d, share, seed)
	if err != nil {
		return Split{}, Cold{}, err
	}
	kinds := cold.kinds(d.Catalogue.Len())
	s := Split{Train: make([][]int32, len(d.Users))}
	for i := range d.Users {
		warm, last := lastCold(d.Users[i].History, kinds)
		end := len(warm)
		for k, list := range []*[]metric.Case{validation: &s.Validation, test: &s.Test} {
			if last[k].before > 0 {
				*list = append(*list, metric.Case{User: i, History: warm[:last[k].before:last[k].before], Target: last[k].item})
				end = min(end, last[k].before)
			}
		}
		s.Train[i] = warm[:end:end]
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

// lastCold is the history without what is held back, and the last event of either
// kind that comes after something else.
func lastCold(history []int32, kinds []uint8) (warm []int32, last [kept]met) {
	warm = make([]int32, 0, len(history))
	for _, item := range history {
		if k := kinds[item]; k == kept {
			warm = append(warm, item)
		} else if len(warm) > 0 {
			last[k] = met{item, len(warm)}
		}
	}
	return warm, last
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
