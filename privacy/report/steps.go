package report

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"tutti/privacy/ledger"
)

func (v *verifier) stepForm() (string, error) {
	r, err := Parse(v.raw)
	if err != nil {
		return "", err
	}
	v.report = r
	return r.Schema + ", run " + r.Run.ID, nil
}

func (v *verifier) stepSignature() (string, error) {
	key, bad := checkSignature(v.report, v.raw)
	v.signer = key
	return fmt.Sprintf("Ed25519 key %x", key), bad.or()
}

func (v *verifier) stepOperator() (string, error) {
	if v.opt.Operator == nil {
		return "", errNotChecked{"no key was given: the report's own was taken. Get the operator's key from elsewhere and give it, or anyone could have signed this"}
	}
	if !bytes.Equal(v.opt.Operator, v.signer) {
		return "", fail(ReasonOperator, "signed by %x, the operator is %x", v.signer, []byte(v.opt.Operator)).or()
	}
	return "the key that was given", nil
}

func (v *verifier) stepLines() (string, error) {
	if v.lines == nil {
		return "", errMissing{"ledger.jsonl is missing: nothing of the report can be recomputed"}
	}
	err := ledger.Import(bytes.NewReader(v.lines), func(r ledger.Record) error {
		v.records = append(v.records, r)
		return nil
	})
	if err != nil {
		return "", fail(ReasonLedgerLine, "%v", err).or()
	}
	return fmt.Sprintf("%d records", len(v.records)), nil
}

func (v *verifier) stepChain() (string, error) {
	log, bad := chain(v.records)
	v.log = log
	return fmt.Sprintf("%d records without a gap", len(v.records)), bad.or()
}

func (v *verifier) stepTree() (string, error) {
	t := v.report.Transparency
	if bad := checkCheckpoint([]byte(t.Checkpoint), t.Origin, v.signer, v.log); bad != nil {
		return "", bad
	}
	now, err := v.log.Checkpoint(t.Origin)
	if err != nil {
		return "", fail(ReasonTree, "%v", err)
	}
	if t.TreeSize != now.Size || t.Root != hexDigest(now.Root) {
		return "", fail(ReasonTree, "the report names %d records with root %.8s, the ledger has %d with root %s", t.TreeSize, t.Root, now.Size, short(now.Root))
	}
	for _, old := range v.opt.Older {
		if bad := v.extends(old, t.Origin, now); bad != nil {
			return "", bad
		}
	}
	return fmt.Sprintf("root %s of %d records; %d older checkpoints", short(now.Root), now.Size, len(v.opt.Older)), nil
}

// extends checks the log against a checkpoint kept from earlier.
func (v *verifier) extends(note []byte, origin string, now ledger.Checkpoint) *Failure {
	older, err := ledger.OpenCheckpoint(note, origin, v.signer)
	if err != nil {
		return fail(ReasonCheckpoint, "an older checkpoint: %v", err)
	}
	var proof [][]byte
	if older.Size <= now.Size {
		if proof, err = ledger.ProveConsistency(older.Size, now.Size, v.log.Hashes); err != nil {
			return fail(ReasonCheckpoint, "%v", err)
		}
	}
	if err := ledger.CheckConsistency(older, now, proof); err != nil {
		return fail(ReasonCheckpoint, "%v", err)
	}
	return nil
}

func (v *verifier) stepPlans() (string, error) {
	f, bad := gather(v.records, v.report.Task.Name)
	if bad != nil {
		return "", bad
	}
	if !bytes.Equal(f.task.Operator, v.signer) || v.report.Transparency.Operator != hex.EncodeToString(f.task.Operator) {
		return "", fail(ReasonOperator, "the log's operator is %x, the report is signed by %x", f.task.Operator, []byte(v.signer))
	}
	v.facts, v.sums = f, f.accounts()
	return fmt.Sprintf("%d plans, %d rounds, %d abandoned", len(f.plans), len(f.rounds), len(f.abandoned)), nil
}

func (v *verifier) stepMechanism() (string, error) {
	return fmt.Sprintf("%d rounds", len(v.facts.rounds)), v.facts.checkMechanisms().or()
}

func (v *verifier) stepCohort() (string, error) {
	d := v.facts.dropout()
	return fmt.Sprintf("%d to %d devices", d.Min, d.Max), v.facts.checkCohorts().or()
}

func (v *verifier) stepRho() (string, error) {
	total, bad := v.facts.checkRho()
	if bad != nil {
		return "", bad
	}
	if v.report.Accounting.Rho != total.String() {
		return "", fail(ReasonRho, "the report adds up to another rho than the log's %s", total.FloatString(6))
	}
	rows := v.report.Rounds
	if len(rows) != len(v.facts.rounds) {
		return "", fail(ReasonRho, "the report lists %d rounds, the log %d", len(rows), len(v.facts.rounds))
	}
	for i, r := range v.facts.rounds {
		if rows[i].Rho != rational(r.record.Rho) {
			return "", fail(ReasonRho, "round %d has another rho in the report than in the log", r.record.Round)
		}
	}

	for _, c := range v.report.Claims {
		a := v.sums.server
		if c.View != ViewServer {
			a = v.sums.released
		}
		if a.unbounded || c.Rho != a.rho.String() {
			return "", fail(ReasonRho, "the claim about %s names another rho than the log gives", viewWords(c.View))
		}
	}
	return "rho " + total.FloatString(6) + "; " + v.sums.first().words(), nil
}

func (v *verifier) stepTelemetry() (string, error) {
	if bad := v.facts.checkTelemetry(); bad != nil {
		return "", bad
	}
	if !same(v.report.Telemetry, v.facts.telemetryRows()) {
		return "", fail(ReasonTelemetry, "the report's statements are not the log's")
	}
	return fmt.Sprintf("%d statements", len(v.facts.telemetry)), nil
}

func (v *verifier) stepMeter() (string, error) {
	readings, bad := v.facts.readMeters()
	if bad != nil {
		return "", bad
	}
	s := meterSummary(readings)
	if len(s.Alarms) > 0 {
		return "", fail(ReasonNoiseMeter, "%s", s.Alarms[0])
	}
	if !same(s, v.report.NoiseMeter) {
		return "", fail(ReasonNoiseMeter, "the report's reading is not the log's")
	}
	if len(readings) == 0 {
		return "", errNotChecked{"no round measured its noise"}
	}
	return fmt.Sprintf("%d rounds, worst z %s (round %d), pooled %s", s.Rounds, s.WorstZ, s.WorstRound, s.PooledZ), nil
}

// stepEpsilon derives the whole report again and compares what was computed in floating point within its rounding.
func (v *verifier) stepEpsilon() (string, error) {
	want := *v.report
	if bad := derive(&want, v.facts, v.log); bad != nil {
		return "", bad
	}
	v.want = &want
	if len(want.Claims) != len(v.report.Claims) {
		return "", fail(ReasonEpsilon, "the report makes %d claims, the log supports %d", len(v.report.Claims), len(want.Claims))
	}
	for i := range want.Claims {
		if bad := sameClaim(&want.Claims[i], v.report.Claims[i]); bad != nil {
			return "", bad
		}
	}
	if len(want.Rounds) != len(v.report.Rounds) {
		return "", fail(ReasonContent, "the report lists %d rounds, the log %d", len(v.report.Rounds), len(want.Rounds))
	}
	for i := range want.Rounds {
		if !takeNear(&want.Rounds[i].EpsTotal, v.report.Rounds[i].EpsTotal, 1e-4) {
			return "", fail(ReasonEpsilon, "epsilon after round %d is %s, not %s", want.Rounds[i].Round, want.Rounds[i].EpsTotal, v.report.Rounds[i].EpsTotal)
		}
	}
	v.facts.describe(&want) // with the report's spelling of the same numbers
	if len(want.Claims) == 0 {
		return "no claim is made", nil
	}
	detail := epsilonWords(&want)
	if lone := want.Claims[0].Lone; lone != nil {
		detail += "; a lone honest device: epsilon " + lone.Epsilon
	}
	return detail, nil
}

func sameClaim(want *Claim, have Claim) *Failure {
	if len(want.Epsilons) != len(have.Epsilons) {
		return fail(ReasonEpsilon, "the claim lists %d epsilons, the log supports %d", len(have.Epsilons), len(want.Epsilons))
	}
	for i := range want.Epsilons {
		w, h := &want.Epsilons[i], have.Epsilons[i]
		if w.Delta != h.Delta || w.Accountant != h.Accountant || !takeNear(&w.Epsilon, h.Epsilon, 1e-4) {
			return fail(ReasonEpsilon, "epsilon at delta %s is %s by %s, the report says %s", w.Delta, w.Epsilon, w.Accountant, h.Epsilon)
		}
	}
	want.Sentence = claimSentence(want.View, want.Epsilons[0].Epsilon, want.Epsilons[0].Delta, want.MaxParticipations, want.Rounds)
	if !takeNear(&want.Mu, have.Mu, 1e-6) || (want.Lone == nil) != (have.Lone == nil) || want.Lone != nil && !takeNear(&want.Lone.Epsilon, have.Lone.Epsilon, 1e-4) {
		return fail(ReasonEpsilon, "mu or the lone device's epsilon is not what the log gives")
	}
	return sameCurves(want, have)
}

// sameCurves compares the points of both curves and the accountant that stands beside the claim.
func sameCurves(want *Claim, have Claim) *Failure {
	if len(want.Curve) != len(have.Curve) || len(want.Tradeoff) != len(have.Tradeoff) || (want.PLD == nil) != (have.PLD == nil) {
		return fail(ReasonEpsilon, "a curve of the claim has other points than the log gives")
	}
	for i := range want.Curve {
		if !takeNear(&want.Curve[i].Epsilon, have.Curve[i].Epsilon, 1e-4) {
			return fail(ReasonEpsilon, "epsilon at delta %s is %s, the curve says %s", want.Curve[i].Delta, want.Curve[i].Epsilon, have.Curve[i].Epsilon)
		}
	}
	for i := range want.Tradeoff {
		w, h := &want.Tradeoff[i], have.Tradeoff[i]
		if !takeNear(&w.TPR, h.TPR, 1e-4) || !takeNear(&w.Gaussian, h.Gaussian, 1e-4) {
			return fail(ReasonEpsilon, "the trade-off at a false-positive rate of %s is %s, the report says %s", w.FPR, w.TPR, h.TPR)
		}
	}
	if want.PLD != nil && !takeNear(&want.PLD.Epsilon, have.PLD.Epsilon, 1e-3) {
		return fail(ReasonEpsilon, "epsilon by privacy loss distribution is %s, the report says %s", want.PLD.Epsilon, have.PLD.Epsilon)
	}
	return nil
}

// takeNear takes over the report's spelling of a number where it is the same up to rounding: other processors may
// round the last digit otherwise.
func takeNear(want *string, have string, absolute float64) bool {
	if *want == have {
		return true
	}
	x, err := strconv.ParseFloat(*want, 64)
	y, err2 := strconv.ParseFloat(have, 64)
	if err != nil || err2 != nil || math.IsNaN(y) || !near(y, x, 1e-6, absolute) {
		return false
	}
	*want = have
	return true
}

func (v *verifier) stepBudget() (string, error) {
	if bad := v.facts.checkBudget(v.sums); bad != nil {
		return "", bad
	}
	total := v.sums.first().rho
	if v.sums.first().unbounded {
		total = v.facts.total()
	}
	if v.facts.task.Budget == nil {
		return "", errNotChecked{"the task was opened without a budget; rho " + total.FloatString(6) + " was spent"}
	}
	return fmt.Sprintf("rho %s of %s", total.FloatString(6), v.facts.task.Budget.FloatString(6)), nil
}

func (v *verifier) stepPrivacy() (string, error) {
	if v.want == nil {
		return "", errMissing{"the report could not be derived from the log again"}
	}
	r := v.report
	if r.Privacy != v.want.Privacy || !slices.Equal(r.Alarms, v.want.Alarms) || r.Privacy == PrivacyOff && len(r.Claims) > 0 {
		return "", fail(ReasonPrivacyState, "the report says privacy %q, the log says %q", r.Privacy, v.want.Privacy)
	}
	switch r.Privacy {
	case PrivacyOff:
		return fmt.Sprintf("privacy OFF in %d rounds, and the report says so and claims nothing", len(v.facts.openRounds())), nil
	case PrivacyCentral:
		return fmt.Sprintf("the server added the noise in %d rounds, and the report says so and claims nothing about what it sees", len(v.facts.central())), nil
	}
	return "the devices' noise was on in every round", nil
}

func (v *verifier) stepContent() (string, error) {
	if v.want == nil {
		return "", errMissing{"the report could not be derived from the log again"}
	}
	fixedLimits := v.want.Limitations
	if len(v.report.Limitations) < len(fixedLimits) || !slices.Equal(v.report.Limitations[:len(fixedLimits)], fixedLimits) {
		return "", fail(ReasonContent, "a limitation is missing")
	}
	v.want.Limitations = v.report.Limitations
	want, err := canonical(v.want)
	if err != nil {
		return "", fail(ReasonContent, "%v", err)
	}
	if have := bytes.TrimSuffix(v.raw, []byte("\n")); !bytes.Equal(want, have) { // raw is canonical: Parse saw to it
		return "", fail(ReasonContent, "the section %q is not what the log gives", firstDifference(want, have))
	}
	if bad := checkUtility(v.report.Utility); bad != nil {
		return "", bad
	}
	return fmt.Sprintf("%d bytes", len(want)), nil
}

// firstDifference names the first section in which two reports differ.
func firstDifference(a, b []byte) string {
	var x, y map[string]json.RawMessage
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return "?"
	}
	for _, name := range slices.Sorted(maps.Keys(x)) {
		if !bytes.Equal(x[name], y[name]) {
			return name
		}
	}
	return "?"
}

// same compares two values by their JSON.
func same(a, b any) bool {
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}

func (v *verifier) stepReplay() (string, error) {
	return "", errNotChecked{"this report names the opened sums by digest only; with the sums themselves the models could be recomputed"}
}

func (v *verifier) stepParticipation() (string, error) {
	return "", errNotChecked{"the sets are named by their Merkle roots; in the claim, " + v.sums.first().inWords}
}

func (v *verifier) stepDeclared() (string, error) {
	return "", errNotChecked{"who runs the committee and enrols devices, and the quality figures, are the operator's word"}
}
