package plan

import (
	"errors"
	"math/big"
	"reflect"
	"testing"

	"tutti/privacy/accounting"
	"tutti/privacy/mechanism"
)

// blt is the noise of one round of a stream over twenty.
func blt(index uint32) *Central {
	return &Central{Noise: CentralBLT, Z: "1.5", Theta: []string{"0.9", "0.5"}, Omega: []string{"0.2", "0.3"}, Rounds: 20, Index: index}
}

// sampleStream is a model round with row index of a stream that began with round 3.
func sampleStream(t *testing.T, index uint32) Plan {
	t.Helper()
	p := sample(t)
	p.Kind, p.Block, p.Window = Model, Digest{}, Window{}
	p.Training = Training{Steps: 1, MaxLen: 8, LearningRate: "0.1", Optimizer: "sgd"}
	p.Mechanism = design(t, func(l *mechanism.Literal) { l.Noise, l.Rho = false, nil })
	p.Round, p.Central, p.Participations, p.Separation = 3+uint64(index), blt(index), 4, 5
	return p
}

func TestStreamIsPaidOnce(t *testing.T) {
	first, later := sampleStream(t, 0), sampleStream(t, 7)
	if first.Stream() == (Digest{}) || first.Stream() != later.Stream() || later.StreamFirst() != 3 {
		t.Fatal("two rounds of one stream are of two")
	}
	whole := big.NewRat(2, 9) // 1/(2 1.5^2)
	if first.Cost(Digest{}).Cmp(whole) != 0 || later.Cost(Digest{}).Cmp(whole) != 0 || later.Cost(first.Stream()).Sign() != 0 {
		t.Errorf("costs %v, %v, %v", first.Cost(Digest{}), later.Cost(Digest{}), later.Cost(first.Stream()))
	}
	later.Metrics = &Metrics{Names: []string{"loss"}, Mechanism: design(t, func(l *mechanism.Literal) { l.Dim, l.Unmetered, l.Rho = 1, true, big.NewRat(1, 100) })}
	if got := later.Cost(first.Stream()); got.Sign() <= 0 || got.Cmp(big.NewRat(1, 100)) > 0 {
		t.Errorf("the metrics of a later round cost %v", got)
	}
	for name, change := range map[string]func(*Plan){
		"z":              func(p *Plan) { p.Central.Z = "1.4" },
		"a buffer":       func(p *Plan) { p.Central.Omega[0] = "0.1" },
		"rounds":         func(p *Plan) { p.Central.Rounds = 19 },
		"first round":    func(p *Plan) { p.Central.Index-- },
		"participations": func(p *Plan) { p.Participations++ },
		"separation":     func(p *Plan) { p.Separation-- },
		"clip":           func(p *Plan) { p.Mechanism.Clip *= 2 },
		"signs":          func(p *Plan) { p.Mechanism.Signs[0] ^= 1 },
		"task":           func(p *Plan) { p.Task = "other" },
	} {
		p := sampleStream(t, 7)
		if change(&p); p.Stream() == first.Stream() {
			t.Errorf("another %s, and the same stream", name)
		}
	}
	gaussian := sample(t)
	gaussian.Central = &Central{Noise: CentralGaussian, Z: "1"}
	if gaussian.Stream() != (Digest{}) || gaussian.StreamFirst() != 0 || sample(t).Stream() != (Digest{}) {
		t.Error("a round without correlated noise is in a stream")
	}
}

// A device that has paid for the stream follows its later rounds with nothing left; one that has not does not.
func TestStreamAndTheBudgetOfADevice(t *testing.T) {
	pol, st := samplePolicy(), sampleState()
	pol.AllowCentral, pol.MaxRhoRound, pol.MaxRhoTotal = true, big.NewRat(2, 9), big.NewRat(2, 9)
	p := sampleStream(t, 7)
	p.Budget = big.NewRat(2, 9)
	st.LastRound, st.Rounds = 4, 1
	st.Spent, st.Stream, st.StreamFirst = big.NewRat(2, 9), p.Stream(), p.StreamFirst()
	if err := pol.Check(p, st); err != nil {
		t.Error(err)
	}
	st.Stream, st.StreamFirst = Digest{}, 0
	var r *Refusal
	if err := pol.Check(p, st); !errors.As(err, &r) || r.Reason != ReasonBudget {
		t.Errorf("a stream that is not paid for: %v", err)
	}
	pol.AllowCentral = false
	if err := pol.Check(p, st); !errors.As(err, &r) || r.Reason != ReasonCentral {
		t.Errorf("a device that does not trust the operator: %v", err)
	}
}

func TestEventOfCentralNoise(t *testing.T) {
	p := sampleStream(t, 7)
	e, err := p.Event()
	if err != nil {
		t.Fatal(err)
	}
	want := accounting.BLTMF{BLT: accounting.BLT{Theta: []float64{.9, .5}, Omega: []float64{.2, .3}}, Rounds: 20, Participations: 4, Separation: 5, Z: 1.5}
	if !reflect.DeepEqual(e, want) {
		t.Errorf("%+v", e)
	}
	if rho, err := accounting.Rho(e); err != nil || rho.Cmp(p.Central.Rho()) != 0 {
		t.Errorf("the accountant says rho %v, %v", rho, err)
	}
	p.Participations, p.Separation = AnyParticipations, 7
	if e, err = p.Event(); err != nil || e.(accounting.BLTMF).Participations != 3 {
		t.Errorf("%+v, %v", e, err)
	}
	p.Separation = 1000
	if e, err = p.Event(); err != nil || e.(accounting.BLTMF).Participations != 1 || e.(accounting.BLTMF).Separation != 20 {
		t.Errorf("%+v, %v", e, err)
	}
	if e, err := sample(t).Event(); e != nil || err != nil {
		t.Errorf("%v, %v", e, err)
	}
}

func TestStreamsThatCannotBe(t *testing.T) {
	for name, change := range map[string]func(*Plan){
		"began before the first round":    func(p *Plan) { p.Round = 2 },
		"is over":                         func(p *Plan) { p.Central.Index = 20 },
		"is split into groups":            func(p *Plan) { p.Groups = 2 },
		"has weights above one":           func(p *Plan) { p.Central.Omega = []string{"0.6", "0.6"} },
		"is of another kind":              func(p *Plan) { p.Kind, p.Training = Popularity, Training{} },
		"has a buffer without a weight":   func(p *Plan) { p.Central.Omega = p.Central.Omega[:1] },
		"adds the devices' noise as well": func(p *Plan) { p.Mechanism = sample(t).Mechanism },
	} {
		p := sampleStream(t, 7)
		if _, err := p.Encode(); err != nil {
			t.Fatal(err)
		}
		if change(&p); p.Central.check(p) == nil {
			t.Errorf("a stream that %s is accepted", name)
		}
	}
}
