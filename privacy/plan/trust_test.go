package plan

import (
	"errors"
	"math/big"
	"strings"
	"testing"

	"tutti/privacy/accounting"
)

func TestTrustNames(t *testing.T) {
	for _, want := range []Trust{TrustDevices, TrustCentral, TrustCentralMF} {
		if got, err := ParseTrust(want.String()); got != want || err != nil {
			t.Errorf("%s is read as %s, %v", want, got, err)
		}
	}
	if got, err := ParseTrust(""); got != TrustDevices || err != nil {
		t.Errorf("no mode is %s, %v", got, err)
	}
	if _, err := ParseTrust("nobody"); !errors.Is(err, ErrPlan) {
		t.Errorf("an unknown mode: %v", err)
	}
}

// The multiplier never costs more than was allowed, and hardly less.
func TestMultiplierForRho(t *testing.T) {
	for _, rho := range []*big.Rat{big.NewRat(1, 3), big.NewRat(1, 8), big.NewRat(1052358, 1_000_000), big.NewRat(1, 100_000), big.NewRat(50, 1)} {
		c := CentralFor(rho)
		have, want := toFloat(c.Rho()), toFloat(rho)
		if c.Rho().Cmp(rho) > 0 || have < want*(1-1e-4) || !isDecimal(c.Z, 1e6) {
			t.Errorf("rho %v: z %s costs %v", rho, c.Z, have)
		}
	}
}

func toFloat(x *big.Rat) float64 { f, _ := x.Float64(); return f }

// The planned streams are the accountant's best, in decimals that a plan can carry.
func TestStreamForRounds(t *testing.T) {
	for _, c := range []struct {
		rounds, k, b int
		most         float64 // of the error on the sum of all rounds; sqrt(rounds k) without correlation
	}{{44, 4, 11, 5.67}, {50, 5, 10, 6.80}, {2000, 5, 400, 9.51}, {4, 4, 1, 4.01}, {1, 1, 1, 1.01}, {10, 99, 3, 6.4}} {
		central, err := StreamFor(big.NewRat(1, 8), c.rounds, c.k, c.b)
		if err != nil {
			t.Fatal(err)
		}
		p := sampleStream(t, 0)
		p.Central, p.Participations, p.Separation = central, uint32(c.k), uint32(c.b)
		if err := central.check(p); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		e, err := p.Event()
		if err != nil {
			t.Fatal(err)
		}
		blt := e.(accounting.BLTMF)
		loss, err := blt.BLT.MaxLoss(blt.Rounds, blt.Participations, blt.Separation)
		if err != nil || loss > c.most || central.Z != "2" {
			t.Errorf("%+v: loss %.3f, z %s, %v", c, loss, central.Z, err)
		}
	}
}

func TestSplitOfATrustedOperator(t *testing.T) {
	wish := Wish{Goal: 200, Population: 2400, Epsilon: 8, Items: 500, Dim: 3000, Rounds: 40, Model: ModelForce}
	devices, err := PlanSplit(wish)
	if err != nil {
		t.Fatal(err)
	}
	wish.Trust = TrustCentral
	central, err := PlanSplit(wish)
	if err != nil {
		t.Fatal(err)
	}
	if central.Effective != central.Mu || devices.Effective >= central.Effective || central.Stream != nil || devices.Rho.Cmp(central.Rho) != 0 {
		t.Errorf("effective mu %v of %v, with the devices' noise %v", central.Effective, central.Mu, devices.Effective)
	}
	wish.Trust, wish.Separation, wish.Participations = TrustCentralMF, 8, 6
	mf, err := PlanSplit(wish)
	if err != nil {
		t.Fatal(err)
	}
	if mf.Stream == nil || mf.Stream.Rounds != 45 || mf.Separation != 8 || mf.Participations != 6 || mf.Stream.Rho().Cmp(mf.Model) > 0 {
		t.Fatalf("%+v", mf.Stream)
	}
	for _, s := range []Split{central, mf} {
		if text := strings.Join(s.Sentences, " "); !strings.Contains(text, "it sees sums without noise") || strings.Contains(text, "Noise is sized for") {
			t.Errorf("the planner says: %s", text)
		}
		total := new(big.Rat).Add(s.Telemetry, s.Popularity)
		if total.Add(total, s.Transitions).Add(total, s.Model).Cmp(s.Rho) != 0 {
			t.Errorf("the shares add up to %v of %v", total, s.Rho)
		}
	}
	if text := strings.Join(mf.Sentences, " "); !strings.Contains(text, "one stream over 45 rounds, of which a device is in at most 6, 8 apart") {
		t.Errorf("the planner says: %s", text)
	}
	wish.Groups = 2
	if _, err := PlanSplit(wish); !errors.Is(err, ErrSplit) {
		t.Errorf("a stream over groups: %v", err)
	}
	wish.Groups, wish.Separation = 1, -1
	if _, err := PlanSplit(wish); !errors.Is(err, ErrSplit) {
		t.Errorf("a negative separation: %v", err)
	}
}
