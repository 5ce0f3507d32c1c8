// Package report says what a task's rounds cost and how they went, so that anyone can recompute it.
//
// Build derives every number from the ledger's records, apart from what only the operator can state (who runs the
// committee, how good the recommendations are), which is marked as declared, and from the audits and attacks, whose
// scores travel with them. The report is one line of canonical JSON with the operator's Ed25519 signature; HTML renders
// it as one self-contained page; Verify recomputes it from report.json and ledger.jsonl alone, offline, step by step,
// with a named reason for whatever does not hold. JSONSchema describes the form.
//
// All quantities are strings: rho is an exact fraction, everything else a decimal.
package report

import "tutti/privacy/audit"

// Schema is the version of the format.
const Schema = "tutti.report/v2"

// Values of Report.Privacy.
const (
	PrivacyOn      = "on"
	PrivacyCentral = "CENTRAL" // the server was trusted to add the noise: nothing is claimed about what it sees
	PrivacyOff     = "OFF"     // at least one round had no noise: nothing is claimed
)

// Views of a claim: whose eyes it is about.
const (
	ViewServer   = "server"         // sees every opened sum, and who took part
	ViewReleased = "released_model" // sees the model versions, the statements and this report
)

// Report is the content of report.json.
type Report struct {
	Schema      string       `json:"schema"`
	Run         Run          `json:"run"`
	Task        Task         `json:"task"`
	Setting     Setting      `json:"setting"`
	Privacy     string       `json:"privacy"`
	Alarms      []string     `json:"alarms"` // what a reader must see first
	Claims      []Claim      `json:"claims"`
	NotCovered  []string     `json:"not_covered"`
	Assumptions []Assumption `json:"assumptions"`
	Security    Security     `json:"security"`
	Accounting  Accounting   `json:"accounting"`
	Rounds      []Round      `json:"rounds"`
	Abandoned   []Abandoned  `json:"abandoned"`
	Dropout     Dropout      `json:"dropout"`
	NoiseMeter  NoiseMeter   `json:"noise_meter"`
	Metrics     []Metric     `json:"metrics"`
	Telemetry   []Telemetry  `json:"telemetry"`
	Utility     []Utility    `json:"utility"`
	ModelCard   ModelCard    `json:"model_card"`
	Limitations []string     `json:"limitations"`

	Audits  []audit.Section `json:"audits"`  // statistics on canaries and noise
	Attacks []audit.Section `json:"attacks"` // what an attacker would do

	NIST    []Finding `json:"nist_800_226"`
	OpenDP  []Finding `json:"opendp_registry"`
	DPIA    DPIA      `json:"dpia"`
	Reading []Check   `json:"what_a_reader_can_verify"`

	Transparency Transparency `json:"transparency"`
	Reproduce    Reproduce    `json:"reproduce"`
	Signature    Signature    `json:"signature"`
}

// Run says what was run. Declared by the operator.
type Run struct {
	ID       string `json:"id"`
	Created  string `json:"created"` // RFC 3339, UTC
	Operator string `json:"operator"`
	Version  string `json:"version"` // of the software
	Go       string `json:"go"`
}

// Task repeats the ledger's record of the task.
type Task struct {
	Name      string `json:"name"`
	Purpose   string `json:"purpose"`
	Unit      string `json:"unit"`
	Adjacency string `json:"adjacency"`
	Delta     string `json:"delta"`
	Budget    string `json:"budget_rho"` // "num/den"; "": none
}

// Setting is what only the operator knows. Declared, not derived.
type Setting struct {
	Devices          uint64 `json:"devices"`                // enrolled
	SelfEnrolled     bool   `json:"self_enrolled"`          // the server itself enrols devices
	CommitteeOneRoof bool   `json:"committee_in_one_place"` // one party runs all its members
	Data             string `json:"data"`                   // what the devices held, in words
}

// Claim is what a person is told about one view. With privacy off there is none; where the server adds the noise there
// is none about the server.
type Claim struct {
	View              string     `json:"view"` // ViewServer or ViewReleased
	Sentence          string     `json:"sentence"`
	Adversary         string     `json:"adversary"`
	Covers            []string   `json:"covers"`
	Unit              string     `json:"unit"`
	Adjacency         string     `json:"adjacency"`
	Rounds            uint64     `json:"rounds"`             // that the claim is about
	MaxParticipations uint64     `json:"max_participations"` // of these that one device can be in
	MinSeparation     uint64     `json:"min_separation"`     // rounds between two of them, the second counted
	Participation     string     `json:"participation"`      // how the worst device was found
	Notion            string     `json:"notion"`
	Rho               string     `json:"rho"`
	RhoDecimal        string     `json:"rho_decimal"`
	Mu                string     `json:"gdp_mu"`
	Epsilons          []Epsilon  `json:"eps_delta"`
	Curve             []Point    `json:"eps_delta_curve"` // delta and epsilon, for the chart
	PLD               *PLD       `json:"pld"`             // null: not computed
	Tradeoff          []Tradeoff `json:"tradeoff"`
	Lone              *Lone      `json:"lone_honest_device"` // null: the noise is not the devices'
	Tier              string     `json:"tier"`
}

// Epsilon is one point of the guarantee.
type Epsilon struct {
	Delta      string `json:"delta"`
	Epsilon    string `json:"eps"`
	Accountant string `json:"accountant"`
	Note       string `json:"note"`
}

// Point is one point of the curve of epsilon over delta.
type Point struct {
	Delta   string `json:"delta"`
	Epsilon string `json:"eps"`
}

// PLD is epsilon by the privacy loss distribution: of Gaussian noise of the same variance, beside the claim and not it.
type PLD struct {
	Delta       string `json:"delta"`
	Epsilon     string `json:"eps_pess"`
	Interval    string `json:"h"` // of the grid
	Informative bool   `json:"informative"`
	Note        string `json:"note"`
}

// Tradeoff is how good any test can be that asks whether one device's data was used: at a false-positive rate, the
// largest true-positive rate.
type Tradeoff struct {
	FPR      string `json:"fpr"`
	TPR      string `json:"tpr_max"`          // by the claim's own notion: valid
	Gaussian string `json:"tpr_max_gaussian"` // of Gaussian noise of the same rho, to compare
}

// Lone is the guarantee left to a device when every other device is false and takes its own noise off.
type Lone struct {
	Rho     string `json:"rho"`
	Delta   string `json:"delta"`
	Epsilon string `json:"eps"`
}

// Assumption is something the claim rests on.
type Assumption struct {
	ID         string `json:"id"`
	Text       string `json:"text"`
	EnforcedBy string `json:"enforced_by"`
	Status     string `json:"status"` // enforced, assumed, not enforced
}

// Security says how the sum was kept sealed.
type Security struct {
	Protocol  string `json:"protocol"`
	Members   uint64 `json:"committee_members"`
	Corrupt   uint64 `json:"committee_corrupt_assumed"`
	Quorum    uint64 `json:"committee_quorum"`
	Enroller  string `json:"enroller"`
	Committee string `json:"committee"`
}

// Accounting says where the budget went.
type Accounting struct {
	Formula string  `json:"formula"`
	Rho     string  `json:"rho"` // of everything with noise
	Spent   []Spent `json:"spent"`
}

// Spent is the part of one kind of release.
type Spent struct {
	What     string `json:"what"`
	Releases uint64 `json:"releases"`
	Rho      string `json:"rho"`
	Share    string `json:"share"` // decimal, of Accounting.Rho
}

// Round is one opened, or at least charged, sum.
type Round struct {
	Round    uint64 `json:"round"`
	What     string `json:"what"`
	Seq      uint64 `json:"seq"`
	PlanSeq  uint64 `json:"plan_seq"`
	Time     string `json:"time"`
	Outcome  string `json:"outcome"`
	Survived uint64 `json:"survived"`
	NMin     uint64 `json:"n_min"`
	NMax     uint64 `json:"n_max"`
	Colluder uint64 `json:"colluders"`
	Dim      uint64 `json:"dim"`
	Padded   uint64 `json:"padded_dim"`
	Clip     string `json:"clip"`
	ClipGrid uint64 `json:"clip_grid"`
	L2Bound  uint64 `json:"l2_bound_int"`
	Sigma2   string `json:"sigma2_int"`
	Z        string `json:"z"`
	Noise    bool   `json:"noise"`
	Central  string `json:"central"`   // noise that the server added to the sum: "" (none), "gaussian" or "blt"
	Rho      string `json:"rho"`       // of everything in the round, metrics included; "": noise off
	RhoTotal string `json:"rho_total"` // of the task so far, telemetry included
	EpsTotal string `json:"eps_total"` // the same at the task's delta
	MeterZ   string `json:"meter_z"`   // "": not measured
	Ratio    string `json:"meter_ratio"`
	Before   string `json:"model_before"`
	After    string `json:"model_after"`
	Sum      string `json:"aggregate"`
	Cert     string `json:"certificate"`
	Set      string `json:"participants_root"`

	Groups []Group `json:"groups,omitempty"` // of a round that was split; its sum, certificate and set are then digests of theirs
}

// Group is one sum of a round that was split by lot. A device is in one group: the round costs what one group costs.
type Group struct {
	Outcome  string `json:"outcome"` // published, lost or abandoned
	Survived uint64 `json:"survived"`
	Sum      string `json:"aggregate"`
	Cert     string `json:"certificate"`
	Set      string `json:"participants_root"`
	Reason   string `json:"reason"` // why there is no sum
}

// Abandoned is a round of which nothing was opened.
type Abandoned struct {
	Round     uint64 `json:"round"`
	What      string `json:"what"`
	Seq       uint64 `json:"seq"`
	Reason    string `json:"reason"`
	Certified bool   `json:"certified"` // the committee signed it, so devices took their charge back
}

// Dropout sums up who came.
type Dropout struct {
	Rounds    uint64 `json:"rounds"`
	Published uint64 `json:"published"`
	Lost      uint64 `json:"lost"`
	Abandoned uint64 `json:"abandoned"`
	Pending   uint64 `json:"pending"` // planned and not ended when the report was made
	Min       uint64 `json:"survived_min"`
	Median    uint64 `json:"survived_median"`
	Max       uint64 `json:"survived_max"`
}

// NoiseMeter sums up what the pad coordinates said. It finds faulty devices; an adversary can hide from it, so no claim
// rests on it.
type NoiseMeter struct {
	Rounds     uint64   `json:"rounds"`
	PooledZ    string   `json:"pooled_z"`
	WorstZ     string   `json:"worst_z"`
	WorstRound uint64   `json:"worst_round"`
	Alarms     []string `json:"alarms"`
}

// Metric is one figure that only devices know, as it was opened from the secure sum of a round.
type Metric struct {
	Round uint64 `json:"round"`
	Seq   uint64 `json:"seq"`
	Name  string `json:"name"`
	Value string `json:"value"`
	Low   string `json:"low"`
	High  string `json:"high"`
}

// Telemetry is one differentially private statement about participation.
type Telemetry struct {
	Seq     uint64         `json:"seq"`
	Round   uint64         `json:"round"`
	Times   uint64         `json:"times"`
	Metric  string         `json:"metric"`
	Epsilon string         `json:"eps"`
	Delta   string         `json:"delta"`
	Noise   string         `json:"noise"`
	Rows    []TelemetryRow `json:"rows"`
}

// TelemetryRow is one number with its 95 % interval.
type TelemetryRow struct {
	Label string `json:"label"`
	Value string `json:"value"`
	Low   string `json:"low"`
	High  string `json:"high"`
}

// Utility is the quality of one recommender. Declared, and measured in the run.
type Utility struct {
	Name    string `json:"name"`
	Private bool   `json:"private"` // made only of what the claim covers
	NDCG    Value  `json:"ndcg10"`
	HR      Value  `json:"hr10"`
	Users   uint64 `json:"users"` // evaluated
	Note    string `json:"note"`
}

// Value is a decimal with its 95 % interval.
type Value struct {
	Value string `json:"value"`
	Low   string `json:"low"`
	High  string `json:"high"`
}

// ModelCard is the part about the model: what it was made of, how good it is for whom, and its limits.
type ModelCard struct {
	Data   []string   `json:"data_kinds"`
	Use    string     `json:"intended_use"`
	Model  string     `json:"model"` // newest version, hex; "": none
	Groups []GroupRow `json:"quality_per_group"`
	Note   string     `json:"note"` // on the groups
	Limits []string   `json:"limits"`
}

// GroupRow is the quality that devices measured on themselves, newest round of each figure.
type GroupRow struct {
	Group string `json:"group"` // "all" where the name has none
	Name  string `json:"name"`
	Round uint64 `json:"round"`
	Value string `json:"value"`
	Low   string `json:"low"`
	High  string `json:"high"`
}

// Finding is one row of a scheme by which others describe private releases.
type Finding struct {
	Item    string `json:"item"`
	Finding string `json:"finding"`
	Ref     string `json:"ref"` // section of this report
}

// DPIA is the annex for a data protection impact assessment (GDPR, Article 35(7)). It prepares one; the controller's own
// assessment is more than this.
type DPIA struct {
	Description  string   `json:"description"`
	Purposes     string   `json:"purposes"`
	Necessity    []string `json:"necessity"`
	Risks        []Risk   `json:"risks"`
	Residual     []string `json:"residual"`
	Consultation string   `json:"consultation"`
}

// Risk is one risk with what stands against it and the test that measured it.
type Risk struct {
	Risk     string `json:"risk"`
	Severity string `json:"severity"`
	Measure  string `json:"measure"`
	Test     string `json:"test"`   // where the test stands in this report; "": there is none
	Result   string `json:"result"` // what it found; "not measured in this report" where there is none
}

// Check is something that a reader can, or cannot, verify from the report and the log alone.
type Check struct {
	What string `json:"what"`
	Can  string `json:"can"` // yes, no, or partly
	How  string `json:"how"`
}

// Transparency ties the report to the log.
type Transparency struct {
	Origin     string `json:"log_origin"`
	Operator   string `json:"operator_key"` // Ed25519, hex
	Checkpoint string `json:"checkpoint"`   // signed note
	TreeSize   uint64 `json:"tree_size"`
	Root       string `json:"root"` // hex
	FirstSeq   uint64 `json:"first_seq"`
	LastSeq    uint64 `json:"last_seq"`
	Leaves     uint64 `json:"leaves"` // records of this task
}

// Reproduce says how a reader checks the report.
type Reproduce struct {
	Command    string `json:"command"`
	SeedPolicy string `json:"seed_policy"`
	Replay     string `json:"replay"`
}

// Signature is the operator's, over the canonical report with an empty Sig.
type Signature struct {
	Alg string `json:"alg"`
	Key string `json:"key"` // hex
	Sig string `json:"sig"` // hex
}
