package simulation

import (
	"container/heap"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"tutti/server/store"
)

// world is one schedule being played: the clock, the events to come, and everybody in it.
type world struct {
	s      Schedule
	broken Break
	rng    *rand.Rand
	began  time.Time
	now    time.Time
	quiet  time.Time // when the faults are over
	queue  events
	serial int
	steps  int
	graves []*thread
	trace  func(format string, args ...any) // nil: nobody reads it

	task     string
	st       *watched
	check    *checker
	replicas []*replica
	members  []*member
	devices  []*device
	uploads  map[[32]byte]*sealed
	faults   map[point]Op
	hits     map[string]int
}

// point is a replica's write.
type point struct{ replica, n int }

type event struct {
	at     time.Time
	serial int
	do     func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	if q[i].at.Equal(q[j].at) {
		return q[i].serial < q[j].serial
	}
	return q[i].at.Before(q[j].at)
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(event)) }
func (q *events) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

func (w *world) after(d time.Duration, do func()) {
	w.serial++
	heap.Push(&w.queue, event{w.now.Add(max(d, 0)), w.serial, do})
}

func (w *world) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

func (w *world) delay(most time.Duration) time.Duration {
	return time.Duration(w.rng.Int64N(int64(most))) + 1
}

// calm says that the time of faults is over.
func (w *world) calm() bool { return !w.now.Before(w.quiet) }

func (w *world) say(format string, args ...any) {
	if w.trace != nil {
		w.trace("%9.3f  %s", w.now.Sub(w.began).Seconds(), fmt.Sprintf(format, args...))
	}
}

// mostSteps bounds a schedule; the longest ones take a tenth of it.
const mostSteps = 200_000

// run plays until everything that was to happen has, and every round has ended.
func (w *world) run(end time.Duration) {
	for w.queue.Len() > 0 && w.check.broken == nil {
		e := heap.Pop(&w.queue).(event)
		if w.now = e.at; e.at.Sub(w.began) > end || w.steps > mostSteps {
			break
		}
		w.steps++
		e.do()
		w.bury()
		if w.calm() && w.over() {
			break
		}
	}
}

// over says that every replica that is left knows that nothing is left to do.
func (w *world) over() bool {
	for _, r := range w.replicas {
		if r.up && r.finished {
			return true
		}
	}
	return false
}

// thread is something that a replica's process does: a coroutine, so that its code reads from top to bottom, and can be
// held up, and end, at every write.
type thread struct {
	r      *replica
	next   func() (time.Duration, bool)
	stop   func()
	yield  func(time.Duration) bool
	parked bool
	over   bool
	mail   []letter
	flight func() error // a write on its way to the database
}

const park = -1

var errDead = errors.New("the process died")

// start begins a thread of a replica's process.
func (r *replica) start(do func(*thread)) *thread {
	t := &thread{r: r}
	t.next, t.stop = iter.Pull(func(yield func(time.Duration) bool) {
		defer func() {
			if p := recover(); p != nil && p != errDead {
				panic(p)
			}
		}()
		t.yield = yield
		do(t)
	})
	r.threads = append(r.threads, t)
	r.w.after(0, t.resume)
	return t
}

func (t *thread) resume() {
	if t.over {
		return
	}
	if wait := t.r.still.Sub(t.r.w.now); wait > 0 {
		t.r.w.after(wait, t.resume)
		return
	}
	d, more := t.next()
	switch {
	case !more:
		t.over = true
	case d == park:
		t.parked = true
	default:
		t.r.w.after(d, t.resume)
	}
}

// sleep lets time pass.
func (t *thread) sleep(d time.Duration) {
	if !t.yield(d) {
		panic(errDead)
	}
}

// wake ends a thread's wait for mail.
func (t *thread) wake() {
	if t.parked && !t.over {
		t.parked = false
		t.r.w.after(0, t.resume)
	}
}

func (t *thread) put(l letter) {
	t.mail = append(t.mail, l)
	t.wake()
}

// take waits for mail.
func (t *thread) take() letter {
	for len(t.mail) == 0 {
		if !t.yield(park) {
			panic(errDead)
		}
	}
	l := t.mail[0]
	t.mail = t.mail[1:]
	return l
}

// land lets a write that is on its way take place, with some chance, although nobody waits for it any more.
func (t *thread) land(chance float64) {
	if do := t.flight; do != nil && !t.over && t.r.w.chance(chance) {
		t.r.w.after(t.r.w.delay(time.Second), func() {
			err := do()
			t.r.w.say("a write of r%d that nobody waits for: %v", t.r.index, orNothing(err))
		})
	}
}

// kill ends a thread where it stands.
func (t *thread) kill() {
	if t != nil && !t.over {
		t.over = true
		t.r.w.graves = append(t.r.w.graves, t)
	}
}

// bury ends the coroutines of what was killed, from outside of them.
func (w *world) bury() {
	for _, t := range w.graves {
		t.stop()
	}
	w.graves = w.graves[:0]
}

// errDatabase is what a replica is told whose database is gone.
var errDatabase = errors.New("the connection to the database was lost")

// write is the one way to the store: time passes on the way there and back, and the process may die, stand still, or lose
// its database, on either.
func (t *thread) write(what string, do func() error) error {
	r, w := t.r, t.r.w
	var f Op
	n := r.writes
	if what != "acquire" { // most of them win nothing
		f = w.faults[point{r.index, n}]
		r.writes++
	}
	if f.Kind != "" {
		w.hits[f.Kind+" "+what]++
	}
	t.flight = do
	if r.slow > 0 {
		w.say("r%d waits %v for its write %d, %s", r.index, r.slow, n, what)
	}
	wait := w.delay(4*time.Millisecond) + r.slow
	r.slow = 0
	t.sleep(wait)
	t.flight = nil
	switch f.Kind {
	case OpCrashBefore:
		w.say("r%d dies before its write %d, %s", r.index, n, what)
		t.die(f.For)
	case OpFailBefore:
		w.say("r%d loses its database before its write %d, %s", r.index, n, what)
		return errDatabase
	case OpPauseWrite:
		w.say("r%d stands still before its write %d, %s", r.index, n, what)
		r.pause(f.For)
		t.sleep(0)
	}
	err := do()
	if w.trace != nil {
		outcome := ""
		if err != nil {
			outcome = ": " + plainly(err)
		}
		w.say("r%d write %d: %s%s", r.index, n, what, outcome)
	}
	switch f.Kind {
	case OpCrashAfter:
		w.say("r%d dies behind its write %d", r.index, n)
		t.die(f.For)
	case OpFailAfter:
		w.say("r%d loses its database behind its write %d", r.index, n)
		err = errDatabase
	}
	t.sleep(w.delay(4 * time.Millisecond))
	return err
}

func plainly(err error) string {
	for _, known := range []error{store.ErrFenced, store.ErrConflict, store.ErrRoundClosed} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return err.Error()
}

// die is the end of the process from within.
func (t *thread) die(back time.Duration) {
	t.r.crash(back)
	panic(errDead)
}
