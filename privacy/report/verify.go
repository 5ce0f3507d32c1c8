package report

import (
	"crypto/ed25519"
	"errors"

	"tutti/privacy/ledger"
)

// Verdict is what came out of one step.
type Verdict string

// The verdicts of a step.
const (
	OK         Verdict = "ok"
	Failed     Verdict = "FAILED"
	NotChecked Verdict = "not checked" // cannot be checked from these files; the detail says what would be needed
	NotRun     Verdict = "not run"     // rests on a step that failed or on a file that is missing
)

// Overall is the verdict on a report.
type Overall string

// The verdicts on a report.
const (
	Verified   Overall = "VERIFIED"
	FailedAll  Overall = "FAILED"
	Incomplete Overall = "INCOMPLETE"
)

// Step is one row of the verification.
type Step struct {
	N       int
	Name    string
	Verdict Verdict
	Reason  Reason // of a failure
	Detail  string
}

// Result is the whole verification.
type Result struct {
	Overall Overall
	Reason  Reason // of the first failure
	Steps   []Step
	Report  *Report // nil when it could not be read
}

// Options are what a verifier brings along.
type Options struct {
	Operator ed25519.PublicKey // the operator's key, had from elsewhere; nil: the report's own is taken, and said so
	Older    [][]byte          // signed checkpoints that this reader, or someone, kept from earlier
}

// verifier carries what earlier steps found.
type verifier struct {
	opt     Options
	raw     []byte
	lines   []byte
	report  *Report
	signer  ed25519.PublicKey
	records []ledger.Record
	log     *ledger.Log
	facts   *facts
	sums    accounts
	want    *Report // what the log gives
}

// errMissing and errNotChecked are outcomes of a step that are neither ok nor a failure.
type (
	errMissing    struct{ what string }
	errNotChecked struct{ what string }
)

func (e errMissing) Error() string    { return e.what }
func (e errNotChecked) Error() string { return e.what }

// Verify recomputes a report from the two files alone. ledger may be nil: then everything that rests on it is not run
// and the verdict is Incomplete.
func Verify(report, ledgerLines []byte, opt Options) Result {
	v := &verifier{opt: opt, raw: report, lines: ledgerLines}
	steps := []struct {
		name string
		base bool // later steps rest on it
		run  func() (string, error)
	}{
		{"The report is canonical JSON of a known schema", true, v.stepForm},
		{"The operator's signature holds", true, v.stepSignature},
		{"The operator is the one the reader knows", false, v.stepOperator},
		{"Every line of the ledger is a record", true, v.stepLines},
		{"Records follow each other: sequence, hashes, time, plan before round, models", true, v.stepChain},
		{"The ledger is the signed log, and extends every older checkpoint", true, v.stepTree},
		{"Every plan is signed by the operator of the log and the report", true, v.stepPlans},
		{"Clip, bound and noise satisfy the formulas, as planned", true, v.stepMechanism},
		{"No sum was opened over fewer devices than promised", false, v.stepCohort},
		{"rho of every round, recomputed exactly, and their sum", false, v.stepRho},
		{"Statements about participation are charged and are the log's", false, v.stepTelemetry},
		{"Noise meter", false, v.stepMeter},
		{"epsilon and mu, recomputed", false, v.stepEpsilon},
		{"Spent within the budget", false, v.stepBudget},
		{"Rounds without noise, or with the server's, are said to be so", false, v.stepPrivacy},
		{"Everything else in the report is what the log gives", false, v.stepContent},
		{"Audits and attacks: recomputed from their scores and commitments; no gate failed", false, v.stepAudits},
		{"The published models follow from the opened sums", false, v.stepReplay},
		{"How often each device took part", false, v.stepParticipation},
		{"What the operator declared: setting and quality", false, v.stepDeclared},
	}
	res := Result{Overall: Verified}
	blocked := false
	for i, s := range steps {
		step := Step{N: i + 1, Name: s.name, Verdict: NotRun}
		if !blocked {
			detail, err := s.run()
			step.Verdict, step.Detail = OK, detail
			res.judge(&step, err)
			blocked = s.base && (step.Verdict == Failed || step.Verdict == NotRun)
		}
		res.Steps = append(res.Steps, step)
	}
	res.Report = v.report
	return res
}

// judge turns a step's error into its verdict and the report's.
func (res *Result) judge(step *Step, err error) {
	var missing errMissing
	var skipped errNotChecked
	var failure *Failure
	switch {
	case err == nil:
	case errors.As(err, &missing):
		step.Verdict, step.Detail = NotRun, missing.what
		if res.Overall == Verified {
			res.Overall = Incomplete
		}
	case errors.As(err, &skipped):
		step.Verdict, step.Detail = NotChecked, skipped.what
	default:
		step.Verdict, step.Reason, step.Detail = Failed, ReasonForm, err.Error()
		if errors.As(err, &failure) {
			step.Reason, step.Detail = failure.Reason, failure.Detail
		}
		if res.Overall != FailedAll {
			res.Overall, res.Reason = FailedAll, step.Reason
		}
	}
}

// or avoids the typed nil: a nil *Failure is no error.
func (f *Failure) or() error {
	if f == nil {
		return nil
	}
	return f
}
