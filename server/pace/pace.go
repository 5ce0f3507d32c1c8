package pace

import "time"

// Answer is what a device was told, besides when to come again.
type Answer uint8

// The answers.
const (
	NoRound   Answer = iota // no round is open for this device now
	Full                    // the open round has enough devices
	Done                    // this device is in the open round already, or rests
	Version                 // device and server do not speak alike, or there is no such task
	Finished                // no round will open any more
	Transient               // something went wrong that will pass
	Permanent               // something is wrong that asking again will not change
)

// Policy are the times of a deployment. The zero value of each is the design's in brackets. A time that is set is the middle
// of a window of +-25 %.
type Policy struct {
	NoRound   time.Duration // no round is open, and none is planned [1 to 5 min]
	Full      time.Duration // [1 to 5 min]
	Counted   time.Duration // after an upload, where no round is planned [1 to 5 min]
	Finished  time.Duration // task finished, or a version that does not fit [1 to 2 days]
	Transient time.Duration // [15 min]
	Permanent time.Duration // [4 h]

	// Rate is how many check-ins a minute the server wants from devices that wait, at most, on average [3,000].
	Rate float64
	// Together is how long after a planned opening the devices of a small population come [10 s].
	Together time.Duration
}

// Round is what the server knows when it answers.
type Round struct {
	Now        time.Time
	Opening    time.Time // of the next round; the zero time, and one that has passed: not known
	Population int       // devices that may come
}

const (
	defaultRate     = 3000
	defaultTogether = 10 * time.Second
	defaultMedium   = 15 * time.Minute
	defaultLong     = 4 * time.Hour
)

// window is a span of time after now; a device comes at a moment of it that is drawn uniformly.
type window struct{ from, length time.Duration }

func around(middle time.Duration) window { return window{middle * 3 / 4, middle / 2} }

// or is the window around a time that is set, else the given one.
func (w window) or(set time.Duration) window {
	if set > 0 {
		return around(set)
	}
	return w
}

// spread lengthens a window so that a population asks no more often than the rate. Devices that were told at one moment, or to
// come for one, come at population/length; those that come again and again, each told when it comes, at population over the
// mean wait, which is from + length/2.
func (p Policy) spread(w window, population int, once bool) window {
	rate := p.Rate
	if !(rate > 0) {
		rate = defaultRate
	}
	needed := time.Duration(float64(population) / rate * float64(time.Minute))
	w.length = max(w.length, needed)
	if !once {
		w.length = max(w.length, 2*(needed-w.from))
	}
	return w
}

// Wait is how long a device is told to wait. u in [0, 1) is drawn for this answer.
func (p Policy) Wait(a Answer, r Round, u float64) time.Duration {
	w := p.window(a, r)
	return w.from + time.Duration(u*float64(w.length))
}

func (p Policy) window(a Answer, r Round) window {
	const minute = time.Minute
	soon := window{minute, 4 * minute}
	switch a {
	case Version, Finished:
		return p.spread(window{24 * time.Hour, 24 * time.Hour}.or(p.Finished), r.Population, false)
	case Transient:
		return p.spread(around(defaultMedium).or(p.Transient), r.Population, false)
	case Permanent:
		return p.spread(around(defaultLong).or(p.Permanent), r.Population, false)
	case Full:
		soon = soon.or(p.Full)
	case Done:
		soon = soon.or(p.Counted)
	default:
		soon = soon.or(p.NoRound)
	}
	if until := r.Opening.Sub(r.Now); !r.Opening.IsZero() && until > 0 { // all come for the opening, as close together as the rate allows
		together := p.Together
		if together <= 0 {
			together = min(defaultTogether, max(soon.length, time.Millisecond))
		}
		return p.spread(window{until, together}, r.Population, true)
	}
	return p.spread(soon, r.Population, false)
}

// Backoff is how long a task waits after so many rounds in a row that came to nothing (1 and more): first, doubled with each,
// at most most.
func Backoff(failures int, first, most time.Duration) time.Duration {
	wait := first
	for range failures - 1 {
		if wait >= most {
			break
		}
		wait *= 2
	}
	return min(wait, most)
}
