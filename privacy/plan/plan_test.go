package plan

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tutti/aggregation"
	"tutti/privacy/mechanism"
)

func key(b byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
}

func public(b byte) ed25519.PublicKey { return key(b).Public().(ed25519.PublicKey) }

// design is the mechanism of the sample plan, changed by the caller.
func design(t testing.TB, change func(*mechanism.Literal)) mechanism.Params {
	t.Helper()
	l := mechanism.Literal{Dim: 1000, Clip: 1, NMin: 70, NMax: 130, Colluders: 7, Rho: big.NewRat(1, 10), Noise: true}
	if change != nil {
		change(&l)
	}
	p, err := mechanism.Design(l)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// people is a population of so many devices, on the word of key(by).
func people(t testing.TB, n int, by byte) aggregation.Population {
	t.Helper()
	ids := make([]aggregation.DeviceID, n)
	for i := range ids {
		ids[i] = aggregation.DeviceID{byte(i), byte(i >> 8)}
	}
	e, err := aggregation.NewEnrolled(ids)
	if err != nil {
		t.Fatal(err)
	}
	return e.Sign(key(by), "films")
}

// sample is a plan that samplePolicy accepts in sampleState.
func sample(t testing.TB) Plan {
	return Plan{
		Task: "films", Round: 5, Kind: Transitions, BaseNumber: 2, Base: sha256.Sum256([]byte("v2")),
		Items: sha256.Sum256([]byte("items")), Block: sha256.Sum256([]byte("block")), Window: Window{8, "0.75"},
		Mechanism: design(t, nil), Goal: 100,
		Committee: []ed25519.PublicKey{public(11), public(12), public(13), public(14), public(15)}, Corrupt: 1, Packing: 2,
		Enroller: public(2), Population: people(t, 140, 2), Threshold: aggregation.EveryDevice, Groups: 1, Participations: AnyParticipations, Separation: 1, Suite: aggregation.SuiteX25519,
		Budget: big.NewRat(1, 1), Delta: "1e-06", Checkpoint: []byte("a signed note"), Deadline: 1000,
	}
}

func samplePolicy() Policy {
	p := Policy{
		Task: "films", Operator: public(1), Enroller: public(2), MinMembers: 5, MinCorrupt: 1, MinCohort: 70,
		MinColluder: big.NewRat(1, 20), MaxClip: 1, MinPopulation: 130, MaxRhoRound: big.NewRat(1, 5), MaxRhoTotal: big.NewRat(1, 2), MinPad: 32768,
	}
	for b := byte(11); b <= 20; b++ {
		p.Committee = append(p.Committee, public(b))
	}
	return p
}

func sampleState() State {
	return State{Now: 999, Spent: big.NewRat(3, 10), Sealed: true, LastRound: 4, BaseNumber: 2, Base: sha256.Sum256([]byte("v2")), Log: LogConsistent}
}

func samePlan(a, b Plan) bool {
	return cmp.Equal(a, b, cmp.Comparer(func(x, y *big.Rat) bool { return formatRational(x) == formatRational(y) }))
}

func TestSignOpen(t *testing.T) {
	p := sample(t)
	s, err := Sign(key(1), p)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Open(s, public(1))
	if err != nil || !samePlan(p, back) {
		t.Fatalf("%v\n%s", err, cmp.Diff(p.Task, back.Task))
	}
	again, _ := Sign(key(1), p)
	if s.Digest() != again.Digest() || s.Digest() != sha256.Sum256(s.Bytes) {
		t.Error("the digest is not that of the bytes")
	}
	if _, err := Open(s, public(2)); !errors.Is(err, ErrPlan) {
		t.Errorf("another operator: %v", err)
	}
	for i := range s.Bytes {
		b := Signed{bytes.Clone(s.Bytes), s.Signature}
		b.Bytes[i] ^= 1
		if _, err := Open(b, public(1)); err == nil {
			t.Fatalf("byte %d changed and accepted", i)
		}
	}
	if ed25519.Verify(public(1), s.Bytes, s.Signature) {
		t.Error("the signature is over the bare bytes: it could be taken for that of something else")
	}
	for _, broken := range []Signed{{}, {Bytes: s.Bytes}, {Bytes: make([]byte, MaxBytes+1), Signature: s.Signature}} {
		if _, err := Open(broken, public(1)); !errors.Is(err, ErrPlan) {
			t.Errorf("opened: %v", err)
		}
	}
}

// TestVector pins the canonical form. A change of it needs a new version in the domain.
func TestVector(t *testing.T) {
	data, err := sample(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(data[:43]); got != vectorHead {
		t.Errorf("the plan begins\n%s\nwant\n%s", got, vectorHead)
	}
	if got := hex.EncodeToString(data[len(data)-len(vectorTail)/2:]); got != vectorTail {
		t.Errorf("the plan ends\n%s\nwant\n%s", got, vectorTail)
	}
}

const (
	// domain, task, round 5, kind 2, base number 2
	vectorHead = "0000000d" + "74757474692f706c616e2f7633" + "00000005" + "66696c6d73" + "0000000000000005" + "02" + "0000000000000002"
	// threshold, one group, suite 1, no norm check, budget 1/1, delta, checkpoint, deadline
	vectorTail = "00000001" + "01" + "00" + "00000003" + "312f31" + "ffffffff" + "00000001" + "00000005" + "31652d3036" + "0000000d" + "61207369676e6564206e6f7465" + "00000000000003e8"
)

func TestParse(t *testing.T) {
	good, err := sample(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for cut := range good {
		if _, err := Parse(good[:cut]); !errors.Is(err, ErrPlan) {
			t.Fatalf("%d of %d bytes: %v", cut, len(good), err)
		}
	}
	if _, err := Parse(append(bytes.Clone(good), 0)); err == nil {
		t.Error("a byte behind the plan is accepted")
	}
	for name, change := range map[string]func(*Plan){
		"no task":                 func(p *Plan) { p.Task = "" },
		"task with a space":       func(p *Plan) { p.Task = "two films" },
		"task too long":           func(p *Plan) { p.Task = strings.Repeat("x", 65) },
		"kind 0":                  func(p *Plan) { p.Kind = 0 },
		"kind 4":                  func(p *Plan) { p.Kind = 4 },
		"no block":                func(p *Plan) { p.Block = Digest{} },
		"no window":               func(p *Plan) { p.Window = Window{} },
		"decay above 1":           func(p *Plan) { p.Window.Decay = "1.5" },
		"decay not shortest":      func(p *Plan) { p.Window.Decay = "0.750" },
		"transitions that train":  func(p *Plan) { p.Training.Steps = 1 },
		"popularity with a block": func(p *Plan) { p.Kind = Popularity },
		"model without training":  func(p *Plan) { p.Kind, p.Block, p.Window = Model, Digest{}, Window{} },
		"no committee":            func(p *Plan) { p.Committee = nil },
		"committee beyond bounds": func(p *Plan) { p.Committee = make([]ed25519.PublicKey, 1025) },
		"short member key":        func(p *Plan) { p.Committee[1] = p.Committee[1][:31] },
		"population unsigned":     func(p *Plan) { p.Population.Signature = nil },
		"no enroller":             func(p *Plan) { p.Enroller = nil },
		"budget 0":                func(p *Plan) { p.Budget = new(big.Rat) },
		"budget negative":         func(p *Plan) { p.Budget = big.NewRat(-1, 2) },
		"delta 0":                 func(p *Plan) { p.Delta = "0" },
		"delta not a number":      func(p *Plan) { p.Delta = "NaN" },
		"checkpoint too long":     func(p *Plan) { p.Checkpoint = make([]byte, maxCheckpoint+1) },
		"deadline negative":       func(p *Plan) { p.Deadline = -1 },
	} {
		p := sample(t)
		p.Committee = append([]ed25519.PublicKey(nil), p.Committee...)
		change(&p)
		if _, err := Sign(key(1), p); !errors.Is(err, ErrPlan) {
			t.Errorf("%s: signed (%v)", name, err)
		}
	}
	if _, err := Sign(key(1)[:10], sample(t)); err == nil {
		t.Error("signed with half a key")
	}
}

func TestModelPlan(t *testing.T) {
	p := sample(t)
	p.Kind, p.Block, p.Window = Model, Digest{}, Window{}
	p.Training = Training{Steps: 4, Batch: 0, MaxLen: 64, LearningRate: "0.1", Optimizer: "sgd"}
	s, err := Sign(key(1), p)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := Open(s, public(1)); err != nil || back.Training != p.Training {
		t.Fatalf("%v: %+v", err, back.Training)
	}
	for name, tr := range map[string]Training{
		"no rate":      {Steps: 1, Optimizer: "sgd"},
		"rate NaN":     {Steps: 1, LearningRate: "NaN", Optimizer: "sgd"},
		"no optimiser": {Steps: 1, LearningRate: "1"},
	} {
		if p.Training = tr; true {
			if _, err := p.Encode(); !errors.Is(err, ErrPlan) {
				t.Errorf("%s: encoded (%v)", name, err)
			}
		}
	}
}

func TestAggregation(t *testing.T) {
	p := sample(t)
	a, err := Aggregation(p)
	if err != nil {
		t.Fatal(err)
	}
	if a.Literal().Norm != 0 {
		t.Error("a norm is checked that nobody asked for")
	}
	if a.Dim() != p.Mechanism.PaddedDim || a.Bound() != p.Mechanism.InputBound || a.NMin() != 70 || a.NMax() != 130 || a.Members() != 5 || a.Corrupt() != 1 || a.Quorum() != 4 {
		t.Errorf("aggregation %+v", a.Literal())
	}
}

// TestSuites: a device that wants envelopes that last takes those, and another takes both.
func TestSuites(t *testing.T) {
	p := sample(t)
	for _, suite := range []aggregation.Suite{aggregation.SuiteX25519, aggregation.SuiteMLKEM768X25519} {
		p.Suite = suite
		if err := samplePolicy().Check(p, sampleState()); err != nil {
			t.Errorf("%v: %v", suite, err)
		}
	}
	pol := samplePolicy()
	pol.PostQuantum = true
	if err := pol.Check(p, sampleState()); err != nil {
		t.Errorf("post-quantum envelopes refused: %v", err)
	}
}

// TestGroups: with three groups of at least 70 the plan needs three times the people, and its goal counts them all.
func TestGroups(t *testing.T) {
	p := sample(t)
	p.Groups, p.Goal = 3, 300
	p.Population = people(t, 390, 2)
	// 19 corrupt devices, each in one group with probability 1/3: P[more than 18 in one of three] is above 2^-40
	p.Mechanism = design(t, func(l *mechanism.Literal) { l.Colluders = 19 })
	if err := samplePolicy().Check(p, sampleState()); err != nil {
		t.Errorf("refused: %v", err)
	}
	p.Mechanism = design(t, func(l *mechanism.Literal) { l.Colluders = 18 })
	var r *Refusal
	if err := samplePolicy().Check(p, sampleState()); !errors.As(err, &r) || r.Reason != ReasonColluders {
		t.Errorf("18 of 19 corrupt devices in a group: %v", err)
	}
	p.Mechanism = design(t, func(l *mechanism.Literal) { l.Colluders = 19 })
	for _, goal := range []uint32{209, 391} {
		p.Goal = goal
		if err := samplePolicy().Check(p, sampleState()); !errors.As(err, &r) || r.Reason != ReasonMechanism {
			t.Errorf("goal %d: %v", goal, err)
		}
	}
}

// TestReasons reaches every reason by breaking one rule of a plan that is otherwise accepted.
func TestReasons(t *testing.T) {
	if err := samplePolicy().Check(sample(t), sampleState()); err != nil {
		t.Fatalf("the sample is refused: %v", err)
	}
	type breaking func(*Policy, *Plan, *State)
	mech := func(change func(*mechanism.Literal)) breaking {
		return func(_ *Policy, p *Plan, _ *State) { p.Mechanism = design(t, change) }
	}
	metrics := func(spoil func(*Metrics)) breaking {
		return func(_ *Policy, p *Plan, _ *State) {
			m, err := DesignMetrics(MetricsBasic.Names(), design(t, nil), big.NewRat(1, 20), [32]byte{1})
			if err != nil {
				t.Fatal(err)
			}
			spoil(m)
			p.Metrics = m
		}
	}
	cases := []struct {
		name  string
		want  Reason
		apply breaking
	}{
		{"another task", ReasonTask, func(_ *Policy, p *Plan, _ *State) { p.Task = "news" }},
		{"another enroller", ReasonEnroller, func(_ *Policy, p *Plan, _ *State) { p.Enroller = public(9) }},
		{"no enroller pinned", ReasonEnroller, func(pol *Policy, p *Plan, _ *State) { pol.Enroller, p.Enroller = nil, nil }},
		{"unknown member", ReasonMember, func(_ *Policy, p *Plan, _ *State) { p.Committee[2] = public(99) }},
		{"member twice", ReasonMember, func(_ *Policy, p *Plan, _ *State) { p.Committee[2] = p.Committee[0] }},
		{"small committee", ReasonCommittee, func(_ *Policy, p *Plan, _ *State) { p.Committee = p.Committee[:4] }},
		{"no corrupt member assumed", ReasonCorrupt, func(_ *Policy, p *Plan, _ *State) { p.Corrupt = 0 }},
		{"too few corrupt members", ReasonCorrupt, func(pol *Policy, _ *Plan, _ *State) { pol.MinCorrupt = 2 }},
		{"packing beyond the quorum", ReasonAggregation, func(_ *Policy, p *Plan, _ *State) { p.Packing = 4 }},
		{"nobody signed the population", ReasonPopulation, func(_ *Policy, p *Plan, _ *State) { p.Population.Root[0] ^= 1 }},
		{"someone else signed the population", ReasonPopulation, func(_ *Policy, p *Plan, _ *State) { p.Population = people(t, 140, 9) }},
		{"a larger population than signed", ReasonPopulation, func(_ *Policy, p *Plan, _ *State) { p.Population.Size++ }},
		{"a small population", ReasonSmallPopulation, func(_ *Policy, p *Plan, _ *State) { p.Population = people(t, 129, 2) }},
		{"fewer enrolled than a sum holds", ReasonSmallPopulation, func(pol *Policy, p *Plan, _ *State) { pol.MinPopulation, p.Population = 0, people(t, 69, 2) }},
		{"fewer enrolled than the groups hold", ReasonSmallPopulation, func(_ *Policy, p *Plan, _ *State) { p.Groups, p.Goal = 3, 300 }},
		{"no groups", ReasonGroups, func(_ *Policy, p *Plan, _ *State) { p.Groups = 0 }},
		{"too many groups", ReasonGroups, func(_ *Policy, p *Plan, _ *State) { p.Groups = aggregation.MaxGroups + 1 }},
		{"a lot that nobody wins", ReasonThreshold, func(_ *Policy, p *Plan, _ *State) { p.Threshold = 0 }},
		{"a lot that too few win", ReasonThreshold, func(_ *Policy, p *Plan, _ *State) { p.Threshold = aggregation.ThresholdFor(69, 140) }},
		{"an unknown suite", ReasonSuite, func(_ *Policy, p *Plan, _ *State) { p.Suite = 3 }},
		{"no suite", ReasonSuite, func(_ *Policy, p *Plan, _ *State) { p.Suite = 0 }},
		{"an old suite", ReasonPostQuantum, func(pol *Policy, _ *Plan, _ *State) { pol.PostQuantum = true }},
		{"inputs that nobody checks", ReasonUncheckedNorm, func(pol *Policy, _ *Plan, _ *State) { pol.CheckNorm = true }},
		{"noise off", ReasonNoiseOff, mech(func(l *mechanism.Literal) { l.Noise, l.Rho = false, nil })},
		{"less noise than the formula", ReasonMechanism, func(_ *Policy, p *Plan, _ *State) { p.Mechanism.Sigma2.Num /= 2 }},
		{"smaller bound than the formula", ReasonMechanism, func(_ *Policy, p *Plan, _ *State) { p.Mechanism.L2Bound -= 100 }},
		{"more noise shares counted", ReasonMechanism, func(_ *Policy, p *Plan, _ *State) { p.Mechanism.Colluders = -1 }},
		{"Skellam noise", ReasonMechanism, mech(func(l *mechanism.Literal) { l.Kind = mechanism.Skellam })},
		{"metrics with Skellam noise", ReasonMechanism, metrics(func(m *Metrics) {
			m.Mechanism = design(t, func(l *mechanism.Literal) { l.Dim, l.Kind, l.Rho = len(m.Names), mechanism.Skellam, big.NewRat(1, 5) })
		})},
		{"one-device cohort", ReasonMechanism, func(_ *Policy, p *Plan, _ *State) { p.Mechanism.NMin = 1 }},
		{"goal below n_min", ReasonMechanism, func(_ *Policy, p *Plan, _ *State) { p.Goal = 69 }},
		{"goal above n_max", ReasonMechanism, func(_ *Policy, p *Plan, _ *State) { p.Goal = 131 }},
		{"cohort below the floor", ReasonCohort, mech(func(l *mechanism.Literal) { l.NMin = 69 })},
		{"too few colluders", ReasonColluders, mech(func(l *mechanism.Literal) { l.Colluders = 6 })},
		{"more colluders among more enrolled", ReasonColluders, func(_ *Policy, p *Plan, _ *State) { p.Population = people(t, 160, 2) }},
		{"large clip", ReasonClip, mech(func(l *mechanism.Literal) { l.Clip = 1.5 })},
		{"small pad", ReasonPad, func(pol *Policy, _ *Plan, _ *State) { pol.MinPad = 1 << 20 }},
		{"delta too large", ReasonDelta, func(_ *Policy, p *Plan, _ *State) { p.Delta = "2e-06" }},
		{"delta too large for so many", ReasonDelta, func(pol *Policy, _ *Plan, _ *State) { pol.Population = 100_001 }},
		{"round too dear", ReasonRoundCost, mech(func(l *mechanism.Literal) { l.Rho = big.NewRat(201, 1000) })},
		{"no round limit", ReasonRoundCost, func(pol *Policy, _ *Plan, _ *State) { pol.MaxRhoRound = nil }},
		{"device's budget", ReasonBudget, func(_ *Policy, _ *Plan, st *State) { st.Spent = big.NewRat(401, 1000) }},
		{"plan's budget", ReasonBudget, func(_ *Policy, p *Plan, _ *State) { p.Budget = big.NewRat(399, 1000) }},
		{"no budget", ReasonBudget, func(_ *Policy, p *Plan, _ *State) { p.Budget = nil }},
		{"deadline", ReasonDeadline, func(_ *Policy, _ *Plan, st *State) { st.Now = 1000 }},
		{"same round again", ReasonRepeated, func(_ *Policy, _ *Plan, st *State) { st.LastRound = 5 }},
		{"older round", ReasonRepeated, func(_ *Policy, p *Plan, _ *State) { p.Round = 0 }},
		{"older model", ReasonOldBase, func(_ *Policy, _ *Plan, st *State) { st.BaseNumber = 3 }},
		{"another model of that number", ReasonOldBase, func(_ *Policy, p *Plan, _ *State) { p.Base[0] ^= 1 }},
		{"no checkpoint", ReasonLogMissing, func(_ *Policy, p *Plan, _ *State) { p.Checkpoint = nil }},
		{"checkpoint not verified", ReasonLogMissing, func(_ *Policy, _ *Plan, st *State) { st.Log = LogMissing }},
		{"forked log", ReasonLogForked, func(_ *Policy, _ *Plan, st *State) { st.Log = LogForked }},
		{"a plan that is not in the log", ReasonNotLogged, func(_ *Policy, _ *Plan, st *State) { st.Log = LogWithoutPlan }},
		{"noise left to the server", ReasonCentral, func(_ *Policy, p *Plan, _ *State) { p.Central = &Central{Noise: CentralGaussian, Z: "1"} }},
		{"metrics of another cohort", ReasonMetrics, metrics(func(m *Metrics) {
			m.Mechanism = design(t, func(l *mechanism.Literal) { l.Dim, l.NMin = len(m.Names), 69 })
		})},
		{"metrics that do not hold together", ReasonMetrics, metrics(func(m *Metrics) { m.Mechanism.L2Bound -= 100 })},
		{"metrics with less noise than they say", ReasonMetrics, metrics(func(m *Metrics) { m.Mechanism.Sigma2.Num -= 1 + m.Mechanism.Sigma2.Num/1000 })},
		{"metrics with less noise than the main vector", ReasonMetrics, metrics(func(m *Metrics) {
			m.Mechanism = design(t, func(l *mechanism.Literal) { l.Dim, l.Rho = len(m.Names), big.NewRat(12, 100) })
		})},
		{"a metric that nobody knows", ReasonMetrics, metrics(func(m *Metrics) { m.Names[0] = "heartbeat" })},
		{"a mean without its count", ReasonMetrics, metrics(func(m *Metrics) { m.Names[0] = "history.short.hit10" })},
		{"metrics without noise", ReasonNoiseOff, metrics(func(m *Metrics) {
			m.Mechanism = design(t, func(l *mechanism.Literal) { l.Dim, l.Noise, l.Rho = len(m.Names), false, nil })
		})},
		{"metrics without noise beside noise of the server", ReasonNoiseOff, func(pol *Policy, p *Plan, st *State) {
			pol.AllowCentral, p.Central = true, &Central{Noise: CentralGaussian, Z: "5"}
			p.Mechanism = design(t, func(l *mechanism.Literal) { l.Noise, l.Rho = false, nil })
			metrics(func(m *Metrics) {
				m.Mechanism = design(t, func(l *mechanism.Literal) { l.Dim, l.Noise, l.Rho = len(m.Names), false, nil })
			})(pol, p, st)
		}},
		{"metrics that exceed the budget", ReasonBudget, func(pol *Policy, p *Plan, st *State) {
			p.Budget, st.Spent = p.Rho(), nil
			metrics(func(*Metrics) {})(pol, p, st)
		}},
		{"in as many rounds as planned", ReasonParticipations, func(_ *Policy, p *Plan, st *State) { p.Participations, st.Rounds = 3, 3 }},
		{"in as many rounds as the person allows", ReasonParticipations, func(pol *Policy, p *Plan, st *State) { pol.MaxParticipations, p.Participations, st.Rounds = 2, 3, 2 }},
		{"too soon for the plan", ReasonSeparation, func(_ *Policy, p *Plan, st *State) { p.Separation, st.LastRound = 3, 3 }},
		{"too soon for the person", ReasonSeparation, func(pol *Policy, _ *Plan, st *State) { pol.MinSeparation, st.LastRound = 3, 3 }},
		{"the clock went back", ReasonClock, func(_ *Policy, _ *Plan, st *State) { st.Seen = st.Now + 1 }},
		{"a stream of other noise midway", ReasonStream, func(pol *Policy, p *Plan, st *State) {
			pol.AllowCentral = true
			p.Central = blt(1)
			before := *p
			before.Round, before.Central = p.Round-1, blt(0)
			st.Stream, st.StreamFirst = before.Stream(), before.StreamFirst()
			p.Central.Z = "2"
		}},
		{"another earlier model than the device's", ReasonBases, func(_ *Policy, p *Plan, st *State) {
			stale(p, 2)
			st.BaseNumber, st.Base, st.Known = p.BaseNumber, p.Base, []Known{{p.BaseNumber - 2, Digest{1}}}
		}},
		{"log check unknown", ReasonLogForked, func(_ *Policy, _ *Plan, st *State) { st.Log = 77 }},
	}
	seen := map[Reason]bool{Accepted: true}
	for _, c := range cases {
		pol, p, st := samplePolicy(), sample(t), sampleState()
		c.apply(&pol, &p, &st)
		err := pol.Check(p, st)
		var r *Refusal
		if !errors.As(err, &r) || r.Reason != c.want {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
			continue
		}
		seen[r.Reason] = true
	}
	pol, p := samplePolicy(), sample(t)
	s, err := Sign(key(9), p)
	if err != nil {
		t.Fatal(err)
	}
	var r *Refusal
	if _, err = pol.Open(s); !errors.As(err, &r) || r.Reason != ReasonOperator {
		t.Errorf("a plan of another operator: %v", err)
	}
	seen[ReasonOperator] = true
	for r := range reasonCount {
		if !seen[r] {
			t.Errorf("no case reaches %s", r)
		}
	}
}

func TestReasonTexts(t *testing.T) {
	labels, sentences := map[string]bool{}, map[string]bool{}
	for r := range reasonCount {
		if labels[r.String()] || sentences[r.Sentence()] || r.String() == "" || !strings.HasSuffix(r.Sentence(), ".") {
			t.Errorf("%d: label %q, sentence %q", r, r, r.Sentence())
		}
		if strings.HasPrefix(r.Retry().String(), "retry(") {
			t.Errorf("%s has no retry class", r)
		}
		labels[r.String()], sentences[r.Sentence()] = true, true
	}
	if unknown := Reason(200); unknown.Sentence() == "" || unknown.Retry() != RetryOperator || unknown.String() != "reason(200)" {
		t.Error("an unknown reason has no text")
	}
	if (&Refusal{Reason: ReasonBudget}).Error() == "" || (&Refusal{Reason: ReasonBudget}).Sentence() != ReasonBudget.Sentence() || (&Refusal{Reason: ReasonBudget}).Retry() != RetryNone {
		t.Error("a refusal without detail")
	}
}

// TestAllowed: what a test or a comparison allows itself is accepted, and only that.
func TestAllowed(t *testing.T) {
	pol, p, st := samplePolicy(), sample(t), sampleState()
	pol.AllowNoiseOff = true
	p.Mechanism = design(t, func(l *mechanism.Literal) { l.Noise, l.Rho = false, nil })
	p.Budget = nil
	if err := pol.Check(p, st); err != nil {
		t.Errorf("allowed, and refused: %v", err)
	}
	if p.Rho() != nil {
		t.Error("a round without noise has a finite cost")
	}
	pol.MinCohort = 71
	var r *Refusal
	if err := pol.Check(p, st); !errors.As(err, &r) || r.Reason != ReasonCohort {
		t.Errorf("without noise the cohort no longer matters: %v", err)
	}
	st.Spent = nil
	if err := samplePolicy().Check(sample(t), st); err != nil {
		t.Errorf("a device that spent nothing: %v", err)
	}
}

func TestBadPlansNeverPanic(t *testing.T) {
	pol, p, st := samplePolicy(), sample(t), sampleState()
	pol.MaxClip = 1e300
	for _, x := range []float64{math.NaN(), math.Inf(1), 0, -1} {
		p.Mechanism.Clip = x
		if pol.Check(p, st) == nil {
			t.Errorf("clip %v accepted", x)
		}
	}
	var empty Plan
	if pol.Check(empty, st) == nil || (Policy{}).Check(empty, State{}) == nil || (Policy{}).Check(p, st) == nil {
		t.Error("an empty plan or policy accepts")
	}
}

func FuzzParse(f *testing.F) {
	good, err := sample(f).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	late := sample(f)
	stale(&late, 3)
	if good, err = late.Encode(); err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	pol, st := samplePolicy(), sampleState()
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse(data)
		if err != nil {
			return
		}
		again, err := p.Encode()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x is read, but written as %x (%v)", data, again, err)
		}
		_ = pol.Check(p, st)
	})
}
