package campaign_test

import (
	"errors"
	"math"
	"math/big"
	"slices"
	"testing"

	"tutti/model"
	"tutti/model/blend"
	"tutti/model/optim"
	"tutti/model/stats"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
	"tutti/server"
	"tutti/server/campaign"
	"tutti/server/round"
)

const (
	items   = 24
	devices = 10
)

// town is a server in memory and the recipe that runs on it, small and without noise.
func town() (*memory, campaign.Config) {
	public := blend.Public{Dim: 2, Rows: make([]float32, 2*items)}
	for i := range items {
		public.Rows[2*i+i%2] = 1
	}
	var histories [][]int32
	for d := range int32(devices) { // people walk along the catalogue, and many begin at its head
		h := []int32{0}
		for k := range int32(5) {
			h = append(h, 1+(d*d+k)%(items-1))
		}
		histories = append(histories, h)
	}
	m := newMemory(public, histories)
	return m, campaign.Config{
		Server: m, Task: "test", Items: model.Digest{1}, Public: public,
		Spec:  blend.Spec{Items: items, Dim: 4, Blocks: 1, Heads: 2, Hidden: 4, MaxLen: 4, Features: true, Embedding: 2},
		Split: plan.Split{Goal: devices, NMin: 7, NMax: 13, Colluders: 1, Block: 8, Rounds: 2, Telemetry: new(big.Rat)},
		Clip:  0.5, Training: plan.Training{Steps: 1, Batch: 1, MaxLen: 4, LearningRate: "1", Optimizer: "sgd"},
		Optimiser: optim.ServerConfig{Rule: optim.FedAvg, LearningRate: 1},
		Distil:    campaign.Distillation{Steps: 3, Batch: 2, Length: 4, LearningRate: 0.01, WarmUp: 1, Seed: 5},
		Weight:    0.25, Seed: 4, NewEngine: campaign.Engine, Retries: 2,
	}
}

// run runs a new campaign on the server and gives it back.
func run(t *testing.T, cfg campaign.Config) (*campaign.Campaign, error) {
	t.Helper()
	c, err := campaign.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c, c.Run(t.Context())
}

func mustRun(t *testing.T, cfg campaign.Config) *campaign.Campaign {
	t.Helper()
	c, err := run(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var (
	recipe = []string{"popularity", "transitions", "distil", "model", "model"} // what each version is made by
	kinds  = []plan.Kind{plan.Popularity, plan.Transitions, plan.Model, plan.Model}
)

func kindsOf(asked []server.RoundSpec) (all []plan.Kind) {
	for _, s := range asked {
		all = append(all, s.Kind)
	}
	return all
}

// chained checks that the versions are the recipe's, each with its parent, its parts, and all that came before.
func chained(t *testing.T, m *memory, cfg campaign.Config) {
	t.Helper()
	if !slices.Equal(m.causes, recipe) {
		t.Fatalf("versions were made by %v, want %v", m.causes, recipe)
	}
	var before model.Version
	for i, v := range m.versions {
		parent := before.Digest()
		if i == 0 {
			parent = model.Digest{}
		}
		if v.Number != uint64(i+1) || v.Parent != parent || v.Items != cfg.Items {
			t.Errorf("version %d: %+v", i+1, v)
		}
		if i > 0 && v.Popularity != before.Popularity || i > 1 && v.Transitions != before.Transitions ||
			i > 2 && (v.Spec != before.Spec || v.Layout != before.Layout || v.Blend != before.Blend || v.Params == before.Params) {
			t.Errorf("version %d lost or kept what it should not: %+v after %+v", i+1, v, before)
		}
		if want := i >= 2; v.Spec.IsZero() == want || v.Layout.IsZero() == want || v.Params.IsZero() == want {
			t.Errorf("version %d: spec %v, layout %v, params %v", i+1, v.Spec, v.Layout, v.Params)
		}
		parts, err := m.resolve(v)
		if err != nil {
			t.Fatalf("version %d does not resolve: %v", i+1, err)
		}
		if _, err := blend.New(parts); err != nil {
			t.Fatalf("version %d does not serve: %v", i+1, err)
		}
		before = v
	}
	if spec, err := blend.ParseSpec(m.blobs[before.Spec]); err != nil || spec != cfg.Spec || before.Blend != "0.25" {
		t.Errorf("spec %+v (%v), blend %q", spec, err, before.Blend)
	}
}

// TestOrder runs the whole recipe: its stages in their order, its versions in a chain.
func TestOrder(t *testing.T) {
	m, cfg := town()
	var stages []campaign.Stage
	var published []uint64
	var steps int
	cfg.Observer = func(p campaign.Progress) {
		if len(stages) == 0 || stages[len(stages)-1] != p.Stage {
			stages = append(stages, p.Stage)
		}
		switch {
		case p.Stage == campaign.StageDone:
		case p.Version.Number > 0:
			published = append(published, p.Version.Number)
		case p.Stage == campaign.StageDistil && p.Loss > 0:
			steps++
		}
	}
	c := mustRun(t, cfg)
	if want := []campaign.Stage{campaign.StagePopularity, campaign.StageTransitions, campaign.StageDistil, campaign.StageModel, campaign.StageDone}; !slices.Equal(stages, want) {
		t.Errorf("stages %v, want %v", stages, want)
	}
	if !slices.Equal(published, []uint64{1, 2, 3, 4, 5}) || steps != cfg.Distil.Steps {
		t.Errorf("versions %v were announced, and %d distillation steps", published, steps)
	}
	if got := kindsOf(m.asked); !slices.Equal(got, kinds) {
		t.Errorf("rounds %v, want %v", got, kinds)
	}
	chained(t, m, cfg)

	// A campaign that starts on the finished task has nothing to do, and stands where the first one ended.
	again := mustRun(t, cfg)
	if len(m.asked) != len(kinds) || len(m.versions) != len(recipe) {
		t.Errorf("a finished task ran %d rounds and has %d versions", len(m.asked), len(m.versions))
	}
	if !slices.Equal(again.Parts().Params.Values(), c.Parts().Params.Values()) || again.Parts().Weight != c.Parts().Weight {
		t.Error("the published parts are not those of the campaign that made them")
	}
}

// TestWhatIsMade checks the parts against the devices' own numbers: statistics are of the sum, a model round adds the
// mean of the clipped updates. Only the rounding of the codec may differ.
func TestWhatIsMade(t *testing.T) {
	m, cfg := town()
	c := mustRun(t, cfg)
	liked := make([]float32, items)
	for _, h := range m.histories {
		for i, x := range stats.PopularityVector(h, items) {
			liked[i] += x
		}
	}
	exact, err := stats.NewPopularity(liked, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, share := range c.Parts().Popularity.Shares() {
		if math.Abs(float64(share-exact.Shares()[i])) > 1e-3 {
			t.Errorf("item %d has %g of the popularity, want %g", i, share, exact.Shares()[i])
		}
	}
	block := c.Parts().Transitions.Block()
	if !slices.Equal(block.Items(), c.Parts().Popularity.TopK(cfg.Split.Block)) {
		t.Errorf("the block is %v", block.Items())
	}
	for n := 4; n <= 5; n++ { // the versions that model rounds made
		before, err := m.resolve(m.versions[n-2])
		if err != nil {
			t.Fatal(err)
		}
		after, err := m.resolve(m.versions[n-1])
		if err != nil {
			t.Fatal(err)
		}
		want := slices.Clone(before.Params.Values())
		for _, h := range m.histories {
			p := plan.Plan{Kind: plan.Model, BaseNumber: uint64(n - 1), Training: cfg.Training}
			update, err := m.learn(p, h)
			if err != nil {
				t.Fatal(err)
			}
			norm := 0.0
			for _, x := range update {
				norm += float64(x) * float64(x)
			}
			scale := min(1, cfg.Clip/math.Sqrt(norm)) / devices
			for i, x := range update {
				want[i] += float32(scale * float64(x))
			}
		}
		for i, w := range want {
			if math.Abs(float64(after.Params.Values()[i]-w)) > 1e-3 {
				t.Fatalf("version %d, weight %d: %g, want %g", n, i, after.Params.Values()[i], w)
			}
		}
	}
}

// TestKilledAnywhere kills the process before and after every act of the server and starts a new campaign, or runs the
// same one on: no round is repeated that gave a sum, no version is skipped or made twice.
func TestKilledAnywhere(t *testing.T) {
	for _, same := range []bool{false, true} {
		for kill := 1; ; kill++ {
			m, cfg := town()
			m.kill = kill
			c, err := run(t, cfg)
			if err == nil {
				if kill <= 2*len(kinds)+2*len(recipe) {
					t.Fatalf("only %d places to die", kill-1)
				}
				break
			}
			if !errors.Is(err, errKilled) {
				t.Fatalf("killed at point %d: %v", kill, err)
			}
			if same {
				err = c.Run(t.Context())
			} else {
				_, err = run(t, cfg)
			}
			if err != nil {
				t.Fatalf("killed at point %d, went on: %v", kill, err)
			}
			chained(t, m, cfg)
			if got := kindsOf(m.asked); !slices.Equal(got, kinds) {
				t.Fatalf("killed at point %d: rounds %v, want %v", kill, got, kinds)
			}
		}
	}
}

// TestWithoutTransitions: where the split leaves them out, the model rounds are still counted right after a restart.
func TestWithoutTransitions(t *testing.T) {
	for kill := range 20 {
		m, cfg := town()
		cfg.Split.Block = 0
		m.kill = kill
		if _, err := run(t, cfg); err != nil {
			mustRun(t, cfg)
		}
		if want := []string{"popularity", "distil", "model", "model"}; !slices.Equal(m.causes, want) {
			t.Fatalf("killed at point %d: versions %v, want %v", kill, m.causes, want)
		}
	}
}

// TestStatisticsOnly: without model rounds there is no Transformer.
func TestStatisticsOnly(t *testing.T) {
	m, cfg := town()
	cfg.Split.Rounds = 0
	c := mustRun(t, cfg)
	if !slices.Equal(m.causes, recipe[:2]) || c.Parts().Model != nil {
		t.Errorf("versions %v, Transformer %v", m.causes, c.Parts().Model)
	}
}

func signs(asked []server.RoundSpec) map[[32]byte]bool {
	all := map[[32]byte]bool{}
	for _, s := range asked {
		all[s.Mechanism.Signs] = true
	}
	return all
}

// TestRetries: a round without a sum is run anew, never with the same signs, and not more often than wished.
func TestRetries(t *testing.T) {
	for _, failure := range []error{&server.AbandonedError{Reason: round.TooFewUploads}, &server.LostError{}} {
		for failures := range 5 {
			m, cfg := town()
			left := failures
			m.fail = func(s server.RoundSpec) error {
				if s.Kind == plan.Transitions && left > 0 {
					left--
					return failure
				}
				return nil
			}
			heard := 0
			cfg.Observer = func(p campaign.Progress) {
				if p.Err != nil {
					heard++
				}
			}
			_, err := run(t, cfg)
			if failures <= cfg.Retries {
				if err != nil || heard != failures || len(m.asked) != len(kinds)+failures {
					t.Errorf("%d failures: %v, heard of %d, %d rounds", failures, err, heard, len(m.asked))
				}
				chained(t, m, cfg)
			} else if !errors.Is(err, failure) || len(m.asked) != 1+1+cfg.Retries {
				t.Errorf("%d failures: %v after %d rounds", failures, err, len(m.asked))
			}
			if len(signs(m.asked)) != len(m.asked) {
				t.Errorf("%d failures: signs were used twice", failures)
			}
		}
	}
}

// TestCommitteeAway: no retry without a committee; the caller waits and runs on.
func TestCommitteeAway(t *testing.T) {
	m, cfg := town()
	m.fail = func(s server.RoundSpec) error {
		if s.Kind == plan.Model {
			return &server.CommitteeError{Want: 4}
		}
		return nil
	}
	c, err := run(t, cfg)
	var away *server.CommitteeError
	if !errors.As(err, &away) || len(m.asked) != 3 {
		t.Fatalf("%v after %d rounds", err, len(m.asked))
	}
	m.fail = nil
	if err := c.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	chained(t, m, cfg)
}

// TestDistilBySeed: from the same releases the same seeds give the same start, bit for bit, others give another.
func TestDistilBySeed(t *testing.T) {
	m, cfg := town()
	m.fail = func(s server.RoundSpec) error {
		if s.Kind == plan.Model {
			return errKilled
		}
		return nil
	}
	released, statistics := newMemory(m.public, m.histories), cfg
	statistics.Server, statistics.Split.Rounds = released, 0
	mustRun(t, statistics)
	start := func(change func(*campaign.Config)) model.Digest {
		mine, cfg := released.clone(), cfg
		mine.fail, cfg.Server = m.fail, mine
		change(&cfg)
		if _, err := run(t, cfg); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		return mine.versions[2].Params
	}
	first := start(func(*campaign.Config) {})
	if again := start(func(*campaign.Config) {}); again != first {
		t.Error("the same seeds give another start")
	}
	for name, change := range map[string]func(*campaign.Config){
		"weights":   func(c *campaign.Config) { c.Seed++ },
		"sequences": func(c *campaign.Config) { c.Distil.Seed++ },
		"none":      func(c *campaign.Config) { c.Distil = campaign.Distillation{} },
	} {
		if start(change) == first {
			t.Errorf("%s: another seed gives the same start", name)
		}
	}
}

// TestOtherTask: a server that holds another task's versions is refused, before any round is opened.
func TestOtherTask(t *testing.T) {
	m, cfg := town()
	mustRun(t, cfg)
	rounds := len(m.asked)
	for name, change := range map[string]func(*campaign.Config){
		"catalogue":       func(c *campaign.Config) { c.Items = model.Digest{2} },
		"items":           func(c *campaign.Config) { c.Spec.Items++ },
		"width":           func(c *campaign.Config) { c.Spec.Dim *= 2 },
		"heads":           func(c *campaign.Config) { c.Spec.Heads = 1 }, // the same layout
		"length":          func(c *campaign.Config) { c.Spec.MaxLen++ },
		"embedding":       func(c *campaign.Config) { c.Spec.Embedding++ },
		"a learned table": func(c *campaign.Config) { c.Spec.Features, c.Spec.Embedding = false, 0 },
		"public columns":  func(c *campaign.Config) { c.Public = blend.Public{Dim: 1, Rows: make([]float32, items)} },
	} {
		other := cfg
		change(&other)
		if _, err := campaign.New(other); err == nil {
			t.Errorf("%s: a task of another kind is continued", name)
		}
	}
	if len(m.asked) != rounds {
		t.Error("a round was opened")
	}
}

func TestBadConfig(t *testing.T) {
	for name, change := range map[string]func(*campaign.Config){
		"no server": func(c *campaign.Config) { c.Server = nil },
		"no engine": func(c *campaign.Config) { c.NewEngine = nil },
		"no split":  func(c *campaign.Config) { c.Split = plan.Split{} },
		"weight":    func(c *campaign.Config) { c.Weight = math.NaN() },
		"staleness": func(c *campaign.Config) { c.Staleness = plan.MaxStale + 1 },
		"pauses":    func(c *campaign.Config) { c.Pause = 1 },
	} {
		_, cfg := town()
		change(&cfg)
		if _, err := campaign.New(cfg); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	// What only a stage can see ends with that stage's name, and nothing is published.
	m, cfg := town()
	cfg.Split.NMin = 20 // more than n_max
	var rule *mechanism.RuleError
	if _, err := run(t, cfg); !errors.As(err, &rule) || len(m.asked) != 0 {
		t.Errorf("%v", err)
	}
}
