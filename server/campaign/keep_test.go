package campaign_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"tutti/model/optim"
	"tutti/privacy/plan"
	"tutti/server"
	"tutti/server/campaign"
	"tutti/server/round"
)

// rules are optimisers that remember something, and one that does not.
var rules = []optim.ServerConfig{
	{Rule: optim.FedSGD, LearningRate: 0.7, Momentum: 0.9},
	{Rule: optim.FedAdam, LearningRate: 0.01, Tau: 1e-4},
	{Rule: optim.FedAvg, LearningRate: 1},
}

// steady is the town whose sums are fixed, with more model rounds.
func steady(rule optim.ServerConfig) (*memory, campaign.Config) {
	m, cfg := town()
	m.fixed, cfg.Optimiser, cfg.Split.Rounds = true, rule, 4
	return m, cfg
}

// TestMomentumSurvives kills the process before and after every act of the server, and starts a new campaign, which knows
// nothing but what the server keeps: every version is that of a run without a death, bit for bit, and so is what is kept.
func TestMomentumSurvives(t *testing.T) {
	for _, rule := range rules {
		whole, cfg := steady(rule)
		mustRun(t, cfg)
		if len(whole.versions) != 7 {
			t.Fatalf("%d versions", len(whole.versions))
		}
		for kill := 1; ; kill++ {
			m, cfg := steady(rule)
			m.kill = kill
			_, err := run(t, cfg)
			if err == nil {
				if kill < 20 {
					t.Fatalf("only %d places to die", kill)
				}
				break
			}
			if !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
			mustRun(t, cfg)
			if !slices.Equal(m.versions, whole.versions) {
				t.Fatalf("%s: killed at point %d: other versions", rule.Rule, kill)
			}
			if !maps.EqualFunc(m.kept, whole.kept, slices.Equal) {
				t.Fatalf("%s: killed at point %d: something else is kept", rule.Rule, kill)
			}
		}
	}
}

// TestMomentumMatters: the test above would notice a momentum that is lost.
func TestMomentumMatters(t *testing.T) {
	whole, cfg := steady(rules[0])
	mustRun(t, cfg)
	m, cfg := steady(rules[0])
	m.kill = 4 + 6 + 2 + 4 + 4 // after the second model round was published
	run(t, cfg)
	clear(m.kept)
	mustRun(t, cfg)
	if m.versions[len(m.versions)-1] == whole.versions[len(whole.versions)-1] {
		t.Error("what is kept changes nothing")
	}
}

// TestOtherOptimiser: a task that was left with the state of one rule is not continued with another.
func TestOtherOptimiser(t *testing.T) {
	m, cfg := steady(rules[0])
	cfg.Split.Rounds = 2
	mustRun(t, cfg)
	for name, spoil := range map[string]func(c *campaign.Config){
		"rule":    func(c *campaign.Config) { c.Optimiser = rules[1] },
		"damaged": func(*campaign.Config) { m.kept["campaign/optimiser"] = m.kept["campaign/optimiser"][1:] },
		"tally":   func(*campaign.Config) { m.kept["campaign/tally"] = []byte("{") },
	} {
		other := cfg
		other.Split.Rounds = 3
		spoil(&other)
		if _, err := run(t, other); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestStatementsSurvive: what is said of participation counts the rounds of all processes, and nothing is said twice.
func TestStatementsSurvive(t *testing.T) {
	whole, cfg := town()
	log := noisy(t, whole, &cfg)
	mustRun(t, cfg)
	want := log.said[0].Times
	if want != 4 {
		t.Fatalf("said of %d rounds", want)
	}
	for kill := 1; ; kill++ {
		m, cfg := town()
		log := noisy(t, m, &cfg)
		m.kill = kill
		_, err := run(t, cfg)
		if err == nil {
			break
		}
		if !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		mustRun(t, cfg)
		switch {
		case len(log.said) == 0 && strings.Contains(err.Error(), "telemetry"): // it died when it had put the tally away: nothing is said rather than twice
		case len(log.said) != 3 || log.said[0].Times != want:
			t.Fatalf("killed at point %d (%v): %d statements about %v", kill, err, len(log.said), log.said)
		}
	}
}

// TestPauses: rounds that come to nothing are not run anew at once. Every wait is twice the one before, up to the longest, and
// devices and operator are told; a round that gives a sum ends the row.
func TestPauses(t *testing.T) {
	m, cfg := town()
	cfg.Retries, cfg.Pause, cfg.LongestPause = 4, 8*time.Millisecond, 20*time.Millisecond
	left := map[plan.Kind]int{plan.Transitions: 4, plan.Model: 1}
	m.fail = func(s server.RoundSpec) error {
		if left[s.Kind]--; left[s.Kind] >= 0 {
			return &server.AbandonedError{Reason: round.TooFewUploads}
		}
		return nil
	}
	var waits []time.Duration
	var told []time.Time
	cfg.Observer = func(p campaign.Progress) {
		if p.Err != nil {
			waits, told = append(waits, time.Until(p.Until)), append(told, p.Until)
		}
	}
	began := time.Now()
	mustRun(t, cfg)
	if took := time.Since(began); took < 76*time.Millisecond { // 8 + 16 + 20 + 20, then 8, and the clock cannot run faster
		t.Errorf("five pauses took %v", took)
	}
	if len(told) != 5 || !slices.EqualFunc(told, m.planned, time.Time.Equal) {
		t.Fatalf("told %v, planned %v", told, m.planned)
	}
	for i, most := range []time.Duration{8, 16, 20, 20, 8} {
		if waits[i] > most*time.Millisecond {
			t.Errorf("pause %d of %v", i+1, waits[i])
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	m, cfg = town()
	cfg.Pause, cfg.LongestPause = time.Hour, time.Hour
	m.fail = func(server.RoundSpec) error { return &server.AbandonedError{} }
	cfg.Observer = func(campaign.Progress) { time.AfterFunc(10*time.Millisecond, cancel) }
	c, err := campaign.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped while it waits: %v", err)
	}
}

// TestStalenessIsAsked: model rounds take late updates, and only they.
func TestStalenessIsAsked(t *testing.T) {
	m, cfg := town()
	cfg.Staleness = 3
	mustRun(t, cfg)
	for _, s := range m.asked {
		if want := uint32(3); s.Kind == plan.Model && s.Staleness != want || s.Kind != plan.Model && s.Staleness != 0 {
			t.Errorf("a %v round takes updates %d behind", s.Kind, s.Staleness)
		}
	}
}
