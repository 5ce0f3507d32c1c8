package committee

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"tutti/aggregation"
	"tutti/privacy/ledger"
	"tutti/server/api"
)

// TestPlanMustBeLogged: a node makes no key for a plan that is not proven to stand in the one log that it has seen, also
// after a restart, and keeps the evidence of a fork.
func TestPlanMustBeLogged(t *testing.T) {
	b := newBench(t)
	ask := func(name string, r *api.OpenRoundRequest, want aggregation.Refusal) {
		t.Helper()
		got, err := b.service().OpenRound(context.Background(), r)
		b.must(err)
		if got.GetRefusal() != uint32(want) || (len(got.GetRoundKey()) > 0) != (want == 0) {
			t.Errorf("%s: refusal %d (%s), want %d", name, got.GetRefusal(), got.GetDetail(), want)
		}
	}
	first := b.request(b.sign(b.plan(1)))
	for name, change := range map[string]func(l *api.Logged){
		"no inclusion":      func(l *api.Logged) { l.Inclusion = nil },
		"another place":     func(l *api.Logged) { l.Seq-- },
		"no checkpoint":     func(l *api.Logged) { l.Checkpoint = nil },
		"no extension":      func(l *api.Logged) { l.Extension = nil },
		"an endless proof":  func(l *api.Logged) { l.Inclusion = make([][]byte, 1000) },
		"a hash of 3 bytes": func(l *api.Logged) { l.Inclusion = [][]byte{{1, 2, 3}} },
	} {
		r := b.request(b.sign(b.plan(1)))
		change(r.Logged)
		ask(name, r, aggregation.RefusePlan)
	}
	ask("no word of the log", &api.OpenRoundRequest{Plan: first.Plan, PlanSignature: first.PlanSignature}, aggregation.RefusePlan)
	ask("an honest log", b.request(b.sign(b.plan(2))), 0)
	seen := b.node.logs["test"].Last.Size

	b.restart()
	if got := b.node.logs["test"].Last.Size; got != seen {
		t.Fatalf("after a restart the node has seen %d records, %d before", got, seen)
	}
	hashes, records := b.hashes, b.records
	b.hashes, b.records = nil, 0 // another past
	for b.records < records+2 {
		b.write(ledger.Record{Seq: b.records, Body: &ledger.Note{Task: "test", Topic: "other"}})
	}
	ask("a forked log", b.request(b.sign(b.plan(3))), aggregation.RefusePlan)
	data, err := os.ReadFile(filepath.Join(b.cfg.Dir, "evidence.fork"))
	b.must(err)
	fork, err := ledger.ParseFork(data)
	b.must(err)
	if _, _, err := fork.Open(public(b.operator), ledger.Origin("test")); err != nil {
		t.Error(err)
	}
	b.hashes, b.records = hashes, records
	ask("the log that it knows", b.request(b.sign(b.plan(4))), 0)
}
