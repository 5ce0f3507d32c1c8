package report

import (
	"crypto/ed25519"
	"encoding/hex"
	"strings"

	"tutti/privacy/audit"
	"tutti/privacy/ledger"
)

// Input is what a report is made of.
type Input struct {
	Task       string
	Records    []ledger.Record // the whole log, from the first record
	Checkpoint []byte          // signed note over exactly these records

	Run         Run
	Setting     Setting
	Utility     []Utility
	Sections    []audit.Section // of audits and attacks
	Limitations []string        // the operator's own, behind the fixed ones
	Command     string          // how to verify; "": the default
}

// Build makes the report, unsigned. It refuses, with a *Failure, to report what Verify would not accept; alarms of the
// noise meter are reported, not refused.
func Build(in Input) (*Report, error) {
	log, bad := chain(in.Records)
	if bad != nil {
		return nil, bad
	}
	f, bad := gather(in.Records, in.Task)
	if bad != nil {
		return nil, bad
	}
	if bad := f.check(); bad != nil {
		return nil, bad
	}
	if bad := checkUtility(in.Utility); bad != nil {
		return nil, bad
	}
	audits, attacks, bad := sortSections(in.Sections)
	if bad != nil {
		return nil, bad
	}
	origin, _, _ := strings.Cut(string(in.Checkpoint), "\n")
	if bad := checkCheckpoint(in.Checkpoint, origin, f.task.Operator, log); bad != nil {
		return nil, bad
	}
	r := &Report{
		Schema: Schema, Run: in.Run, Setting: in.Setting, Utility: append([]Utility{}, in.Utility...), Audits: audits, Attacks: attacks,
		Transparency: Transparency{Origin: origin, Checkpoint: string(in.Checkpoint)},
		Reproduce:    Reproduce{Command: in.Command, SeedPolicy: seedPolicy, Replay: replay},
	}
	if r.Reproduce.Command == "" {
		r.Reproduce.Command = command
	}
	if bad := derive(r, f, log); bad != nil {
		return nil, bad
	}
	r.Limitations = append(r.Limitations, in.Limitations...)
	return r, nil
}

// check runs every check of the records but the meter's alarms.
func (f *facts) check() *Failure {
	budget := func() *Failure { return f.checkBudget(f.accounts()) }
	for _, step := range []func() *Failure{f.checkMechanisms, f.checkCohorts, f.checkTelemetry, budget} {
		if bad := step(); bad != nil {
			return bad
		}
	}
	if _, bad := f.checkRho(); bad != nil {
		return bad
	}
	_, bad := f.readMeters()
	return bad
}

// checkCheckpoint: the note is the operator's and names exactly this log.
func checkCheckpoint(note []byte, origin string, operator []byte, log *ledger.Log) *Failure {
	c, err := ledger.OpenCheckpoint(note, origin, ed25519.PublicKey(operator))
	if err != nil {
		return fail(ReasonCheckpoint, "%v", err)
	}
	now, err := log.Checkpoint(origin)
	if err != nil {
		return fail(ReasonTree, "%v", err)
	}
	if c != now {
		return fail(ReasonTree, "the checkpoint names %d records with root %s, the ledger has %d with root %s", c.Size, short(c.Root), now.Size, short(now.Root))
	}
	return nil
}

// derive fills in every part of the report that follows from the records and the declared setting.
func derive(r *Report, f *facts, log *ledger.Log) *Failure {
	r.Task = Task{f.task.Task, f.task.Purpose, f.task.Unit, f.task.Adjacency, f.task.Delta, rational(f.task.Budget)}
	r.Privacy = f.privacy()
	sums := f.accounts()
	readings, bad := f.readMeters()
	if bad != nil {
		return bad
	}
	r.NoiseMeter = meterSummary(readings)
	r.Security = f.security(r.Setting)
	r.Dropout = f.dropout()
	r.Accounting = f.accounting()
	if r.Rounds, bad = f.roundRows(readings, sums.first()); bad != nil {
		return bad
	}
	r.Abandoned = f.abandonRows()
	r.Telemetry = f.telemetryRows()
	r.Metrics = f.metricRows()
	r.NotCovered = notCovered()
	r.Assumptions = assumptions(r.Setting, r.Security, f.colluders(), len(f.central()) > 0)
	r.Limitations = limitations(r.Setting, r, f.mostGroups())
	r.Alarms = f.alarms(r)
	if r.Claims, bad = f.claims(r, sums); bad != nil {
		return bad
	}
	f.describe(r)
	root, err := ledger.Root(log.Size(), log.Hashes)
	if err != nil {
		return fail(ReasonTree, "%v", err)
	}
	t := &r.Transparency
	t.Operator, t.TreeSize, t.Root = hex.EncodeToString(f.task.Operator), log.Size(), hexDigest(root)
	t.FirstSeq, t.LastSeq, t.Leaves = f.first, f.last, f.leaves
	return nil
}
