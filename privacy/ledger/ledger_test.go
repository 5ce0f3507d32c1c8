package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

var bigs = cmp.Comparer(func(a, b *big.Rat) bool { return formatRational(a) == formatRational(b) })

func rho(num, den int64) *big.Rat { return big.NewRat(num, den) }

func digestOf(s string) Digest { return sha256.Sum256([]byte(s)) }

// sampleBodies is one legal history: two rounds, one of them lost, an abandoned one, telemetry, versions.
func sampleBodies() []Body {
	plan := func(round uint64, what string) *Plan {
		return &Plan{Task: "films", Round: round, What: what, Rho: rho(1, 10), Bytes: []byte{1, byte(round)}, Signature: []byte{2}}
	}
	p1, p2, p3 := plan(1, "popularity"), plan(2, "model"), plan(3, "model")
	return []Body{
		&Task{Task: "films", Operator: make([]byte, 32), Purpose: "recommend films", Unit: "device", Adjacency: "zero-out", Delta: "1e-06", Budget: rho(1, 2)},
		p1,
		&Round{Task: "films", Round: 1, What: "popularity", Plan: p1.Digest(), Outcome: Published, Mechanism: []byte{9}, Survived: 8, NMin: 7,
			Noise: true, Rho: rho(1, 10), Meter: Meter{Coords: 32768, Measured: "5.1", Expected: "5", Z: "0.4"},
			Aggregate: digestOf("sum"), After: digestOf("v1")},
		&Version{Task: "films", Number: 1, Digest: digestOf("v1"), Cause: "round"},
		&Version{Task: "films", Number: 2, Parent: digestOf("v1"), Digest: digestOf("v2"), Cause: "distil"},
		&Telemetry{Task: "films", Round: 1, Metric: "counted", Mechanism: "laplace", Epsilon: "0.1", Delta: "0", Rho: rho(1, 200), Times: 1,
			Rows: []Row{{"counted", "7.5", "1", "14"}, {"late", "0.5", "-6", "7"}}},
		p2,
		&Abandon{Task: "films", Round: 2, Plan: p2.Digest(), Reason: "too_few", Certificate: digestOf("cert")},
		p3,
		&Round{Task: "films", Round: 3, What: "model", Plan: p3.Digest(), Outcome: Lost, Survived: 9, NMin: 7, Noise: true,
			Rho: rho(1, 10), Before: digestOf("v2"), After: digestOf("v2")},
		&Note{Task: "films", Topic: "canary_commit", Digest: digestOf("seeds"), Text: "of the staging run"},
	}
}

func sampleLog(t testing.TB) *Log {
	t.Helper()
	l := new(Log)
	for i, b := range sampleBodies() {
		if _, err := l.Append(b, int64(1_000_000+i)); err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
	}
	return l
}

func TestEncodings(t *testing.T) {
	for _, r := range sampleLog(t).Records {
		data, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(data)
		if err != nil {
			t.Fatalf("%s: %v", r.Body.Kind(), err)
		}
		if d := cmp.Diff(r, back, bigs); d != "" {
			t.Errorf("%s changed in canonical bytes:\n%s", r.Body.Kind(), d)
		}
		line, err := r.EncodeJSON()
		if err != nil {
			t.Fatal(err)
		}
		back, err = DecodeJSON(line)
		if err != nil {
			t.Fatalf("%s: %v\n%s", r.Body.Kind(), err, line)
		}
		if d := cmp.Diff(r, back, bigs); d != "" {
			t.Errorf("%s changed in JSON:\n%s", r.Body.Kind(), d)
		}
	}
}

// TestVector pins the format: a change of a byte needs a new version in the domain.
func TestVector(t *testing.T) {
	l := sampleLog(t)
	data, err := l.Records[5].Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := hex.EncodeToString(data[:70]), vectorHead; got != want {
		t.Errorf("telemetry record begins\n%s\nwant\n%s", got, want)
	}
	line, _ := l.Records[3].EncodeJSON()
	if got := string(line); got != vectorLine {
		t.Errorf("version record in JSON\n%s\nwant\n%s", got, vectorLine)
	}
	c, err := l.Checkpoint("films/log")
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(c.Root[:]); got != vectorRoot {
		t.Errorf("root %s, want %s", got, vectorRoot)
	}
}

const (
	vectorHead = "74757474692f7265636f72640205000000000000000500000000000f4245dc914f65b6688e210f18018924117e0b74780d0b3b12b82e9dd975ec072f9b3d0000000566696c6d"
	vectorLine = `{"seq":3,"time":"1970-01-12T13:46:43Z","kind":"version","prev":"8637c478cddf34721826229a6970bfbcbc157a682519d76504cdd69680143994",` +
		`"task":"films","number":1,"parent":"0000000000000000000000000000000000000000000000000000000000000000",` +
		`"digest":"3bfc269594ef649228e9a74bab00f042efc91d5acc6fbee31a382e80d42388fe","cause":"round"}`
	vectorRoot = "b7a56246f37d018a3e6041216295f546f292cbb73ab5993afbd916bbbc40128b"
)

// TestEveryByteOfTheExportCounts flips every byte of a ledger.jsonl: the import must fail or give another leaf.
func TestEveryByteOfTheExportCounts(t *testing.T) {
	l := sampleLog(t)
	var file bytes.Buffer
	var leaves []Digest
	for _, r := range l.Records {
		if err := Export(&file, r); err != nil {
			t.Fatal(err)
		}
		data, _ := r.Encode()
		leaves = append(leaves, Leaf(data))
	}
	read := func(b []byte) (out []Digest, err error) {
		err = Import(bytes.NewReader(b), func(r Record) error {
			data, err := r.Encode()
			out = append(out, Leaf(data))
			return err
		})
		return out, err
	}
	if got, err := read(file.Bytes()); err != nil || !cmp.Equal(got, leaves) {
		t.Fatalf("the untouched file: %v", err)
	}
	for i := range file.Bytes() {
		b := bytes.Clone(file.Bytes())
		b[i] ^= []byte{1, 0x20, 0x80}[i%3]
		if got, err := read(b); err == nil && cmp.Equal(got, leaves) {
			t.Fatalf("byte %d changed (%q) and nobody sees it", i, file.Bytes()[max(0, i-20):min(i+20, file.Len())])
		}
	}
	for cut := 0; cut < file.Len(); cut += 5 {
		if got, err := read(file.Bytes()[:cut]); err == nil && cmp.Equal(got, leaves) {
			t.Fatalf("cut at %d and nobody sees it", cut)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	good, _ := sampleLog(t).Records[2].Encode()
	for cut := range good {
		if _, err := Decode(good[:cut]); !errors.Is(err, errMalformed) {
			t.Fatalf("%d of %d bytes: %v", cut, len(good), err)
		}
	}
	if _, err := Decode(append(bytes.Clone(good), 0)); err == nil {
		t.Error("a byte behind the record is accepted")
	}
	for _, s := range []string{"1e99999999", "1/0", "2/4", "-1", "+1", "01", "1", " 1/2", "1_0/3", "0x1/2", "1/2/3", "/"} {
		if x, err := parseRational(s); err == nil {
			t.Errorf("%q is read as %v", s, x)
		}
	}
	if _, err := (Record{Body: &Task{Task: "\xff"}}).Encode(); err == nil {
		t.Error("text that is not UTF-8 is written")
	}
	if _, err := (Record{Body: &Plan{Bytes: make([]byte, maxBlob+1)}}).Encode(); err == nil {
		t.Error("a byte string beyond the bound is written")
	}
	if err := Import(strings.NewReader(strings.Repeat("x", 5*MaxRecord)), nil); err == nil {
		t.Error("a line beyond the bound is read")
	}
	for _, line := range []string{"", "[]", "null", "{}", `{"kind":"round"}`, `{"kind":7}`, strings.Repeat("[", 10000)} {
		if _, err := DecodeJSON([]byte(line)); err == nil {
			t.Errorf("%q is read as a record", line)
		}
	}
}

func TestRules(t *testing.T) {
	set := func(i int, change func(Body)) func([]Body) []Body {
		return func(b []Body) []Body { change(b[i]); return b }
	}
	cut := func(i int) func([]Body) []Body {
		return func(b []Body) []Body { return append(b[:i:i], b[i+1:]...) }
	}
	twice := func(i int) func([]Body) []Body {
		return func(b []Body) []Body { return append(b[:i+1:i+1], b[i:]...) }
	}
	cases := map[string]struct {
		change func([]Body) []Body
		want   Fault
	}{
		"no task":                    {cut(0), FaultTask},
		"task twice":                 {twice(0), FaultTask},
		"operator's key short":       {set(0, func(b Body) { b.(*Task).Operator = []byte{1} }), FaultTask},
		"round without a plan":       {cut(1), FaultPlan},
		"plan twice":                 {twice(1), FaultPlan},
		"plan unsigned":              {set(1, func(b Body) { b.(*Plan).Signature = nil }), FaultPlan},
		"plan that costs nothing":    {set(1, func(b Body) { b.(*Plan).Rho = new(big.Rat) }), FaultRho},
		"round twice":                {twice(2), FaultPlan},
		"round under another plan":   {set(2, func(b Body) { b.(*Round).Plan[0] ^= 1 }), FaultPlan},
		"round of another kind":      {set(2, func(b Body) { b.(*Round).What = "model" }), FaultRound},
		"outcome unknown":            {set(2, func(b Body) { b.(*Round).Outcome = "fine" }), FaultRound},
		"cohort too small":           {set(2, func(b Body) { b.(*Round).Survived = 6 }), FaultCohort},
		"no cohort promised":         {set(2, func(b Body) { b.(*Round).NMin = 0 }), FaultCohort},
		"cheaper than planned":       {set(2, func(b Body) { b.(*Round).Rho = rho(1, 11) }), FaultRho},
		"noise off, planned on":      {set(2, func(b Body) { b.(*Round).Rho, b.(*Round).Noise = nil, false }), FaultRho},
		"noise off with a cost":      {set(2, func(b Body) { b.(*Round).Noise = false }), FaultRho},
		"telemetry without a cost":   {set(5, func(b Body) { b.(*Telemetry).Rho = nil }), FaultRho},
		"abandoned without a plan":   {cut(6), FaultPlan},
		"round number falls":         {set(8, func(b Body) { b.(*Plan).Round = 1 }), FaultPlan},
		"plan beyond the budget":     {set(6, func(b Body) { b.(*Plan).Rho = rho(2, 5) }), FaultBudget},
		"telemetry beyond budget":    {set(5, func(b Body) { b.(*Telemetry).Rho = rho(2, 5) }), FaultBudget},
		"version out of the chain":   {set(4, func(b Body) { b.(*Version).Parent[0] ^= 1 }), FaultModel},
		"version without a digest":   {set(4, func(b Body) { b.(*Version).Digest = Digest{} }), FaultModel},
		"round from an old version":  {set(9, func(b Body) { b.(*Round).Before = digestOf("v1") }), FaultModel},
		"lost round makes a version": {set(9, func(b Body) { b.(*Round).After = digestOf("v3") }), FaultModel},
		"a removed version":          {cut(4), FaultModel},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			l, err := new(Log), error(nil)
			for i, b := range c.change(sampleBodies()) {
				if _, err = l.Append(b, int64(i)); err != nil {
					break
				}
			}
			var v *Violation
			if !errors.As(err, &v) || v.Fault != c.want {
				t.Fatalf("got %v, want fault %s", err, c.want)
			}
			if v.Seq != l.Size() {
				t.Errorf("names record %d, the log has %d", v.Seq, l.Size())
			}
		})
	}
}

func TestEnvelopeRules(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Record)
		want   Fault
	}{
		"sequence": {func(r *Record) { r.Seq++ }, FaultSequence},
		"prev":     {func(r *Record) { r.Prev[31] ^= 1 }, FaultPrev},
		"time":     {func(r *Record) { r.Time -= 100 }, FaultTime},
		"encoding": {func(r *Record) { r.Body.(*Telemetry).Rows = []Row{{Value: "\xff"}} }, FaultMalformed},
		"no body":  {func(r *Record) { r.Body = nil }, FaultMalformed},
	} {
		l := sampleLog(t)
		r := l.Next(&Telemetry{Task: "films", Metric: "m", Rho: rho(1, 1000)}, 2_000_000)
		c.change(&r)
		r.Time -= 999_950 // fifty seconds after the last record's, so that only "time" goes back
		var v *Violation
		if _, err := l.Add(r); !errors.As(err, &v) || v.Fault != c.want {
			t.Errorf("%s: got %v, want fault %s", name, err, c.want)
		}
	}
	l := sampleLog(t)
	if r := l.Next(&Abandon{}, 5); r.Time != 1_000_010 {
		t.Errorf("a clock that went back gives time %d", r.Time)
	}
}

func TestTotals(t *testing.T) {
	l := sampleLog(t)
	got, ok := l.Task("films")
	if !ok || got.Spent.Cmp(rho(205, 1000)) != 0 || got.Reserved.Sign() != 0 || got.Unbounded || got.Head != digestOf("v2") {
		t.Fatalf("totals %+v", got)
	}
	next := &Plan{Task: "films", Round: 4, What: "model", Bytes: []byte{4}, Signature: []byte{1}}
	if _, err := l.Append(next, 2_000_000); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(&Round{Task: "films", Round: 4, What: "model", Plan: next.Digest(), Outcome: Published, Survived: 9, NMin: 7, Before: digestOf("v2"), After: digestOf("v3")}, 2_000_000); err != nil {
		t.Fatal(err)
	}
	if got, _ = l.Task("films"); !got.Unbounded || got.Spent.Cmp(rho(205, 1000)) != 0 {
		t.Fatalf("a round without noise is not marked: %+v", got)
	}
}

// TestProofs grows a log record by record and checks every pair of sizes, both ways round.
func TestProofs(t *testing.T) {
	_, key, _ := ed25519.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{7}, 64)))
	operator := key.Public().(ed25519.PublicKey)
	l, states := new(Log), []Checkpoint{}
	bodies := append(sampleBodies(), &Telemetry{Task: "films", Metric: "x", Rho: rho(1, 1000)}, &Telemetry{Task: "films", Metric: "y", Rho: rho(1, 1000)}, &Telemetry{Task: "films", Metric: "z", Rho: rho(1, 1000)})
	for i := -1; i < len(bodies); i++ {
		if i >= 0 {
			if _, err := l.Append(bodies[i], 1); err != nil {
				t.Fatal(err)
			}
		}
		c, err := l.Checkpoint("films/log")
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, c)
		signed, err := SignCheckpoint(key, c)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := OpenCheckpoint(signed, "films/log", operator); err != nil || back != c {
			t.Fatalf("checkpoint %d: %v", i, err)
		}
	}
	for from, older := range states {
		for to, newer := range states {
			proof, err := ProveConsistency(uint64(from), uint64(to), l.Hashes)
			if (err == nil) != (from <= to) {
				t.Fatalf("proof from %d to %d: %v", from, to, err)
			}
			if err := CheckConsistency(older, newer, proof); (err == nil) != (from <= to) {
				t.Fatalf("consistency from %d to %d: %v", from, to, err)
			}
			if from == 0 || from > to {
				continue
			}
			forked := older
			forked.Root[0] ^= 1
			if err := CheckConsistency(forked, newer, proof); !errors.Is(err, ErrFork) {
				t.Fatalf("a fork at %d is not seen from %d: %v", from, to, err)
			}
			data, _ := l.Records[from-1].Encode()
			inclusion, err := ProveInclusion(uint64(to), uint64(from-1), l.Hashes)
			if err != nil {
				t.Fatal(err)
			}
			if err := CheckInclusion(newer, uint64(from-1), data, inclusion); err != nil {
				t.Fatalf("record %d in %d: %v", from-1, to, err)
			}
			data[len(data)-1] ^= 1
			if CheckInclusion(newer, uint64(from-1), data, inclusion) == nil {
				t.Fatalf("another record %d is proved in %d", from-1, to)
			}
		}
	}
	if err := CheckConsistency(states[1], Checkpoint{Origin: "other", Size: 5}, nil); err == nil || errors.Is(err, ErrFork) {
		t.Errorf("another log: %v", err)
	}
	if err := CheckConsistency(states[1], states[5], [][]byte{{1}}); err == nil {
		t.Error("a short hash in a proof is accepted")
	}
	if err := CheckConsistency(states[1], states[5], make([][]byte, 1000)); err == nil {
		t.Error("an endless proof is accepted")
	}
}

func TestCheckpointRefuses(t *testing.T) {
	_, key, _ := ed25519.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{7}, 64)))
	_, other, _ := ed25519.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{8}, 64)))
	operator := key.Public().(ed25519.PublicKey)
	good, err := SignCheckpoint(key, Checkpoint{Origin: "films/log", Size: 3, Root: digestOf("r")})
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 1
		if c, err := OpenCheckpoint(b, "films/log", operator); err == nil {
			t.Errorf("byte %d changed: accepted as %v", i, c)
		}
	}
	foreign, _ := SignCheckpoint(other, Checkpoint{Origin: "films/log", Size: 3})
	elsewhere, _ := SignCheckpoint(key, Checkpoint{Origin: "news/log", Size: 3})
	for name, b := range map[string][]byte{"another key": foreign, "another log": elsewhere, "empty": nil, "long": make([]byte, maxCheckpoint+1)} {
		if _, err := OpenCheckpoint(b, "films/log", operator); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, origin := range []string{"", "two words", "a+b", "a\nb"} {
		if _, err := SignCheckpoint(key, Checkpoint{Origin: origin}); err == nil {
			t.Errorf("origin %q is signed", origin)
		}
	}
	if _, err := SignCheckpoint(nil, Checkpoint{Origin: "a"}); err == nil {
		t.Error("signed without a key")
	}
	v, _ := verifier("a", operator)
	if s := (noteSigner{v, key}); strings.Contains(s.GoString()+s.String(), hex.EncodeToString(key[:8])) {
		t.Error("the signer prints its key")
	}
}

// TestChain: any list of telemetry records survives the way through both encodings, and its tree hash is RFC 6962's as
// computed by the definition.
func TestChain(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := new(Log)
		if _, err := l.Append(&Task{Task: "t", Operator: make([]byte, 32)}, 0); err != nil {
			rt.Fatal(err)
		}
		n := rapid.IntRange(0, 40).Draw(rt, "n")
		for range n {
			b := &Telemetry{Task: "t", Metric: rapid.StringN(0, 20, 60).Draw(rt, "metric"), Rho: rho(rapid.Int64Range(1, 1<<40).Draw(rt, "num"), rapid.Int64Range(1, 1<<40).Draw(rt, "den"))}
			if _, err := l.Append(b, rapid.Int64Range(0, maxTime).Draw(rt, "time")); err != nil {
				rt.Fatal(err)
			}
		}
		var file bytes.Buffer
		var leaves []Digest
		for _, r := range l.Records {
			if err := Export(&file, r); err != nil {
				rt.Fatal(err)
			}
			data, _ := r.Encode()
			leaves = append(leaves, Leaf(data))
		}
		again := new(Log)
		if err := Import(&file, again.AddRecord); err != nil {
			rt.Fatal(err)
		}
		c, _ := again.Checkpoint("t")
		if c.Root != treeHash(leaves) {
			rt.Fatal("the tree hash is not RFC 6962's")
		}
	})
}

// treeHash is RFC 6962, section 2.1, by its definition.
func treeHash(leaves []Digest) Digest {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	return Digest(tlog.NodeHash(tlog.Hash(treeHash(leaves[:k])), tlog.Hash(treeHash(leaves[k:]))))
}

func FuzzDecode(f *testing.F) {
	for _, r := range sampleLog(f).Records {
		data, _ := r.Encode()
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Decode(data)
		if err != nil {
			return
		}
		again, err := r.Encode()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x is read, but written as %x (%v)", data, again, err)
		}
	})
}

func FuzzDecodeJSON(f *testing.F) {
	for _, r := range sampleLog(f).Records {
		line, _ := r.EncodeJSON()
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := DecodeJSON(line)
		if err != nil {
			return
		}
		if data, err := r.Encode(); err != nil {
			t.Fatal(err)
		} else if _, err := Decode(data); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	l := new(Log)
	if _, err := l.Append(&Task{Task: "t", Operator: make([]byte, 32)}, 0); err != nil {
		b.Fatal(err)
	}
	body := &Telemetry{Task: "t", Rho: rho(1, 100)}
	for b.Loop() {
		if _, err := l.Append(body, 1); err != nil {
			b.Fatal(err)
		}
	}
}
