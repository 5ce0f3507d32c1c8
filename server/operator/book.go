package operator

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"time"

	"tutti/privacy/accounting"
	"tutti/privacy/ledger"
	"tutti/privacy/plan"
)

// book is what a task's log says, taken in record by record. It keeps the newest rounds and versions, and sums of the rest.
type book struct {
	task   string
	state  ledger.State // judges every record: what is spent follows from it, and whether the log holds
	fault  error        // of the first record that may not stand where it stands; those behind it are not judged
	opened time.Time
	last   time.Time
	seq    uint64 // of the next record

	purpose, delta string
	budget         *big.Rat // nil: no bound

	rounds   map[uint64]*logged // the newest
	newest   uint64
	history  []Spending
	versions []Version // oldest first, the newest MaxVersions
	totals   Totals
	reasons  map[string]int // of rounds that were abandoned or lost, by label
	central  string         // who adds the noise, by the newest plan
	noise    bool           // by the newest plan
	charges  []charge       // the last that cost something
}

// logged is what the log says of a round.
type logged struct {
	kind            string
	at, deadline    time.Time // planned; for uploads
	goal, min, max  int
	groups          int
	base            uint64
	cost            Cost
	ended           bool
	end             time.Time
	outcome, reason string
	uncertified     bool // abandoned without a certificate
	survived        int
	meter           *Meter
	figures         []Figure
	version         uint64
	after           ledger.Digest
}

// charge is what a round cost a device, and when the log said so.
type charge struct {
	at   time.Time
	kind string
	rho  float64
}

// paceRounds is how many of the last rounds a forecast is made of.
const paceRounds = 10

// maxHistory bounds the points of the burn-down: of more, every second one goes.
const maxHistory = 400

func newBook(task string) *book {
	return &book{task: task, rounds: map[uint64]*logged{}, reasons: map[string]int{}}
}

// take takes in the next record.
func (b *book) take(r ledger.Record) error {
	b.seq = r.Seq + 1
	if b.fault == nil {
		_, b.fault = b.state.Add(r)
	}
	spent := new(big.Rat)
	if t, found := b.state.Task(b.task); found {
		spent = t.Spent
	}
	at := time.Unix(r.Time, 0)
	b.last = at
	if r.Body.TaskName() != b.task {
		return nil
	}
	switch body := r.Body.(type) {
	case *ledger.Task:
		b.opened, b.purpose, b.delta, b.budget = at, body.Purpose, body.Delta, body.Budget
		b.history = []Spending{{At: at, What: "opening"}}
	case *ledger.Plan:
		return b.planned(body, at)
	case *ledger.Round:
		b.summed(body, at, spent)
	case *ledger.Abandon:
		if l := b.rounds[body.Round]; l != nil {
			l.outcome, l.reason, l.uncertified = ledger.Abandoned, body.Reason, body.Certificate == ledger.Digest{}
			b.end(body.Round, l, at)
		}
	case *ledger.Telemetry:
		rho, _ := body.Rho.Float64()
		b.spend(Spending{At: at, What: "telemetry", Rho: rho}, spent)
	case *ledger.Version:
		b.published(body, at)
	}
	return nil
}

func (b *book) planned(body *ledger.Plan, at time.Time) error {
	p, err := plan.Parse(body.Bytes)
	if err != nil {
		return fmt.Errorf("plan of round %d: %w", body.Round, err)
	}
	b.noise, b.central = p.Mechanism.Noise, plan.TrustDevices.String()
	if p.Central != nil {
		b.central = plan.TrustCentral.String()
		if p.Central.Noise == plan.CentralBLT {
			b.central = plan.TrustCentralMF.String()
		}
	}
	b.rounds[body.Round] = &logged{
		kind: body.What, at: at, deadline: time.Unix(p.Deadline, 0), goal: int(p.Goal), min: p.Mechanism.NMin, max: p.Mechanism.NMax,
		groups: int(p.Groups), base: p.BaseNumber, cost: b.cost(body.Rho),
	}
	b.newest = max(b.newest, body.Round)
	delete(b.rounds, body.Round-min(body.Round, MaxRounds+1))
	return nil
}

func (b *book) summed(body *ledger.Round, at time.Time, spent *big.Rat) {
	l := b.rounds[body.Round]
	if l == nil {
		return
	}
	l.outcome, l.survived, l.cost = body.Outcome, int(body.Survived), b.cost(body.Rho)
	l.after = body.After
	if body.After == body.Before {
		l.after = ledger.Digest{}
	}
	l.meter = meterOf(body.Meter)
	for _, row := range body.Metrics {
		if f, ok := figureOf(row); ok {
			l.figures = append(l.figures, f)
		}
	}
	b.end(body.Round, l, at)
	b.totals.Counted += l.survived * boolInt(body.Outcome == ledger.Published)
	rho, _ := ratOf(body.Rho).Float64()
	before := 0.0
	if n := len(b.history); n > 0 {
		before = b.history[n-1].Spent.Rho
	}
	b.spend(Spending{At: at, Round: body.Round, What: body.What, Rho: rho}, spent)
	if n := len(b.history); n > 0 && b.history[n-1].Spent.Rho > before {
		b.charges = append(b.charges, charge{at, body.What, b.history[n-1].Spent.Rho - before})
		b.charges = b.charges[max(0, len(b.charges)-paceRounds):]
	}
}

// end counts a round that is over.
func (b *book) end(number uint64, l *logged, at time.Time) {
	l.ended, l.end = true, at
	b.totals.Rounds++
	b.totals.InARow++
	switch l.outcome {
	case ledger.Published:
		b.totals.Published++
		b.totals.InARow = 0
	case ledger.Lost:
		b.totals.Lost++
	default:
		b.totals.Abandoned++
		b.reasons[l.reason]++
	}
}

func (b *book) spend(s Spending, spent *big.Rat) {
	s.Spent = b.cost(spent)
	b.history = append(b.history, s)
	if len(b.history) > maxHistory { // the first point, which is the full budget, and the last one stay
		thin := b.history[:1]
		for i := 2; i < len(b.history); i += 2 {
			thin = append(thin, b.history[i])
		}
		if thin[len(thin)-1] != s {
			thin = append(thin, s)
		}
		b.history = slices.Clone(thin)
	}
}

func (b *book) published(body *ledger.Version, at time.Time) {
	v := Version{Number: body.Number, Digest: fmt.Sprintf("%x", body.Digest), Cause: body.Cause, At: at}
	if body.Parent != (ledger.Digest{}) {
		v.Parent = fmt.Sprintf("%x", body.Parent)
	}
	if l := b.rounds[b.newest]; l != nil && l.ended && l.after == body.Digest {
		l.version, v.Round = body.Number, b.newest
	}
	b.versions = append(b.versions, v)
	if len(b.versions) > 2*MaxVersions {
		b.versions = slices.Clone(b.versions[len(b.versions)-MaxVersions:])
	}
}

// cost is an amount of rho with its epsilon; zero where there is no bound.
func (b *book) cost(rho *big.Rat) Cost {
	if rho == nil || rho.Sign() <= 0 {
		return Cost{}
	}
	c := Cost{}
	c.Rho, _ = rho.Float64()
	if delta, err := strconv.ParseFloat(b.delta, 64); err == nil {
		if eps, err := accounting.EpsilonFromRho(rho, delta); err == nil {
			c.Epsilon = eps
		}
	}
	return c
}

func ratOf(r *big.Rat) *big.Rat {
	if r == nil {
		return new(big.Rat)
	}
	return r
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func meterOf(m ledger.Meter) *Meter {
	if m.Coords == 0 {
		return nil
	}
	measured, err1 := strconv.ParseFloat(m.Measured, 64)
	expected, err2 := strconv.ParseFloat(m.Expected, 64)
	z, err3 := strconv.ParseFloat(m.Z, 64)
	if err1 != nil || err2 != nil || err3 != nil || expected <= 0 {
		return nil
	}
	return &Meter{Coords: int(m.Coords), Ratio: measured / expected, Z: z, Off: z > MeterLimit || z < -MeterLimit}
}

func figureOf(r ledger.Row) (Figure, bool) {
	f := Figure{Name: r.Label}
	var err error
	for _, x := range []struct {
		to   *float64
		text string
	}{{&f.Value, r.Value}, {&f.Low, r.Low}, {&f.High, r.High}} {
		if *x.to, err = strconv.ParseFloat(x.text, 64); err != nil {
			return f, false
		}
	}
	return f, true
}

// forecast says when the budget bears no further round of the kind that was charged last.
func (b *book) forecast(left *big.Rat) Forecast {
	charges := b.charges
	for i := len(charges) - 1; i >= 0; i-- {
		if charges[i].kind != charges[len(charges)-1].kind {
			charges = charges[i+1:]
			break
		}
	}
	n := len(charges)
	if left == nil || n < 2 {
		return Forecast{Words: "too few rounds were charged to tell when the budget is spent"}
	}
	var sum float64
	for _, c := range charges {
		sum += c.rho
	}
	each := sum / float64(n)
	pace := charges[n-1].at.Sub(charges[0].at) / time.Duration(n-1)
	rest, _ := left.Float64()
	rounds := int(rest/each + 1e-9)
	if rounds <= 0 {
		return Forecast{Known: true, Stop: charges[n-1].at, Words: "the budget bears no further round like the last ones"}
	}
	const longest = 1 << 20 // rounds
	stop := charges[n-1].at.Add(time.Duration(min(rounds, longest)) * pace)
	return Forecast{Known: true, Rounds: rounds, Stop: stop, Words: fmt.Sprintf("at this pace the budget is spent after %d more rounds, on %s", rounds, stop.Format("2 January 2006"))}
}
