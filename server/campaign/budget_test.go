package campaign_test

import (
	"errors"
	"math"
	"math/big"
	"slices"
	"strconv"
	"testing"

	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/server"
	"tutti/server/campaign"
	"tutti/server/round"
)

// noisy turns the noise on, with a budget as it is planned.
func noisy(t *testing.T, m *memory, cfg *campaign.Config) *book {
	t.Helper()
	split, err := plan.PlanSplit(plan.Wish{Goal: devices, Epsilon: 8, Items: items, Dim: 200, Rounds: 2, Model: plan.ModelForce})
	if err != nil {
		t.Fatal(err)
	}
	log := &book{}
	cfg.Split, cfg.Noise, cfg.Log, m.budget = split, true, log, split.Rho
	return log
}

// book is a log that keeps statements.
type book struct{ said []*ledger.Telemetry }

func (b *book) Append(body ledger.Body) error {
	b.said = append(b.said, body.(*ledger.Telemetry))
	return nil
}

func (b *book) rho() *big.Rat {
	sum := new(big.Rat)
	for _, s := range b.said {
		sum.Add(sum, s.Rho)
	}
	return sum
}

// TestTelemetry: with noise three statements are made, within their share of the budget, and none twice; which labels
// stand in them does not depend on what happened.
func TestTelemetry(t *testing.T) {
	m, cfg := town()
	log := noisy(t, m, &cfg)
	c := mustRun(t, cfg)
	chained(t, m, cfg)
	var metrics []string
	for _, s := range log.said {
		metrics = append(metrics, s.Metric)
		if s.Round != 4 || s.Times != 4 || s.Task != cfg.Task {
			t.Errorf("%s covers rounds to %d, %d times, of %q", s.Metric, s.Round, s.Times, s.Task)
		}
	}
	if !slices.Equal(metrics, []string{"uploads_counted", "uploads_dropped", "upload_milliseconds"}) {
		t.Fatalf("said %v", metrics)
	}
	var labels []string
	for _, r := range log.said[1].Rows {
		labels = append(labels, r.Label)
	}
	slices.Sort(labels)
	var reasons []string
	for _, r := range round.DropReasons() {
		reasons = append(reasons, r.String())
	}
	slices.Sort(reasons)
	if !slices.Equal(labels, reasons) {
		t.Errorf("labels %v, want %v", labels, reasons)
	}
	if share := cfg.Split.Telemetry; log.rho().Cmp(share) > 0 || log.rho().Sign() <= 0 {
		t.Errorf("statements cost %v of %v", log.rho(), share)
	}
	if all := new(big.Rat).Add(m.spent, log.rho()); all.Cmp(cfg.Split.Rho) > 0 {
		t.Errorf("%v of %v is spent", all, cfg.Split.Rho)
	}
	if err := c.Run(t.Context()); err != nil || len(log.said) != 3 {
		t.Errorf("run again: %v, %d statements", err, len(log.said))
	}
	if mustRun(t, cfg); len(log.said) != 3 {
		t.Errorf("started again: %d statements", len(log.said))
	}
}

// TestLatencyQuantiles: where devices suffice, the median and the 95 % quantile of the upload time are told instead of the
// mean, within the same share. 20,000 uploads in each of 4 rounds are 20,000 devices at least, about 8,500 are wanted, and
// the noise of what is told of them has a scale below 10 devices. All uploads took 250 ms, in a leaf of the tree with
// 80,000 of them; a count has noise of scale 135, which makes it 600 (.0075 of all) in one of the 60 empty nodes of the
// way with probability 60 exp(-4.4)/2 = .37 each run, and 4,000 (.05 of all) together with one below 1e-6.
func TestLatencyQuantiles(t *testing.T) {
	m, cfg := town()
	m.crowd = 20_000
	log := noisy(t, m, &cfg)
	mustRun(t, cfg)
	if len(log.said) != 3 || log.said[2].Metric != "upload_milliseconds_quantiles" {
		t.Fatalf("said %+v", log.said)
	}
	rows := log.said[2].Rows
	if len(rows) != 2 || rows[0].Label != "0.5" || rows[1].Label != "0.95" {
		t.Fatalf("rows %+v", rows)
	}
	for _, row := range rows {
		if x, err := strconv.ParseFloat(row.Value, 64); err != nil || math.Abs(x-250) > 1 || row.Low != "0" || row.High != "10000" {
			t.Errorf("row %+v", row)
		}
	}
	t.Logf("epsilon %s: median %s, 95 %% %s", log.said[2].Epsilon, rows[0].Value, rows[1].Value)
	if share := cfg.Split.Telemetry; log.rho().Cmp(share) > 0 {
		t.Errorf("statements cost %v of %v", log.rho(), share)
	}
}

func TestNoiseOffSaysNothing(t *testing.T) {
	m, cfg := town()
	log := noisy(t, m, &cfg)
	cfg.Noise = false
	mustRun(t, cfg)
	if len(log.said) != 0 {
		t.Errorf("%d exact statements left the house", len(log.said))
	}
	for _, s := range m.asked {
		if s.Mechanism.Noise || s.Mechanism.Rho() != nil {
			t.Errorf("a round of kind %v has noise", s.Kind)
		}
	}
}

// TestBudget: the recipe ends where the budget does not bear the next round, and what was published stays.
func TestBudget(t *testing.T) {
	m, cfg := town()
	noisy(t, m, &cfg)
	m.budget = new(big.Rat).Add(cfg.Split.Popularity, cfg.Split.Transitions)
	m.budget.Add(m.budget, cfg.Split.Round) // one model round of two
	c, err := run(t, cfg)
	var spent *server.BudgetError
	if !errors.As(err, &spent) || !slices.Equal(m.causes, recipe[:4]) || len(m.asked) != 4 {
		t.Fatalf("%v after %v and %d rounds", err, m.causes, len(m.asked))
	}
	if c.Parts().Model == nil || m.spent.Cmp(m.budget) > 0 {
		t.Errorf("%v of %v is spent", m.spent, m.budget)
	}
	for k, s := range m.asked {
		want := []*big.Rat{cfg.Split.Popularity, cfg.Split.Transitions, cfg.Split.Round, cfg.Split.Round}[k]
		ratio, _ := new(big.Rat).Quo(s.Mechanism.Rho(), want).Float64()
		if ratio > 1 || ratio < 0.999 {
			t.Errorf("round %d costs %g of its share", k+1, ratio)
		}
	}
}
