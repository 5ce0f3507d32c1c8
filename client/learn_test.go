package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"tutti/model/seqrec"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
)

// lesson is local training of a small model on one history.
func lesson(t *testing.T, change func(*seqrec.Config)) Lesson {
	t.Helper()
	cfg := seqrec.Config{Items: 12, Dim: 8, Blocks: 1, Heads: 2, Hidden: 8, MaxLen: 6}
	change(&cfg)
	m, err := seqrec.New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return Lesson{
		Plan: plan.Plan{Kind: plan.Model, Mechanism: mechanism.Params{Dim: m.Layout().Size()},
			Training: plan.Training{Steps: 3, LearningRate: "0.1", Optimizer: "sgd"}},
		History: []int32{0, 1, 2, 3, 4, 5, 6, 7, 8}, Items: 12, Model: m, Params: m.Init(1), Seed: 1,
		engine: seqrec.NewEngine(m),
	}
}

func learnt(t *testing.T, l Lesson) []float32 {
	t.Helper()
	update, err := l.Learn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(update.Values())
}

// A device trains every architecture: its loss falls, the Seed decides what is
// drawn at random, and where nothing is drawn it does not matter.
func TestEveryArchitectureIsLearnt(t *testing.T) {
	none := func(*seqrec.Config) {}
	for name, c := range map[string]struct {
		change func(*seqrec.Config)
		random bool
	}{
		"causal":          {none, false},
		"dropout":         {func(c *seqrec.Config) { c.Dropout = 0.3 }, true},
		"sampled softmax": {func(c *seqrec.Config) { c.Loss = seqrec.Loss{Kind: seqrec.SampledSoftmax, Negatives: 3} }, true},
		"bidirectional":   {func(c *seqrec.Config) { c.Arch = seqrec.Bidirectional }, true},
		"encoder and decoder": {func(c *seqrec.Config) {
			c.Arch, c.DecoderBlocks, c.Horizon = seqrec.EncoderDecoder, 1, 3
		}, false},
	} {
		l := lesson(t, c.change)
		first, again := learnt(t, l), learnt(t, l)
		if !slices.Equal(first, again) {
			t.Errorf("%s: the same seed taught something else", name)
		}
		sequences := l.Model.Config().Sequences(seqrec.History{Items: l.History}, l.Seed)
		before, _, err := l.engine.LossGrad(l.Params.Values(), sequences, nil)
		if err != nil {
			t.Fatal(err)
		}
		weights := l.Params.Clone()
		for i, x := range first {
			weights.Values()[i] += x
		}
		if after, _, err := l.engine.LossGrad(weights.Values(), sequences, nil); err != nil || after >= before {
			t.Errorf("%s: the loss went from %v to %v (%v)", name, before, after, err)
		}
		l.Seed = 2
		if differs := !slices.Equal(first, learnt(t, l)); differs != c.random {
			t.Errorf("%s: another seed teaches something else: %v", name, differs)
		}
		l.History = l.History[:1]
		if slices.ContainsFunc(learnt(t, l), func(x float32) bool { return x != 0 }) {
			t.Errorf("%s: learnt from one event", name)
		}
	}
}

// Today's recommender learns from the windows of the history, newest first.
func TestWindowsAreLearnt(t *testing.T) {
	l := lesson(t, func(*seqrec.Config) {})
	l.Plan.Training.MaxLen, l.Plan.Training.Batch = 3, 2
	update, _, err := seqrec.Train(l.engine, l.Params, seqrec.Windows(l.History, 3)[:2],
		seqrec.TrainConfig{Steps: 3, LearningRate: 0.1, Optimizer: "sgd"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(learnt(t, l), update.Values()) {
		t.Error("the update is not that of the two newest windows")
	}
}

// stopsAfter is an engine in whose nth step the device is told to stop.
type stopsAfter struct {
	seqrec.Engine
	stop  context.CancelFunc
	steps *int
}

func (s stopsAfter) LossGrad(params []float32, batch []seqrec.Sequence, grad []float32) (float64, int, error) {
	if *s.steps--; *s.steps == 0 {
		s.stop()
	}
	return s.Engine.LossGrad(params, batch, grad)
}

// Training that diverges teaches nothing, like a short history: nobody else
// learns of it.
func TestDivergingTeachesNothing(t *testing.T) {
	l := lesson(t, func(*seqrec.Config) {})
	l.Plan.Training.LearningRate, l.Plan.Training.Steps = "1e38", 5
	if slices.ContainsFunc(learnt(t, l), func(x float32) bool { return x != 0 }) {
		t.Error("weights that are not finite were sent")
	}
}

// A device that is told to stop does not train to the end.
func TestLearningStops(t *testing.T) {
	l := lesson(t, func(*seqrec.Config) {})
	l.Plan.Training.Steps = seqrec.MaxLocalSteps
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	steps := 2
	l.engine = stopsAfter{l.engine, stop, &steps}
	if _, err := l.Learn(ctx); !errors.Is(err, context.Canceled) || steps != 0 {
		t.Errorf("%d steps before the end, %v", steps, err)
	}
}

// A device follows every optimiser that a plan may name, and no other.
func TestOptimisersOfPlans(t *testing.T) {
	l := lesson(t, func(*seqrec.Config) {})
	var updates [][]float32
	for _, name := range []string{"sgd", "adam", "adamw", "rmsprop", "adagrad"} {
		l.Plan.Training.Optimizer = name
		updates = append(updates, learnt(t, l))
		for _, other := range updates[:len(updates)-1] {
			if slices.Equal(other, updates[len(updates)-1]) {
				t.Errorf("%s does what another does", name)
			}
		}
	}
	l.Plan.Training.Optimizer = "newton"
	if _, err := l.Learn(context.Background()); err == nil {
		t.Error("an optimiser that nobody knows was followed")
	}
}

func TestDrawSeed(t *testing.T) {
	random := bytes.NewReader([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9, 9, 9, 9, 9, 1})
	first, err1 := drawSeed(random)
	second, err2 := drawSeed(random)
	if err := errors.Join(err1, err2); err != nil || first != 0x0807060504030201 || second == first {
		t.Errorf("%x, %x, %v", first, second, err)
	}
	if _, err := drawSeed(random); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a seed of one byte: %v", err)
	}
}

func TestLessonKeepsItsHistory(t *testing.T) {
	l := Lesson{History: []int32{4711, 4712}, Seed: 4713}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		for _, shown := range []string{fmt.Sprintf(verb, l), fmt.Sprintf(verb, &l)} {
			if shown != redactedLesson {
				t.Errorf("%s shows %s", verb, shown)
			}
		}
	}
	if b, err := json.Marshal(l); err == nil {
		t.Errorf("written out as %s", b)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("round", "lesson", l)
	if strings.Contains(log.String(), "471") {
		t.Errorf("logged as %s", log.String())
	}
}
