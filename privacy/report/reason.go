package report

import "fmt"

// Reason is the closed list of why a report fails verification. The zero value means that it does not.
type Reason uint8

// The reasons.
const (
	ReasonNone         Reason = iota
	ReasonForm                // report.json is not canonical JSON of this schema
	ReasonSignature           // the signature does not hold
	ReasonOperator            // signed by another key than the pinned one, or than the log's
	ReasonLedgerLine          // a line of ledger.jsonl is not a record
	ReasonTree                // the ledger is not the one whose root the report names
	ReasonCheckpoint          // the checkpoint is not the operator's, or not of this tree
	ReasonSequence            // a record is missing, added or moved
	ReasonPrev                // a record does not name the one before it
	ReasonTime                // time goes back
	ReasonTask                // the task is not opened once
	ReasonPlan                // a round without its signed plan, or under another one
	ReasonRound               // a round contradicts itself
	ReasonModelChain          // model versions do not follow each other
	ReasonMechanism           // clip, bound or noise of a round break the formulas or the plan
	ReasonCohort              // a sum over fewer, or more, devices than promised
	ReasonRho                 // a round's cost is not what its numbers give
	ReasonEpsilon             // the claim is not what the costs add up to
	ReasonBudget              // more was spent than allowed
	ReasonNoiseMeter          // the measured noise is not the promised one
	ReasonTelemetry           // a statement about participation is not charged, or not the log's
	ReasonPrivacyState        // a round without noise or masks is not said to be one
	ReasonNote                // a revealed digest was not committed to
	ReasonAudit               // an audit does not follow from its scores or its commitment
	ReasonAuditGate           // an audit found more than the claim allows
	ReasonReplay              // a model does not follow from the opened sums
	ReasonContent             // another part of the report is not what the log gives
	reasonCount
)

var reasonLabels = [reasonCount]string{
	ReasonNone: "none", ReasonForm: "form", ReasonSignature: "signature", ReasonOperator: "operator-key",
	ReasonLedgerLine: "ledger-line", ReasonTree: "tree-root", ReasonCheckpoint: "checkpoint", ReasonSequence: "sequence",
	ReasonPrev: "prev-hash", ReasonTime: "time", ReasonTask: "task", ReasonPlan: "plan", ReasonRound: "round",
	ReasonModelChain: "model-chain", ReasonMechanism: "mechanism", ReasonCohort: "cohort", ReasonRho: "rho",
	ReasonEpsilon: "epsilon", ReasonBudget: "budget", ReasonNoiseMeter: "noise-meter", ReasonTelemetry: "telemetry",
	ReasonPrivacyState: "privacy-state", ReasonNote: "note", ReasonAudit: "audit",
	ReasonAuditGate: "audit-gate", ReasonReplay: "replay", ReasonContent: "content",
}

// String is the reason's label.
func (r Reason) String() string {
	if r < reasonCount {
		return reasonLabels[r]
	}
	return fmt.Sprintf("reason(%d)", uint8(r))
}

// Failure is one thing that does not hold.
type Failure struct {
	Reason Reason
	Detail string
}

func (f *Failure) Error() string { return f.Reason.String() + ": " + f.Detail }

func fail(r Reason, format string, args ...any) *Failure {
	return &Failure{r, fmt.Sprintf(format, args...)}
}
