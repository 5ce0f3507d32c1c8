package seqrec_test

import (
	"bytes"
	"context"
	"math"
	"slices"
	"testing"

	"tutti/model"
	"tutti/model/seqrec"
)

func mustFitter(t *testing.T, m *seqrec.Model, source seqrec.Source, cfg seqrec.FitConfig) *seqrec.Fitter {
	t.Helper()
	f, err := seqrec.NewFitter(seqrec.NewEngine(m), m.Init(1), source, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func mustStep(t *testing.T, f *seqrec.Fitter, steps int) {
	t.Helper()
	for range steps {
		if err := f.Step(); err != nil {
			t.Fatal(err)
		}
	}
}

// rating is any function of the weights that goes up and down as they move.
func rating(p model.Params) (float64, error) {
	sum := 0.0
	for _, v := range p.Values() {
		sum += float64(v)
	}
	return math.Sin(40 * sum), nil
}

// Stopped after any step, through bytes, and resumed by a Fitter that has other
// initial weights and a fresh source: the same bits as without a stop.
func TestFitResumesBitForBit(t *testing.T) {
	m := cycleModels(t)["table"]
	histories := [][]int32{}
	for _, s := range cycle(12, 7, 14) {
		histories = append(histories, s.Items)
	}
	crops := func() seqrec.Source { return seqrec.Crops(histories, 8, 3, 0.6, 9) }
	for _, rule := range []string{"", "sgd", "adam", "adamw", "rmsprop", "adagrad"} {
		cfg := seqrec.FitConfig{
			Steps: 12, LearningRate: 0.01, WarmUp: 3, Optimizer: rule, Accumulate: 2, Clip: 0.5, WeightDecay: 0.01,
			Validate: rating, ValidateEvery: 2,
		}
		if rule == "sgd" || rule == "rmsprop" {
			cfg.Momentum = 0.5
		}
		whole := mustFitter(t, m, crops(), cfg)
		var states [][]byte
		for !whole.Done() {
			mustStep(t, whole, 1)
			states = append(states, mustMarshal(t, whole.State()))
		}
		want, wantStats, err := whole.Result()
		if err != nil {
			t.Fatal(err)
		}
		for stop, b := range states {
			s, err := seqrec.ParseFitState(b)
			if err != nil {
				t.Fatal(err)
			}
			f, err := seqrec.NewFitter(seqrec.NewEngine(m), m.Init(77), crops(), cfg)
			if err != nil || f.Resume(s) != nil {
				t.Fatalf("%s: no resume after step %d (%v)", rule, stop+1, err)
			}
			mustStep(t, f, cfg.Steps-s.Steps())
			got, stats, err := f.Result()
			if err != nil || got.Digest() != want.Digest() || stats != wantStats {
				t.Fatalf("%q stopped after step %d: %+v, want %+v (%v)", rule, stop+1, stats, wantStats, err)
			}
			if last := mustMarshal(t, f.State()); !bytes.Equal(last, states[len(states)-1]) {
				t.Fatalf("%q stopped after step %d: another state at the end", rule, stop+1)
			}
		}
	}
}

// The same where everything that can be random is: dropout, negatives from a
// proposal, masks, splits, on two workers.
func TestFitResumesWhateverIsRandom(t *testing.T) {
	var histories [][]int32
	for _, s := range cycle(12, 9, 14) {
		histories = append(histories, s.Items)
	}
	base := seqrec.Config{Items: 12, Dim: 8, Blocks: 1, Heads: 2, Hidden: 8, MaxLen: 8, Dropout: 0.2}
	for name, c := range map[string]struct {
		change func(*seqrec.Config)
		source func(*seqrec.Model) seqrec.Source
	}{
		"crops, sampled softmax": {
			func(c *seqrec.Config) { c.Loss = seqrec.Loss{Kind: seqrec.SampledSoftmax, Negatives: 4} },
			func(m *seqrec.Model) seqrec.Source { return seqrec.Crops(histories, 8, 4, 0.6, 9) },
		},
		"cloze, gbce": {
			func(c *seqrec.Config) {
				c.Arch, c.Loss = seqrec.Bidirectional, seqrec.Loss{Kind: seqrec.GBCE, Negatives: 3, Calibration: 0.75}
			},
			func(m *seqrec.Model) seqrec.Source {
				return seqrec.Cloze(histories, seqrec.DefaultMasking(m.Config()), 4, 9)
			},
		},
		"continuations": {
			func(c *seqrec.Config) { c.Arch, c.DecoderBlocks, c.Horizon = seqrec.EncoderDecoder, 1, 4 },
			func(m *seqrec.Model) seqrec.Source { return seqrec.Continuations(histories, 8, 4, 4, 9) },
		},
	} {
		cfg := base
		c.change(&cfg)
		m := mustModel(t, cfg, nil)
		run := func() *seqrec.Fitter {
			f, err := seqrec.NewFitter(seqrec.NewParallelEngine(m, 2), m.Init(1), c.source(m),
				seqrec.FitConfig{Steps: 6, LearningRate: 0.01, Accumulate: 2})
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		whole, stopped, resumed := run(), run(), run()
		mustStep(t, whole, 6)
		mustStep(t, stopped, 3)
		s, err := seqrec.ParseFitState(mustMarshal(t, stopped.State()))
		if err != nil || resumed.Resume(s) != nil {
			t.Fatalf("%s: no resume (%v)", name, err)
		}
		mustStep(t, resumed, 3)
		if !bytes.Equal(mustMarshal(t, resumed.State()), mustMarshal(t, whole.State())) {
			t.Errorf("%s: the resumed run ends elsewhere", name)
		}
	}
}

func mustMarshal(t *testing.T, s seqrec.FitState) []byte {
	t.Helper()
	b, err := s.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestClipBoundsTheStep(t *testing.T) {
	m := cycleModels(t)["table"]
	source := seqrec.Batches(cycle(12, 4, 8), 4, 1)
	length := func(clip float64) float64 {
		f := mustFitter(t, m, source, seqrec.FitConfig{Steps: 1, LearningRate: 1, Schedule: "constant", Optimizer: "sgd", Clip: clip})
		mustStep(t, f, 1)
		square, start := 0.0, m.Init(1).Values()
		for i, v := range f.State().Params().Values() {
			square += math.Pow(float64(v)-float64(start[i]), 2)
		}
		return math.Sqrt(square)
	}
	free := length(0)
	if got := length(free / 2); !(math.Abs(got-free/2) <= 1e-5*free) {
		t.Errorf("clipped to %v, the step has length %v", free/2, got)
	}
	if got := length(free * 2); got != free {
		t.Errorf("a clip of twice the norm changed it from %v to %v", free, got)
	}
}

// The loss that is told is the mean over the last tenth of the run.
func TestLossIsOfTheLastTenth(t *testing.T) {
	m := cycleModels(t)["table"]
	for steps, tenth := range map[int]int{1: 1, 9: 1, 20: 2, 39: 3} {
		var losses []float64
		_, stats, err := seqrec.Fit(context.Background(), seqrec.NewEngine(m), m.Init(1), cycle(12, 4, 8), seqrec.FitConfig{
			Steps: steps, Batch: 2, LearningRate: 0.01, Progress: func(_ int, loss float64) { losses = append(losses, loss) },
		})
		want := 0.0
		for _, loss := range losses[steps-tenth:] {
			want += loss / float64(tenth)
		}
		if err != nil || !(math.Abs(stats.Loss-want) <= 1e-12) {
			t.Errorf("%d steps: loss %v (%v), want %v", steps, stats.Loss, err, want)
		}
	}
}

// A decay without a rule is AdamW's.
func TestDecayMakesAdamW(t *testing.T) {
	m := cycleModels(t)["table"]
	digests := map[string]model.Digest{}
	for _, rule := range []string{"", "adamw", "adam"} {
		params, _, err := seqrec.Fit(context.Background(), seqrec.NewEngine(m), m.Init(1), cycle(12, 4, 8), seqrec.FitConfig{
			Steps: 3, Batch: 2, LearningRate: 0.01, Optimizer: rule, WeightDecay: 0.1,
		})
		if err != nil {
			t.Fatal(err)
		}
		digests[rule] = params.Digest()
	}
	if digests[""] != digests["adamw"] || digests[""] == digests["adam"] {
		t.Errorf("weights %v", digests)
	}
}

func TestFitterRate(t *testing.T) {
	m := cycleModels(t)["table"]
	f := mustFitter(t, m, seqrec.Batches(cycle(12, 2, 4), 2, 1), seqrec.FitConfig{
		Steps: 4, LearningRate: 1, WarmUp: 4, Schedule: "constant", Optimizer: "sgd", Clip: 0.01,
	})
	if f.Rate() != 0.25 {
		t.Errorf("rate %v before the first step", f.Rate())
	}
	if mustStep(t, f, 2); f.Rate() != 0.5 {
		t.Errorf("rate %v after two steps", f.Rate())
	}
}

// The best weights come back, the earliest of equals, and patience, which a new
// best one restores, ends training.
func TestEarlyStopping(t *testing.T) {
	m := cycleModels(t)["table"]
	ratings := []float64{1, 0, 3, 2, 3, 1, 9}
	var seen []model.Params
	cfg := seqrec.FitConfig{Steps: 14, LearningRate: 0.01, ValidateEvery: 2, Patience: 3}
	cfg.Validate = func(p model.Params) (float64, error) {
		seen = append(seen, p.Clone())
		return ratings[len(seen)-1], nil
	}
	source := seqrec.Batches(cycle(12, 4, 8), 2, 1)
	got, stats, err := seqrec.FitSource(context.Background(), seqrec.NewEngine(m), m.Init(1), source, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if stats.Steps != 12 || stats.Best != 3 || stats.BestStep != 6 || len(seen) != 6 || got.Digest() != seen[2].Digest() {
		t.Errorf("%+v after %d ratings", stats, len(seen))
	}
	if stats.Tokens != 12*2*8 || !(stats.Loss > 1 && stats.Loss < 3) {
		t.Errorf("%+v", stats)
	}

	seen, cfg.Patience = nil, 0
	if got, stats, err = seqrec.FitSource(context.Background(), seqrec.NewEngine(m), m.Init(1), source, cfg); err != nil {
		t.Fatal(err)
	}
	if stats.Steps != 14 || stats.BestStep != 14 || got.Digest() != seen[6].Digest() {
		t.Errorf("without patience %+v", stats)
	}

	cfg.Validate = func(model.Params) (float64, error) { return math.NaN(), nil }
	if _, _, err := seqrec.FitSource(context.Background(), seqrec.NewEngine(m), m.Init(1), source, cfg); err == nil {
		t.Error("a rating of NaN was accepted")
	}
}

// A batch is the same whether the ones before it were asked for or not, and an
// epoch has every sequence once.
func TestSourcesAreRandomAccess(t *testing.T) {
	data := cycle(12, 11, 8)
	for i := range data {
		data[i].Items = []int32{int32(i)}
	}
	const batch = 4
	read := func(source seqrec.Source, step int) (out []seqrec.Sequence) {
		b, err := source(step)
		if err != nil {
			t.Fatal(err)
		}
		return slices.Clone(b)
	}
	walk := seqrec.Batches(data, batch, 5)
	count := make([]int, len(data))
	seeds := map[uint64]bool{}
	for step := range 3 * len(data) { // 12 epochs
		got := read(walk, step)
		fresh := read(seqrec.Batches(data, batch, 5), step)
		for i := range got {
			if got[i].Items[0] != fresh[i].Items[0] || got[i].Seed != fresh[i].Seed {
				t.Fatalf("batch %d depends on the ones before", step)
			}
			count[got[i].Items[0]]++
			seeds[got[i].Seed] = true
			position := step*batch + i + 1
			if position%len(data) == 0 {
				for item, n := range count {
					if n != position/len(data) {
						t.Fatalf("sequence %d came %d times in %d epochs", item, n, position/len(data))
					}
				}
			}
		}
	}
	if len(seeds) != 3*len(data)*batch {
		t.Errorf("%d different seeds", len(seeds))
	}
}

func TestFitterRefuses(t *testing.T) {
	m := cycleModels(t)["table"]
	source := seqrec.Batches(cycle(12, 2, 4), 2, 1)
	good := seqrec.FitConfig{Steps: 2, LearningRate: 0.1}
	for name, change := range map[string]func(*seqrec.FitConfig){
		"accumulate":          func(c *seqrec.FitConfig) { c.Accumulate = -1 },
		"too much to count":   func(c *seqrec.FitConfig) { c.Steps, c.Accumulate = math.MaxInt/2, 3 },
		"clip":                func(c *seqrec.FitConfig) { c.Clip = math.NaN() },
		"optimiser":           func(c *seqrec.FitConfig) { c.Optimizer = "magic" },
		"schedule":            func(c *seqrec.FitConfig) { c.Schedule = "magic" },
		"momentum":            func(c *seqrec.FitConfig) { c.Momentum = 0.9 }, // Adam has none
		"patience alone":      func(c *seqrec.FitConfig) { c.Patience = 1 },
		"validation never":    func(c *seqrec.FitConfig) { c.Validate = rating },
		"negative patience":   func(c *seqrec.FitConfig) { c.Validate, c.ValidateEvery, c.Patience = rating, 1, -1 },
		"final rate infinite": func(c *seqrec.FitConfig) { c.FinalRate = math.Inf(1) },
	} {
		c := good
		change(&c)
		if _, err := seqrec.NewFitter(seqrec.NewEngine(m), m.Init(1), source, c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	f := mustFitter(t, m, source, good)
	mustStep(t, f, 2)
	state := f.State()
	other := good
	other.Optimizer = "rmsprop"
	short := good
	short.Steps = 1
	for name, f := range map[string]*seqrec.Fitter{
		"another optimiser": mustFitter(t, m, source, other),
		"a shorter run":     mustFitter(t, m, source, short),
		"another model":     mustFitter(t, mustModel(t, small, nil), source, good),
	} {
		if f.Resume(state) == nil {
			t.Errorf("%s: the state was accepted", name)
		}
	}
	rated := good
	rated.Validate, rated.ValidateEvery = rating, 1
	f = mustFitter(t, m, source, rated)
	mustStep(t, f, 1)
	if mustFitter(t, m, source, good).Resume(f.State()) == nil {
		t.Error("a run that rates nothing took over the best weights of one that does")
	}
	if mustFitter(t, m, source, good).Resume(seqrec.FitState{}) == nil {
		t.Error("an empty state was accepted")
	}
}
