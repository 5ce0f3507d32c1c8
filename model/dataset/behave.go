package dataset

import (
	"math"
	"time"
)

// Fitted constants of behaviour.
const (
	tasteFocus    = 2.2  // of the Dirichlet distribution of a person's tastes; less is narrower
	followSeries  = 0.22 // take the next part of a series when there is one
	walkShelf     = 0.19 // go along a shelf from the last item
	shelfStep     = 0.65 // probability to skip one more place
	shelfBack     = 0.35 // go up the shelf instead of down
	shelfReach    = 12   // places
	explore       = 0.13 // meet something nobody met, once past the beginning
	exploreFrom   = 60   // events that make an explorer
	beginners     = 15   // first events, for which popular items are proposed
	tasteDrift    = 0.25 // share of taste that a long pause replaces
	fashion       = 0.5  // amplitude of the drift of all tastes, over ten years
	fashionPeriod = 10.0
	oneSitting    = 0.6 // of the people
)

// ageBands and their share, as in ml-1m.
var ageBands = []struct {
	age   int
	share float64
}{{1, .04}, {18, .18}, {25, .35}, {35, .2}, {45, .09}, {50, .08}, {56, .06}}

var occupations = []string{"academic", "artist", "clerk", "student", "customer service", "doctor", "executive", "farmer", "homemaker", "lawyer", "programmer", "retired", "sales", "scientist", "self-employed", "engineer", "tradesperson", "writer", "other"}

// starts are how many people began in each year since firstEpoch, as in
// ml-latest-small.
var starts = []float64{97, 27, 9, 26, 48, 20, 14, 20, 11, 24, 23, 22, 22, 21, 15, 22, 25, 13, 8, 47, 32, 35, 29}

// person is one life as it is being lived.
type person struct {
	User
	tastes []float64
	bias   float64 // stars above the average
	met    map[int32]bool
	now    int64 // seconds since 1970
}

// live invents one person with a history of the wanted length, or less when the
// catalogue has no more to offer.
func (w *world) live(id int64, length int) User {
	p := w.born(id)
	pauses := w.sittings(length)
	for len(p.History) < length {
		if len(pauses) > 0 && pauses[0] == len(p.History) {
			pauses = pauses[1:]
			w.pause(p)
		}
		item := w.next(p)
		if item < 0 {
			break
		}
		p.now += 1 + int64(12*math.Exp(1.1*w.random.NormFloat64()))
		p.met[item] = true
		p.History = append(p.History, item)
		p.Times = append(p.Times, p.now)
		p.Ratings = append(p.Ratings, w.rate(p, item))
	}
	return p.User
}

func (w *world) born(id int64) *person {
	p := &person{User: User{ID: id, Gender: "M"}, met: map[int32]bool{}, bias: 0.4 * w.random.NormFloat64()}
	if w.random.Float64() < 0.3 {
		p.Gender = "F"
	}
	bands := make([]float64, len(ageBands))
	for i, b := range ageBands {
		bands[i] = b.share
	}
	p.Age = ageBands[pick(bands, w.random)].age
	p.Occupation = occupations[w.random.IntN(len(occupations))]
	p.tastes = w.inventTastes(p)
	year := firstEpoch + pick(starts, w.random)
	p.now = time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).Unix() + w.random.Int64N(364*86400)
	return p
}

// inventTastes draws from a Dirichlet distribution around the tastes of the
// person's groups.
func (w *world) inventTastes(p *person) []float64 {
	mix := make([]float64, len(tastes))
	total := 0.0
	for i, t := range tastes {
		liking := t.share
		if p.Gender == "F" {
			liking *= math.Sqrt(t.female)
		} else {
			liking /= math.Sqrt(t.female)
		}
		youth := (56 - float64(max(p.Age, 18))) / 38 // 1 at 18, 0 at 56
		liking *= math.Pow(t.younger, youth-0.5)
		mix[i] = gamma(tasteFocus*liking*3, w.random.Float64, w.random.NormFloat64)
		total += mix[i]
	}
	for i := range mix {
		mix[i] /= max(total, 1e-300)
	}
	return mix
}

// gamma draws from the gamma distribution of the given shape (Marsaglia and
// Tsang, "A Simple Method for Generating Gamma Variables", 2000).
func gamma(shape float64, uniform, normal func() float64) float64 {
	boost := 1.0
	if shape < 1 {
		boost = math.Pow(uniform(), 1/shape)
		shape++
	}
	d := shape - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := normal()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		if math.Log(uniform()) < x*x/2+d-d*v+d*math.Log(v) {
			return boost * d * v
		}
	}
}

// sittings lists the events before which the person pauses, ascending.
func (w *world) sittings(length int) []int {
	if w.random.Float64() < oneSitting {
		return nil
	}
	var pauses []int
	for at := 0; ; {
		at += 5 + int(w.random.ExpFloat64()*30)
		if at >= length {
			return pauses
		}
		pauses = append(pauses, at)
	}
}

// pause lets days or months go by, and tastes change.
func (w *world) pause(p *person) {
	end := time.Date(lastEpoch, 9, 1, 0, 0, 0, 0, time.UTC).Unix()
	days := 0.2 + 40*w.random.ExpFloat64()*w.random.ExpFloat64()
	if later := p.now + int64(days*86400); later < end {
		p.now = later
	} else {
		p.now += 7200
	}
	if days < 30 {
		return
	}
	for i, fresh := range w.inventTastes(p) {
		p.tastes[i] = (1-tasteDrift)*p.tastes[i] + tasteDrift*fresh
	}
}

// next chooses what the person meets: the next part of a series, the shelf of
// the last item, something unknown, or what the person's tastes propose. It
// gives -1 when nothing is left.
func (w *world) next(p *person) int32 {
	year := min(time.Unix(p.now, 0).UTC().Year(), lastEpoch)
	fits := func(i int32) bool { return i >= 0 && !p.met[i] && w.items[i].Year <= year }
	if n := len(p.History); n > 0 {
		last := p.History[n-1]
		if part := w.nextPart(last, fits); part >= 0 && w.random.Float64() < followSeries {
			return part
		}
		if w.random.Float64() < walkShelf {
			if i := w.along(last, fits); i >= 0 {
				return i
			}
		}
		if n >= exploreFrom && w.random.Float64() < explore {
			if i := w.discover(fits); i >= 0 {
				return i
			}
		}
	}
	return w.byTaste(p, year, fits)
}

// nextPart is the part after the last item, or the first one not met before it.
func (w *world) nextPart(last int32, fits func(int32) bool) int32 {
	if after := w.traits[last].after; fits(after) {
		return after
	}
	if before := w.traits[last].before; fits(before) {
		return before
	}
	return -1
}

// along goes down the shelf from an item, sometimes up, a few places at most.
func (w *world) along(last int32, fits func(int32) bool) int32 {
	t := &w.traits[last]
	shelf := w.shelves[t.shelf]
	step := 1
	if w.random.Float64() < shelfBack {
		step = -1
	}
	for n, place := 0, t.onShelf+step; n < shelfReach && place >= 0 && place < len(shelf); n, place = n+1, place+step {
		if fits(shelf[place]) && w.random.Float64() >= shelfStep {
			return shelf[place]
		}
	}
	return -1
}

// discover takes something that nobody has met.
func (w *world) discover(fits func(int32) bool) int32 {
	for try := 0; try < 8 && len(w.unseen) > 0; try++ {
		at := w.random.IntN(len(w.unseen))
		i := w.unseen[at]
		if fits(i) {
			w.unseen[at] = w.unseen[len(w.unseen)-1]
			w.unseen = w.unseen[:len(w.unseen)-1]
			return i
		}
	}
	return -1
}

// byTaste draws a taste of the person, bent by the fashion of the year, and one
// of its items by popularity; beginners get the more popular of two.
func (w *world) byTaste(p *person, year int, fits func(int32) bool) int32 {
	weights := make([]float64, len(tastes))
	for i, liking := range p.tastes {
		turn := float64(year-firstEpoch)/fashionPeriod + w.phase[i]
		weights[i] = liking * (1 + fashion*math.Sin(2*math.Pi*turn))
	}
	best := int32(-1)
	candidates := 1
	if len(p.History) < beginners {
		candidates = 2
	}
	for try := 0; try < 60 && candidates > 0; try++ {
		i := w.epochs[year-firstEpoch][pick(weights, w.random)].draw(w.random)
		if !fits(i) {
			continue
		}
		candidates--
		if best < 0 || w.traits[i].weight > w.traits[best].weight {
			best = i
		}
	}
	if best >= 0 {
		return best
	}
	start := w.random.IntN(len(w.items)) // nearly all has been met
	for k := range w.items {
		if i := int32((start + k) % len(w.items)); fits(i) {
			return i
		}
	}
	return -1
}

// halfStarsSince is when half stars came; before, ratings were whole stars.
var halfStarsSince = time.Date(2003, 2, 18, 0, 0, 0, 0, time.UTC).Unix()

// rate gives 0.5 to 5 stars for quality, taste and the person's mood.
func (w *world) rate(p *person, item int32) float32 {
	t := &w.traits[item]
	stars := 3.4 + p.bias + t.quality + 1.2*(p.tastes[t.taste]-0.2) + 0.8*w.random.NormFloat64()
	step := 1.0
	if p.now >= halfStarsSince && w.random.Float64() < 0.85 {
		step = 0.5
	}
	return float32(min(5, max(step, math.Round(stars/step)*step)))
}
