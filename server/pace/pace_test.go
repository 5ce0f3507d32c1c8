package pace

import (
	"math/rand/v2"
	"testing"
	"time"
)

var now = time.Unix(1_790_000_000, 0)

// TestWindows: the design's windows, and those around a time that is set, at both ends.
func TestWindows(t *testing.T) {
	const end = 1 - 1e-12
	for name, c := range map[string]struct {
		p           Policy
		a           Answer
		r           Round
		least, most time.Duration
	}{
		"no round":           {a: NoRound, least: time.Minute, most: 5 * time.Minute},
		"full":               {a: Full, least: time.Minute, most: 5 * time.Minute},
		"done":               {a: Done, least: time.Minute, most: 5 * time.Minute},
		"version":            {a: Version, least: 24 * time.Hour, most: 48 * time.Hour},
		"finished":           {a: Finished, least: 24 * time.Hour, most: 48 * time.Hour},
		"transient":          {a: Transient, least: 675 * time.Second, most: 1125 * time.Second},
		"permanent":          {a: Permanent, least: 3 * time.Hour, most: 5 * time.Hour},
		"set":                {p: Policy{Full: 4 * time.Second}, a: Full, least: 3 * time.Second, most: 5 * time.Second},
		"set, no round":      {p: Policy{NoRound: 4 * time.Second}, a: NoRound, least: 3 * time.Second, most: 5 * time.Second},
		"set, done":          {p: Policy{Counted: 4 * time.Second}, a: Done, least: 3 * time.Second, most: 5 * time.Second},
		"set, finished":      {p: Policy{Finished: 4 * time.Second}, a: Version, least: 3 * time.Second, most: 5 * time.Second},
		"planned opening":    {a: NoRound, r: Round{Opening: now.Add(time.Hour)}, least: time.Hour, most: time.Hour + 10*time.Second},
		"planned, full":      {a: Full, r: Round{Opening: now.Add(time.Second)}, least: time.Second, most: 11 * time.Second},
		"planned, short":     {p: Policy{NoRound: time.Second}, a: NoRound, r: Round{Opening: now.Add(time.Minute)}, least: time.Minute, most: time.Minute + 500*time.Millisecond},
		"planned, it passed": {a: NoRound, r: Round{Opening: now.Add(-time.Hour)}, least: time.Minute, most: 5 * time.Minute},
		"a large population": {a: NoRound, r: Round{Population: 300_000}, least: time.Minute, most: 199 * time.Minute},
		"large, planned":     {a: Done, r: Round{Population: 30_000, Opening: now.Add(time.Hour)}, least: time.Hour, most: 70 * time.Minute},
		"a slow server":      {p: Policy{Rate: 10}, a: Full, r: Round{Population: 1000}, least: time.Minute, most: 199 * time.Minute},
	} {
		c.r.Now = now
		if got := c.p.Wait(c.a, c.r, 0); got != c.least {
			t.Errorf("%s: %v at least, want %v", name, got, c.least)
		}
		if got := c.p.Wait(c.a, c.r, end); got < c.most-time.Second || got > c.most {
			t.Errorf("%s: %v at most, want %v", name, got, c.most)
		}
	}
}

// TestRateIsBounded: populations of any size that come again and again whenever they are told ask at most Rate times a
// minute on average. The busiest minute of 60 in a steady state holds a Poisson number of mean 3,000 or less; that one
// of 60 exceeds 3,000 + 6 sqrt(3,000) happens with probability below 1e-7 (Chernoff), and the seed is fixed.
func TestRateIsBounded(t *testing.T) {
	for _, population := range []int{50, 3_000, 60_000} {
		random := rand.New(rand.NewPCG(1, uint64(population)))
		minutes := map[int]int{}
		p := Policy{}
		for range population {
			at := now.Add(time.Duration(random.Int64N(int64(200 * time.Minute)))) // in the steady state they are anywhere
			for at.Before(now.Add(200 * time.Minute)) {
				minutes[int(at.Sub(now)/time.Minute)]++
				at = at.Add(p.Wait(NoRound, Round{Now: at, Population: population}, random.Float64()))
			}
		}
		for m := 140; m < 200; m++ {
			if minutes[m] > 3_000+329 {
				t.Errorf("%d devices: %d check-ins in minute %d", population, minutes[m], m)
			}
		}
	}
}

// TestTogether: devices of a small population that ask at any time before a planned opening come within ten seconds after it.
func TestTogether(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	opening := now.Add(10 * time.Minute)
	for range 500 {
		at := now.Add(time.Duration(random.Int64N(int64(10 * time.Minute))))
		back := at.Add(Policy{}.Wait(NoRound, Round{Now: at, Opening: opening, Population: 500}, random.Float64()))
		if back.Before(opening) || back.After(opening.Add(10*time.Second)) {
			t.Fatalf("a device that asked at %v comes at %v", at, back)
		}
	}
}

func TestBackoff(t *testing.T) {
	for failures, want := range map[int]time.Duration{0: 1, 1: 1, 2: 2, 3: 4, 4: 8, 5: 10, 6: 10, 1_000_000: 10} {
		if got := Backoff(failures, time.Second, 10*time.Second); got != want*time.Second {
			t.Errorf("after %d failures: %v", failures, got)
		}
	}
}
