package dataset

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// Fitted constants of the catalogue.
const (
	firstEpoch, lastEpoch = 1996, 2018 // years in which people rate
	zipfExponent          = 1.95
	zipfShift             = 155.0
	seriesShare           = 0.14 // of the items
	secondTaste           = 0.35 // weight of an item in its second cluster
	hype                  = 2.5  // how much more popular an item is in its first year
	hypeYears             = 2.0
	shelfEra              = 8 // years on one shelf
)

// taste is a cluster: which genres its items have, and who likes it.
type taste struct {
	genres  []string // the first is always there, others with decreasing probability
	share   float64  // of the items and of general liking
	female  float64  // liking by women over liking by men
	younger float64  // liking at 18 over liking at 56
}

var tastes = []taste{
	{[]string{"Drama", "Romance"}, .16, 1.5, .8},
	{[]string{"Comedy", "Romance"}, .13, 1.7, 1.1},
	{[]string{"Comedy", "Crime", "Drama"}, .11, .9, 1.3},
	{[]string{"Action", "Thriller", "Adventure", "Crime"}, .12, .6, 1.4},
	{[]string{"Sci-Fi", "Action", "Adventure", "IMAX"}, .09, .6, 1.3},
	{[]string{"Children", "Animation", "Adventure", "Comedy", "Fantasy"}, .07, 1.4, 1.5},
	{[]string{"Horror", "Thriller", "Sci-Fi"}, .08, .7, 1.6},
	{[]string{"Crime", "Drama", "Thriller", "Mystery"}, .09, .8, 1},
	{[]string{"Fantasy", "Adventure", "Action", "Children"}, .05, 1, 1.4},
	{[]string{"Documentary", "Drama"}, .04, 1.1, .7},
	{[]string{"War", "Drama", "Western", "Action"}, .04, .5, .5},
	{[]string{"Musical", "Romance", "Comedy", "Drama"}, .03, 1.9, .7},
	{[]string{"Mystery", "Film-Noir", "Thriller", "Drama"}, .03, .9, .4},
}

// trait is what drives behaviour and is not written to any file.
type trait struct {
	taste, second  int
	weight         float64 // popularity
	quality        float64 // stars above the average
	before, after  int32   // the neighbours in its series, -1 when there is none
	shelf, onShelf int     // the shelf and the place on it
}

// world is the catalogue and how people meet it.
type world struct {
	random  *rand.Rand
	items   []Item
	traits  []trait
	shelves [][]int32      // items of like taste and age, the most popular first
	epochs  [][]cumulative // by year since firstEpoch, then taste: what is on offer
	unseen  []int32        // what nobody has met yet
	phase   []float64      // of each taste's fashion
}

func newWorld(config GeneratorConfig, random *rand.Rand) *world {
	w := &world{random: random}
	w.inventItems(config.Items)
	w.rankByPopularity()
	w.fillShelves()
	w.fillEpochs()
	for range tastes {
		w.phase = append(w.phase, random.Float64())
	}
	w.unseen = make([]int32, len(w.items))
	for i := range w.unseen {
		w.unseen[i] = int32(i)
	}
	random.Shuffle(len(w.unseen), func(i, j int) { w.unseen[i], w.unseen[j] = w.unseen[j], w.unseen[i] })
	return w
}

// decades of release and their share, as in ml-latest-small.
var decades = []struct {
	first int
	share float64
}{{1920, 40}, {1930, 136}, {1940, 197}, {1950, 279}, {1960, 401}, {1970, 500}, {1980, 1177}, {1990, 2212}, {2000, 2849}, {2010, 1931}}

func (w *world) inventYear() int {
	shares := make([]float64, len(decades))
	for i, d := range decades {
		shares[i] = d.share
	}
	decade := decades[pick(shares, w.random)].first
	if decade == 2010 {
		return decade + w.random.IntN(lastEpoch-decade+1)
	}
	return decade + w.random.IntN(10)
}

// inventItems makes items and series, in the order in which they entered the
// catalogue: by year, and at random before firstEpoch.
func (w *world) inventItems(count int) {
	names := newNamer(w.random)
	type made struct {
		item   Item
		trait  trait
		series int // 0 for none
		entry  float64
	}
	var all []made
	for series := 1; len(all) < count; series++ {
		parts := 1
		if w.random.Float64() < seriesShare/2.8 {
			parts = min(2+int(w.random.ExpFloat64()*1.1), 7, count-len(all))
		}
		first := trait{taste: w.inventTaste(), second: w.inventTaste(), quality: 0.45 * w.random.NormFloat64()}
		year, name := w.inventYear(), names.name()
		for part := 1; part <= parts; part++ {
			m := made{trait: first, series: series}
			m.trait.quality -= 0.12 * float64(part-1)
			m.item = Item{Title: names.part(name, part), Year: min(year, lastEpoch), Genres: w.inventGenres(first)}
			m.entry = max(float64(m.item.Year), firstEpoch-1) + w.random.Float64()
			all = append(all, m)
			year += 1 + w.random.IntN(4)
		}
	}
	slices.SortStableFunc(all, func(a, b made) int { return cmp.Compare(a.entry, b.entry) })
	id := int64(0)
	last := map[int]int32{} // by series: the part that came before
	for i := range all {
		id++
		if w.random.Float64() < 0.15 {
			id += int64(w.random.IntN(8))
		}
		m := &all[i]
		m.item.ID = id
		m.trait.before, m.trait.after = -1, -1
		w.items, w.traits = append(w.items, m.item), append(w.traits, m.trait)
		if before, ok := last[m.series]; ok {
			w.traits[before].after, w.traits[i].before = int32(i), before
		}
		last[m.series] = int32(i)
	}
}

func (w *world) inventTaste() int {
	shares := make([]float64, len(tastes))
	for i, t := range tastes {
		shares[i] = t.share
	}
	return pick(shares, w.random)
}

// inventGenres gives the first genre of the taste, others of it with falling
// probability, and sometimes one of the second taste; in alphabetical order.
func (w *world) inventGenres(t trait) []string {
	genres := []string{tastes[t.taste].genres[0]}
	probability := 0.6
	for _, g := range tastes[t.taste].genres[1:] {
		if w.random.Float64() < probability {
			genres = append(genres, g)
		}
		probability *= 0.75
	}
	if g := tastes[t.second].genres[0]; w.random.Float64() < 0.3 && !slices.Contains(genres, g) {
		genres = append(genres, g)
	}
	slices.Sort(genres)
	return genres
}

// rankByPopularity gives the item at rank r the weight (r + shift)^-exponent
// (Zipf and Mandelbrot). Newer items and good ones tend to rank higher, and the
// parts of a series lie near each other, each below the one before.
func (w *world) rankByPopularity() {
	scores := make([]float64, len(w.items))
	order := make([]int, len(w.items))
	for i := range w.items {
		order[i] = i
		if before := w.traits[i].before; before >= 0 {
			scores[i] = scores[before] - 0.6*w.random.ExpFloat64()
			continue
		}
		era := 1 / (1 + math.Exp(float64(1978-w.items[i].Year)/8))
		scores[i] = w.random.NormFloat64()*1.3 + 1.2*era + 0.8*w.traits[i].quality
		if w.traits[i].after >= 0 {
			scores[i] += 1.3 // what was continued had been a success
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	for rank, i := range order {
		w.traits[i].weight = math.Pow(float64(rank)+zipfShift, -zipfExponent)
	}
}

// fillShelves puts items of one taste and one era beside each other.
func (w *world) fillShelves() {
	eras := (lastEpoch-decades[0].first)/shelfEra + 1
	w.shelves = make([][]int32, len(tastes)*eras)
	for i := range w.items {
		shelf := w.traits[i].taste*eras + (w.items[i].Year-decades[0].first)/shelfEra
		w.shelves[shelf] = append(w.shelves[shelf], int32(i))
	}
	for s, shelf := range w.shelves {
		slices.SortStableFunc(shelf, func(a, b int32) int { return cmp.Compare(w.traits[b].weight, w.traits[a].weight) })
		for place, i := range shelf {
			w.traits[i].shelf, w.traits[i].onShelf = s, place
		}
	}
}

// fillEpochs tabulates what is on offer in each year: released items, those of
// the last years more than later on.
func (w *world) fillEpochs() {
	for year := firstEpoch; year <= lastEpoch; year++ {
		offer := make([]cumulative, len(tastes))
		for i := range w.items {
			age := year - w.items[i].Year
			if age < 0 {
				continue
			}
			t := &w.traits[i]
			weight := t.weight * (1 + hype*math.Exp(-float64(age)/hypeYears))
			offer[t.taste].add(int32(i), weight)
			if t.second != t.taste {
				offer[t.second].add(int32(i), weight*secondTaste)
			}
		}
		w.epochs = append(w.epochs, offer)
	}
}
