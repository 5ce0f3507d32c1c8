package attack

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/differential-privacy/go/v3/noise"

	crand "crypto/rand"

	"tutti/privacy/accounting"
	"tutti/privacy/audit"
)

var small = Options{Seed: 1, Workers: 2}

// wants fails the test unless the section has the verdict and a canonical form.
func wants(t *testing.T, s audit.Section, err error, verdict string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if s.Verdict != verdict {
		t.Errorf("%s is %s (%s): %v, controls %v", s.Kind, s.Verdict, s.Reason, s.Values, s.Controls())
	}
	for _, c := range s.Controls() {
		if verdict == audit.VerdictPass && !c.Detected {
			t.Errorf("%s: the attack did not succeed against %s: %s", s.Kind, c.Setup, c.Value)
		}
	}
	if _, err := s.Canonical(); err != nil {
		t.Errorf("%s: %v", s.Kind, err)
	}
}

// rows is a kind whose vector is 1/sqrt(20) at each of twenty items of 1000.
func rows(devices int) Kind {
	const items, held = 1000, 20
	list := make([][]int32, devices)
	for i := range list {
		random, seen := newStream(9, "rows", i), map[int32]bool{}
		for len(list[i]) < held {
			if item := int32(random.below(items)); !seen[item] {
				seen[item] = true
				list[i] = append(list[i], item)
			}
		}
	}
	return Kind{
		Name: "rows", Devices: devices, Dim: items, Clip: 1, Items: items,
		Vector: func(i int) []float32 {
			x := make([]float32, items)
			for _, item := range list[i] {
				x[item] = float32(1 / math.Sqrt(held))
			}
			return x
		},
		Held: func(i int) []int32 { return list[i] },
		Score: func(v []float32, out []float64) {
			for j, x := range v {
				out[j] = float64(x)
			}
		},
	}
}

// Inversion. Seeds are fixed, so nothing here fails by chance; for a new seed each masked figure does with .001.
func TestInversion(t *testing.T) {
	ctx, k := context.Background(), rows(100)
	s, err := InvertUpdate(ctx, small, []Kind{k}, 20)
	wants(t, s, err, audit.VerdictPass)
	s, err = InvertShare(ctx, small, k, []int{10, 1000}, 20)
	wants(t, s, err, audit.VerdictPass)
	s, err = InvertSum(ctx, small, k, []int{10, 100}, []float64{.5, 1}, 20)
	wants(t, s, err, audit.VerdictPass)

	// Without the protections the same judgement refuses: no mask, no noise.
	bare, err := k.over(20, func(i int) ([]float32, error) { return k.Vector(i), nil })
	if err != nil || bare.floor <= .5 || bare.value != 1 {
		t.Errorf("bare vectors: %+v %v", bare, err)
	}
	v, err := k.inSum(ctx, small, 10, 0, 20, small.steps(1))
	noisy, noisyErr := k.inSum(ctx, small, 10, 1, 20, small.steps(1))
	if err != nil || noisyErr != nil || v.with.floor <= noisy.bound || noisy.with.floor > noisy.bound {
		t.Errorf("a sum without noise stays within the bound of one with: %+v %+v %v", v, noisy, noisyErr)
	}
}

// An attack that cannot succeed is broken, not passed.
func TestInversionOfNothing(t *testing.T) {
	k := rows(20)
	k.Vector = func(int) []float32 { return make([]float32, k.Dim) }
	s, err := InvertUpdate(context.Background(), small, []Kind{k}, 10)
	if err != nil || s.Verdict != audit.VerdictBroken {
		t.Errorf("%s %v", s.Verdict, err)
	}
}

// Membership in the sum. Half the noise is found: with 1000 coins the AUC of z = 1/2, .921, is 16 standard errors above .760.
func TestMembershipSum(t *testing.T) {
	ctx, k := context.Background(), rows(100)
	s, err := MembershipSum(ctx, small, k, []int{10, 100}, []float64{1, .5}, 500)
	wants(t, s, err, audit.VerdictPass)
	cases, mu, err := members{kind: k, n: 100, rounds: 3, z: .5}.cases(ctx, small, small.steps(1))
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(mu-2) > .01 {
		t.Errorf("mu is %v for z = .5", mu)
	}
	bound := accounting.MaxAUC(1)
	if a := auc(cases); a-strictSigmas*aucError(bound, 150, 150) <= bound {
		t.Errorf("half the noise passes for the whole: AUC %.3f, bound %.3f", a, bound)
	}
}

func ideal(x, sigma float64) (float64, error) {
	return noise.Gaussian().AddNoiseFloat64(x, 1, sigma/noise.SigmaForGaussian(1, 1, 1, 1e-5), 1, 1e-5)
}

// False rejection: .001 for each of two figures of the library's noise, whose randomness is the system's.
func TestFloats(t *testing.T) {
	ctx := context.Background()
	naive := rand.New(rand.NewPCG(1, 2)).NormFloat64
	s, err := FloatGaussian(ctx, small, naive, ideal, []float64{1, 4}, 2000)
	wants(t, s, err, audit.VerdictPass)
	s, err = FloatLaplace(ctx, small, []float64{1, 10}, 2000)
	wants(t, s, err, audit.VerdictPass)

	// Naive noise in the protected place is found out.
	s, err = FloatGaussian(ctx, small, naive, func(x, sigma float64) (float64, error) { return x + sigma*naive(), nil }, []float64{4}, 500)
	wants(t, s, err, audit.VerdictFail)
}

// What the generators make, the attacks know to be possible.
func TestReaches(t *testing.T) {
	z, random := newZiggurat(), rand.New(rand.NewPCG(3, 4))
	for range 100_000 {
		if y := 4 * random.NormFloat64(); !z.reaches(y, 0, 4) {
			t.Fatalf("%v was made and cannot be", y)
		}
	}
	for range 2000 {
		k := random.Uint64N(1<<53-1) + 1
		for _, sign := range []float64{-1, 1} {
			if y := 1 + laplace(2, sign, k); !laplaceReaches(y, 1, 2) {
				t.Fatalf("k = %d, sign %v: %v was made and cannot be", k, sign, y)
			}
		}
	}
}

// The library's outputs lie on a grid of 2^-45 at sigma 1234.5, whatever x.
func TestLibraryGrid(t *testing.T) {
	for _, x := range []float64{0, 1, .1, math.Pi} {
		for range 2000 {
			y, err := ideal(x, 1234.5)
			if err != nil {
				t.Fatal(err)
			}
			if scaled := y * 0x1p45; scaled != math.Trunc(scaled) {
				t.Fatalf("%v is off the grid", y)
			}
		}
	}
}

func TestSilentNoise(t *testing.T) {
	s, err := SilentNoise(context.Background(), small, 100, []int{5, 30})
	wants(t, s, err, audit.VerdictPass)
	// A round that is short and reads as an honest one would not pass.
	p := 33912.0
	if honest, _ := s.Find("score with 0 silent (expected 0.0)"); honest == "" || math.Abs(.3*math.Sqrt(p/2)) < alarm+2*strictSigmas {
		t.Errorf("values %v", s.Values)
	}
}

func TestDropout(t *testing.T) {
	s, err := Dropout(context.Background(), small)
	wants(t, s, err, audit.VerdictPass)
	for name, want := range map[string]float64{"70": 5.993781, "50": 7.286} { // dropout_noise_share of the reference
		v, ok := s.Find("epsilon of naive shares, " + name + " of 100 left (claimed 4.89)")
		if !ok || v != fixed(want) {
			t.Errorf("%s left: %s, want %s", name, v, fixed(want))
		}
	}
	// A committee without a floor of its own, in a round that allows two, opens five.
	d, err := small.drop(context.Background(), 2, 2, 10, 5)
	if err != nil || !d.exact || d.signed != committee {
		t.Errorf("%+v %v", d, err)
	}
}

func TestMaliciousPlans(t *testing.T) {
	s, err := MaliciousPlans(context.Background(), small)
	wants(t, s, err, audit.VerdictPass)
	w, err := newPlanWorld(1)
	if err != nil {
		t.Fatal(err)
	}
	w.policy.MinCohort, w.policy.MinColluder = 1, nil // a device that forgot two rules follows what they refuse
	followed := 0
	for _, m := range howNoised() {
		if said, _, err := w.show(m); err != nil {
			t.Error(err)
		} else if said == 0 {
			followed++
		}
	}
	if followed != 2 {
		t.Errorf("%d plans are followed without the rules on cohort and colluders, want 2", followed)
	}
}

func TestBadDevices(t *testing.T) {
	s, err := BadDevices(context.Background(), small)
	wants(t, s, err, audit.VerdictPass)
}

// False rejection: 1e-4, by the system's randomness.
func TestClones(t *testing.T) {
	s, err := Clones(context.Background(), small, crand.Reader)
	wants(t, s, err, audit.VerdictPass)
	s, err = Clones(context.Background(), small, &replay{})
	wants(t, s, err, audit.VerdictFail)
}

// replay is a system whose generator starts again for every device.
type replay struct{}

func (*replay) Read(b []byte) (int, error) { return newStream(5, "replay", 0).Read(b) }

// planted is a recommender that leaks so much of who is in, without and with noise: in units of the statistic's deviation.
func planted(bare, noised, mu float64) Released {
	return Released{
		Name: "planted", Users: 120, Setup: "planted", Mu: mu,
		Train: func(_ context.Context, noise bool, i int, in []bool) ([][]float64, error) {
			random, leak := newStream(uint64(i), "planted", 0), bare
			if noise {
				random, leak = newStream(uint64(i), "planted noise", 0), noised
			}
			out := make([][]float64, len(in))
			for u := range out {
				x := random.normal() + float64(u)
				if in[u] {
					x += leak
				}
				out[u] = []float64{x}
			}
			return out, nil
		},
	}
}

// LiRA finds a leak where there is one, to within what its shadows cost, and no more than there is.
func TestLiRA(t *testing.T) {
	ctx := context.Background()
	s, err := LiRA(ctx, small, planted(3, 1, 1), 16)
	wants(t, s, err, audit.VerdictPass)
	s, err = LiRA(ctx, small, planted(3, 3, 1), 16) // the noise was forgotten
	wants(t, s, err, audit.VerdictFail)
	s, err = LiRA(ctx, small, planted(0, 0, 1), 16) // the attack sees nothing, noise or not
	wants(t, s, err, audit.VerdictBroken)
}

func TestMeasures(t *testing.T) {
	if a := auc([]scored{{1, true}, {1, false}, {2, true}, {0, false}}); a != .875 {
		t.Errorf("AUC %v", a)
	}
	for _, c := range []struct {
		k, n      int
		low, high float64
	}{{50, 100, .398321, .601679}, {0, 100, 0, .036217}, {100, 100, .963783, 1}} { // scipy.stats.binomtest, exact
		e := proportion(c.k, c.n, .05)
		if math.Abs(e.low-c.low) > 1e-5 || math.Abs(e.high-c.high) > 1e-5 {
			t.Errorf("%d of %d: %+v", c.k, c.n, e)
		}
	}
	if e := mean([]float64{1, 2, 3, 4}); math.Abs(e.low-.445739) > 1e-5 || math.Abs(e.high-4.554261) > 1e-5 || e.floor >= e.low {
		t.Errorf("mean %+v", e)
	}
	r := rate([]scored{{9, true}, {8, true}, {7, false}, {6, true}, {5, false}, {5, true}}, .5)
	if r.tpr.value != .75 {
		t.Errorf("TPR %v at one alarm of two", r.tpr.value)
	}
	in := newStream(1, "halves", 0).halves(101)
	n := 0
	for _, v := range in {
		if v {
			n++
		}
	}
	if n != 50 {
		t.Errorf("%d of 101 are in", n)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := MembershipSum(ctx, small, rows(10), []int{10}, []float64{1}, 10); err == nil {
		t.Error("membership went on")
	}
	if _, err := SilentNoise(ctx, small, 10, nil); err == nil {
		t.Error("the meter went on")
	}
	if _, err := LiRA(ctx, small, planted(1, 1, 1), 4); err == nil {
		t.Error("LiRA went on")
	}
}
