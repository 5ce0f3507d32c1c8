package report

import (
	"bytes"
	"crypto/ed25519"
	"math/big"
	"slices"
	"strings"
	"testing"

	"tutti/privacy/ledger"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
)

// TestEveryByteCounts changes bytes all over both files: each change must fail with a named reason.
func TestEveryByteCounts(t *testing.T) {
	report, lines := sampleWorld(t).files()
	t.Logf("report %d bytes, ledger %d bytes", len(report), len(lines))
	try := func(name string, report, lines []byte, at int) {
		t.Helper()
		res := Verify(report, lines, Options{Operator: public(1)})
		if res.Overall != FailedAll || res.Reason == ReasonNone || strings.HasPrefix(res.Reason.String(), "reason(") {
			t.Fatalf("%s: byte %d changed: %s, reason %s", name, at, res.Overall, res.Reason)
		}
	}
	// A stride over both files, with another bit each time; the ledger's own tests change every byte of an export.
	for i := 0; i < len(report); i += 7 {
		b := bytes.Clone(report)
		b[i] ^= 1 << (i % 7)
		try("report", b, lines, i)
	}
	for i := 0; i < len(lines); i += 19 {
		b := bytes.Clone(lines)
		b[i] ^= 1 << (i % 7)
		try("ledger", report, b, i)
	}
	for cut := 0; cut < len(report); cut += 397 {
		try("report cut", report[:cut], lines, cut)
	}
	for cut := 0; cut < len(lines); cut += 397 {
		try("ledger cut", report, lines[:cut], cut)
	}
}

// TestRecordsMoved deletes, repeats, swaps and adds whole lines of the ledger.
func TestRecordsMoved(t *testing.T) {
	report, lines := sampleWorld(t).files()
	rows := bytes.SplitAfter(lines, []byte("\n"))
	rows = rows[:len(rows)-1]
	try := func(name string, rows [][]byte, want ...Reason) {
		t.Helper()
		res := Verify(report, bytes.Join(rows, nil), Options{Operator: public(1)})
		if res.Overall != FailedAll || !slices.Contains(want, res.Reason) {
			t.Errorf("%s: %s, reason %s, want one of %v", name, res.Overall, res.Reason, want)
		}
	}
	for i := range rows {
		want := ReasonSequence
		if i == len(rows)-1 {
			want = ReasonTree
		}
		try("deleted", slices.Delete(slices.Clone(rows), i, i+1), want)
		try("repeated", slices.Insert(slices.Clone(rows), i, rows[i]), ReasonSequence)
		if i > 0 {
			swapped := slices.Clone(rows)
			swapped[i-1], swapped[i] = swapped[i], swapped[i-1]
			try("swapped", swapped, ReasonSequence)
		}
	}
	w := sampleWorld(t)
	w.say("one more", ledger.Row{Label: "x", Value: "1", Low: "0", High: "2"})
	_, _, longer := w.ledger()
	res := Verify(report, longer, Options{Operator: public(1)})
	if res.Reason != ReasonTree {
		t.Errorf("a record added at the end, in order: %s %s", res.Overall, res.Reason)
	}
}

// TestDishonestOperator: here the operator holds the keys and signs whatever it likes, log, checkpoint, plans and
// report. Only what the numbers themselves give away can be found, and must be.
func TestDishonestOperator(t *testing.T) {
	round := func(w *world, i int) *ledger.Round {
		for _, b := range w.bodies {
			if r, ok := b.(*ledger.Round); ok {
				if i == 0 {
					return r
				}
				i--
			}
		}
		t.Fatal("no such round")
		return nil
	}
	weaker := func(w *world, r *ledger.Round) mechanism.Params {
		p, err := mechanism.ParseParams(r.Mechanism)
		if err != nil {
			t.Fatal(err)
		}
		p.Sigma2.Num--
		r.Mechanism = p.AppendCanonical(nil)
		return p
	}
	for name, c := range map[string]struct {
		change func(*world)
		want   Reason
	}{
		"lower sigma in one round":               {func(w *world) { weaker(w, round(w, 1)) }, ReasonMechanism},
		"lower sigma, with the rho it gives":     {func(w *world) { r := round(w, 1); r.Rho = weaker(w, r).Rho() }, ReasonRho},
		"lower sigma in round and plan":          {lowerSigmaEverywhere, ReasonMechanism},
		"swapped models of two rounds":           {func(w *world) { a, b := round(w, 2), round(w, 3); a.After, b.After = b.After, a.After }, ReasonModelChain},
		"a model from nowhere":                   {func(w *world) { round(w, 3).Before = digest("other") }, ReasonModelChain},
		"fewer devices than promised":            {func(w *world) { round(w, 0).Survived = 69 }, ReasonCohort},
		"n_min lowered in the record":            {func(w *world) { r := round(w, 0); r.NMin, r.Survived = 10, 10 }, ReasonCohort},
		"more devices than the noise is for":     {func(w *world) { round(w, 0).Survived = 131 }, ReasonCohort},
		"a cheaper round":                        {func(w *world) { round(w, 2).Rho = big.NewRat(1, 100) }, ReasonRho},
		"a free statement":                       {func(w *world) { statement(w).Rho = big.NewRat(1, 2000) }, ReasonTelemetry},
		"a statement with delta":                 {func(w *world) { statement(w).Delta = "1e-05" }, ReasonTelemetry},
		"a statement of no number":               {func(w *world) { statement(w).Rows[0].Value = "NaN" }, ReasonTelemetry},
		"a round without a plan":                 {func(w *world) { w.bodies = slices.Delete(w.bodies, 1, 2) }, ReasonPlan},
		"a plan of another operator":             {func(w *world) { w.bodies[1].(*ledger.Plan).Signature = make([]byte, 64) }, ReasonPlan},
		"noise taken away after planning":        {func(w *world) { r := round(w, 2); r.Noise, r.Rho = false, nil }, ReasonRho},
		"noise said to be on":                    {noiseSaidOn, ReasonMechanism},
		"a round beyond the budget":              {func(w *world) { w.bodies[0].(*ledger.Task).Budget = big.NewRat(1, 2) }, ReasonBudget},
		"a plan that allows less":                {planAllowsLess, ReasonBudget},
		"time that goes back":                    {nil, ReasonTime},
		"two tasks of one name":                  {func(w *world) { w.bodies = append(w.bodies, w.bodies[0]) }, ReasonTask},
		"another kind than planned":              {func(w *world) { round(w, 0).What = "model" }, ReasonRound},
		"silent noise-skippers":                  {func(w *world) { w.run(plan.Model, big.NewRat(1, 1000), 90, -7.2, nil) }, ReasonNoiseMeter},
		"a meter that was not read":              {func(w *world) { round(w, 3).Meter = ledger.Meter{} }, ReasonNoiseMeter},
		"a meter with a friendlier z":            {func(w *world) { round(w, 3).Meter.Z = "0" }, ReasonNoiseMeter},
		"a meter with a friendlier expectation":  {func(w *world) { round(w, 3).Meter.Expected = "1" }, ReasonNoiseMeter},
		"slightly too little noise, every round": {func(w *world) { silentEverywhere(w) }, ReasonNoiseMeter},
	} {
		t.Run(name, func(t *testing.T) {
			w := sampleWorld(t)
			if c.change != nil {
				c.change(w)
			}
			records, note, lines := w.ledger()
			if name == "time that goes back" {
				records, note, lines = backInTime(t, records)
			}
			// The report of the honest world, moved over to the false log by its own operator.
			honest, _ := sampleWorld(t).input()
			r, err := Build(honest)
			if err != nil {
				t.Fatal(err)
			}
			moved := honest
			moved.Records, moved.Checkpoint = records, note
			if again, err := Build(moved); err == nil {
				r = again // Build refuses most of these; where it does not, the report fits the false log
			}
			last, err := ledger.OpenCheckpoint(note, "films/log", public(1))
			if err != nil {
				t.Fatal(err)
			}
			r.Transparency.Checkpoint, r.Transparency.TreeSize, r.Transparency.Root = string(note), last.Size, hexDigest(last.Root)
			data, err := Sign(key(1), r)
			if err != nil {
				t.Fatal(err)
			}
			res := Verify(data, lines, Options{Operator: public(1)})
			if res.Overall != FailedAll || !slices.ContainsFunc(res.Steps, func(s Step) bool { return s.Reason == c.want }) {
				t.Errorf("%s, reason %s, want %s among the failed steps:\n%+v", res.Overall, res.Reason, c.want, res.Steps)
			}
		})
	}
}

func statement(w *world) *ledger.Telemetry {
	for _, b := range w.bodies {
		if s, ok := b.(*ledger.Telemetry); ok {
			return s
		}
	}
	return nil
}

// lowerSigmaEverywhere lowers the noise in a plan and its round alike, and the stated cost with it.
func lowerSigmaEverywhere(w *world) {
	p := w.design(big.NewRat(1, 1000))
	w.run(plan.Model, big.NewRat(1, 1000), 90, 0, nil)
	planned, ended := w.bodies[len(w.bodies)-2].(*ledger.Plan), w.bodies[len(w.bodies)-1].(*ledger.Round)
	pl, err := plan.Parse(planned.Bytes)
	if err != nil {
		w.t.Fatal(err)
	}
	p.Sigma2.Num /= 4
	pl.Mechanism = p
	signed, err := plan.Sign(key(1), pl)
	if err != nil {
		w.t.Fatal(err)
	}
	*planned = ledger.Plan{Task: "films", Round: planned.Round, What: "model", Rho: pl.Rho(), Bytes: signed.Bytes, Signature: signed.Signature}
	ended.Plan, ended.Mechanism, ended.Rho = planned.Digest(), p.AppendCanonical(nil), p.Rho()
}

// noiseSaidOn logs a round as noised and costly whose numbers have no noise.
func noiseSaidOn(w *world) {
	w.run(plan.Model, big.NewRat(1, 1000), 90, 0, nil)
	ended := w.bodies[len(w.bodies)-1].(*ledger.Round)
	ended.Mechanism = w.design(nil).AppendCanonical(nil)
}

func planAllowsLess(w *world) {
	w.plan(plan.Model, big.NewRat(1, 1000), func(p *plan.Plan) { p.Budget = big.NewRat(1, 2) })
	planned := w.bodies[len(w.bodies)-1].(*ledger.Plan)
	w.bodies = w.bodies[:len(w.bodies)-1]
	w.round--
	w.run(plan.Model, big.NewRat(1, 1000), 90, 0, nil)
	ended := w.bodies[len(w.bodies)-1].(*ledger.Round)
	w.bodies[len(w.bodies)-2], ended.Plan = planned, planned.Digest()
}

// silentEverywhere adds rounds of which each is inconspicuous by itself.
func silentEverywhere(w *world) {
	for range 8 {
		w.run(plan.Model, big.NewRat(1, 1000), 90, -2, nil)
	}
}

func backInTime(t *testing.T, records []ledger.Record) ([]ledger.Record, []byte, []byte) {
	var prev ledger.Digest
	var stored ledger.Memory
	var lines bytes.Buffer
	for i := range records {
		records[i].Prev = prev
		if i == 5 {
			records[i].Time -= 3600
		}
		data, err := records[i].Encode()
		if err != nil {
			t.Fatal(err)
		}
		hashes, err := ledger.Append(uint64(i), data, stored)
		if err != nil {
			t.Fatal(err)
		}
		stored, prev = append(stored, hashes...), ledger.Leaf(data)
		if err := ledger.Export(&lines, records[i]); err != nil {
			t.Fatal(err)
		}
	}
	root, _ := ledger.Root(uint64(len(records)), stored)
	note, err := ledger.SignCheckpoint(key(1), ledger.Checkpoint{Origin: "films/log", Size: uint64(len(records)), Root: root})
	if err != nil {
		t.Fatal(err)
	}
	return records, note, lines.Bytes()
}

// TestEditedReport: an operator signs a report that says something else than its log.
func TestEditedReport(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*Report)
		want Reason
	}{
		"smaller epsilon":           {func(r *Report) { r.Claims[0].Epsilons[0].Epsilon = "5.0000" }, ReasonEpsilon},
		"epsilon a little smaller":  {func(r *Report) { r.Claims[0].Epsilons[0].Epsilon = minus(r.Claims[0].Epsilons[0].Epsilon, 0.001) }, ReasonEpsilon},
		"epsilon not a number":      {func(r *Report) { r.Claims[0].Epsilons[0].Epsilon = "NaN" }, ReasonEpsilon},
		"epsilon at a larger delta": {func(r *Report) { r.Claims[0].Epsilons[0].Delta = "1e-05" }, ReasonEpsilon},
		"mu":                        {func(r *Report) { r.Claims[0].Mu = "1.000000" }, ReasonEpsilon},
		"lone device":               {func(r *Report) { r.Claims[0].Lone.Epsilon = "8.0000" }, ReasonEpsilon},
		"epsilon on the way":        {func(r *Report) { r.Rounds[1].EpsTotal = "1.0000" }, ReasonEpsilon},
		"no epsilon":                {func(r *Report) { r.Claims[0].Epsilons = nil }, ReasonEpsilon},
		"no claim":                  {func(r *Report) { r.Claims = nil }, ReasonEpsilon},
		"claim twice":               {func(r *Report) { r.Claims = append(r.Claims, r.Claims[0]) }, ReasonEpsilon},
		"smaller rho":               {func(r *Report) { r.Accounting.Rho = "1/2" }, ReasonRho},
		"smaller rho in the claim":  {func(r *Report) { r.Claims[0].Rho = "1/2" }, ReasonRho},
		"smaller rho in a round":    {func(r *Report) { r.Rounds[0].Rho = "1/1000" }, ReasonRho},
		"a round left out":          {func(r *Report) { r.Rounds = r.Rounds[1:] }, ReasonRho},
		"a friendlier sentence":     {func(r *Report) { r.Claims[0].Sentence = "Your data is anonymous." }, ReasonContent},
		"a stronger adversary":      {func(r *Report) { r.Claims[0].Adversary = "everyone" }, ReasonContent},
		"another tier":              {func(r *Report) { r.Claims[0].Tier = "1: strong" }, ReasonContent},
		"a limitation less":         {func(r *Report) { r.Limitations = r.Limitations[1:] }, ReasonContent},
		"an assumption enforced":    {func(r *Report) { r.Assumptions[1].Status = statusForced }, ReasonContent},
		"more devices":              {func(r *Report) { r.Rounds[2].Survived = 1000 }, ReasonContent},
		"dropout":                   {func(r *Report) { r.Dropout.Abandoned = 0 }, ReasonContent},
		"meter":                     {func(r *Report) { r.NoiseMeter.WorstZ = "0.00" }, ReasonNoiseMeter},
		"statement":                 {func(r *Report) { r.Telemetry[0].Rows[0].Value = "400" }, ReasonTelemetry},
		"statement left out":        {func(r *Report) { r.Telemetry = r.Telemetry[:1] }, ReasonTelemetry},
		"privacy word":              {func(r *Report) { r.Privacy = "perfect" }, ReasonPrivacyState},
		"an alarm of its own":       {func(r *Report) { r.Alarms = []string{"all is well"} }, ReasonPrivacyState},
		"purpose":                   {func(r *Report) { r.Task.Purpose = "research" }, ReasonContent},
		"budget":                    {func(r *Report) { r.Task.Budget = "100/1" }, ReasonContent},
		"committee":                 {func(r *Report) { r.Security.Members = 9 }, ReasonContent},
		"quality above 1":           {func(r *Report) { r.Utility[0].NDCG.Value = "1.5" }, ReasonContent},
		"tree size":                 {func(r *Report) { r.Transparency.TreeSize-- }, ReasonTree},
		"root":                      {func(r *Report) { r.Transparency.Root = hexDigest(digest("x")) }, ReasonTree},
		"leaf count":                {func(r *Report) { r.Transparency.Leaves++ }, ReasonContent},
		"checkpoint":                {func(r *Report) { r.Transparency.Checkpoint = "films/log\n0\n\n" }, ReasonCheckpoint},
		"operator's name in hex":    {func(r *Report) { r.Transparency.Operator = hexDigest(digest("x")) }, ReasonOperator},
		"another task":              {func(r *Report) { r.Task.Name = "news" }, ReasonTask},
		"another schema":            {func(r *Report) { r.Schema = "tutti.report/v9" }, ReasonForm},
	} {
		in, lines := sampleWorld(t).input()
		r, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		c.edit(r)
		data, err := Sign(key(1), r)
		if err != nil {
			t.Fatal(err)
		}
		if res := Verify(data, lines, Options{Operator: public(1)}); res.Overall != FailedAll || res.Reason != c.want {
			t.Errorf("%s: %s, reason %s, want %s", name, res.Overall, res.Reason, c.want)
		}
	}
}

func minus(s string, x float64) string {
	r, _ := ratOf(s)
	return fixed(toFloat(r)-x, 4)
}

// TestSigners: the report and the log are signed by one key, and by the one that the reader knows.
func TestSigners(t *testing.T) {
	in, lines := sampleWorld(t).input()
	r, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	resigned, err := Sign(key(9), r)
	if err != nil {
		t.Fatal(err)
	}
	for name, opt := range map[string]Options{"pinned": {Operator: public(1)}, "pinned to the forger": {Operator: public(9)}, "not pinned": {}} {
		res := Verify(resigned, lines, opt)
		if res.Overall != FailedAll || res.Reason != ReasonOperator && res.Reason != ReasonCheckpoint {
			t.Errorf("re-signed report, %s: %s %s", name, res.Overall, res.Reason)
		}
	}
	// A whole other log and report, all signed by another key: only a pinned key can tell.
	forged := newWorld(t)
	forged.operator = key(9)
	forged.bodies[0].(*ledger.Task).Operator = public(9)
	forged.run(plan.Popularity, big.NewRat(3, 100), 104, 0, nil)
	report, lines := forged.files()
	if res := Verify(report, lines, Options{Operator: public(1)}); res.Reason != ReasonOperator {
		t.Errorf("another operator's report: %s %s", res.Overall, res.Reason)
	}
	if res := Verify(report, lines, Options{}); res.Overall != Verified || res.Steps[2].Verdict != NotChecked {
		t.Errorf("another operator's report, no key pinned: %s, %s", res.Overall, res.Steps[2].Verdict)
	}
	r, _ = Parse(report)
	r.Signature.Sig = ""
	unsigned, _ := canonical(r)
	if res := Verify(append(unsigned, '\n'), lines, Options{}); res.Reason != ReasonSignature {
		t.Errorf("no signature: %s %s", res.Overall, res.Reason)
	}
}

// TestOlderCheckpoints: a reader who kept a checkpoint sees a log that was rewritten since.
func TestOlderCheckpoints(t *testing.T) {
	short := sampleWorld(t)
	short.bodies = short.bodies[:6]
	_, kept, _ := short.ledger()
	report, lines := sampleWorld(t).files()
	if res := Verify(report, lines, Options{Older: [][]byte{kept}}); res.Overall != Verified {
		t.Errorf("an honest older checkpoint: %s %s", res.Overall, res.Reason)
	}
	branch := sampleWorld(t)
	branch.bodies[2].(*ledger.Round).Participants = digest("another set")
	branch.bodies = branch.bodies[:6]
	_, other, _ := branch.ledger()
	res := Verify(report, lines, Options{Older: [][]byte{kept, other}})
	if res.Reason != ReasonCheckpoint || !strings.Contains(res.Steps[5].Detail, ledger.ErrFork.Error()) {
		t.Errorf("a forked log: %s %s, %q", res.Overall, res.Reason, res.Steps[5].Detail)
	}
	longer := sampleWorld(t)
	longer.say("later")
	_, later, _ := longer.ledger()
	if res := Verify(report, lines, Options{Older: [][]byte{later}}); res.Reason != ReasonCheckpoint {
		t.Errorf("a log that shrank: %s %s", res.Overall, res.Reason)
	}
	foreign, _ := ledger.SignCheckpoint(ed25519.NewKeyFromSeed(make([]byte, 32)), ledger.Checkpoint{Origin: "films/log", Size: 1})
	if res := Verify(report, lines, Options{Older: [][]byte{foreign}}); res.Reason != ReasonCheckpoint {
		t.Errorf("someone else's checkpoint: %s %s", res.Overall, res.Reason)
	}
}

func TestReasonLabels(t *testing.T) {
	seen := map[string]bool{}
	for r := range reasonCount {
		if s := r.String(); s == "" || seen[s] {
			t.Errorf("reason %d has the label %q", r, s)
		}
		seen[r.String()] = true
	}
	for _, f := range []ledger.Fault{ledger.FaultMalformed, ledger.FaultSequence, ledger.FaultPrev, ledger.FaultTime, ledger.FaultTask, ledger.FaultPlan, ledger.FaultRound, ledger.FaultCohort, ledger.FaultRho, ledger.FaultBudget, ledger.FaultModel, ledger.FaultNote} {
		if faultReasons[f] == ReasonNone {
			t.Errorf("the ledger's fault %s has no reason here", f)
		}
	}
}

// BenchmarkVerify10kRounds verifies a task of 10,000 rounds with signed plans: every device in every round, and with k = 5
// and b = 100.
func BenchmarkVerify10kRounds(b *testing.B) {
	for name, most := range map[string]uint32{"every": 0, "limited": 5} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b)
			w.allow(big.NewRat(10, 1))
			if most > 0 {
				task := w.bodies[0].(*ledger.Task)
				task.Participations, task.Separation = uint64(most), 100
			}
			for range 10_000 {
				w.roundWith(plan.Model, 90, big.NewRat(1, 2000), func(p *plan.Plan) {
					if most > 0 {
						p.Participations, p.Separation = most, 100
					}
				})
			}
			report, lines := w.files()
			b.SetBytes(int64(len(report) + len(lines)))
			for b.Loop() {
				if res := Verify(report, lines, Options{Operator: public(1)}); res.Overall != Verified {
					b.Fatal(res.Reason)
				}
			}
		})
	}
}
