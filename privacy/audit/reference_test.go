package audit

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"tutti/privacy/accounting"
)

// referenceRow is one row of testdata/reference.json: computed outputs of
// Google's auditing code, see its meta.
type referenceRow struct {
	ID    string
	Group string
	Event struct {
		M, R, V                int
		TP, FP                 int
		Significance           float64
		Pos                    int `json:"n_pos"`
		Neg                    int `json:"n_neg"`
		Mu, Mu0, Mu1, Sd0, Sd1 float64
	}
	Delta  float64
	Expect map[string]*float64
}

// Every row of the audit groups, within 1e-6 (the reference's own searches
// stop at 1e-6) or 1e-9 where it is a closed form.
func TestReference(t *testing.T) {
	data, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Rows []referenceRow }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	groups := map[string]int{}
	for _, row := range file.Rows {
		groups[row.Group]++
		t.Run(row.ID, func(t *testing.T) { checkRow(t, row) })
	}
	for group, want := range map[string]int{"audit_one_run": 5, "audit_clopper_pearson": 2, "audit_one_shot_fl": 4, "mia_bound": 2} {
		if groups[group] != want {
			t.Errorf("%d rows of %s, want %d", groups[group], group, want)
		}
	}
}

func checkRow(t *testing.T, row referenceRow) {
	e := row.Event
	got := map[string]float64{}
	take := func(name string, v float64, err error) {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got[name] = v
	}
	tolerance := 1e-9
	switch row.Group {
	case "audit_one_run":
		tolerance = 2e-6
		g := Guesses{e.M, e.R, e.V}
		eps, err := EpsilonOneRun(g, row.Delta, e.Significance)
		take("eps_lower_bound", eps, err)
		p, err := PValueOneRun(g, 1, row.Delta)
		take("p_value_at_eps1", p, err)
		mu, err := MuOneRunFDP(g, e.Significance)
		if err == nil {
			mu, err = EpsilonOfMu(mu, row.Delta)
		}
		take("eps_lower_bound_fdp_gaussian", mu, err)
	case "audit_clopper_pearson":
		low, _, err := ClopperPearson(e.TP, e.Pos, e.Significance/2)
		take("tpr_lower", low, err)
		_, high, err := ClopperPearson(e.FP, e.Neg, e.Significance/2)
		take("fpr_upper", high, err)
		eps, err := EpsilonClopperPearson(e.TP, e.Pos, e.FP, e.Neg, row.Delta, e.Significance)
		take("eps_lower_bound", eps, err)
	case "audit_one_shot_fl":
		tolerance = 1e-5
		eps, err := EpsilonOneShot(Normal{e.Mu0, e.Sd0}, Normal{e.Mu1, e.Sd1}, row.Delta)
		take("eps_estimate", eps, err)
	case "mia_bound":
		for name, fpr := range map[string]float64{"tpr_at_fpr_1e3": 1e-3, "tpr_at_fpr_1e2": 1e-2, "tpr_at_fpr_0_1": 0.1} {
			tpr, err := accounting.MaxTPR(e.Mu, fpr)
			take(name, tpr, err)
		}
		eps, err := EpsilonOfMu(e.Mu, row.Delta)
		take("eps_in", eps, err)
		take("sigma", 1/e.Mu, nil)
		take("max_auc", accounting.MaxAUC(e.Mu), nil)
		take("max_advantage", accounting.MaxAdvantage(e.Mu), nil)
		take("generic_tpr_at_fpr_1e2", accounting.MaxTPRAt(*row.Expect["eps_in"], row.Delta, 0.01), nil)
	}
	for name, want := range row.Expect {
		have, computed := got[name]
		if !computed {
			t.Errorf("%s is not computed", name)
		} else if want != nil && math.Abs(have-*want) > tolerance*max(1, math.Abs(*want)) {
			t.Errorf("%s = %.12g, want %.12g", name, have, *want)
		}
	}
}

// Figures that are in no row of the file. 20,595.3 guesses are needed to
// refute epsilon 8 at .001, so 20,596.
func TestOneRunFigures(t *testing.T) {
	for _, c := range []struct {
		g            Guesses
		delta, alpha float64
		want         float64
	}{
		{Guesses{1000, 100, 95}, 1e-5, .05, 2.1652},
		{Guesses{5000, 500, 400}, 1e-5, .05, 1.1952},
		{Guesses{10000, 1000, 900}, 1e-6, .01, 1.9515},
	} {
		if got, err := EpsilonOneRun(c.g, c.delta, c.alpha); err != nil || math.Abs(got-c.want) > 1e-4 {
			t.Errorf("%+v: %.5f, %v; want %.4f", c.g, got, err, c.want)
		}
	}
	for _, c := range []struct{ eps, alpha, want float64 }{{4, .05, 166}, {8, .05, 8932}, {10, .05, 65987}, {8, .001, 20596}} {
		if got := PerfectGuesses(c.eps, c.alpha); got != c.want {
			t.Errorf("perfect guesses against epsilon %g at %g: %g, want %g", c.eps, c.alpha, got, c.want)
		}
	}
}
