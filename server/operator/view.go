// Package operator is what an operator sees of a running task and does to it: the View that any replica makes from the
// store, the gRPC service Operator, the metrics for Prometheus, the spans for OpenTelemetry, and the alert rules.
//
// # Who may see it
//
// A View holds counts and no row of any device: no identity, no address, nothing that names one. Its counts of devices
// (Counted, Staged, Accepted, Refused, Late, Enrolled) are exact, so they are for the operator alone, who runs the server
// that counts; what a task tells the world goes through differential privacy (Quality, and privacy/telemetry in the log).
// Metrics and traces are the same counts and are kept by the operator, not published.
package operator

import "time"

// View is one picture of a task, as its store has it.
type View struct {
	At       time.Time `json:"at"`
	Task     string    `json:"task"`
	Purpose  string    `json:"purpose"`
	Opened   time.Time `json:"opened"` // when the task was logged
	State    State     `json:"state"`
	Sentence string    `json:"sentence"` // where the task stands, in plain words
	Counts   string    `json:"counts"`   // what the counts of devices are, and whom they are for (Counts)

	Privacy  Privacy   `json:"privacy"`
	Budget   Budget    `json:"budget"`
	Devices  Devices   `json:"devices"`
	Open     *Open     `json:"open,omitempty"` // the round under way; absent between rounds
	Rounds   []Round   `json:"rounds"`         // newest first, without the one under way; at most MaxRounds
	Totals   Totals    `json:"totals"`
	Quality  []Quality `json:"quality"` // newest first
	Nodes    []Node    `json:"nodes"`   // of the committee, in their configured order
	Versions []Version `json:"versions"`
	Aliases  []Alias   `json:"aliases"`
	Log      Log       `json:"log"`
	Replicas []Replica `json:"replicas"`
	Leases   []Lease   `json:"leases"`
	Machine  Machine   `json:"machine"` // of the replica that answers

	Warnings []Warning `json:"warnings"` // what a person should look at, the worst first
}

// Counts goes with every View, so that whoever is shown one knows what it holds.
const Counts = "exact, for the operator alone"

// MaxRounds bounds View.Rounds, MaxVersions View.Versions.
const MaxRounds, MaxVersions = 200, 50

// State is what a task is doing. The set is closed.
type State string

// The states of a task.
const (
	Running  State = "running"  // rounds open as the recipe wants
	Paused   State = "paused"   // no new round opens; the one under way ends
	Stopped  State = "stopped"  // ended by the operator: devices are told that the task is over
	Finished State = "finished" // the recipe is done, or the budget bears no further round
)

// Privacy says what protects the devices.
type Privacy struct {
	On    bool   `json:"on"`    // noise is added; false: nothing is claimed
	Trust string `json:"trust"` // who adds the noise: "devices" (each a share of it), "central" or "central-mf" (the operator, who sees sums without)
	Words string `json:"words"`
}

// Budget is the task's privacy budget. Epsilon is of the claim (Epsilon, Delta) that Rho of zero-concentrated differential
// privacy gives; shares of it (Spent, Reserved, Held) are given in both, though epsilon does not add up.
type Budget struct {
	Bounded  bool    `json:"bounded"` // false: noise is off and there is no bound
	Delta    string  `json:"delta"`
	Rho      float64 `json:"rho"`      // in all
	Epsilon  float64 `json:"epsilon"`  // in all
	Spent    Cost    `json:"spent"`    // charged by certificates
	Reserved Cost    `json:"reserved"` // of the round under way
	Held     Cost    `json:"held"`     // of rounds that were abandoned without a certificate: devices keep their charge
	Left     float64 `json:"left"`     // share of Rho that neither is spent nor reserved nor held, 0..1

	History []Spending `json:"history"` // for a burn-down, oldest first, beginning with the full budget

	Forecast Forecast `json:"forecast"`
}

// Cost is an amount of rho, and the epsilon that it gives by itself.
type Cost struct {
	Rho     float64 `json:"rho"`
	Epsilon float64 `json:"epsilon"`
}

// Spending is what was spent when a round, or a statement, had charged it.
type Spending struct {
	At    time.Time `json:"at"`
	Round uint64    `json:"round"` // 0: the beginning, or a statement that belongs to no round
	What  string    `json:"what"`  // "opening", a kind of round, or "telemetry"
	Rho   float64   `json:"rho"`   // of this one
	Spent Cost      `json:"spent"` // in all
}

// Forecast says when the budget bears no further round, if rounds go on at the pace and the cost of the last ones.
type Forecast struct {
	Known  bool      `json:"known"` // false: fewer than two rounds were charged, or nothing is spent
	Rounds int       `json:"rounds"`
	Stop   time.Time `json:"stop"`
	Words  string    `json:"words"`
}

// Devices are exact counts, for the operator alone.
type Devices struct {
	Enrolled int `json:"enrolled"`
	Wanted   int `json:"wanted"`  // enrolled devices that the next round waits for
	Counted  int `json:"counted"` // different devices that were in a sum at least once
	Most     int `json:"most"`    // rounds that the one with the most was in
}

// Open is the round under way.
type Open struct {
	Number   uint64    `json:"number"`
	Kind     string    `json:"kind"`  // popularity, transitions, model
	Phase    string    `json:"phase"` // created, collecting, frozen, certified, released, applied
	Words    string    `json:"words"` // the phase in plain words
	Since    time.Time `json:"since"` // when the phase began
	Opened   time.Time `json:"opened"`
	Deadline time.Time `json:"deadline"` // for uploads
	Goal     int       `json:"goal"`     // accepted uploads that close the collection early, over all groups
	Min      int       `json:"min"`      // of one group
	Max      int       `json:"max"`      // of one group
	Groups   int       `json:"groups"`
	Staged   int       `json:"staged"`
	Accepted int       `json:"accepted"` // by the committee
	Refused  []Reason  `json:"refused"`
	Cost     Cost      `json:"cost"`
	Phases   []Phase   `json:"phases"` // behind it and the one that it is in
}

// Phase is how long a round was, or has been, in one state.
type Phase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// Reason is how many uploads, or rounds, met a reason of a closed set. Label is the metric's label.
type Reason struct {
	Label string `json:"label"`
	Words string `json:"words"`
	Count int    `json:"count"`
}

// Round is a round that has ended.
type Round struct {
	Number   uint64    `json:"number"`
	Kind     string    `json:"kind"`
	State    string    `json:"state"`            // published, abandoned, lost
	Reason   string    `json:"reason,omitempty"` // label of why it was abandoned or lost
	Words    string    `json:"words"`            // what became of it, in one sentence
	Opened   time.Time `json:"opened"`
	Ended    time.Time `json:"ended"`
	Seconds  float64   `json:"seconds"`
	Goal     int       `json:"goal"`
	Collect  float64   `json:"collect"` // seconds that it took uploads at most
	Groups   int       `json:"groups"`
	Counted  int       `json:"counted"`
	Staged   int       `json:"staged"`
	Late     int       `json:"late"`
	Refused  []Reason  `json:"refused"` // uploads that were dropped, by reason
	Phases   []Phase   `json:"phases"`  // in order; of the group that took longest
	Meter    *Meter    `json:"meter,omitempty"`
	Cost     Cost      `json:"cost"`
	Charged  bool      `json:"charged"` // false: it cost nothing, see Words
	Version  uint64    `json:"version,omitempty"`
	Measured []Figure  `json:"measured,omitempty"` // see Quality
}

// Meter is the noise meter's reading: the variance on coordinates that carry nothing but noise, over the promised one.
type Meter struct {
	Coords int     `json:"coords"`
	Ratio  float64 `json:"ratio"` // 1: as promised
	Z      float64 `json:"z"`     // standard errors between the two
	Off    bool    `json:"off"`   // |Z| > MeterLimit
}

// MeterLimit is the |z| beyond which the noise meter is off. An honest round exceeds it with probability 6e-7.
const MeterLimit = 5

// Totals are over all rounds that the store has, also those beyond MaxRounds.
type Totals struct {
	Rounds    int `json:"rounds"`
	Published int `json:"published"`
	Abandoned int `json:"abandoned"`
	Lost      int `json:"lost"`
	Counted   int `json:"counted"`  // uploads in published sums
	InARow    int `json:"in_a_row"` // rounds since the last published one that ended without a sum

	Abandons []Reason    `json:"abandons"` // why rounds were abandoned
	Refused  []Reason    `json:"refused"`  // uploads that were dropped, over all rounds that the store still tells of
	Phases   []Histogram `json:"phases"`   // how long rounds were in each phase
}

// Quality is what the devices told of the model in one round, with differential privacy. It measures the version that the
// round began from.
type Quality struct {
	Round   uint64    `json:"round"`
	Version uint64    `json:"version"`
	At      time.Time `json:"at"`
	Figures []Figure  `json:"figures"`
}

// Figure is one number with its 95 % interval, which comes from the noise alone.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// Node is a committee node as the server meets it.
type Node struct {
	Address    string     `json:"address"`
	Up         bool       `json:"up"` // as far as anybody knows: asked, and not said to be away since
	Seen       *time.Time `json:"seen,omitempty"`
	AwaySince  *time.Time `json:"away_since,omitempty"`
	Complaints int        `json:"complaints"` // uploads about which it complained alone
	Wrong      int        `json:"wrong"`      // answers that the others' corrected
}

// Version is a published model version.
type Version struct {
	Number uint64    `json:"number"`
	Digest string    `json:"digest"` // SHA-256, hex
	Parent string    `json:"parent,omitempty"`
	Round  uint64    `json:"round,omitempty"` // that made it; 0: none did
	Cause  string    `json:"cause"`
	At     time.Time `json:"at"`
}

// Alias points at a version: "latest", "stable", or a roll-out, which a share of the devices follows.
type Alias struct {
	Name    string    `json:"name"`
	Number  uint64    `json:"number"`
	Percent int       `json:"percent"`
	Since   time.Time `json:"since"`
	Note    string    `json:"note,omitempty"`
}

// Log is the transparency log.
type Log struct {
	Origin     string     `json:"origin"`
	Size       uint64     `json:"size"`
	Root       string     `json:"root"` // hex
	Checkpoint string     `json:"checkpoint"`
	Last       *time.Time `json:"last,omitempty"` // time of the newest record
	Verdict    Verdict    `json:"verdict"`
}

// Verdict is what a check of the whole log by the server itself came to. Only a check by somebody else says that this log is
// the one that devices see: tutti verify.
type Verdict struct {
	State string     `json:"state"` // "ok", "failed", "unchecked"
	At    *time.Time `json:"at,omitempty"`
	Size  uint64     `json:"size"` // records that were checked
	Words string     `json:"words"`
}

// Replica is a server that was seen at this store.
type Replica struct {
	Name    string    `json:"name"`
	Seen    time.Time `json:"seen"`
	Drives  bool      `json:"drives"`  // holds the task's lease
	Answers bool      `json:"answers"` // is the one that made this view
}

// Lease is a lease of the store.
type Lease struct {
	Name   string    `json:"name"`
	Holder string    `json:"holder"`
	Token  uint64    `json:"token"`
	Until  time.Time `json:"until"`
}

// Machine is the replica that answers.
type Machine struct {
	Certificate *time.Time `json:"certificate,omitempty"` // when the listener's certificate ends
	DiskFree    uint64     `json:"disk_free"`             // bytes, of the data directory's file system
	DiskTotal   uint64     `json:"disk_total"`
	Memory      uint64     `json:"memory"` // bytes that the process holds
	Started     time.Time  `json:"started"`
	Release     string     `json:"release"`
}

// Warning is what a person should look at. Label is from a closed set (Labels).
type Warning struct {
	Label   string `json:"label"`
	Grave   bool   `json:"grave"` // rounds fail, or soon will
	Words   string `json:"words"`
	Remedy  string `json:"remedy,omitempty"`
	Subject string `json:"subject,omitempty"` // a node's address, a replica
}
