package report

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"maps"
	"math"
	"math/big"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"tutti/privacy/accounting"
	"tutti/privacy/ledger"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
)

// facts are the records of one task, decoded and put together; every derived number of a report comes from them.
type facts struct {
	task      *ledger.Task
	rounds    []roundFact
	abandoned []abandonFact
	telemetry []telemetryFact
	groups    map[uint64][]*ledger.Group // of the rounds that were split
	plans     map[uint64]planFact
	pending   []planFact // planned and not ended: their sums may be open already, so they are charged
	charges   []charge
	paid      ledger.Digest          // stream of correlated noise that was paid for last
	commits   map[ledger.Digest]bool // noted before an audit
	versions  map[uint64]ledger.Digest
	first     uint64
	last      uint64
	leaves    uint64
}

type planFact struct {
	seq    uint64
	record *ledger.Plan
	plan   plan.Plan
	paid   bool // its stream of correlated noise was paid for by an earlier round
}

type roundFact struct {
	seq    uint64
	time   int64
	record *ledger.Round
	plan   planFact
	groups []*ledger.Group // in their order; nil: one sum
}

type abandonFact struct {
	seq    uint64
	record *ledger.Abandon
	plan   planFact
}

type telemetryFact struct {
	seq    uint64
	record *ledger.Telemetry
}

// charge is one entry of the account.
type charge struct {
	seq   uint64
	what  string
	whole bool // counts in full for every device: a statement, or a whole stream of correlated noise
	cost
}

// chain adds every record to a log, so that the rules between records are checked, and gives the log.
func chain(records []ledger.Record) (*ledger.Log, *Failure) {
	log := new(ledger.Log)
	for _, r := range records {
		if err := log.AddRecord(r); err != nil {
			var v *ledger.Violation
			if !errors.As(err, &v) {
				return log, fail(ReasonSequence, "record %d: %v", r.Seq, err)
			}
			return log, fail(faultReasons[v.Fault], "%v", v)
		}
	}
	return log, nil
}

var faultReasons = map[ledger.Fault]Reason{
	ledger.FaultMalformed: ReasonLedgerLine, ledger.FaultSequence: ReasonSequence, ledger.FaultPrev: ReasonPrev,
	ledger.FaultTime: ReasonTime, ledger.FaultTask: ReasonTask, ledger.FaultPlan: ReasonPlan, ledger.FaultRound: ReasonRound,
	ledger.FaultCohort: ReasonCohort, ledger.FaultRho: ReasonRho, ledger.FaultBudget: ReasonBudget, ledger.FaultModel: ReasonModelChain,
	ledger.FaultNote: ReasonNote,
}

// gather puts the records of one task together. The chain was checked before: every round has its plan.
func gather(records []ledger.Record, task string) (*facts, *Failure) {
	opened := openPlans(records, task)
	f := &facts{plans: map[uint64]planFact{}, groups: map[uint64][]*ledger.Group{}, commits: map[ledger.Digest]bool{}, versions: map[uint64]ledger.Digest{}}
	for _, r := range records {
		if r.Body.TaskName() != task {
			continue
		}
		if f.leaves == 0 {
			f.first = r.Seq
		}
		f.last, f.leaves = r.Seq, f.leaves+1
		if bad := f.add(r, opened[r.Seq]); bad != nil {
			return nil, bad
		}
	}
	if f.task == nil {
		return nil, fail(ReasonTask, "the ledger does not hold the task %q", task)
	}
	f.chargePending()
	return f, nil
}

// chargePending charges rounds that were planned and have no end in the log. A log is written when a round has ended, and
// its sum is open before: a claim that waited for the record would be too small in between.
func (f *facts) chargePending() {
	open := maps.Clone(f.plans)
	for _, r := range f.rounds {
		delete(open, r.record.Round)
	}
	for _, a := range f.abandoned {
		delete(open, a.record.Round)
	}
	for _, p := range open {
		f.pending = append(f.pending, p)
	}
	slices.SortFunc(f.pending, func(a, b planFact) int { return cmp.Compare(a.seq, b.seq) })
	for _, p := range f.pending {
		f.charge(p.seq, p, false)
	}
	slices.SortStableFunc(f.charges, func(a, b charge) int { return cmp.Compare(a.seq, b.seq) })
}

// openedPlan is what came of verifying the signature of one plan.
type openedPlan struct {
	plan plan.Plan
	err  error
}

// openPlans verifies the plans of a task on all processors: most of the time of a verification goes into their signatures.
func openPlans(records []ledger.Record, task string) map[uint64]openedPlan {
	var operator ed25519.PublicKey
	var seqs []uint64
	var plans []*ledger.Plan
	for _, r := range records {
		if r.Body.TaskName() != task {
			continue
		}
		switch b := r.Body.(type) {
		case *ledger.Task:
			operator = b.Operator
		case *ledger.Plan:
			seqs, plans = append(seqs, r.Seq), append(plans, b)
		}
	}
	out := make([]openedPlan, len(plans))
	inParallel(len(plans), 16, func(i int) {
		out[i].plan, out[i].err = plan.Open(plan.Signed{Bytes: plans[i].Bytes, Signature: plans[i].Signature}, operator)
	})
	bySeq := make(map[uint64]openedPlan, len(plans))
	for i, seq := range seqs {
		bySeq[seq] = out[i]
	}
	return bySeq
}

// inParallel calls do for 0 to n-1, on as many processors as there are batches of least for.
func inParallel(n, least int, do func(i int)) {
	workers := max(1, min(runtime.GOMAXPROCS(0), n/least))
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			for i := w; i < n; i += workers {
				do(i)
			}
		})
	}
	wait.Wait()
}

func (f *facts) add(r ledger.Record, opened openedPlan) *Failure {
	switch b := r.Body.(type) {
	case *ledger.Task:
		f.task = b
	case *ledger.Plan:
		p, bad := f.agrees(b, opened)
		if bad != nil {
			return bad
		}
		if bad := f.checkBases(p); bad != nil {
			return bad
		}
		f.plans[b.Round] = planFact{r.Seq, b, p, p.Stream() != ledger.Digest{} && p.Stream() == f.paid}
	case *ledger.Round:
		f.rounds = append(f.rounds, roundFact{r.Seq, r.Time, b, f.plans[b.Round], f.groups[b.Round]})
		f.charge(r.Seq, f.plans[b.Round], b.Outcome == ledger.Published || b.Meter.Coords > 0 || len(b.Metrics) > 0)
		if stream := f.plans[b.Round].plan.Stream(); stream != (ledger.Digest{}) {
			f.paid = stream
		}
	case *ledger.Group:
		f.groups[b.Round] = append(f.groups[b.Round], b)
	case *ledger.Abandon:
		f.abandoned = append(f.abandoned, abandonFact{r.Seq, b, f.plans[b.Round]})
	case *ledger.Version:
		f.versions[b.Number] = b.Digest
	case *ledger.Note:
		if strings.HasSuffix(b.Topic, "_commit") {
			f.commits[b.Digest] = true
		}
	case *ledger.Telemetry:
		f.telemetry = append(f.telemetry, telemetryFact{r.Seq, b})
		f.charges = append(f.charges, charge{r.Seq, "telemetry", true, cost{b.Rho, b.Rho, b.Rho}})
	}
	return nil
}

// agrees says whether a plan record says what the signed plan inside it does.
func (f *facts) agrees(b *ledger.Plan, opened openedPlan) (plan.Plan, *Failure) {
	p, err := opened.plan, opened.err
	if err != nil {
		return p, fail(ReasonPlan, "the plan of round %d: %v", b.Round, err)
	}
	if p.Task != b.Task || p.Round != b.Round || p.Kind.String() != b.What || p.Stream() != b.Stream || !sameRho(p.Cost(f.paid), b.Rho) {
		return p, fail(ReasonPlan, "the signed plan of round %d says something else than its record", b.Round)
	}
	if k := f.task.Participations; k > 0 && uint64(p.Participations) > k || uint64(p.Separation) < f.task.Separation {
		return p, fail(ReasonPlan, "round %d lets a device in more often than the task allows", b.Round)
	}
	return p, nil
}

// checkBases: the earlier versions that a plan lets updates start from are those that the log holds under their numbers.
func (f *facts) checkBases(p plan.Plan) *Failure {
	for i, d := range p.Older {
		if number := p.BaseNumber - 1 - uint64(i); f.versions[number] != d {
			return fail(ReasonModelChain, "the plan of round %d lets updates start from a version %d that is not the log's", p.Round, number)
		}
	}
	return nil
}

func sameRho(a, b *big.Rat) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Cmp(b) == 0)
}

// params are the round's numbers as its record holds them.
func (r roundFact) params() (mechanism.Params, *Failure) {
	p, err := mechanism.ParseParams(r.record.Mechanism)
	if err != nil {
		return p, fail(ReasonMechanism, "round %d: %v", r.record.Round, err)
	}
	return p, nil
}

// checkMechanisms: each round ran with the numbers of its plan, and they satisfy every formula exactly.
func (f *facts) checkMechanisms() *Failure {
	sums := map[sumNumbers]error{} // a ring is costly to build, and rounds share theirs
	for _, r := range f.rounds {
		p, bad := r.params()
		if bad != nil {
			return bad
		}
		if err := p.Validate(); err != nil {
			return fail(ReasonMechanism, "round %d: %v", r.record.Round, err)
		}
		if p != r.plan.plan.Mechanism || p.Noise != r.record.Noise {
			return fail(ReasonMechanism, "round %d ran with other numbers than its signed plan", r.record.Round)
		}
		if m := r.plan.plan.Metrics; m != nil {
			if err := m.Mechanism.Validate(); err != nil {
				return fail(ReasonMechanism, "the metrics of round %d: %v", r.record.Round, err)
			}
		}
		numbers := numbersOf(r.plan.plan)
		if _, known := sums[numbers]; !known {
			_, sums[numbers] = plan.Aggregation(r.plan.plan)
		}
		if err := sums[numbers]; err != nil {
			return fail(ReasonMechanism, "round %d: %v", r.record.Round, err)
		}
		if bad := r.checkCentral(); bad != nil {
			return bad
		}
		if bad := r.checkMetrics(); bad != nil {
			return bad
		}
		if r.plan.plan.Base != r.record.Before {
			return fail(ReasonModelChain, "round %d started from another model than its plan", r.record.Round)
		}
	}
	for _, p := range f.pending {
		if err := p.plan.Mechanism.Validate(); err != nil {
			return fail(ReasonMechanism, "the plan of round %d: %v", p.record.Round, err)
		}
	}
	return nil
}

// checkCentral: the noise is the server's exactly where the signed plan says so.
func (r roundFact) checkCentral() *Failure {
	want := ""
	if c := r.plan.plan.Central; c != nil {
		want = c.Noise.String()
	}
	if r.record.Central != want {
		return fail(ReasonMechanism, "round %d says that the server added noise %q, its signed plan says %q", r.record.Round, r.record.Central, want)
	}
	return nil
}

// checkMetrics: the figures are those that the signed plan asked the devices for.
func (r roundFact) checkMetrics() *Failure {
	var want, have []string
	if m := r.plan.plan.Metrics; m != nil {
		want = m.Names
	}
	for _, x := range r.record.Metrics {
		have = append(have, x.Label)
	}
	if !slices.Equal(have, want) && (len(have) > 0 || r.record.Outcome == ledger.Published) {
		return fail(ReasonMechanism, "round %d publishes the figures %q, its signed plan asks for %q", r.record.Round, have, want)
	}
	return nil
}

// sumNumbers are what the secure sum of a plan depends on.
type sumNumbers struct {
	dim, nMin, nMax, members int
	bound, norm              int64
	corrupt, packing         uint32
}

func numbersOf(p plan.Plan) sumNumbers {
	m := p.Mechanism
	n := sumNumbers{p.Dim(), m.NMin, m.NMax, len(p.Committee), p.InputBound(), 0, p.Corrupt, p.Packing}
	if p.CheckNorm {
		n.norm = p.Norm()
	}
	return n
}

// checkCohorts: as many devices as were promised, and not more than the noise was sized for.
func (f *facts) checkCohorts() *Failure {
	for _, r := range f.rounds {
		p := r.plan.plan.Mechanism
		if bad := r.checkGroups(); bad != nil {
			return bad
		}
		if len(r.groups) > 0 && r.record.NMin == uint64(p.NMin) {
			continue
		}
		if r.record.NMin != uint64(p.NMin) || r.record.Survived < uint64(p.NMin) || r.record.Survived > uint64(p.NMax) {
			return fail(ReasonCohort, "round %d opened a sum over %d devices; its plan allows %d to %d", r.record.Round, r.record.Survived, p.NMin, p.NMax)
		}
	}
	return nil
}

// checkGroups: a round that its plan splits has as many groups, each with as many devices as its noise was sized for. That
// the round follows from its groups, and is charged once for all of them, is a rule between records (ledger.State); that
// the groups are disjoint rests on the lot and on the committee.
func (r roundFact) checkGroups() *Failure {
	want := int(r.plan.plan.Groups)
	if want == 1 {
		want = 0
	}
	if len(r.groups) != want {
		return fail(ReasonCohort, "round %d ended with %d groups; its plan splits it into %d", r.record.Round, len(r.groups), r.plan.plan.Groups)
	}
	p := r.plan.plan.Mechanism
	for _, g := range r.groups {
		if g.Outcome != ledger.Abandoned && (g.Survived < uint64(p.NMin) || g.Survived > uint64(p.NMax)) {
			return fail(ReasonCohort, "group %d of round %d holds %d devices; its plan allows %d to %d", g.Group+1, r.record.Round, g.Survived, p.NMin, p.NMax)
		}
	}
	return nil
}

// checkTelemetry: each statement is pure epsilon-DP and charged with epsilon^2/2.
func (f *facts) checkTelemetry() *Failure {
	for _, t := range f.telemetry {
		rho, err := telemetryRho(t.record)
		if err != nil {
			return fail(ReasonTelemetry, "record %d: %v", t.seq, err)
		}
		if !sameRho(rho, t.record.Rho) {
			return fail(ReasonTelemetry, "record %d is charged with another rho than epsilon^2/2", t.seq)
		}
		for _, row := range t.record.Rows {
			for _, s := range []string{row.Value, row.Low, row.High} {
				if x, err := strconv.ParseFloat(s, 64); err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
					return fail(ReasonTelemetry, "record %d publishes %q", t.seq, s)
				}
			}
		}
	}
	return nil
}

func telemetryRho(b *ledger.Telemetry) (*big.Rat, error) {
	if b.Mechanism != "laplace" || b.Delta != "0" {
		return nil, errors.New("a mechanism without a theorem here")
	}
	x, err := strconv.ParseFloat(b.Epsilon, 64)
	if err != nil || strconv.FormatFloat(x, 'g', -1, 64) != b.Epsilon {
		return nil, errors.New("epsilon is not a decimal in its shortest form")
	}
	return accounting.Rho(accounting.PureDP{Epsilon: x})
}

func instant(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }
