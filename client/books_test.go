package client_test

import (
	"context"
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"tutti/client"
	"tutti/client/store"
	"tutti/client/transport/testserver"
)

// life is one device whose process dies at chosen writes, whose line breaks, whose clock jumps, and whose server opens,
// closes and abandons rounds, in an order that a seed draws.
type life struct {
	*world
	t       *testing.T
	random  *rand.Rand
	options client.Options
	memory  *mortal
	line    *cut
	d       *client.Device
	helpers []*client.Device
	off     time.Duration
	rounds  []*testserver.Round
	given   map[uint64]bool // rounds with a certificate of abandonment
	did     string
}

const mostRounds = 4 // k of the device's own policy

func newLife(t *testing.T, seed uint64) *life {
	w := newWorld(t)
	l := &life{world: w, t: t, random: rand.New(rand.NewPCG(seed, 7)), given: map[uint64]bool{}}
	l.memory = &mortal{Memory: &store.Memory{}, left: -1, seals: map[[32]byte]bool{}}
	l.line = &cut{Transport: w.conn}
	l.options = w.options()
	l.options.Store, l.options.Transport = l.memory, l.line
	l.options.Policy.MaxParticipations = mostRounds
	l.options.Policy.MaxRhoTotal = big.NewRat(100, 1)
	l.options.Now = func() time.Time { return time.Now().Add(l.off) }
	l.d = w.member(l.options, 1, 2)
	l.helpers = []*client.Device{w.device(3), w.device(4)}
	return l
}

// step does one thing; the name says which.
func (l *life) step() {
	open := len(l.rounds) > 0
	switch what := l.random.IntN(9); {
	case what == 0 || !open:
		l.did = "open a round"
		l.rounds = append(l.rounds, l.Open(popularityRound(2)))
	case what == 1:
		l.did = "close a round"
		r := l.rounds[len(l.rounds)-1]
		if l.Ended(r) {
			return
		}
		for _, h := range l.helpers {
			l.contribute(h)
		}
		if l.Count(r) >= 2 {
			l.Close(r)
		}
	case what == 2:
		l.did = "abandon a round"
		if r := l.rounds[len(l.rounds)-1]; !l.Ended(r) {
			l.Abandon(r)
			l.given[r.Number] = true
		}
	case what == 3:
		l.did = "lose an upload"
		l.line.lose, l.line.there = true, l.random.IntN(2) == 0
	case what == 4:
		l.did = "set the clock"
		l.off = time.Duration(l.random.IntN(41)-20) * time.Minute
	case what == 5:
		l.did = "die at a write"
		l.memory.left, l.memory.after = l.random.IntN(6), l.random.IntN(2) == 0
	default:
		l.did = "take part"
		ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
		defer cancel()
		_, _ = l.d.Contribute(ctx)
	}
	if l.memory.dead {
		l.did += ", and die"
		l.memory.dead, l.memory.left = false, -1
		d, err := client.Open(l.options)
		if err != nil {
			l.t.Fatalf("%s: the device does not wake up: %v", l.did, err)
		}
		l.d = d
	}
}

// check holds the books against what the server saw: one seal a round, every round that was seen is charged unless it was
// given back by certificate, none is charged twice, and the counter is the number of charges.
func (l *life) check(at string) {
	s := l.d.Privacy()
	rho := popularityRoundCost(l.rounds)
	seen, standing := 0, 0
	for _, r := range l.rounds {
		n := l.Uploads(r.Number, s.Device)
		if n > 1 {
			l.t.Fatalf("%s: %d different uploads in round %d", at, n, r.Number)
		}
		if n == 1 {
			seen++
			if !l.given[r.Number] {
				standing++
			}
		}
	}
	if s.Spent.Cmp(new(big.Rat).Mul(rho, big.NewRat(int64(s.Rounds), 1))) != 0 {
		l.t.Fatalf("%s: %d rounds, and %v spent", at, s.Rounds, s.Spent)
	}
	if s.Rounds < standing {
		l.t.Fatalf("%s: %d rounds were released, %d charged", at, standing, s.Rounds)
	}
	if s.Rounds > len(l.rounds) || s.Rounds > mostRounds {
		l.t.Fatalf("%s: %d rounds charged of %d, at most %d", at, s.Rounds, len(l.rounds), mostRounds)
	}
	if s.Proven+uint64(s.Unproven) > uint64(seen) || s.Forked || s.Unproven > 0 {
		l.t.Fatalf("%s: %d proven, %d not, %d seen, forked: %v", at, s.Proven, s.Unproven, seen, s.Forked)
	}
}

func popularityRoundCost(rounds []*testserver.Round) *big.Rat {
	if len(rounds) == 0 {
		return new(big.Rat)
	}
	return rounds[0].Plan.Rho()
}

// TestBooksOverLives: over many lives, whatever happens in whatever order, nothing is charged twice and nothing released
// uncharged; at the end, with everything sound, the device has charged for exactly what it sealed and was not given back.
func TestBooksOverLives(t *testing.T) {
	proven, deaths := uint64(0), 0
	for seed := range uint64(12) {
		l := newLife(t, seed)
		for n := range 40 {
			l.step()
			if l.memory.left < 0 && l.did[len(l.did)-3:] == "die" {
				deaths++
			}
			l.check(fmt.Sprintf("seed %d, step %d (%s)", seed, n, l.did))
		}
		proven += l.d.Privacy().Proven
	}
	if proven == 0 || deaths < 5 {
		t.Errorf("%d proofs, %d deaths: the lives are too quiet to tell anything", proven, deaths)
	}
}
