package run

// Recipe names a kind of recommender with the settings that it is good with.
type Recipe string

// The recipes.
const (
	Causal        Recipe = "causal"
	Bidirectional Recipe = "bidirectional"
	EncDec        Recipe = "encdec"
)

// About is what a person should know to choose a recipe.
type About struct {
	Recipe Recipe
	Best   string // one sentence: where it is best
}

// recipes is the one place of the defaults.
var recipes = []struct {
	About
	change func(*Config)
}{
	{About{Causal, "predicts each item from those before it (SASRec): learns from every event, the fastest, and the one to start with"}, func(*Config) {}},
	{About{Bidirectional, "fills in masked items from both sides (BERT4Rec): for histories whose order means little; learns from two fifths of the events at a time, so it takes more epochs"}, func(c *Config) {
		c.Batch.Mask, c.Batch.LastOnly = 0.4, 0.1
		c.Fit.Epochs, c.Fit.Rate = 100, 2e-3
	}},
	{About{EncDec, "writes whole continuations (encoder and decoder): for lists whose items must fit each other"}, func(c *Config) {
		c.Model.DecoderBlocks = 1
		c.Model.Horizon = 24
		c.Fit.Rate = 2e-3
	}},
}

// Recipes lists the recipes, the first being the default.
func Recipes() []About {
	out := make([]About, len(recipes))
	for i, r := range recipes {
		out[i] = r.About
	}
	return out
}

// Default is the whole configuration of a recipe; false for an unknown one.
// The shape, the rate and the crops are those of the project's study on ml-1m
// (model.md, sections 2.4 and 4.3); the size of a batch follows the number of
// people, see Config.BatchSize.
func Default(r Recipe) (Config, bool) {
	c := Config{
		Recipe: r, Seed: 1, Engine: EngineGraph,
		Split: Split{Kind: SplitLeaveOneOut, Quantile: 0.9, Cold: 0.1},
		Model: Model{
			Dim: 64, Blocks: 2, Heads: 2, Hidden: 64, MaxLen: 64, Items: ItemsTable,
			Dropout: 0.2,
		},
		Loss:     Loss{Negatives: 256, Calibration: 0.75},
		Batch:    Batch{Random: 0.6},
		Fit:      Fit{Epochs: 60, Optimiser: "adam", Rate: 1.5e-3, Schedule: "cosine", WarmUp: 0.05, Accumulate: 1},
		Validate: Validate{Users: 2000, Patience: 20},
		Save:     Save{Seconds: 60},
	}
	for _, known := range recipes {
		if known.Recipe == r {
			known.change(&c)
			return c, true
		}
	}
	return Config{}, false
}
