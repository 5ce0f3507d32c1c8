// Package report says what a task's rounds cost and how they went, so that anyone can recompute it.
//
// Build derives every number from the ledger's records, apart from what only the operator can state (who runs the
// committee, how good the recommendations are), which is marked as declared. The report is one line of canonical JSON
// with the operator's Ed25519 signature; HTML renders it as one self-contained page; Verify recomputes it from
// report.json and ledger.jsonl alone, offline, step by step, with a named reason for whatever does not hold.
//
// All quantities are strings: rho is an exact fraction, everything else a decimal.
package report

// Schema is the version of the format.
const Schema = "tutti.report/v1"

// Values of Report.Privacy.
const (
	PrivacyOn  = "on"
	PrivacyOff = "OFF" // at least one round had no noise or no masks: nothing is claimed
)

// Report is the content of report.json.
type Report struct {
	Schema       string       `json:"schema"`
	Run          Run          `json:"run"`
	Task         Task         `json:"task"`
	Setting      Setting      `json:"setting"`
	Privacy      string       `json:"privacy"`
	Alarms       []string     `json:"alarms"` // what a reader must see first
	Claims       []Claim      `json:"claims"`
	NotCovered   []string     `json:"not_covered"`
	Assumptions  []Assumption `json:"assumptions"`
	Security     Security     `json:"security"`
	Accounting   Accounting   `json:"accounting"`
	Rounds       []Round      `json:"rounds"`
	Abandoned    []Abandoned  `json:"abandoned"`
	Dropout      Dropout      `json:"dropout"`
	NoiseMeter   NoiseMeter   `json:"noise_meter"`
	Telemetry    []Telemetry  `json:"telemetry"`
	Utility      []Utility    `json:"utility"`
	Limitations  []string     `json:"limitations"`
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

// Claim is what a person is told. With privacy off there is none.
type Claim struct {
	View              string    `json:"view"` // "server"
	Sentence          string    `json:"sentence"`
	Adversary         string    `json:"adversary"`
	Covers            []string  `json:"covers"`
	Unit              string    `json:"unit"`
	Adjacency         string    `json:"adjacency"`
	MaxParticipations uint64    `json:"max_participations"` // rounds that one device can be in
	Notion            string    `json:"notion"`
	Rho               string    `json:"rho"`
	RhoDecimal        string    `json:"rho_decimal"`
	Mu                string    `json:"gdp_mu"`
	Epsilons          []Epsilon `json:"eps_delta"`
	Lone              Lone      `json:"lone_honest_device"`
	Tier              string    `json:"tier"`
}

// Epsilon is one point of the guarantee.
type Epsilon struct {
	Delta      string `json:"delta"`
	Epsilon    string `json:"eps"`
	Accountant string `json:"accountant"`
	Note       string `json:"note"`
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
	Rho      string `json:"rho"`       // "": noise off
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
