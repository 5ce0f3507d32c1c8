package simulation

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Schedule is all that is to happen, and the seed of the accidents of the network. The same Schedule plays the same way.
type Schedule struct {
	Seed     uint64
	Replicas int // 1..3
	Devices  int
	Groups   int
	Rounds   int
	Goal     int // of a group
	Min      int
	Max      int
	Batch    int
	Drop     float64 // chance that a message is lost
	Repeat   float64 // chance that it comes twice
	Liar     int     // member that lies; -1: none
	Lies     string  // of "c" (complains), "f" (forges words), "a" (answers wrongly)
	Ops      []Op
}

// Op is one thing that happens from outside. At is since the beginning; N is a replica's write, counted from 0.
type Op struct {
	Kind string
	Who  int
	Via  int
	N    int
	At   time.Duration
	For  time.Duration
}

// Kinds of Op. Those of a write (N) happen before it is done, or after it was and before anybody knows.
const (
	OpCome        = "come"         // device Who comes with its upload to replica Via, N is its variant
	OpAsk         = "ask"          // device Who asks replica Via what became of its upload
	OpCrash       = "crash"        // replica Who dies at At and is back after For
	OpDie         = "die"          // replica Who is gone for good, with its files
	OpPause       = "pause"        // replica Who stands still for For
	OpCrashBefore = "crash-before" // replica Who dies before its write N
	OpCrashAfter  = "crash-after"  // ... behind it
	OpFailBefore  = "fail-before"  // the database is gone before the write
	OpFailAfter   = "fail-after"   // ... or behind it: the write took place, and its author is told that it failed
	OpPauseWrite  = "pause-write"  // replica Who stands still before its write N, and then goes on with it
	OpSlow        = "slow"         // the next write of replica Who takes For longer: nobody else waits for it
	OpDown        = "down"         // member Who does not answer for For
	OpRestart     = "restart"      // member Who starts again with what it has stored
	OpClose       = "close"        // the operator closes the collection
	OpStop        = "stop"         // the operator abandons the round
)

// calm is when the last fault of a schedule is over, except those that wait for a write.
func (s Schedule) calm() time.Duration {
	last := 20 * time.Second
	for _, o := range s.Ops {
		last = max(last, o.At+o.For)
	}
	return last + time.Second
}

func between(rng *rand.Rand, from, to time.Duration) time.Duration {
	return (from + time.Duration(rng.Int64N(int64(to-from)))).Round(time.Millisecond)
}

func pick[T any](rng *rand.Rand, options ...T) T { return options[rng.IntN(len(options))] }

// New makes the schedule of a seed.
func New(seed uint64) Schedule {
	rng := rand.New(rand.NewPCG(seed, 6))
	s := Schedule{
		Seed: seed, Replicas: pick(rng, 1, 2, 2, 3, 3), Devices: 3 + rng.IntN(8), Groups: pick(rng, 1, 1, 1, 2), Rounds: pick(rng, 1, 1, 2),
		Drop: pick(rng, 0, 0, .05, .2), Repeat: pick(rng, 0, .2), Liar: -1, Batch: 1 + rng.IntN(4),
	}
	s.Goal = 2 + rng.IntN(max(1, s.Devices/s.Groups-1))
	s.Min = 2 + rng.IntN(1+(s.Goal-1)/2)
	s.Max = (13*s.Goal + 9) / 10
	if rng.IntN(4) == 0 {
		s.Liar, s.Lies = rng.IntN(members), pick(rng, "c", "f", "a", "cf", "cfa")
	}
	s.devices(rng)
	s.processes(rng)
	for range rng.IntN(3) {
		s.add(Op{Kind: OpDown, Who: rng.IntN(members), At: between(rng, 0, 20*time.Second), For: between(rng, 0, 20*time.Second)})
	}
	for range rng.IntN(3) {
		s.add(Op{Kind: OpRestart, Who: rng.IntN(members), At: between(rng, 0, 16*time.Second)})
	}
	if rng.IntN(20) == 0 {
		s.add(Op{Kind: OpClose, At: between(rng, time.Second, 12*time.Second)})
	}
	if rng.IntN(25) == 0 {
		s.add(Op{Kind: OpStop, At: between(rng, 0, 20*time.Second)})
	}
	return s
}

func (s *Schedule) add(o Op) { s.Ops = append(s.Ops, o) }

// devices come, come again, and ask.
func (s *Schedule) devices(rng *rand.Rand) {
	for r := range s.Rounds {
		from := time.Duration(r) * 15 * time.Second
		for i := range s.Devices {
			if rng.IntN(8) == 0 {
				continue
			}
			for range pick(rng, 1, 1, 1, 2, 3) {
				at := from + between(rng, 0, 12*time.Second)
				s.add(Op{Kind: OpCome, Who: i, Via: rng.IntN(s.Replicas), N: pick(rng, 0, 0, 0, 0, 0, 1), At: at})
			}
			if rng.IntN(2) == 0 {
				s.add(Op{Kind: OpAsk, Who: i, Via: rng.IntN(s.Replicas), At: from + between(rng, time.Second, 25*time.Second)})
			}
		}
	}
}

// processes crash, stand still and lose their database.
func (s *Schedule) processes(rng *rand.Rand) {
	most := pick(rng, 0, 1, 3, 6)
	dead := 0
	for range most {
		o := Op{Who: rng.IntN(s.Replicas), For: between(rng, 0, 3*time.Second)}
		switch rng.IntN(10) {
		case 0:
			o.Kind, o.At = OpCrash, between(rng, 0, 25*time.Second)
		case 1:
			o.Kind, o.At, o.For = OpPause, between(rng, 0, 25*time.Second), between(rng, time.Second, 12*time.Second)
		case 2:
			if dead++; dead >= s.Replicas {
				continue
			}
			o.Kind, o.Who, o.At, o.For = OpDie, dead-1, between(rng, time.Second, 20*time.Second), 0
		case 4, 5:
			o.Kind, o.At, o.For = OpSlow, between(rng, 0, 20*time.Second), between(rng, time.Second, 8*time.Second)
		case 3:
			o.Kind, o.N, o.For = OpPauseWrite, rng.IntN(25), between(rng, lease, 3*lease)
		default:
			o.Kind, o.N = pick(rng, OpCrashBefore, OpCrashAfter, OpCrashAfter, OpFailBefore, OpFailAfter), rng.IntN(35)
		}
		s.add(o)
	}
}

// String is one operation as a line of a file.
func (o Op) String() string {
	return fmt.Sprintf("%-12s who=%d via=%d n=%d at=%v for=%v", o.Kind, o.Who, o.Via, o.N, o.At, o.For)
}

// Write writes a schedule in the form that Read reads.
func (s Schedule) Write(w io.Writer) error {
	lies := s.Lies
	if lies == "" {
		lies = "-"
	}
	_, err := fmt.Fprintf(w, "seed=%d replicas=%d devices=%d groups=%d rounds=%d goal=%d min=%d max=%d batch=%d drop=%g repeat=%g liar=%d lies=%s\n",
		s.Seed, s.Replicas, s.Devices, s.Groups, s.Rounds, s.Goal, s.Min, s.Max, s.Batch, s.Drop, s.Repeat, s.Liar, lies)
	for _, o := range s.Ops {
		if err == nil {
			_, err = fmt.Fprintln(w, o)
		}
	}
	return err
}

// Read reads a schedule. Empty lines and those that begin with # are for people.
func Read(r io.Reader) (Schedule, error) {
	var s Schedule
	lines := bufio.NewScanner(r)
	for first := true; lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if first {
			first = false
			_, err := fmt.Sscanf(line, "seed=%d replicas=%d devices=%d groups=%d rounds=%d goal=%d min=%d max=%d batch=%d drop=%g repeat=%g liar=%d lies=%s",
				&s.Seed, &s.Replicas, &s.Devices, &s.Groups, &s.Rounds, &s.Goal, &s.Min, &s.Max, &s.Batch, &s.Drop, &s.Repeat, &s.Liar, &s.Lies)
			if err != nil {
				return s, fmt.Errorf("simulation: %q: %w", line, err)
			}
			continue
		}
		var o Op
		var at, dur string
		_, err := fmt.Sscanf(line, "%s who=%d via=%d n=%d at=%s for=%s", &o.Kind, &o.Who, &o.Via, &o.N, &at, &dur)
		if err == nil {
			o.At, err = time.ParseDuration(at)
		}
		if err == nil {
			o.For, err = time.ParseDuration(dur)
		}
		if err != nil {
			return s, fmt.Errorf("simulation: %q: %w", line, err)
		}
		s.Ops = append(s.Ops, o)
	}
	return s, lines.Err()
}

// Shrink leaves out what a failure does not need: fails says whether a schedule still fails. It tries at most tries
// schedules.
func Shrink(s Schedule, tries int, fails func(Schedule) bool) Schedule {
	try := func(t Schedule) bool {
		if tries--; tries < 0 || !fails(t) {
			return false
		}
		s = t
		return true
	}
	for _, simpler := range []func(*Schedule){
		func(t *Schedule) { t.Drop = 0 }, func(t *Schedule) { t.Repeat = 0 }, func(t *Schedule) { t.Liar, t.Lies = -1, "" },
		func(t *Schedule) { t.Rounds = 1 }, func(t *Schedule) { t.Groups = 1 },
	} {
		t := s
		simpler(&t)
		try(t)
	}
	for size := len(s.Ops) / 2; size >= 1; size /= 2 {
		for from := 0; from+size <= len(s.Ops); {
			t := s
			t.Ops = slices.Delete(slices.Clone(s.Ops), from, from+size)
			if !try(t) {
				from += size
			}
		}
	}
	return s
}
