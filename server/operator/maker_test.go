package operator

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"tutti/privacy/ledger"
)

func still() time.Time { return morning.Add(time.Hour) }

func mustView(t testing.TB, m *Maker) *View {
	t.Helper()
	v, err := m.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func warned(v *View, label string) *Warning {
	for i, w := range v.Warnings {
		if w.Label == label {
			return &v.Warnings[i]
		}
	}
	return nil
}

// statement is telemetry that costs rho.
func statement(rho *big.Rat, round uint64) *ledger.Telemetry {
	return &ledger.Telemetry{Task: "films", Round: round, Times: 1, Metric: "uploads_counted", Mechanism: "laplace", Epsilon: "1", Delta: "0", Rho: rho,
		Rows: []ledger.Row{{Label: "all", Value: "10", Low: "5", High: "15"}}}
}

func TestViewOfFreshTask(t *testing.T) {
	s := newShelf(t)
	v := mustView(t, s.maker(still))
	if v.State != Running || v.Purpose != "tests" || !v.Opened.Equal(morning) || v.Open != nil || len(v.Rounds) != 0 || v.Log.Size != 1 || v.Log.Verdict.State != "ok" {
		t.Errorf("%+v", v)
	}
	b := v.Budget
	if !b.Bounded || b.Rho != 1 || b.Left != 1 || len(b.History) != 1 || b.Forecast.Known || b.Epsilon < 7 || b.Epsilon > 9 { // rho 1 at delta 1e-6
		t.Errorf("budget %+v", b)
	}
	if out, err := json.Marshal(v); err != nil || strings.Contains(string(out), ":null") {
		t.Errorf("%s: a list is null, which a page would have to know of; %v", out, err)
	}
}

// TestViewCatchesUp: a maker that saw the task before and one that did not see the same, however the log went on.
func TestViewCatchesUp(t *testing.T) {
	s := newShelf(t)
	m := s.maker(still)
	for i := range 3 {
		s.write(t, statement(big.NewRat(1, 10), uint64(i)), morning.Add(time.Duration(i+1)*time.Minute))
		if i == 1 {
			continue // two records at once
		}
		mustView(t, m)
	}
	a, b := mustView(t, m), mustView(t, s.maker(still))
	if len(a.Budget.History) != 4 || a.Budget.Spent.Rho < 0.29 || a.Budget.Spent.Rho > 0.31 || a.Budget.Left < 0.69 || a.Budget.Left > 0.71 {
		t.Errorf("%+v", a.Budget)
	}
	for i, h := range a.Budget.History {
		if h != b.Budget.History[i] || i > 0 && (h.Rho != 0.1 || h.Spent.Rho <= a.Budget.History[i-1].Spent.Rho || h.Spent.Epsilon <= a.Budget.History[i-1].Spent.Epsilon) {
			t.Errorf("point %d: %+v and %+v", i, h, b.Budget.History[i])
		}
	}
}

// TestVerdict: a log that somebody changed is told, whether the change is in the records, in their chain, or in their hashes.
func TestVerdict(t *testing.T) {
	for name, spoil := range map[string]func(*shelf){
		"another record": func(s *shelf) {
			r := s.log.Records[1]
			r.Body = statement(big.NewRat(1, 100), 0)
			s.rewrite[1], _ = r.Encode()
		},
		"another time": func(s *shelf) {
			r := s.log.Records[2]
			r.Time++
			s.rewrite[2], _ = r.Encode()
		},
		"other hashes": func(s *shelf) { s.log.Hashes[0][3] ^= 1 },
	} {
		s := newShelf(t)
		for i := range 3 {
			s.write(t, statement(big.NewRat(1, 10), uint64(i)), morning)
		}
		spoil(s)
		v := mustView(t, s.maker(still))
		if v.Log.Verdict.State != "failed" || warned(v, WarnLog) == nil || !v.Warnings[0].Grave {
			t.Errorf("%s: %+v", name, v.Log.Verdict)
		}
	}
}

// TestVerdictOfWhatFollows: a record that breaks a rule is told when it is read, not with the next check of the whole log.
func TestVerdictOfWhatFollows(t *testing.T) {
	s := newShelf(t)
	m := s.maker(still)
	mustView(t, m)
	s.write(t, statement(big.NewRat(1, 10), 0), morning)
	r := s.log.Records[1]
	r.Prev[0] ^= 1
	s.rewrite[1], _ = r.Encode()
	if v := mustView(t, m); v.Log.Verdict.State != "failed" {
		t.Errorf("%+v", v.Log.Verdict)
	}
}

// TestVerdictAgain: the whole log is checked again every hour.
func TestVerdictAgain(t *testing.T) {
	s := newShelf(t)
	now := still()
	m := s.maker(func() time.Time { return now })
	mustView(t, m)
	s.log.Hashes[0][3] ^= 1
	if v := mustView(t, m); v.Log.Verdict.State != "ok" {
		t.Fatalf("checked again at once: %+v", v.Log.Verdict)
	}
	now = now.Add(judgeEvery + 1)
	mustView(t, m)
	for range 1000 {
		if mustView(t, m).Log.Verdict.State == "failed" {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error("never checked again")
}

// TestNodesAndReplicas: committee and replicas are seen as they were told.
func TestNodesAndReplicas(t *testing.T) {
	s := newShelf(t)
	at := func(minutes int) time.Time { return still().Add(time.Duration(minutes) * time.Minute) }
	s.tell(t, at(-20), 0, ReplicaSeen, Told{Replica: "old"})
	s.tell(t, at(-4), 0, ReplicaDrives, Told{Replica: "b", Token: 7})
	s.tell(t, at(-4), 0, ReplicaSeen, Told{Replica: "a"})
	s.tell(t, at(-3), 0, ReplicaDrives, Told{Replica: "late", Token: 6}) // an older term
	s.tell(t, at(-3), 0, NodeAway, Told{Node: "n1:1"})
	s.tell(t, at(-2), 0, NodeAway, Told{Node: "n1:1"})
	s.tell(t, at(-2), 3, NodeWrong, Told{Node: "n2:1"})
	s.tell(t, at(-1), 0, NodeDoubted, Told{Node: "n2:1", Complaints: 4, Wrong: 2})
	v := mustView(t, s.maker(still))
	if n := v.Nodes; len(n) != 2 || n[0].Up || !n[0].AwaySince.Equal(at(-3)) || !n[1].Up || n[1].Wrong != 3 || n[1].Complaints != 4 {
		t.Errorf("%+v", n)
	}
	if warned(v, WarnNode) == nil || warned(v, WarnNodeWrong) == nil {
		t.Errorf("%+v", v.Warnings)
	}
	if len(v.Replicas) != 3 || v.Replicas[0].Name != "a" || !v.Replicas[0].Answers || v.Replicas[0].Drives || v.Replicas[1].Name != "b" || !v.Replicas[1].Drives || v.Replicas[2].Drives {
		t.Errorf("%+v", v.Replicas)
	}
	if len(v.Leases) != 1 || v.Leases[0].Holder != "b" || v.Leases[0].Token != 7 {
		t.Errorf("%+v", v.Leases)
	}
	s.tell(t, at(0), 0, NodeBack, Told{Node: "n1:1"})
	s.tell(t, at(0), 0, ReplicaLeft, Told{Replica: "b"})
	if v = mustView(t, s.maker(still)); !v.Nodes[0].Up || v.Nodes[0].AwaySince != nil || len(v.Replicas) != 2 || len(v.Leases) != 0 {
		t.Errorf("%+v, %+v, %+v", v.Nodes, v.Replicas, v.Leases)
	}
}

// TestMachineWarnings: certificate and disk are warned of at their limits and not before.
func TestMachineWarnings(t *testing.T) {
	s := newShelf(t)
	for _, c := range []struct {
		left       time.Duration
		free       uint64
		cert, disk bool
	}{
		{warnCertificate, 10, false, false}, {warnCertificate - 1, 9, true, true}, {-time.Second, 100, true, false},
	} {
		m := s.maker(still)
		end := still().Add(c.left)
		m.set.Machine = func() Machine { return Machine{Certificate: &end, DiskFree: c.free, DiskTotal: 100} }
		v := mustView(t, m)
		if (warned(v, WarnCertificate) != nil) != c.cert || (warned(v, WarnDisk) != nil) != c.disk {
			t.Errorf("%v left, %d free: %+v", c.left, c.free, v.Warnings)
		}
	}
}

// TestHistoryStaysBounded: a burn-down of many points keeps its first and its last, and stays in order.
func TestHistoryStaysBounded(t *testing.T) {
	b := newBook("films")
	b.delta = "1e-06"
	b.history = []Spending{{What: "opening"}}
	for i := range 5000 {
		b.spend(Spending{Round: uint64(i + 1), At: morning.Add(time.Duration(i) * time.Second)}, big.NewRat(int64(i+1), 5000))
	}
	h := b.history
	if len(h) > maxHistory || h[0].What != "opening" || h[len(h)-1].Round != 5000 || h[len(h)-1].Spent.Rho != 1 {
		t.Fatalf("%d points, %+v .. %+v", len(h), h[0], h[len(h)-1])
	}
	for i := range h[1:] {
		if h[i+1].Round <= h[i].Round || h[i+1].Spent.Rho <= h[i].Spent.Rho {
			t.Fatalf("%+v after %+v", h[i+1], h[i])
		}
	}
}

// TestForecast: the budget's end follows from the last rounds of one kind.
func TestForecast(t *testing.T) {
	b := newBook("films")
	b.charges = []charge{{morning, "popularity", 0.5}}
	if f := b.forecast(big.NewRat(1, 2)); f.Known {
		t.Errorf("known after one round: %+v", f)
	}
	for i := range 3 {
		b.charges = append(b.charges, charge{morning.Add(time.Duration(i+1) * time.Hour), "model", 0.1})
	}
	f := b.forecast(big.NewRat(35, 100))
	if !f.Known || f.Rounds != 3 || !f.Stop.Equal(morning.Add(6*time.Hour)) {
		t.Errorf("%+v", f)
	}
	if f := b.forecast(big.NewRat(9, 100)); !f.Known || f.Rounds != 0 {
		t.Errorf("%+v", f)
	}
	if f := b.forecast(nil); f.Known {
		t.Errorf("without a budget: %+v", f)
	}
}

// TestChronicleStaysBounded: happenings of many rounds leave no more than a view shows; labels outside the closed set are one.
func TestChronicleStaysBounded(t *testing.T) {
	s := newShelf(t)
	for i := range uint64(3 * MaxRounds) {
		s.tell(t, morning, i+1, RoundMoved, Told{To: "created"})
		s.tell(t, morning.Add(time.Second), i+1, RoundMoved, Told{From: "created", To: "collecting"})
		s.tell(t, morning.Add(4*time.Second), i+1, RoundMoved, Told{From: "collecting", To: "abandoned"})
		s.tell(t, morning.Add(4*time.Second), i+1, RoundEnded, Told{Drops: map[string]int{"vector": 2, "device 17": 1}})
		s.tell(t, morning, 0, ReplicaSeen, Told{Replica: string(rune('a'+i%26)) + string(rune('a'+i/26))})
		s.tell(t, morning, i+1, Asked, Told{Ask: AskClose})
	}
	c := newChronicle()
	for _, h := range s.told {
		c.take(h)
	}
	if len(c.rounds) > MaxRounds+1 || len(c.replicas) > replicasKept || len(c.asks) > 32 {
		t.Errorf("%d rounds, %d replicas, %d asks", len(c.rounds), len(c.replicas), len(c.asks))
	}
	if len(c.drops) != 2 || c.drops["vector"] != 6*MaxRounds || c.drops["unknown"] != 3*MaxRounds {
		t.Errorf("%v", c.drops)
	}
	h := c.phases["collecting"]
	if h == nil || h.Count != 3*MaxRounds || h.Sum != float64(9*MaxRounds) || h.Counts[3] != h.Count || h.Counts[2] != 0 || len(c.phases) != 2 {
		t.Errorf("%+v", c.phases)
	}
}

// FuzzTold: whatever another release, or somebody in the database, wrote as a happening, it is read or left.
func FuzzTold(f *testing.F) {
	f.Add("moved", []byte(`{"from":"created","to":"collecting","group":-1}`), uint64(1))
	f.Add("replica_drives", []byte(`{"replica":"x","token":18446744073709551615}`), uint64(0))
	f.Fuzz(func(t *testing.T, name string, data []byte, round uint64) {
		c := newChronicle()
		for range 3 {
			h, _ := Told{}.Happened(morning, "films", round, name)
			h.Data = data
			c.take(h)
		}
		refused(c.drops)
	})
}
