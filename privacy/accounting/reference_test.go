package accounting

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"sync/atomic"
	"testing"
)

type referenceRow struct {
	ID     string
	Group  string
	Event  json.RawMessage
	Delta  *float64
	Expect map[string]json.RawMessage
}

// number reads a figure of the row; "inf" is infinite.
func (r referenceRow) number(t *testing.T, key string) float64 {
	t.Helper()
	raw := string(r.Expect[key])
	if raw == `"inf"` {
		return math.Inf(1)
	}
	var f float64
	if err := json.Unmarshal([]byte(raw), &f); err != nil {
		t.Fatalf("%s: %s is %s", r.ID, key, raw)
	}
	return f
}

func (r referenceRow) numbers(t *testing.T, key string) []float64 {
	t.Helper()
	var f []float64
	if err := json.Unmarshal(r.Expect[key], &f); err != nil {
		t.Fatalf("%s: %s: %v", r.ID, key, err)
	}
	return f
}

// Tolerances of the file's meta: RDP relative 1e-6, analytic absolute 1e-9,
// RDP curves relative 1e-8.
func relative(got, want, tolerance float64) bool {
	return got == want || math.Abs(got/want-1) <= tolerance
}
func absolute(got, want float64) bool { return got == want || math.Abs(got-want) <= 1e-9 }

// verdicts maps a figure of the file to our own computation of it. A figure
// that is not here is not supported yet.
type verdict func(t *testing.T, r referenceRow, e Event) (got float64, ok bool)

func analytic(compute func(r referenceRow, e Event) (float64, error), key string) verdict {
	return func(t *testing.T, r referenceRow, e Event) (float64, bool) {
		got, err := compute(r, e)
		if err != nil {
			t.Errorf("%s: %s: %v", r.ID, key, err)
			return 0, false
		}
		return got, absolute(got, r.number(t, key))
	}
}

func rhoOf(e Event) float64 {
	rho, err := Rho(e)
	if err != nil {
		return math.NaN()
	}
	f, _ := rho.Float64()
	return f
}

var verdicts = map[string]verdict{
	"rdp_eps": func(t *testing.T, r referenceRow, e Event) (float64, bool) {
		pure, aside := setAside(e)
		curve, err := RDP(pure, DefaultOrders())
		if err != nil {
			t.Errorf("%s: %v", r.ID, err)
			return 0, false
		}
		eps, order, err := curve.Epsilon(*r.Delta - aside)
		if by, err := EpsilonByRDP(e, *r.Delta); *r.Delta > 0 && (err != nil || by != eps) {
			t.Errorf("%s: EpsilonByRDP %g, not %g, %v", r.ID, by, eps, err)
		}
		if err != nil || !absolute(order, r.number(t, "rdp_order")) {
			t.Errorf("%s: order %g, %v", r.ID, order, err)
		}
		return eps, relative(eps, r.number(t, "rdp_eps"), 1e-6)
	},
	"rdp_order": nil, // judged with rdp_eps
	"rdp": func(t *testing.T, r referenceRow, e Event) (float64, bool) {
		curve, err := RDP(e, r.numbers(t, "orders"))
		if err != nil {
			t.Errorf("%s: %v", r.ID, err)
			return 0, false
		}
		for i, want := range r.numbers(t, "rdp") {
			if !relative(curve.Values[i], want, 1e-8) {
				return curve.Values[i], false
			}
		}
		return 0, true
	},
	"rdp_delta": func(t *testing.T, r referenceRow, e Event) (float64, bool) {
		curve, err := RDP(e, DefaultOrders())
		if err != nil {
			t.Errorf("%s: %v", r.ID, err)
			return 0, false
		}
		got := curve.Delta(r.number(t, "eps_in"))
		return got, relative(got, r.number(t, "rdp_delta"), 1e-6)
	},
	"pld_eps_pessimistic": judgeLosses,
	"pld_eps_optimistic":  nil, // judged with it
	"pld_delta_pessimistic": func(t *testing.T, r referenceRow, e Event) (float64, bool) {
		pld, err := NewPLD(e)
		if err != nil {
			t.Errorf("%s: %v", r.ID, err)
			return 0, false
		}
		got, err := pld.Delta(r.number(t, "eps_in"))
		return got, err == nil && relative(got, r.number(t, "pld_delta_pessimistic"), 1e-5)
	},
	"sensitivity": func(t *testing.T, r referenceRow, e Event) (float64, bool) {
		if self, ok := e.(SelfComposed); ok {
			e = self.Event
		}
		depth, err := e.(TreeSingleEpoch).depth()
		got := math.Sqrt(float64(depth))
		return got, err == nil && relative(got, r.number(t, "sensitivity"), 1e-12)
	},
	"zcdp_rho": func(t *testing.T, r referenceRow, e Event) (float64, bool) {
		return rhoOf(e), relative(rhoOf(e), r.number(t, "zcdp_rho"), 1e-12)
	},
	"pure_eps": analytic(func(_ referenceRow, e Event) (float64, error) { return PureEpsilon(e) }, "pure_eps"),
	"analytic_eps": analytic(func(r referenceRow, e Event) (float64, error) {
		mu, err := Mu(e)
		if err != nil {
			return 0, err
		}
		return GaussianEpsilon(mu, *r.Delta)
	}, "analytic_eps"),
	"exact_eps": analytic(func(r referenceRow, e Event) (float64, error) {
		return DiscreteGaussianEpsilon(e.(DiscreteGaussian), *r.Delta)
	}, "exact_eps"),
	"cks_continuous_eps": analytic(func(r referenceRow, e Event) (float64, error) {
		return EpsilonFromRho(e.(ZCDP).Rho, *r.Delta)
	}, "cks_continuous_eps"),
	"simple_eps": analytic(func(r referenceRow, e Event) (float64, error) {
		return SimpleEpsilonFromRho(e.(ZCDP).Rho, *r.Delta)
	}, "simple_eps"),
	"gaussian_equiv_eps": analytic(func(r referenceRow, e Event) (float64, error) {
		return GaussianEpsilon(math.Sqrt(2*rhoOf(e)), *r.Delta)
	}, "gaussian_equiv_eps"),
	"tree_depth": func(t *testing.T, r referenceRow, e Event) (float64, bool) {
		if self, ok := e.(SelfComposed); ok {
			e = self.Event
		}
		depth, err := e.(TreeSingleEpoch).depth()
		return float64(depth), err == nil && float64(depth) == r.number(t, "tree_depth")
	},
}

// inputs stand among the figures of the file but are not results of ours:
// the scale rows belong to aggregation modulo 2^bits, which we do not use
// (the norm bound is judged by the mechanism's tests).
var inputs = []string{"eps_in", "opt_interval", "orders", "scale", "gamma", "local_stddev_scaled", "rounded_l2_bound_scaled",
	"l2_inflation", "tau"}

// special rows have an event of their own kind, which is an input rather
// than an event of ours; the figures that they judge are returned.
var special = map[string]func(t *testing.T, r referenceRow) []string{
	"gaussian_sigma_for_eps":       judgeSigma,
	"calibration":                  judgeCalibration,
	"mia_bound":                    judgeMembership,
	"dropout_noise_share":          judgeDropout,
	"distributed_discrete":         judgeDistributed,
	"adaptive_clip_split":          judgeClip,
	"audit_one_shot_fl":            judgePair,
	"blt_optimized":                judgeBLT,
	"matrix_factorization":         judgeToeplitz,
	"poisson_gaussian_replace_one": judgeReplaced,
	"sampled_without_replacement":  judgeWithoutReplacement,
}

// audits are the groups that are computed from the scores of an experiment:
// the tests of privacy/audit judge them.
var audits = []string{"audit_one_run", "audit_clopper_pearson"}

func (r referenceRow) event(t *testing.T) map[string]float64 {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(r.Event, &fields); err != nil {
		t.Fatal(err)
	}
	numbers := map[string]float64{}
	for k, v := range fields {
		if f, ok := v.(float64); ok {
			numbers[k] = f
		}
	}
	return numbers
}

func (r referenceRow) judge(t *testing.T, key string, got float64, err error) string {
	t.Helper()
	if want := r.number(t, key); err != nil || !absolute(got, want) {
		t.Errorf("%s: %s is %.15g, want %.15g, %v", r.ID, key, got, want, err)
	}
	return key
}

func judgeSigma(t *testing.T, r referenceRow) []string {
	mu, err := MuForEpsilon(r.number(t, "eps_in"), *r.Delta)
	return []string{r.judge(t, "analytic_sigma", 1/mu, err)}
}

func judgeMembership(t *testing.T, r referenceRow) []string {
	mu := r.event(t)["mu"]
	judged := []string{r.judge(t, "sigma", 1/mu, nil)}
	for key, fpr := range map[string]float64{"tpr_at_fpr_1e3": 1e-3, "tpr_at_fpr_1e2": 1e-2, "tpr_at_fpr_0_1": 0.1} {
		tpr, err := MaxTPR(mu, fpr)
		judged = append(judged, r.judge(t, key, tpr, err))
	}
	return append(judged,
		r.judge(t, "max_auc", MaxAUC(mu), nil),
		r.judge(t, "max_advantage", MaxAdvantage(mu), nil),
		r.judge(t, "generic_tpr_at_fpr_1e2", MaxTPRAt(r.number(t, "eps_in"), *r.Delta, 1e-2), nil))
}

func judgeDropout(t *testing.T, r referenceRow) []string {
	in := r.event(t)
	z, planned, least := in["target_central_noise_multiplier"], in["planned"], in["min_survivors"]
	judged := []string{ // shares of sigma in units of the clip
		r.judge(t, "local_sigma_over_clip", z/math.Sqrt(least), nil),
		r.judge(t, "actual_central_if_none_drop", z*math.Sqrt(planned/least), nil),
		r.judge(t, "naive_share", z/math.Sqrt(planned), nil),
		r.judge(t, "naive_central_at_min", z*math.Sqrt(least/planned), nil),
	}
	for key, central := range map[string]float64{
		"eps_target":              z,
		"eps_naive_at_min":        z * math.Sqrt(least/planned),
		"eps_with_t_colluders_10": z * math.Sqrt((least-10)/least),
	} {
		eps, err := GaussianEpsilon(1/central, *r.Delta)
		judged = append(judged, r.judge(t, key, eps, err))
	}
	return judged
}

// TestReference judges every figure of the reference file within the file's
// tolerances. A group or a figure that is not known here fails it.
func TestReference(t *testing.T) {
	raw, err := os.ReadFile("testdata/dp_reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Meta struct{ Rows int }
		Rows []referenceRow
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	whole, elsewhere := 0, 0
	var figures atomic.Int64
	t.Run("rows", func(t *testing.T) { // ends when all rows have ended
		for _, r := range file.Rows {
			if slices.Contains(audits, r.Group) {
				elsewhere++
				continue
			}
			whole++
			t.Run(r.ID, func(t *testing.T) {
				t.Parallel()
				done := judgeRow(t, r)
				for key := range r.Expect {
					switch {
					case slices.Contains(inputs, key):
					case slices.Contains(done, key):
						figures.Add(1)
					default:
						t.Errorf("%s is judged by nothing", key)
					}
				}
			})
		}
	})
	t.Logf("%d rows judged in %d figures, %d are judged in privacy/audit", whole, figures.Load(), elsewhere)
	if len(file.Rows) != file.Meta.Rows || whole+elsewhere != len(file.Rows) || elsewhere != 7 || figures.Load() < 500 {
		t.Errorf("%d rows, %d judged here and %d elsewhere, %d figures", len(file.Rows), whole, elsewhere, figures.Load())
	}
}

// judgeRow returns the figures of r that were judged.
func judgeRow(t *testing.T, r referenceRow) []string {
	if judge, ok := special[r.Group]; ok {
		return judge(t, r)
	}
	e, err := DecodeEvent(r.Event)
	if err != nil {
		t.Errorf("%s: %v", r.ID, err)
		return nil
	}
	var done []string
	for key := range r.Expect {
		judge, supported := verdicts[key]
		if !supported {
			continue
		}
		done = append(done, key)
		if judge == nil {
			continue
		}
		if got, ok := judge(t, r, e); !ok {
			t.Errorf("%s: %s is %.15g, want %s", r.ID, key, got, r.Expect[key])
		}
	}
	return done
}
