package report

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"

	"tutti/privacy/audit"
	"tutti/privacy/ledger"
)

func rational(x *big.Rat) string {
	if x == nil {
		return ""
	}
	return x.String()
}

// up is x rounded up to so many places: an epsilon is never told smaller than it is.
func up(x float64, places int) string {
	if math.IsInf(x, 1) {
		return unbounded
	}
	scale := math.Pow10(places)
	return fixed(max(0, math.Ceil(x*scale-1e-9)/scale), places)
}

func decimal(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

func toFloat(x *big.Rat) float64 {
	f, _ := x.Float64()
	return f
}

func delta(f *facts) (float64, *Failure) {
	x, err := strconv.ParseFloat(f.task.Delta, 64)
	if err != nil || !(x > 0 && x < 1) {
		return 0, fail(ReasonTask, "the task's delta is %q", f.task.Delta)
	}
	return x, nil
}

// security gives the weakest committee over all plans of the task.
func (f *facts) security(s Setting) Security {
	out := Security{Protocol: protocol, Enroller: enrolOther, Committee: manyRoofs}
	if s.SelfEnrolled {
		out.Enroller = enrolServer
	}
	if s.CommitteeOneRoof {
		out.Committee = oneRoof
	}
	for i, r := range f.rounds {
		p := r.plan.plan
		members, corrupt := uint64(len(p.Committee)), uint64(p.Corrupt)
		if i == 0 || corrupt < out.Corrupt || corrupt == out.Corrupt && members < out.Members {
			out.Members, out.Corrupt = members, corrupt
		}
	}
	if out.Members > 0 {
		out.Quorum = (out.Members+out.Corrupt)/2 + 1
	}
	return out
}

// colluders is the range of t_c over the rounds with noise.
func (f *facts) colluders() string {
	low, high := -1, -1
	for _, r := range f.rounds {
		if c := r.plan.plan.Mechanism.Colluders; r.record.Noise {
			if low < 0 || c < low {
				low = c
			}
			high = max(high, c)
		}
	}
	switch {
	case low < 0:
		return "0"
	case low == high:
		return strconv.Itoa(low)
	}
	return fmt.Sprintf("%d to %d (by round)", low, high)
}

func (f *facts) dropout() Dropout {
	d := Dropout{Rounds: uint64(len(f.rounds)), Abandoned: uint64(len(f.abandoned)), Pending: uint64(len(f.pending))}
	var survived []uint64
	for _, r := range f.rounds {
		if r.record.Outcome == ledger.Published {
			d.Published++
		} else {
			d.Lost++
		}
		survived = append(survived, r.record.Survived)
	}
	if len(survived) > 0 {
		slices.Sort(survived)
		d.Min, d.Median, d.Max = survived[0], survived[(len(survived)-1)/2], survived[len(survived)-1]
	}
	return d
}

// accounting groups the charges by what was released, in the order of their first release.
func (f *facts) accounting() Accounting {
	total := f.total()
	out := Accounting{Formula: formula, Rho: total.String(), Spent: []Spent{}}
	sums := map[string]*adder{}
	at := map[string]int{}
	for _, c := range f.charges {
		if c.rho == nil {
			continue
		}
		if sums[c.what] == nil {
			sums[c.what], at[c.what] = new(adder), len(out.Spent)
			out.Spent = append(out.Spent, Spent{What: c.what})
		}
		sums[c.what].add(c.rho)
		out.Spent[at[c.what]].Releases++
	}
	for i := range out.Spent {
		s := &out.Spent[i]
		rho := sums[s.What].rat()
		s.Rho = rho.String()
		s.Share = "0.0000"
		if total.Sign() > 0 {
			s.Share = new(big.Rat).Quo(rho, total).FloatString(4)
		}
	}
	return out
}

// roundRows is the table of rounds with the running total beside each: what the dearest device had spent by then, the
// statements so far included, in the view of the first claim.
func (f *facts) roundRows(readings []meterReading, a account) ([]Round, *Failure) {
	d, bad := delta(f)
	if bad != nil {
		return nil, bad
	}
	meters := map[uint64]meterReading{}
	for _, m := range readings {
		meters[m.round] = m
	}
	out := make([]Round, 0, len(f.rounds))
	totals := make([]*big.Rat, 0, len(f.rounds))
	said, next, endless := new(big.Rat), 0, a.unbounded
	for _, r := range f.rounds {
		for ; next < len(f.telemetry) && f.telemetry[next].seq <= r.seq; next++ {
			said = new(big.Rat).Add(said, f.telemetry[next].record.Rho)
		}
		row := r.row()
		row.RhoTotal, row.EpsTotal = unbounded, unbounded
		if !endless {
			total := a.after[r.record.Round]
			if said.Sign() > 0 {
				total = new(big.Rat).Add(total, said)
			}
			row.RhoTotal = total.FloatString(6)
			totals = append(totals, total)
		}
		if m, ok := meters[r.record.Round]; ok {
			row.MeterZ, row.Ratio = fixed(m.z, 2), fixed(m.ratio, 4)
		}
		out = append(out, row)
	}
	eps, err := epsilons(totals, d)
	if err != nil {
		return nil, fail(ReasonEpsilon, "%v", err)
	}
	for i, e := range eps {
		out[i].EpsTotal = up(e, 4)
	}
	return out, nil
}

func (r roundFact) row() Round {
	b, p := r.record, r.plan.plan.Mechanism
	row := Round{
		Round: b.Round, What: b.What, Seq: r.seq, PlanSeq: r.plan.seq, Time: instant(r.time), Outcome: b.Outcome,
		Survived: b.Survived, NMin: uint64(p.NMin), NMax: uint64(p.NMax), Colluder: uint64(p.Colluders),
		Dim: uint64(p.Dim), Padded: uint64(p.PaddedDim), Clip: decimal(p.Clip), ClipGrid: uint64(p.ClipGrid),
		L2Bound: uint64(p.L2Bound), Sigma2: p.Sigma2.Rat().String(), Z: decimal(p.Z), Noise: b.Noise, Central: b.Central,
		Rho: rational(b.Rho), Before: hexDigest(b.Before), After: hexDigest(b.After), Sum: hexDigest(b.Aggregate),
		Cert: hexDigest(b.Certificate), Set: hexDigest(b.Participants),
	}
	for _, g := range r.groups {
		row.Groups = append(row.Groups, Group{g.Outcome, g.Survived, hexDigest(g.Aggregate), hexDigest(g.Certificate), hexDigest(g.Participants), g.Reason})
	}
	return row
}

// mostGroups is the most groups of any round, 0 where none was split.
func (f *facts) mostGroups() (most int) {
	for _, r := range f.rounds {
		most = max(most, len(r.groups))
	}
	return most
}

func (f *facts) abandonRows() []Abandoned {
	out := []Abandoned{}
	for _, a := range f.abandoned {
		out = append(out, Abandoned{a.record.Round, a.plan.record.What, a.seq, a.record.Reason, a.record.Certificate != ledger.Digest{}})
	}
	return out
}

func (f *facts) telemetryRows() []Telemetry {
	out := []Telemetry{}
	for _, t := range f.telemetry {
		b := t.record
		row := Telemetry{t.seq, b.Round, b.Times, b.Metric, b.Epsilon, b.Delta, b.Mechanism, []TelemetryRow{}}
		for _, x := range b.Rows {
			row.Rows = append(row.Rows, TelemetryRow{x.Label, x.Value, x.Low, x.High})
		}
		out = append(out, row)
	}
	return out
}

// alarms are what a reader must see before anything else.
func (f *facts) alarms(r *Report) []string {
	out := []string{}
	for _, open := range f.openRounds() {
		out = append(out, fmt.Sprintf("PRIVACY OFF: round %d (%s) ran without noise.", open.record.Round, open.record.What))
	}
	for _, p := range f.pending {
		if lacking(p) {
			out = append(out, fmt.Sprintf("PRIVACY OFF: round %d (%s), not ended yet, runs without noise.", p.record.Round, p.record.What))
		}
	}
	if trusted := f.central(); len(trusted) > 0 {
		out = append(out, fmt.Sprintf("THE SERVER SAW SUMS WITHOUT NOISE in %s (the first is round %d): it was trusted to add the noise afterwards. No claim is made about what the server sees.",
			plural(uint64(len(trusted)), "round"), trusted[0].record.Round))
	}
	if r.Dropout.Lost > 0 {
		out = append(out, plural(r.Dropout.Lost, "round")+" charged, with nothing published.")
	}
	for _, s := range r.sections() {
		switch {
		case s.Verdict == audit.VerdictFail:
			out = append(out, fmt.Sprintf("The test %q FAILED: %s", s.Kind, s.Reason))
		case s.Verdict == audit.VerdictBroken:
			out = append(out, fmt.Sprintf("The test %q is broken and shows nothing: %s", s.Kind, s.Reason))
		}
	}
	return append(out, r.NoiseMeter.Alarms...)
}

// tier is that of "How to DP-fy ML" (arXiv 2303.00654, section 5.1).
func tier(epsilon float64) string {
	switch {
	case epsilon <= 1:
		return "1: strong (epsilon <= 1)"
	case epsilon <= 10:
		return "2: reasonable (epsilon <= 10)"
	}
	return "3: weak (epsilon > 10)"
}

// checkUtility: declared figures are at least numbers between 0 and 1.
func checkUtility(rows []Utility) *Failure {
	for _, row := range rows {
		for _, value := range []Value{row.NDCG, row.HR} {
			for _, s := range []string{value.Value, value.Low, value.High} {
				if x, err := strconv.ParseFloat(s, 64); s != "" && (err != nil || !(x >= 0 && x <= 1)) {
					return fail(ReasonContent, "the quality %q of %q is not a number between 0 and 1", s, row.Name)
				}
			}
		}
	}
	return nil
}
