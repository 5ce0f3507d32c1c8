package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"tutti/server/round"
	"tutti/server/store"
)

// Break is a deliberate mistake, of which the simulation must find that it is one.
type Break string

// Mistakes that the test of this package plants.
const (
	Sound             Break = ""                   // none
	NoFence           Break = "no fence"           // writes are not held against the lease
	NoFenceNoCompare  Break = "no compare-and-set" // nor transitions against the version before
	AnybodyLeads      Break = "anybody leads"      // the lease is given to whoever asks
	DoubleFold        Break = "double fold"        // the folder forgets what it holds
	StalePartial      Break = "stale ids"          // a partial sum is kept with the ids of the one before
	AnyPartial        Break = "any partial"        // partial sums are added whatever they hold
	IgnoreMissing     Break = "ignore missing"     // a set is frozen without the sums of a dead replica
	ReuseSlot         Break = "reuse a slot"       // the slot of an upload of unknown fate is used again
	ReuseAfterCrash   Break = "reuse after crash"  // slots that no row names are free when a replica starts again
	SignFirst         Break = "sign first"         // signatures are asked for before the set is durable
	ReleaseFirst      Break = "release first"      // answers are asked for before the charge is durable
	NoCharge          Break = "no charge"          // the certificate does not charge the budget
	FreeEarly         Break = "free early"         // an abandonment without its certificate frees the budget
	CollectAgain      Break = "collect again"      // a frozen round is resumed as a collecting one
	LateFromMemory    Break = "late from memory"   // a device is told LATE by what this replica remembers
	CountedWhenStaged Break = "counted too early"  // a device is told COUNTED before the certificate
	NoRecord          Break = "no record"          // transitions leave no record
	TwoRecords        Break = "two records"        // a publication is logged twice
	WaitForEver       Break = "wait for ever"      // the driver forgets the machine's wish to be woken
)

// Options say on what a schedule is played.
type Options struct {
	Stores   []store.Store // handles of one store, which is empty of the task: replica i uses the i-th, from the beginning again where there are fewer
	Task     string
	OwnClock bool                   // the store's leases do not follow Clock
	Clock    func(func() time.Time) // told how to read the virtual clock; may be nil
	Break    Break
	Trace    func(format string, args ...any) // told what happens; may be nil
}

// Result is what came of a schedule.
type Result struct {
	Broken *Violation
	Ends   map[string]int // of groups of rounds
	Steps  int
	Writes []int          // of each replica
	Hits   map[string]int // faults at writes, by kind and by what was to be written
}

// Began is when every schedule begins.
var Began = time.Unix(1_800_000_000, 0)

// Play plays a schedule to its end.
func Play(s Schedule, o Options) Result {
	w := &world{s: s, broken: o.Break, rng: rand.New(rand.NewPCG(s.Seed, 8)), began: Began, now: Began, quiet: Began.Add(s.calm()), task: o.Task, trace: o.Trace,
		uploads: map[[32]byte]*sealed{}, faults: map[point]Op{}, hits: map[string]int{}}
	w.check = newChecker(w)
	common := &watch{w: w, ownClock: o.OwnClock}
	w.st = &watched{o.Stores[0], common}
	if o.Clock != nil {
		o.Clock(func() time.Time { return w.now })
	}
	if err := w.openTask(); err != nil {
		w.check.fail("end", "the task cannot be opened: %v", err)
		return Result{Broken: w.check.broken}
	}
	w.makeDevices()
	for j := range members {
		w.members = append(w.members, &member{w: w, index: j, rounds: map[uint64]*memberRound{}, groups: map[store.Key]*memberGroup{}})
	}
	for i := range s.Replicas {
		r := &replica{w: w, index: i, name: fmt.Sprintf("replica-%d", i), disk: map[store.Key]*files{}, store: &watched{o.Stores[i%len(o.Stores)], common}}
		w.replicas = append(w.replicas, r)
		w.after(time.Duration(i)*time.Millisecond, r.boot)
	}
	for _, op := range s.Ops {
		w.arrange(op)
	}
	w.run(20 * time.Minute)
	if w.check.broken == nil {
		w.check.finish()
	}
	res := Result{Broken: w.check.broken, Ends: w.check.ends, Steps: w.steps, Hits: w.hits}
	for _, r := range w.replicas {
		res.Writes = append(res.Writes, r.writes)
		for _, t := range r.threads {
			t.kill()
		}
	}
	w.bury()
	return res
}

// openTask writes the task's record, by somebody who then gives the lease back.
func (w *world) openTask() error {
	ctx := context.Background()
	w.check.begun0 = w.st.LogSize()
	l, won, err := w.st.Acquire(ctx, store.DriverLease(w.task), "operator", lease)
	if err != nil || !won {
		return fmt.Errorf("the lease: %v, %w", won, err)
	}
	record := taskRecord(w.task, w.s.Rounds)
	if err := w.st.Append(ctx, l.Fence(), w.now, record); err != nil {
		return err
	}
	w.check.bodies = append(w.check.bodies, record)
	return w.st.Release(ctx, l)
}

// arrange sets an operation up.
func (w *world) arrange(op Op) {
	who := 0
	if len(w.replicas) > 0 {
		who = op.Who % len(w.replicas)
	}
	r := w.replicas[who]
	switch op.Kind {
	case OpCrashBefore, OpCrashAfter, OpFailBefore, OpFailAfter, OpPauseWrite:
		w.faults[point{who, op.N}] = op
		return
	}
	w.after(op.At, func() {
		switch op.Kind {
		case OpCome:
			w.devices[op.Who%len(w.devices)].come(op.Via, op.N, 4)
		case OpAsk:
			w.devices[op.Who%len(w.devices)].ask(op.Via)
		case OpCrash:
			w.say("r%d dies", who)
			r.crash(op.For)
		case OpDie:
			w.say("r%d is gone for good", who)
			r.dead = true
			r.crash(0)
		case OpPause:
			w.say("r%d stands still for %v", who, op.For)
			r.pause(op.For)
		case OpSlow:
			r.slow = op.For
		case OpDown:
			m := w.members[op.Who%members]
			m.down = true
			w.after(op.For, func() { m.down = false })
		case OpRestart:
			w.members[op.Who%members].restart()
		case OpClose:
			w.tellDriver(round.CloseNow{})
		case OpStop:
			w.tellDriver(round.Stop{})
		}
	})
}

// tellDriver is the operator's word, to whoever drives.
func (w *world) tellDriver(in round.Input) {
	for _, r := range w.replicas {
		if r.up && r.driver != nil && len(r.driver.groups) > 0 {
			r.driver.thread.put(letter{all: true, in: in})
		}
	}
}

// anyPartial adds whatever is there.
func anyPartial(all []store.Partial) (use []int) {
	for i := range all {
		use = append(use, i)
	}
	return use
}
