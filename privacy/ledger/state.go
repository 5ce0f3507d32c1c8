package ledger

import (
	"bytes"
	"fmt"
	"math/big"
)

// Fault says which rule between records is broken. The set is closed; the numbers are not part of any format.
type Fault uint8

// The faults.
const (
	FaultNone Fault = iota
	FaultMalformed
	FaultSequence
	FaultPrev
	FaultTime
	FaultTask
	FaultPlan
	FaultRound
	FaultCohort
	FaultRho
	FaultBudget
	FaultModel
	FaultNote
)

var faultNames = [...]string{
	FaultNone: "none", FaultMalformed: "malformed", FaultSequence: "sequence", FaultPrev: "prev-hash", FaultTime: "time",
	FaultTask: "task", FaultPlan: "plan", FaultRound: "round", FaultCohort: "cohort", FaultRho: "rho",
	FaultBudget: "budget", FaultModel: "model-chain", FaultNote: "note",
}

// String is the fault's label.
func (f Fault) String() string {
	if int(f) < len(faultNames) {
		return faultNames[f]
	}
	return fmt.Sprintf("fault(%d)", uint8(f))
}

// Violation is a record that may not stand where it stands.
type Violation struct {
	Seq   uint64
	Fault Fault
	Why   string
}

func (v *Violation) Error() string {
	return fmt.Sprintf("record %d (%s): %s", v.Seq, v.Fault, v.Why)
}

// State is what the records so far add up to: enough to judge the next one. The zero State is that of an empty log.
// A State is owned by one goroutine.
type State struct {
	size  uint64
	last  Digest
	time  int64
	tasks map[string]*taskState
}

type taskState struct {
	task      Task
	books     books
	unbounded bool
	places    map[place]uint64    // of the records of rounds: see State.PlanAt and State.EndAt
	commits   map[noteKey]bool    // what was committed to and not revealed
	open      map[uint64]openPlan // plans that wait for their round
	groups    []*Group            // of the round whose record comes next
	last      uint64              // newest round planned
	planned   bool
	head      Digest // newest model version
	before    Digest // the one before it
	stream    Digest // of correlated noise that was charged last; zero: none
}

type openPlan struct {
	digest Digest
	what   string
	rho    *big.Rat
	stream Digest
}

// Totals is what a task has spent so far.
type Totals struct {
	Budget                     *big.Rat // nil: no bound was claimed
	Spent                      *big.Rat // rho that one device can have lost at most: to rounds (see accounting.Exposure) and telemetry
	Reserved                   *big.Rat // rho by which plans whose round has not ended can raise it
	Unbounded                  bool     // a round ran without noise: no finite claim covers it
	Head                       Digest   // newest model version; zero: none
	Participations, Separation uint64   // of the task's record

	Stream Digest // of correlated noise that is paid for: later rounds of it cost nothing more; zero: none
}

// Task returns what a task has spent; false when the log has not opened it.
func (s *State) Task(name string) (Totals, bool) {
	t := s.tasks[name]
	if t == nil {
		return Totals{}, false
	}
	spent := t.books.spent()
	return Totals{
		Budget: t.task.Budget, Spent: spent, Reserved: new(big.Rat).Sub(t.books.total(), spent),
		Unbounded: t.unbounded, Head: t.head, Stream: t.stream,
		Participations: t.task.Participations, Separation: t.task.Separation,
	}, true
}

// Size is the number of records so far.
func (s *State) Size() uint64 { return s.size }

// Next is the record that body would become at this time; a clock that went back does not take the log's time back.
func (s *State) Next(body Body, now int64) Record {
	return Record{Seq: s.size, Time: max(now, s.time), Prev: s.last, Body: body}
}

// Add judges a record and takes it into the state. It returns the canonical bytes, or a *Violation, and then the state
// is as it was.
func (s *State) Add(r Record) ([]byte, error) {
	data, err := r.Encode()
	if err != nil {
		return nil, &Violation{r.Seq, FaultMalformed, err.Error()}
	}
	switch {
	case r.Seq != s.size:
		return nil, &Violation{r.Seq, FaultSequence, fmt.Sprintf("expected record %d", s.size)}
	case r.Prev != s.last:
		return nil, &Violation{r.Seq, FaultPrev, "it does not name the record before it"}
	case r.Time < s.time:
		return nil, &Violation{r.Seq, FaultTime, "it is older than the record before it"}
	}
	if v := s.judge(r); v != nil {
		v.Seq = r.Seq
		return nil, v
	}
	s.tasks[r.Body.TaskName()].file(r)
	s.size, s.last, s.time = s.size+1, Leaf(data), r.Time
	return data, nil
}

// judge checks a body against its task and, when it may stand, applies it.
func (s *State) judge(r Record) *Violation {
	if b, ok := r.Body.(*Task); ok {
		return s.openTask(b)
	}
	t := s.tasks[r.Body.TaskName()]
	if t != nil {
		if v := t.inTurn(r.Body); v != nil {
			return v
		}
	}
	if t == nil {
		return broken(FaultTask, "no task %q was opened", r.Body.TaskName())
	}
	switch b := r.Body.(type) {
	case *Plan:
		return t.plan(b)
	case *Round:
		return t.round(b)
	case *Abandon:
		return t.abandon(b)
	case *Telemetry:
		return t.telemetry(b)
	case *Version:
		return t.version(b)
	case *Group:
		return t.group(b)
	case *Note:
		return t.note(b)
	}
	return broken(FaultMalformed, "unknown kind of record")
}

func broken(f Fault, format string, args ...any) *Violation {
	return &Violation{Fault: f, Why: fmt.Sprintf(format, args...)}
}

func (s *State) openTask(b *Task) *Violation {
	if s.tasks == nil {
		s.tasks = map[string]*taskState{}
	}
	if b.Task == "" || s.tasks[b.Task] != nil {
		return broken(FaultTask, "the task %q has no name or was opened before", b.Task)
	}
	if len(b.Operator) != 32 {
		return broken(FaultTask, "the operator's key has %d bytes", len(b.Operator))
	}
	task := *b
	task.Operator = bytes.Clone(b.Operator)
	s.tasks[b.Task] = &taskState{task: task, books: newBooks(b.Participations, b.Separation), open: map[uint64]openPlan{},
		places: map[place]uint64{}, commits: map[noteKey]bool{}}
	return nil
}

// within says whether the budget bears a total.
func (t *taskState) within(total *big.Rat) *Violation {
	if t.task.Budget != nil && total.Cmp(t.task.Budget) > 0 {
		return broken(FaultBudget, "the task's budget of rho %s would be exceeded", t.task.Budget.FloatString(6))
	}
	return nil
}

func (t *taskState) plan(b *Plan) *Violation {
	if len(b.Bytes) == 0 || len(b.Signature) == 0 {
		return broken(FaultPlan, "round %d has no signed plan", b.Round)
	}
	if t.planned && b.Round <= t.last {
		return broken(FaultPlan, "round %d is not newer than round %d", b.Round, t.last)
	}
	if v := t.free(b); v != nil {
		return v
	}
	whole := t.opensStream(b.Stream)
	if b.Rho != nil {
		if v := t.within(t.books.with(b.Round, b.Rho, whole)); v != nil {
			return v
		}
	}
	t.planned, t.last = true, b.Round
	t.open[b.Round] = openPlan{b.Digest(), b.What, b.Rho, b.Stream}
	t.books.open(b.Round, b.Rho, whole)
	return nil
}

// free is the rule of the paid stream: a round costs nothing only if it belongs to the stream of correlated noise that an
// earlier round has paid for as a whole. Without noise, rho is absent.
func (t *taskState) free(b *Plan) *Violation {
	if b.Rho == nil || b.Rho.Sign() > 0 || b.Stream != (Digest{}) && b.Stream == t.stream {
		return nil
	}
	return broken(FaultRho, "round %d costs nothing, and belongs to no stream that is paid for", b.Round)
}

// planOf finds the plan of a round that ends now.
func (t *taskState) planOf(round uint64, digest Digest) (openPlan, *Violation) {
	p, ok := t.open[round]
	if !ok {
		return p, broken(FaultPlan, "round %d has no plan, or ended before", round)
	}
	if p.digest != digest {
		return p, broken(FaultPlan, "round %d ends under another plan than was logged", round)
	}
	return p, nil
}

// opensStream says that a round of the stream pays for all of it.
func (t *taskState) opensStream(stream Digest) bool {
	return stream != (Digest{}) && stream != t.stream
}

func (t *taskState) round(b *Round) *Violation {
	p, v := t.planOf(b.Round, b.Plan)
	if v != nil {
		return v
	}
	switch {
	case b.What != p.what:
		return broken(FaultRound, "round %d was planned as %q and ends as %q", b.Round, p.what, b.What)
	case b.Outcome != Published && b.Outcome != Lost:
		return broken(FaultRound, "round %d has no outcome %q", b.Round, b.Outcome)
	case len(t.groups) > 0 && t.groupsOf(b) != nil:
		return t.groupsOf(b)
	case b.NMin == 0 || b.Survived < b.NMin:
		return broken(FaultCohort, "round %d opened a sum over %d devices, at least %d were promised", b.Round, b.Survived, b.NMin)
	case (b.Noise || b.Central != "") != (b.Rho != nil):
		return broken(FaultRho, "round %d: a cost belongs to a round with noise, and only to one", b.Round)
	case b.Noise && b.Central != "":
		return broken(FaultRound, "round %d: the noise is the devices' or the server's", b.Round)
	case (p.rho == nil) != (b.Rho == nil) || b.Rho != nil && b.Rho.Cmp(p.rho) != 0:
		return broken(FaultRho, "round %d cost something else than was planned", b.Round)
	case b.Before != t.head:
		return broken(FaultModel, "round %d started from a version that is not the newest", b.Round)
	case b.Outcome == Lost && b.After != b.Before:
		return broken(FaultModel, "round %d was lost and still made a version", b.Round)
	}
	delete(t.open, b.Round)
	t.groups = nil
	t.books.charge(b.Round, b.Rho, t.opensStream(p.stream))
	t.unbounded = t.unbounded || b.Rho == nil
	if p.stream != (Digest{}) {
		t.stream = p.stream
	}
	t.advance(b.After)
	return nil
}

func (t *taskState) abandon(b *Abandon) *Violation {
	_, v := t.planOf(b.Round, b.Plan)
	if v == nil {
		delete(t.open, b.Round)
		t.books.free(b.Round)
	}
	return v
}

func (t *taskState) telemetry(b *Telemetry) *Violation {
	if b.Rho == nil || b.Rho.Sign() <= 0 {
		return broken(FaultRho, "telemetry %q names no cost", b.Metric)
	}
	total := t.books.total()
	if v := t.within(total.Add(total, b.Rho)); v != nil {
		return v
	}
	t.books.add(b.Rho)
	return nil
}

// version accepts the successor of the newest version, and the announcement of the one that the last round made.
func (t *taskState) version(b *Version) *Violation {
	if b.Digest == (Digest{}) {
		return broken(FaultModel, "version %d has no digest", b.Number)
	}
	if b.Digest == t.head && b.Parent == t.before {
		return nil
	}
	if b.Parent != t.head {
		return broken(FaultModel, "version %d does not follow the newest version", b.Number)
	}
	t.advance(b.Digest)
	return nil
}

func (t *taskState) advance(head Digest) {
	if head != t.head {
		t.before, t.head = t.head, head
	}
}
