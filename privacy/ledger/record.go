// Package ledger is the append-only log of every act that spent privacy.
//
// A record is canonical bytes; its leaf hash is RFC 6962's; records also name the leaf before them, so that a list of
// records is a chain even without the tree. The tree is golang.org/x/mod/sumdb/tlog over a store that the caller
// provides, the checkpoint is a signed note (golang.org/x/mod/sumdb/note) under the operator's Ed25519 key. Checkpoints
// travel in every plan: a device keeps the last one and refuses a log that does not extend it, which makes every device
// a witness.
//
// Check and Apply of State hold the rules between records: sequence without gaps, a plan before its round, one round
// per plan, an unbroken chain of model versions, and a budget that is not exceeded.
package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"
)

// MaxRecord bounds the canonical bytes of one record.
const MaxRecord = 64 << 10

// domain leads the canonical bytes of every record; the last byte is the version of the format.
const domain = "tutti/record\x02"

// Digest is a SHA-256 hash.
type Digest = [sha256.Size]byte

// Kind says what a record is about.
type Kind uint8

// The kinds of record. The numbers are part of the format.
const (
	KindTask Kind = 1 + iota
	KindPlan
	KindRound
	KindAbandon
	KindTelemetry
	KindVersion
	KindGroup
	KindNote
	kindEnd
)

var kindNames = [...]string{KindTask: "task", KindPlan: "plan", KindRound: "round", KindAbandon: "abandon", KindTelemetry: "telemetry", KindVersion: "version", KindGroup: "group", KindNote: "note"}

// String is the name of the kind in ledger.jsonl.
func (k Kind) String() string {
	if int(k) < len(kindNames) && k > 0 {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Record is one entry of the log.
type Record struct {
	Seq  uint64 // position in the log, from 0, without gaps
	Time int64  // unix seconds; never before the record before it
	Prev Digest // leaf hash of record Seq-1; zero in the first
	Body Body
}

// Body is what a record says: one of Task, Plan, Round, Abandon, Telemetry, Version, Group, Note (as pointers).
type Body interface {
	Kind() Kind
	TaskName() string
	visit(f fields)
}

// Task opens a task: what every later number refers to. It comes before anything else of that task.
type Task struct {
	Task      string
	Operator  []byte   // Ed25519 key that signs plans, versions, checkpoints and reports
	Purpose   string   // why the task exists, in words
	Unit      string   // unit of privacy: "device"
	Adjacency string   // "zero-out"
	Delta     string   // decimal
	Budget    *big.Rat // rho (zCDP) that one device may lose to the task; nil: no bound is claimed

	Participations uint64 // k: rounds that one device may be in; 0: any number
	Separation     uint64 // b: a device that was in round r is in no round before r+b; 0: no rest between rounds
}

// Plan is the signed policy of one round, logged before any device sees it.
type Plan struct {
	Task      string
	Round     uint64
	What      string   // popularity, transitions, model
	Rho       *big.Rat // what the round will cost; nil: noise is off, the cost is unbounded; 0: its stream is paid for
	Stream    Digest   // of correlated noise that the round belongs to, see plan.Stream; zero: none
	Bytes     []byte   // canonical plan
	Signature []byte   // operator's Ed25519 signature
}

// Digest names the plan: SHA-256 of its canonical bytes.
func (p *Plan) Digest() Digest { return sha256.Sum256(p.Bytes) }

// Outcomes of a round whose release was asked for.
const (
	Published = "published" // the sum was opened and used
	Lost      = "lost"      // certified and charged, but nothing was published; the charge stays
	Abandoned = "abandoned" // of a group: nothing of it was opened
)

// Round is a sum that was opened, or charged for. Of a round that was split into groups, each of them a secure sum of its
// own over devices of its own, Group records stand before it; then Survived counts the devices of the groups that ended
// as the round did, and Participants, Certificate and Aggregate are the Join of theirs. It is charged once: a device is in
// one group.
type Round struct {
	Task         string
	Round        uint64
	What         string
	Plan         Digest
	Outcome      string // Published or Lost
	Mechanism    []byte // canonical mechanism.Params
	Survived     uint64 // devices in the certified set
	NMin         uint64 // smallest set that the committee would have signed
	Participants Digest // Merkle root over the ids of the set
	Noise        bool   // false: the devices added no noise (visible in red in the report)
	Central      string // noise that the server added to the opened sum: "" (none), "gaussian" or "blt"
	Rho          *big.Rat
	Meter        Meter
	Metrics      []Row  // what was opened of the metrics; empty: none were asked for
	Certificate  Digest // of the committee's certificate over the set
	Aggregate    Digest // of the opened sum
	Before       Digest // model version that the round started from; zero: none yet
	After        Digest // model version that came out of it; Before when none did
}

// Meter is the noise meter's reading of one round: the variance seen on coordinates that carry nothing but noise.
type Meter struct {
	Coords   uint64 // pad coordinates measured; 0: not measured
	Measured string // decimal variance
	Expected string // decimal variance
	Z        string // decimal; how many standard errors lie between
}

// NewMeter is a reading as it stands in a record.
func NewMeter(coords int, measured, expected, z float64) Meter {
	decimal := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	return Meter{uint64(coords), decimal(measured), decimal(expected), decimal(z)}
}

// Abandon ends a round of which nothing was opened.
type Abandon struct {
	Task        string
	Round       uint64
	Plan        Digest
	Reason      string
	Certificate Digest // of the committee's certificate; zero: none, so the devices keep their charge
}

// Telemetry is one differentially private statement about what the server sees of devices.
type Telemetry struct {
	Task      string
	Round     uint64 // last round that the statement covers
	Times     uint64 // how often one device may be in it
	Metric    string
	Mechanism string   // "laplace"
	Epsilon   string   // decimal, pure differential privacy
	Delta     string   // "0"
	Rho       *big.Rat // epsilon^2/2: what the same costs in zCDP
	Rows      []Row
}

// Row is one published number: noised value and its 95 % interval, decimals.
type Row struct {
	Label, Value, Low, High string
}

func (r *Row) cells() [4]*string { return [4]*string{&r.Label, &r.Value, &r.Low, &r.High} }

// Version is a model version that was published, whether a round or post-processing made it.
type Version struct {
	Task   string
	Number uint64
	Parent Digest // zero: the first
	Digest Digest
	Cause  string // "start", "round", "distil", ...
}

// Note puts on record what costs no privacy and must not be changed afterwards: what an audit will hold the task to, a
// change of its configuration, a new key. A topic that ends in "_reveal" opens the digest of an earlier one that ends in
// "_commit" and begins alike.
type Note struct {
	Task   string
	Topic  string // 1 to 48 of a-z 0-9 _, such as "canary_commit"
	Digest Digest // of what the note is about; zero: none
	Text   string // in words
}

// Kind, TaskName and visit of every body.

func (*Task) Kind() Kind              { return KindTask }
func (*Plan) Kind() Kind              { return KindPlan }
func (*Round) Kind() Kind             { return KindRound }
func (*Abandon) Kind() Kind           { return KindAbandon }
func (*Telemetry) Kind() Kind         { return KindTelemetry }
func (*Version) Kind() Kind           { return KindVersion }
func (*Group) Kind() Kind             { return KindGroup }
func (*Note) Kind() Kind              { return KindNote }
func (b *Task) TaskName() string      { return b.Task }
func (b *Plan) TaskName() string      { return b.Task }
func (b *Round) TaskName() string     { return b.Task }
func (b *Abandon) TaskName() string   { return b.Task }
func (b *Telemetry) TaskName() string { return b.Task }
func (b *Version) TaskName() string   { return b.Task }
func (b *Group) TaskName() string     { return b.Task }
func (b *Note) TaskName() string      { return b.Task }

func (b *Task) visit(f fields) {
	f.text("task", &b.Task)
	f.blob("operator", &b.Operator)
	f.text("purpose", &b.Purpose)
	f.text("unit", &b.Unit)
	f.text("adjacency", &b.Adjacency)
	f.text("delta", &b.Delta)
	f.rational("budget", &b.Budget)
	f.number("participations", &b.Participations)
	f.number("separation", &b.Separation)
}

func (b *Plan) visit(f fields) {
	f.text("task", &b.Task)
	f.number("round", &b.Round)
	f.text("what", &b.What)
	f.rational("rho", &b.Rho)
	f.digest("stream", &b.Stream)
	f.blob("plan", &b.Bytes)
	f.blob("signature", &b.Signature)
}

func (b *Round) visit(f fields) {
	f.text("task", &b.Task)
	f.number("round", &b.Round)
	f.text("what", &b.What)
	f.digest("plan", &b.Plan)
	f.text("outcome", &b.Outcome)
	f.blob("mechanism", &b.Mechanism)
	f.number("survived", &b.Survived)
	f.number("n_min", &b.NMin)
	f.digest("participants", &b.Participants)
	f.flag("noise", &b.Noise)
	f.text("central", &b.Central)
	f.rational("rho", &b.Rho)
	f.number("meter_coords", &b.Meter.Coords)
	f.text("meter_measured", &b.Meter.Measured)
	f.text("meter_expected", &b.Meter.Expected)
	f.text("meter_z", &b.Meter.Z)
	f.rows("metrics", &b.Metrics)
	f.digest("certificate", &b.Certificate)
	f.digest("aggregate", &b.Aggregate)
	f.digest("before", &b.Before)
	f.digest("after", &b.After)
}

func (b *Abandon) visit(f fields) {
	f.text("task", &b.Task)
	f.number("round", &b.Round)
	f.digest("plan", &b.Plan)
	f.text("reason", &b.Reason)
	f.digest("certificate", &b.Certificate)
}

func (b *Telemetry) visit(f fields) {
	f.text("task", &b.Task)
	f.number("round", &b.Round)
	f.number("times", &b.Times)
	f.text("metric", &b.Metric)
	f.text("mechanism", &b.Mechanism)
	f.text("epsilon", &b.Epsilon)
	f.text("delta", &b.Delta)
	f.rational("rho", &b.Rho)
	f.rows("rows", &b.Rows)
}

func (b *Version) visit(f fields) {
	f.text("task", &b.Task)
	f.number("number", &b.Number)
	f.digest("parent", &b.Parent)
	f.digest("digest", &b.Digest)
	f.text("cause", &b.Cause)
}

func (b *Note) visit(f fields) {
	f.text("task", &b.Task)
	f.text("topic", &b.Topic)
	f.digest("digest", &b.Digest)
	f.text("text", &b.Text)
}

// newBody is the empty body of a kind, nil for a kind that does not exist.
func newBody(k Kind) Body {
	switch k {
	case KindTask:
		return new(Task)
	case KindPlan:
		return new(Plan)
	case KindRound:
		return new(Round)
	case KindAbandon:
		return new(Abandon)
	case KindTelemetry:
		return new(Telemetry)
	case KindVersion:
		return new(Version)
	case KindGroup:
		return new(Group)
	case KindNote:
		return new(Note)
	}
	return nil
}

// Encode is the canonical form of a record: domain, version, kind, sequence, time, hash before, body.
func (r Record) Encode() ([]byte, error) {
	if r.Body == nil {
		return nil, fmt.Errorf("%w: no body", errMalformed)
	}
	w := &writer{out: append([]byte(domain), byte(r.Body.Kind()))}
	w.number("seq", &r.Seq)
	w.instant("time", &r.Time)
	w.digest("prev", &r.Prev)
	r.Body.visit(w)
	if w.err == nil && len(w.out) > MaxRecord {
		w.fail("record", "is too long")
	}
	return w.out, w.err
}

// Decode reads one canonical record and refuses anything that Encode would not write.
func Decode(data []byte) (Record, error) {
	if len(data) > MaxRecord || len(data) <= len(domain) || string(data[:len(domain)]) != domain {
		return Record{}, fmt.Errorf("%w: not a record of this version", errMalformed)
	}
	rec := Record{Body: newBody(Kind(data[len(domain)]))}
	if rec.Body == nil {
		return Record{}, fmt.Errorf("%w: unknown kind %d", errMalformed, data[len(domain)])
	}
	r := &reader{in: data[len(domain)+1:]}
	r.number("seq", &rec.Seq)
	r.instant("time", &rec.Time)
	r.digest("prev", &rec.Prev)
	rec.Body.visit(r)
	if r.err == nil && len(r.in) > 0 {
		r.fail("record", "is followed by more bytes")
	}
	return rec, r.err
}

// Leaf is the RFC 6962 leaf hash of canonical record bytes.
func Leaf(record []byte) Digest { return Digest(tlog.RecordHash(record)) }

// EncodeJSON is the record as one line of ledger.jsonl, without the line's end.
func (r Record) EncodeJSON() ([]byte, error) {
	if _, err := r.Encode(); err != nil {
		return nil, err
	}
	kind := r.Body.Kind().String()
	w := new(jsonWriter)
	w.number("seq", &r.Seq)
	w.instant("time", &r.Time)
	w.text("kind", &kind)
	w.digest("prev", &r.Prev)
	r.Body.visit(w)
	return append(w.out, '}'), nil
}

// DecodeJSON reads one line of ledger.jsonl. A line that is not byte for byte what EncodeJSON writes is refused, so
// that no byte of the file can change unseen.
func DecodeJSON(line []byte) (Record, error) {
	if len(line) > 4*MaxRecord {
		return Record{}, fmt.Errorf("%w: line too long", errMalformed)
	}
	r := new(jsonReader)
	if err := json.Unmarshal(line, &r.in); err != nil {
		return Record{}, fmt.Errorf("%w: not a JSON object", errMalformed)
	}
	var rec Record
	var kind string
	r.text("kind", &kind)
	for k := KindTask; k < kindEnd; k++ {
		if k.String() == kind {
			rec.Body = newBody(k)
		}
	}
	if rec.Body == nil {
		return Record{}, fmt.Errorf("%w: unknown kind %q", errMalformed, kind)
	}
	r.number("seq", &rec.Seq)
	r.instant("time", &rec.Time)
	r.digest("prev", &rec.Prev)
	rec.Body.visit(r)
	if r.err != nil {
		return Record{}, r.err
	}
	again, err := rec.EncodeJSON()
	if err != nil {
		return Record{}, err
	}
	if !bytes.Equal(again, line) {
		return Record{}, fmt.Errorf("%w: not in canonical form", errMalformed)
	}
	return rec, nil
}
