package accounting

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"testing"
)

// judgeLosses judges an epsilon by loss distribution: not below the
// optimistic one (where the file has none, 1 % below the pessimistic one),
// not above 1.001 times the pessimistic one and 1e-3.
func judgeLosses(t *testing.T, r referenceRow, e Event) (float64, bool) {
	t.Helper()
	high := r.number(t, "pld_eps_pessimistic")
	low := 0.99 * high
	if _, ok := r.Expect["pld_eps_optimistic"]; ok {
		low = r.number(t, "pld_eps_optimistic")
	}
	pld, err := NewPLD(e)
	if err != nil {
		t.Errorf("%s: %v", r.ID, err)
		return 0, false
	}
	got, err := pld.Epsilon(*r.Delta)
	return got, err == nil && got >= low && got <= high*(1+1e-3)+1e-3
}

func judgeReplaced(t *testing.T, r referenceRow) []string {
	e, err := DecodeEvent(r.Event)
	if err != nil {
		t.Errorf("%s: %v", r.ID, err)
		return nil
	}
	if e, err = ReplaceOne(e); err != nil {
		t.Errorf("%s: %v", r.ID, err)
		return nil
	}
	if got, ok := judgeLosses(t, r, e); !ok {
		t.Errorf("%s: %.12g", r.ID, got)
	}
	return []string{"pld_eps_pessimistic", "pld_eps_optimistic"}
}

// judgeWithoutReplacement: the file's noise is relative to what a replaced
// record moves, ours to a record's norm, which is half of it.
func judgeWithoutReplacement(t *testing.T, r referenceRow) []string {
	e, err := DecodeEvent(r.Event)
	if err != nil {
		t.Errorf("%s: %v", r.ID, err)
		return nil
	}
	self := e.(SelfComposed)
	sample := self.Event.(SampledWithoutReplacement)
	sample.Event = Gaussian{2 * sample.Event.(Gaussian).Z}
	eps, err := EpsilonByRDP(SelfComposed{sample, self.Count}, *r.Delta)
	if want := r.number(t, "rdp_eps"); err != nil || !relative(eps, want, 1e-6) {
		t.Errorf("%s: rdp_eps is %.12g, want %.12g, %v", r.ID, eps, want, err)
	}
	return []string{"rdp_eps", "rdp_order"}
}

// judgeCalibration fills the noise multiplier into the row's event.
func judgeCalibration(t *testing.T, r referenceRow) []string {
	var form struct {
		Count int
		Event struct{ Q float64 }
	}
	if err := json.Unmarshal(r.Event, &form); err != nil {
		t.Fatal(err)
	}
	build := func(z float64) Event {
		return SelfComposed{PoissonSampled{form.Event.Q, Gaussian{z}}, form.Count}
	}
	var judged []string
	for key, account := range map[string]Accountant{"sigma_rdp": EpsilonByRDP, "sigma_pld": EpsilonByPLD} {
		target := r.number(t, "eps_in")
		got, err := LeastNoise(target, *r.Delta, build, account)
		tolerance := map[string]float64{"sigma_rdp": 1e-5, "sigma_pld": 5e-4}[key]
		if want := r.number(t, key); err != nil || !relative(got, want, tolerance) {
			t.Errorf("%s: %s is %.10g, want %.10g, %v", r.ID, key, got, want, err)
		}
		if eps, err := account(build(got), *r.Delta); err != nil || eps > target || eps < target*(1-1e-6) {
			t.Errorf("%s: %s %g gives an epsilon of %.10g, %v", r.ID, key, got, eps, err)
		}
		judged = append(judged, key)
	}
	return judged
}

func judgeClip(t *testing.T, r referenceRow) []string {
	in := r.event(t)
	z, err := SplitClip(in["z_total"], in["sigma_b"])
	return []string{r.judge(t, "z_delta", z, err)}
}

// The file's two-Gaussian epsilons come from a search of their own; 1e-9
// relative.
func judgePair(t *testing.T, r referenceRow) []string {
	in := r.event(t)
	eps, err := TwoGaussians{in["mu0"], in["sd0"], in["mu1"], in["sd1"]}.Epsilon(*r.Delta)
	if want := r.number(t, "eps_estimate"); err != nil || !relative(eps, want, 1e-9) {
		t.Errorf("%s: eps_estimate is %.15g, want %.15g, %v", r.ID, eps, want, err)
	}
	return []string{"eps_estimate"}
}

// judgeDistributed judges the distributed discrete rows, whose orders are 2
// to 128 and 256, by both mechanisms.
func judgeDistributed(t *testing.T, r referenceRow) []string {
	in := r.event(t)
	rational := func(key string) *big.Rat { return new(big.Rat).SetFloat64(r.number(t, key)) }
	sigma := rational("local_stddev_scaled")
	sum := DiscreteGaussianSum{
		L2: rational("rounded_l2_bound_scaled"), Sigma2: sigma.Mul(sigma, sigma),
		Shares: int(in["clients"]), Dim: int(in["dim"]),
	}
	orders := []float64{}
	for a := 2.0; a <= 128; a++ {
		orders = append(orders, a)
	}
	orders = append(orders, 256)
	for name, e := range map[string]Event{"ddgauss": sum, "skellam": SkellamSum(sum)} {
		curve, err := RDP(SelfComposed{Event: PoissonSampled{in["q"], e}, Count: int(in["steps"])}, orders)
		if err != nil {
			t.Errorf("%s: %v", r.ID, err)
			return nil
		}
		eps, order, err := curve.Epsilon(*r.Delta)
		if err != nil || !relative(eps, r.number(t, name+"_rdp_eps"), 1e-6) || order != r.number(t, name+"_order") {
			t.Errorf("%s: %s eps %.12g at order %g, %v", r.ID, name, eps, order, err)
		}
	}
	z := math.Sqrt(in["clients"]) * in["local_stddev"] / in["clip"]
	if in["q"] == 1 {
		continuous, err := GaussianEpsilon(math.Sqrt(in["steps"])/z, *r.Delta)
		r.judge(t, "continuous_gaussian_eps", continuous, err)
	} else {
		continuous, err := RDP(SelfComposed{Event: PoissonSampled{in["q"], Gaussian{z}}, Count: int(in["steps"])}, DefaultOrders())
		if err != nil {
			t.Fatal(err)
		}
		eps, _, err := continuous.Epsilon(*r.Delta)
		if want := r.number(t, "continuous_gaussian_eps"); err != nil || !relative(eps, want, 1e-6) {
			t.Errorf("%s: continuous %.12g, want %.12g, %v", r.ID, eps, want, err)
		}
	}
	return []string{"ddgauss_rdp_eps", "ddgauss_order", "skellam_rdp_eps", "skellam_order", "continuous_gaussian_eps"}
}

// strategyForm is the event of the rows on matrix factorisation.
type strategyForm struct {
	Strategy        string
	N               int
	MinSep          int `json:"min_sep"`
	MaxPart         int `json:"max_part"`
	Theta, Omega    []float64
	Bands           int
	NoiseMultiplier float64 `json:"noise_multiplier"`
}

func (f strategyForm) coefficients(t *testing.T) []float64 {
	t.Helper()
	switch {
	case f.Bands > 0:
		return SqrtToeplitz(f.Bands)
	case len(f.Theta) > 0:
		return BLT{f.Theta, f.Omega}.Coefficients(f.N)
	case f.Strategy == "sqrt_toeplitz":
		return SqrtToeplitz(f.N)
	case f.Strategy == "identity(dp-fedavg no sampling)":
		return SqrtToeplitz(1)
	}
	t.Fatalf("an unknown strategy %q", f.Strategy)
	return nil
}

// near judges a figure at a relative 1e-8, the file's tolerance for curves.
func (r referenceRow) near(t *testing.T, key string, got float64, err error) string {
	t.Helper()
	if want := r.number(t, key); err != nil || !relative(got, want, 1e-8) {
		t.Errorf("%s: %s is %.15g, want %.15g, %v", r.ID, key, got, want, err)
	}
	return key
}

func judgeToeplitz(t *testing.T, r referenceRow) []string {
	var f strategyForm
	if err := json.Unmarshal(r.Event, &f); err != nil {
		t.Fatal(err)
	}
	c := f.coefficients(t)
	e := ToeplitzMF{c, f.N, f.MaxPart, f.MinSep, f.NoiseMultiplier}
	mu, err := Mu(e)
	if err != nil {
		t.Errorf("%s: %v", r.ID, err)
		return nil
	}
	sensitivity, err := ToeplitzSensitivity(c, f.N, f.MaxPart, f.MinSep)
	judged := []string{r.near(t, "sensitivity", sensitivity, err)}
	loss, err := ToeplitzError(c, f.N)
	judged = append(judged,
		r.near(t, "rms_max_error_per_unit_sigma", loss.Last, err),
		r.near(t, "max_loss", sensitivity*loss.Last, err),
		r.near(t, "mean_loss", sensitivity*loss.Mean, err),
		r.near(t, "zcdp_rho", rhoOf(e), nil))
	for i, want := range r.numbers(t, "coef_head") {
		if !relative(c[i], want, 1e-12) {
			t.Errorf("%s: coefficient %d is %g, want %g", r.ID, i, c[i], want)
		}
	}
	eps, err := GaussianEpsilon(mu, *r.Delta)
	return append(judged, "coef_head", r.judge(t, "analytic_eps", eps, err))
}

// judgeBLT also demands that our own search is within 0.01 % of the file's.
func judgeBLT(t *testing.T, r referenceRow) []string {
	e, err := DecodeEvent(r.Event)
	if err != nil {
		t.Errorf("%s: %v", r.ID, err)
		return nil
	}
	mf := e.(BLTMF)
	n, k, sep := mf.Rounds, mf.Participations, mf.Separation
	sensitivity, err := mf.BLT.Sensitivity(n, k, sep)
	judged := []string{r.near(t, "sensitivity", sensitivity, err)}
	prefix, err := mf.BLT.Error(n)
	judged = append(judged, r.near(t, "rms_max_error_per_unit_sigma", prefix.Last, err),
		r.near(t, "rms_loss", sensitivity*prefix.Mean, err))
	loss, err := mf.BLT.MaxLoss(n, k, sep)
	judged = append(judged, r.near(t, "max_loss", loss, err))
	for key, c := range map[string][]float64{"sqrt_toeplitz_max_loss": SqrtToeplitz(n), "identity_max_loss": {1}} {
		other, err := ToeplitzSensitivity(c, n, k, sep)
		if err != nil {
			t.Fatal(err)
		}
		prefix, err := ToeplitzError(c, n)
		judged = append(judged, r.near(t, key, other*prefix.Last, err))
	}
	mu, err := Mu(mf)
	if err != nil {
		t.Errorf("%s: %v", r.ID, err)
		return nil
	}
	eps, err := GaussianEpsilon(mu, *r.Delta)
	ours, errSearch := ChooseBLT(n, k, sep, len(mf.BLT.Theta))
	found, errLoss := ours.MaxLoss(n, k, sep)
	if err := errors.Join(errSearch, errLoss); err != nil || found > loss*1.0001 {
		t.Errorf("%s: our search finds %g, the file has %g, %v", r.ID, found, loss, err)
	}
	return append(judged, r.judge(t, "analytic_eps", eps, err))
}
