package fleet

import (
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"time"

	"tutti/client"
	"tutti/client/history"
	"tutti/privacy/plan"
)

// Config says who the devices are and how they are asked.
type Config struct {
	Policy    plan.Policy // of every device
	Shared    *client.Shared
	Transport client.Transport // one connection for all

	Histories [][]int32 // item indices of each device's user, oldest first
	Times     [][]int64 // seconds since 1970, one for each event; nil: the place in the history
	Tokens    []string  // one-time tokens, one for each device

	// Cohort is how many of the devices that the round's lot admits are asked for
	// it; nil: a tenth more than its goal. More than there are means all.
	Cohort func(plan.Plan) int
	Seed   uint64 // decides who is asked

	Workers int           // devices awake at a time; 0: one for each CPU
	Poll    time.Duration // between two questions whether a round is open; 0: 30 ms

	// Learner, if set, replaces what a device learns from: for exact sums and
	// other engines. nil for a device: the default.
	Learner func(device int) client.Learner
	// Fault, if set, says what goes wrong with a device in a round.
	Fault func(round uint64, device int) Fault
	// Observer, if set, is told what happens; it is called by many goroutines.
	Observer func(Event)
}

const defaultPoll = 30 * time.Millisecond

func (c Config) complete() (Config, error) {
	n := len(c.Histories)
	switch {
	case n == 0:
		return c, errors.New("fleet: no devices")
	case c.Shared == nil || c.Transport == nil:
		return c, errors.New("fleet: nothing shared, or no transport")
	case len(c.Tokens) != n:
		return c, fmt.Errorf("fleet: %d tokens for %d devices", len(c.Tokens), n)
	case c.Times != nil && len(c.Times) != n:
		return c, fmt.Errorf("fleet: times of %d histories for %d devices", len(c.Times), n)
	}
	for i, t := range c.Times {
		if t != nil && len(t) != len(c.Histories[i]) {
			return c, fmt.Errorf("fleet: device %d has %d events and %d times", i, len(c.Histories[i]), len(t))
		}
	}
	if c.Cohort == nil {
		c.Cohort = func(p plan.Plan) int { return int(p.Goal) + (int(p.Goal)+9)/10 }
	}
	if c.Workers == 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.Poll == 0 {
		c.Poll = defaultPoll
	}
	if c.Observer == nil {
		c.Observer = func(Event) {}
	}
	return c, nil
}

// newKey is the key of the fleet's memories; it lasts as long as the process.
func newKey() (client.Key, error) {
	secret := make([]byte, history.KeyBytes)
	if _, err := rand.Read(secret); err != nil {
		return client.Key{}, fmt.Errorf("fleet: no randomness: %w", err)
	}
	return history.NewKey(secret)
}

// Event is what an Observer hears: Enrolled, RoundSeen, Answered or RoundAsked.
type Event interface{ event() }

// Enrolled says that one more device is enrolled. A round's population is
// frozen before it opens, so Run enrols all devices before the first round.
type Enrolled struct {
	Device   int
	Done, Of int
}

// RoundSeen says that a round is open, and who will be asked.
type RoundSeen struct {
	Plan     plan.Plan
	Eligible int // devices that the lot admits
	Asked    int // of those
}

// Answered says what came of asking one device.
type Answered struct {
	Round   uint64
	Device  int
	Outcome client.Outcome
	Fault   Fault
	Took    time.Duration
}

// RoundAsked says that every device of a round has been asked.
type RoundAsked struct {
	Round                                 uint64
	Contributed, Waiting, Refused, Failed int
	Took                                  time.Duration
}

func (Enrolled) event()   {}
func (RoundSeen) event()  {}
func (Answered) event()   {}
func (RoundAsked) event() {}
