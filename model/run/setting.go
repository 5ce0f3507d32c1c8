package run

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Setting is one field of a Config by its name in the file, such as model.dim.
type Setting struct {
	Name string
	Help string
	// Value is the field as the file writes it.
	Value string
	set   func(text string) error
}

// Settings lists every field of c, in the order of the file.
func Settings(c *Config) []Setting {
	words := make([]string, len(recipes))
	for i, r := range recipes {
		words[i] = string(r.Recipe)
	}
	return []Setting{
		choice("recipe", &c.Recipe, "what kind of recommender", words...),
		text("data", &c.Data, "folder or zip; empty: invented behaviour"),
		whole("seed", &c.Seed, 0, math.MaxUint64, "of invented data, initial weights and batches"),
		choice("engine", &c.Engine, "graph: gorgonia's graph over the fused layers; fused: the same layers without it, equal to the bit", EngineGraph, EngineFused),
		whole("workers", &c.Workers, 0, 256, "parts of a batch computed side by side; 0: one for each core"),

		choice("split.kind", &c.Split.Kind, "leave-one-out flatters, because others' future is in the training data; time does not; cold asks for items that nobody met in training", SplitLeaveOneOut, SplitTime, SplitCold),
		decimal("split.quantile", &c.Split.Quantile, 0, 1, "time only: the share of all events before the cut"),
		decimal("split.cold", &c.Split.Cold, 0, 0.5, "cold only: the share of the items that the test asks for, and as many for validation"),

		whole("model.dim", &c.Model.Dim, 1, 1<<12, "width, a multiple of heads"),
		whole("model.blocks", &c.Model.Blocks, 1, 64, "Transformer blocks"),
		whole("model.heads", &c.Model.Heads, 1, 1<<12, "attention heads"),
		whole("model.hidden", &c.Model.Hidden, 1, 1<<12, "width of the feed-forward layer"),
		whole("model.length", &c.Model.MaxLen, 1, 1<<12, "events that are read"),
		choice("model.items", &c.Model.Items, "a learned row per item, a projection of its public features, or the sum of both", ItemsTable, ItemsFeatures, ItemsHybrid),
		enum("model.norm", &c.Model.Norm, "layer norm before or after each part of a block"),
		enum("model.positions", &c.Model.Positions, "learned vectors, or rotations of queries and keys"),
		enum("model.activation", &c.Model.Activation, "of the feed-forward layer"),
		whole("model.time_buckets", &c.Model.TimeBuckets, 0, 64, "learned vectors for the time since the event before; 0: none"),
		flag("model.user", &c.Model.User, "read the user's attributes, where the data have them"),
		decimal("model.dropout", &c.Model.Dropout, 0, 0.99, "share of activations that training drops"),
		whole("model.decoder_blocks", &c.Model.DecoderBlocks, 0, 64, "encdec only"),
		whole("model.horizon", &c.Model.Horizon, 0, 1<<12, "encdec only: longest continuation"),

		enum("loss.kind", &c.Loss.Kind, "softmax: over all items; the others compare with sampled negatives"),
		whole("loss.negatives", &c.Loss.Negatives, 1, 1<<20, "not for softmax"),
		decimal("loss.calibration", &c.Loss.Calibration, 0, 1, "gbce only: t of gSASRec"),
		decimal("loss.rating_weight", &c.Loss.RatingWeight, 0, 1e6, "of predicting the rating beside the item; 0: not"),
		decimal("loss.click_weight", &c.Loss.ClickWeight, 0, 1e6, "of predicting a click beside the item; 0: not"),

		whole("batch.size", &c.Batch.Size, 0, 1<<20, "sequences of a batch; 0: by the number of people, 16 to 128"),
		decimal("batch.random", &c.Batch.Random, 0, 1, "share of long histories cut at random, the others at their end"),
		decimal("batch.mask", &c.Batch.Mask, 0, 0.99, "bidirectional only: share of masked events"),
		decimal("batch.last_only", &c.Batch.LastOnly, 0, 1, "bidirectional only: share of sequences that mask their last event alone"),

		decimal("fit.epochs", &c.Fit.Epochs, 0, 1e6, "passes over the histories, if fit.steps is 0"),
		whole("fit.steps", &c.Fit.Steps, 0, 1<<40, "0: by fit.epochs"),
		choice("fit.optimiser", &c.Fit.Optimiser, "", Optimisers...),
		decimal("fit.momentum", &c.Fit.Momentum, 0, 0.9999, "of sgd and rmsprop"),
		decimal("fit.rate", &c.Fit.Rate, 0, 1e3, "learning rate at its peak"),
		choice("fit.schedule", &c.Fit.Schedule, "of the rate after the warm-up", Schedules...),
		decimal("fit.final_rate", &c.Fit.FinalRate, 0, 1e3, "where a falling rate ends; 0: at nothing, or a hundredth of the peak where it cannot be nothing"),
		decimal("fit.warm_up", &c.Fit.WarmUp, 0, 0.99, "share of the steps in which the rate rises"),
		decimal("fit.weight_decay", &c.Fit.WeightDecay, 0, 10, "decoupled for adamw, an L2 penalty for the others"),
		whole("fit.accumulate", &c.Fit.Accumulate, 1, 1<<16, "batches whose gradients make one step"),
		decimal("fit.clip", &c.Fit.Clip, 0, 1e9, "largest norm of a gradient; 0: none"),

		whole("validate.every", &c.Validate.Every, 0, 1<<40, "steps; 0: about forty times a run"),
		whole("validate.users", &c.Validate.Users, 0, 1<<40, "people who are asked; 0: all"),
		whole("validate.patience", &c.Validate.Patience, 0, 1<<40, "measurements without a new best before training ends; 0: never early"),
		whole("save.steps", &c.Save.Steps, 0, 1<<40, "write the state at least this often; 0: by time alone"),
		whole("save.seconds", &c.Save.Seconds, 0, 1<<40, "write the state at least this often; 0: by steps alone"),
	}
}

// Optimisers and Schedules are the words of fit.optimiser and fit.schedule.
var (
	Optimisers = []string{"adam", "adamw", "sgd", "rmsprop", "adagrad"}
	Schedules  = []string{"cosine", "constant", "exponential", "step"}
)

var errUnknown = errors.New("unknown setting")

// Set changes one field by its name, such as "model.dim" to "128".
func (c *Config) Set(name, text string) error {
	for _, s := range Settings(c) {
		if s.Name == name {
			return s.set(text)
		}
	}
	return fmt.Errorf("%w %q%s", errUnknown, name, nearest(name, Settings(c)))
}

// nearest suggests a setting for a name that is none.
func nearest(name string, settings []Setting) string {
	last := name[strings.LastIndexByte(name, '.')+1:]
	for _, s := range settings {
		if s.Name[strings.LastIndexByte(s.Name, '.')+1:] == last {
			return fmt.Sprintf(", is it %s?", s.Name)
		}
	}
	return ""
}

func text(name string, field *string, help string) Setting {
	return Setting{name, help, *field, func(s string) error { *field = s; return nil }}
}

func choice[T ~string](name string, field *T, help string, words ...string) Setting {
	join := strings.Join(words, ", ")
	if help != "" {
		help += " "
	}
	return Setting{name, help + "(" + join + ")", string(*field), func(s string) error {
		if !slices.Contains(words, s) {
			return fmt.Errorf("%s: %q, want one of %s", name, s, join)
		}
		*field = T(s)
		return nil
	}}
}

// enum is a choice among the words of a type that writes and reads itself.
func enum[T ~uint8, P interface {
	*T
	encoding.TextUnmarshaler
	encoding.TextMarshaler
}](name string, field P, help string) Setting {
	var words []string
	for n := T(0); ; n++ {
		word, err := P(&n).MarshalText()
		if err != nil {
			break
		}
		words = append(words, string(word))
	}
	value, _ := field.MarshalText()
	word := string(value)
	s := choice(name, &word, help, words...)
	check := s.set
	s.set = func(text string) error {
		if err := check(text); err != nil {
			return err
		}
		return field.UnmarshalText([]byte(text))
	}
	return s
}

func flag(name string, field *bool, help string) Setting {
	return Setting{name, help, strconv.FormatBool(*field), func(s string) error {
		if s != "true" && s != "false" {
			return fmt.Errorf("%s: %q, want true or false", name, s)
		}
		*field = s == "true"
		return nil
	}}
}

func whole[T int | uint64](name string, field *T, low, high uint64, help string) Setting {
	return Setting{name, help, fmt.Sprint(*field), func(s string) error {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil || n < low || n > high {
			return fmt.Errorf("%s: %q, want a whole number from %d to %d", name, s, low, high)
		}
		*field = T(n)
		return nil
	}}
}

func decimal(name string, field *float64, low, high float64, help string) Setting {
	return Setting{name, help, strconv.FormatFloat(*field, 'g', -1, 64), func(s string) error {
		x, err := strconv.ParseFloat(s, 64)
		if err != nil || !(x >= low && x <= high) {
			return fmt.Errorf("%s: %q, want a number from %v to %v", name, s, low, high)
		}
		*field = x
		return nil
	}}
}
