package ledger

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"testing"
)

func deviceIDs(n int) [][16]byte {
	out := make([][16]byte, n)
	for i := range out {
		binary.BigEndian.PutUint32(out[i][:], uint32(i*7+1))
	}
	return out
}

// receiptLog is a log with one round of n devices, split into two groups or not.
func receiptLog(t testing.TB, ids [][16]byte, groups bool) *Log {
	t.Helper()
	l := new(Log)
	add := func(b Body) {
		if _, err := l.Append(b, 5); err != nil {
			t.Fatal(err)
		}
	}
	add(&Task{Task: "films", Operator: publicKey(operatorKey(1)), Unit: "device"})
	p := &Plan{Task: "films", Round: 3, What: "model", Rho: rho(1, 9), Bytes: []byte("plan"), Signature: []byte{1}}
	add(p)
	r := &Round{Task: "films", Round: 3, What: "model", Plan: p.Digest(), Outcome: Published, Survived: uint64(len(ids)), NMin: 1, Noise: true, Rho: rho(1, 9),
		Participants: Participants(ids), Certificate: Digest{1}, Aggregate: Digest{2}}
	if groups {
		g := []*Group{{Certificate: Digest{1}, Aggregate: Digest{2}, Survived: uint64(len(ids)), Participants: Participants(ids)},
			{Group: 1, Certificate: Digest{3}, Aggregate: Digest{4}, Survived: 1, Participants: Participants(deviceIDs(1))}}
		for _, x := range g {
			x.Task, x.Round, x.Plan, x.Outcome = "films", 3, p.Digest(), Published
			add(x)
		}
		r.Survived++
		r.Participants, r.Certificate, r.Aggregate = Join(g[0].Participants, g[1].Participants), Join(g[0].Certificate, g[1].Certificate), Join(g[0].Aggregate, g[1].Aggregate)
	}
	add(r)
	add(&Note{Task: "films", Topic: "eval"})
	return l
}

func receiptOf(t testing.TB, l *Log, ids [][16]byte, index int, seq uint64) *Receipt {
	t.Helper()
	path, err := ProveParticipant(ids, index)
	if err != nil {
		t.Fatal(err)
	}
	inclusion, err := ProveInclusion(l.Size(), seq, l.Hashes)
	if err != nil {
		t.Fatal(err)
	}
	record, err := l.Records[seq].Encode()
	if err != nil {
		t.Fatal(err)
	}
	_, note := signedState(t, l, l.Size(), operatorKey(1))
	return &Receipt{Device: ids[index], Index: uint64(index), Path: path, Record: record, Inclusion: inclusion, Checkpoint: note, Operator: publicKey(operatorKey(1))}
}

// TestReceipts: every device of sets of every small size proves that it was counted, and survives the file.
func TestReceipts(t *testing.T) {
	for n := 1; n < 18; n++ {
		ids := deviceIDs(n)
		for _, groups := range []bool{false, true} {
			l := receiptLog(t, ids, groups)
			seq, ok := l.EndAt("films", 3, 0)
			if !ok {
				t.Fatal("the log does not know where the round ended")
			}
			for i := range ids {
				data, err := receiptOf(t, l, ids, i, seq).Encode()
				if err != nil {
					t.Fatal(err)
				}
				r, err := ParseReceipt(data)
				if err != nil {
					t.Fatal(err)
				}
				for _, key := range []ed25519.PublicKey{nil, publicKey(operatorKey(1))} {
					c, err := r.Verify(key)
					if err != nil || c.Device != ids[i] || c.Round != 3 || c.Split != groups || c.Outcome != Published || c.Survived != uint64(n) || c.Seq != seq {
						t.Fatalf("device %d of %d: %+v, %v", i, n, c, err)
					}
				}
			}
		}
	}
}

// TestEveryByteOfAReceiptCounts flips every byte of a receipt; none may leave it standing.
func TestEveryByteOfAReceiptCounts(t *testing.T) {
	ids := deviceIDs(6)
	l := receiptLog(t, ids, false)
	good, err := receiptOf(t, l, ids, 4, 2).Encode()
	if err != nil {
		t.Fatal(err)
	}
	key := publicKey(operatorKey(1))
	check := func(b []byte) error {
		r, err := ParseReceipt(b)
		if err == nil {
			_, err = r.Verify(key)
		}
		return err
	}
	if err := check(good); err != nil {
		t.Fatal(err)
	}
	for i := range good {
		b := bytes.Clone(good)
		if b[i] ^= 1; check(b) == nil {
			t.Errorf("byte %d of %d changed, and the receipt stands", i, len(good))
		}
		if check(good[:i]) == nil {
			t.Errorf("cut at %d, and the receipt stands", i)
		}
	}
	if check(append(bytes.Clone(good), 0)) == nil {
		t.Error("a byte behind the receipt")
	}
}

func TestReceiptsOfSomethingElse(t *testing.T) {
	ids := deviceIDs(5)
	l := receiptLog(t, ids, false)
	stranger := deviceIDs(9)
	for name, change := range map[string]func(r *Receipt){
		"a device that was not there": func(r *Receipt) { r.Device = stranger[8] },
		"another device's place":      func(r *Receipt) { r.Index = 1 },
		"a record without a set":      func(r *Receipt) { *r = *receiptOf(t, l, ids, 2, 1) },
		"the path of another set": func(r *Receipt) {
			r.Device, r.Index = stranger[6], 6
			r.Path, _ = ProveParticipant(stranger, 6)
		},
		"another operator's log": func(r *Receipt) { _, r.Checkpoint = signedState(t, l, l.Size(), operatorKey(2)) },
		"a log without the round": func(r *Receipt) {
			_, r.Checkpoint = signedState(t, l, 2, operatorKey(1))
			r.Inclusion, _ = ProveInclusion(2, 1, l.Hashes)
		},
		"another operator's key": func(r *Receipt) { r.Operator = publicKey(operatorKey(2)) },
	} {
		r := receiptOf(t, l, ids, 2, 2)
		if change(r); name == "" {
			t.Fatal()
		}
		if _, err := r.Verify(publicKey(operatorKey(1))); err == nil {
			t.Errorf("%s: the receipt stands", name)
		}
	}
	if _, err := ProveParticipant(ids, 5); err == nil {
		t.Error("a path for nobody")
	}
}

func FuzzParseReceipt(f *testing.F) {
	ids := deviceIDs(6)
	data, err := receiptOf(f, receiptLog(f, ids, true), ids, 4, 2).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseReceipt(data)
		if err != nil {
			return
		}
		if again, err := r.Encode(); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("the receipt writes back to other bytes: %v", err)
		}
		_, _ = r.Verify(nil)
	})
}

// BenchmarkProofs: what one check-in and one receipt cost in a log of 10,000 records, in time and bytes.
func BenchmarkProofs(b *testing.B) {
	const records = 10_000
	log, plan := plannedLog(b, records/2, records/2-1)
	_, planned := signedState(b, log, records/2, operatorKey(1))
	_, note := signedState(b, log, records, operatorKey(1))
	kept, keptNote := signedState(b, log, records/2-17, operatorKey(1))
	size := func(l Logged) (n int) {
		n = len(l.Checkpoint) + 8 + 8 + len(l.Prev)
		for _, p := range [][][]byte{l.Inclusion, l.Consistency, l.Extension} {
			n += 34 * len(p) // a hash and its tag and length on the wire
		}
		return n
	}
	logged, err := ProvePlan(plan, note, records, kept.Size, records/2, log.Hashes)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("prove", func(b *testing.B) {
		for b.Loop() {
			_, _ = ProvePlan(plan, note, records, kept.Size, records/2, log.Hashes)
		}
		b.ReportMetric(float64(size(logged)), "bytes")
	})
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := (Witness{kept, keptNote}).FollowPlan(logged, plan.Body.(*Plan), planned, Origin("films"), publicKey(operatorKey(1))); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestBooksWithLimits: what a device can be in bounds what the task may plan.
func TestBooksWithLimits(t *testing.T) {
	s := new(State)
	add := func(b Body) error {
		_, err := s.Add(s.Next(b, 1))
		return err
	}
	must := func(b Body) {
		t.Helper()
		if err := add(b); err != nil {
			t.Fatal(err)
		}
	}
	plan := func(round uint64, cost int64) *Plan {
		return &Plan{Task: "films", Round: round, What: "model", Rho: rho(cost, 10), Bytes: []byte{byte(round)}, Signature: []byte{1}}
	}
	end := func(p *Plan) *Round {
		return &Round{Task: "films", Round: p.Round, What: p.What, Plan: p.Digest(), Outcome: Published, Survived: 9, NMin: 9, Noise: true, Rho: p.Rho}
	}
	spent := func() string {
		total, _ := s.Task("films")
		return total.Spent.RatString() + " " + total.Reserved.RatString()
	}
	want := func(text string) {
		t.Helper()
		if got := spent(); got != text {
			t.Errorf("spent and reserved %s, want %s", got, text)
		}
	}
	must(&Task{Task: "films", Operator: make([]byte, 32), Budget: rho(1, 1), Participations: 2, Separation: 3})
	for round := uint64(1); round <= 9; round++ { // rounds 1, 4 and 7 are apart, a device is in two of them
		p := plan(round, 4)
		must(p)
		must(end(p))
	}
	want("4/5 0")
	dear := plan(10, 7)
	if next, ok := s.With("films", 10, dear.Rho, Digest{}); !ok || next.Cmp(rho(11, 10)) != 0 {
		t.Errorf("with a dear round %v", next)
	}
	if err := add(dear); err == nil {
		t.Error("a round beyond the budget of a device is planned")
	}
	must(plan(10, 6))
	want("4/5 1/5")
	must(&Abandon{Task: "films", Round: 10, Plan: plan(10, 6).Digest(), Reason: "too_few"})
	want("4/5 0")
	must(&Telemetry{Task: "films", Metric: "m", Rho: rho(1, 5)})
	want("1 0")
	if add(plan(11, 5)) == nil {
		t.Error("telemetry does not count in full")
	}
	p := plan(12, 4)
	must(p)
	must(end(p))
	want("1 0")
}

func TestNotes(t *testing.T) {
	s := new(State)
	add := func(b Body) error {
		_, err := s.Add(s.Next(b, 1))
		return err
	}
	if err := add(&Task{Task: "films", Operator: make([]byte, 32)}); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		note Note
		ok   bool
	}{
		{Note{Topic: "canary_reveal", Digest: Digest{1}}, false},
		{Note{Topic: "canary_commit", Digest: Digest{1}}, true},
		{Note{Topic: "canary_reveal", Digest: Digest{2}}, false},
		{Note{Topic: "other_reveal", Digest: Digest{1}}, false},
		{Note{Topic: "canary_reveal", Digest: Digest{1}, Text: "seeds"}, true},
		{Note{Topic: "config_change", Text: "two more nodes"}, true},
		{Note{Topic: "Config"}, false},
		{Note{}, false},
	} {
		c.note.Task = "films"
		if err := add(&c.note); (err == nil) != c.ok {
			t.Errorf("note %d: %v", i, err)
		}
	}
	if err := add(&Note{Task: "news", Topic: "eval"}); err == nil {
		t.Error("a note on no task")
	}
}
