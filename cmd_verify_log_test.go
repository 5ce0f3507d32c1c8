package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"tutti/privacy/ledger"
)

// TestVerifyForkAndReceipt: what a device keeps is judged by the command, with the exit codes of verify.
func TestVerifyForkAndReceipt(t *testing.T) {
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	operator := hex.EncodeToString(publicOf(key))
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		must(os.WriteFile(path, data, 0o600))
		return path
	}
	logOf := func(text string, notes int) *ledger.Log {
		l := new(ledger.Log)
		_, err := l.Append(&ledger.Task{Task: "films", Operator: publicOf(key), Unit: "device"}, 1)
		must(err)
		for range notes {
			_, err := l.Append(&ledger.Note{Task: "films", Topic: "eval", Text: text}, 1)
			must(err)
		}
		return l
	}
	signed := func(l *ledger.Log) (ledger.Checkpoint, []byte) {
		c, err := l.Checkpoint(ledger.Origin("films"))
		must(err)
		note, err := ledger.SignCheckpoint(key, c)
		must(err)
		return c, note
	}
	ours, theirs := logOf("ours", 4), logOf("theirs", 7)
	a, noteA := signed(ours)
	b, noteB := signed(theirs)
	bare, err := ledger.NewFork(a, noteA, b, noteB, nil).Encode()
	must(err)
	fork := write("bare.fork", bare)
	wants(t, exitIncomplete, "INCOMPLETE", "verify", "fork", fork, "--operator", operator, "--task", "films")
	var exported bytes.Buffer
	for _, r := range theirs.Records {
		must(ledger.Export(&exported, r))
	}
	log := write("ledger.jsonl", exported.Bytes())
	wants(t, 0, "the log was forked", "verify", "fork", fork, "--operator", operator, "--task", "films", "--ledger", log)
	wants(t, exitFailed, "FAILED", "verify", "fork", fork, "--operator", operator, "--task", "news")
	wants(t, exitFailed, "FAILED", "verify", "fork", log, "--operator", operator)
	wants(t, exitUsage, "--operator", "verify", "fork", fork)

	p := &ledger.Plan{Task: "films", Round: 1, What: "model", Bytes: []byte{1}, Signature: []byte{1}}
	_, err = ours.Append(p, 2)
	must(err)
	ids := [][16]byte{{1}, {2}, {3}}
	end, err := ours.Append(&ledger.Round{Task: "films", Round: 1, What: "model", Plan: p.Digest(), Outcome: ledger.Published, Survived: 3, NMin: 3,
		Participants: ledger.Participants(ids)}, 3)
	must(err)
	r := ledger.Receipt{Device: ids[1], Index: 1, Operator: publicOf(key)}
	r.Path, err = ledger.ProveParticipant(ids, 1)
	must(err)
	r.Record, err = end.Encode()
	must(err)
	r.Inclusion, err = ledger.ProveInclusion(ours.Size(), end.Seq, ours.Hashes)
	must(err)
	_, r.Checkpoint = signed(ours)
	data, err := r.Encode()
	must(err)
	receipt := write("round-1.receipt", data)
	wants(t, 0, "one of 3 in round 1 of task films", "verify", "receipt", receipt, "--operator", operator)
	wants(t, 0, "compare it with the operator's", "verify", "receipt", receipt)
	wants(t, exitFailed, "FAILED", "verify", "receipt", receipt, "--operator", hex.EncodeToString(make([]byte, 32)))
	data[30] ^= 1
	wants(t, exitFailed, "FAILED", "verify", "receipt", write("damaged.receipt", data))
}
