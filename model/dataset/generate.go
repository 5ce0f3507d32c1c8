package dataset

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// GeneratorConfig says how much behaviour Generate invents. The rest of the
// world (tastes, series, drift and so on) is fixed: its constants were fitted
// once so that Statistics of the default configuration come within 10 % of
// ml-latest-small's, and were then left alone.
type GeneratorConfig struct {
	Users int    // at least 1
	Items int    // at least 50
	Seed  uint64 // the same configuration gives the same data

	MeanLength   float64 // events of a user, mean; more than MedianLength
	MedianLength float64 // more than the 20 events that every user has at least
}

// DefaultGenerator has the size and the history lengths of ml-latest-small.
func DefaultGenerator() GeneratorConfig {
	return GeneratorConfig{Users: 610, Items: 9742, Seed: 1, MeanLength: 165.3, MedianLength: 70.5}
}

// Bounds of the configuration.
const (
	minLength    = 20
	maxLength    = 2700
	maxGenerated = 1 << 20
)

func (c GeneratorConfig) check() error {
	switch {
	case c.Users < 1 || c.Users > maxGenerated:
		return fmt.Errorf("dataset: cannot invent %d users: give 1 to %d", c.Users, maxGenerated)
	case c.Items < 50 || c.Items > maxGenerated:
		return fmt.Errorf("dataset: cannot invent %d items: give 50 to %d", c.Items, maxGenerated)
	case !(c.MedianLength > minLength && c.MeanLength > c.MedianLength && c.MeanLength < maxLength):
		return fmt.Errorf("dataset: history lengths need %d < median %v < mean %v < %d", minLength, c.MedianLength, c.MeanLength, maxLength)
	}
	return nil
}

// Generate invents a data set with the structure of real behaviour: clusters of
// taste that differ between groups of people, series whose parts are watched in
// order, shelves of like items that are walked along, popularity with a long
// tail, tastes and fashions that drift, items that are new near the end, sittings
// in time, and ratings in half stars. Nobody and nothing in it is real.
func Generate(config GeneratorConfig) (*Dataset, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	w := newWorld(config, rand.New(rand.NewPCG(config.Seed, 0x776f726c64)))
	d := &Dataset{Catalogue: NewCatalogue(w.items), Users: make([]User, config.Users)}
	lengths := historyLengths(config, w.random)
	for u := range d.Users {
		d.Users[u] = w.live(int64(u+1), lengths[u])
	}
	return d, nil
}

// historyLengths are minLength plus a log-normal with the wanted median and
// mean, taken at evenly spaced quantiles so that every seed has the same
// lengths, in another order. A catalogue that is too small for the longest
// histories shortens them.
func historyLengths(config GeneratorConfig, random *rand.Rand) []int {
	longest := min(maxLength, max(minLength, config.Items/3))
	low, high := 0.0, 4.0 // of the spread; the mean rises with it
	for range 40 {
		middle := (low + high) / 2
		total := 0
		for _, n := range quantileLengths(config, middle, longest) {
			total += n
		}
		if float64(total) < config.MeanLength*float64(config.Users) {
			low = middle
		} else {
			high = middle
		}
	}
	lengths := quantileLengths(config, low, longest)
	random.Shuffle(len(lengths), func(i, j int) { lengths[i], lengths[j] = lengths[j], lengths[i] })
	return lengths
}

func quantileLengths(config GeneratorConfig, spread float64, longest int) []int {
	lengths := make([]int, config.Users)
	for i := range lengths {
		quantile := (float64(i) + 0.5) / float64(config.Users)
		z := math.Sqrt2 * math.Erfinv(2*quantile-1)
		over := (config.MedianLength - minLength) * math.Exp(spread*z)
		lengths[i] = minLength + int(min(over+0.5, float64(longest-minLength)))
	}
	return lengths
}

// cumulative is a table for drawing one of several things by weight.
type cumulative struct {
	items []int32
	sums  []float64
}

func (c *cumulative) add(item int32, weight float64) {
	last := 0.0
	if n := len(c.sums); n > 0 {
		last = c.sums[n-1]
	}
	c.items, c.sums = append(c.items, item), append(c.sums, last+weight)
}

// draw gives -1 when the table is empty.
func (c *cumulative) draw(random *rand.Rand) int32 {
	if len(c.sums) == 0 {
		return -1
	}
	at, _ := slices.BinarySearch(c.sums, random.Float64()*c.sums[len(c.sums)-1])
	return c.items[min(at, len(c.items)-1)]
}

// pick draws an index by weight.
func pick(weights []float64, random *rand.Rand) int {
	total := 0.0
	for _, w := range weights {
		total += w
	}
	left := random.Float64() * total
	for i, w := range weights {
		if left -= w; left < 0 {
			return i
		}
	}
	return len(weights) - 1
}
