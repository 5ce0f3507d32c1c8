package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strconv"

	"tutti/model"
	"tutti/model/seqrec"
	"tutti/model/stats"
	"tutti/privacy/plan"
)

// Lesson is what a device learns from in one round: the plan's task and its
// user's history. It stays on the device.
type Lesson struct {
	Plan    plan.Plan
	History []int32       // item indices, oldest first
	Items   int           // size of the catalogue
	Block   *stats.Block  // with plan.Transitions
	Model   *seqrec.Model // with plan.Model
	Params  model.Params  // with plan.Model: the weights to start from; not to be changed
	// Seed decides what training draws at random: what is dropped, which items are
	// hidden, which negatives are drawn. With plan.Model the device takes it anew
	// from its Rand in every round, so that nothing links two rounds or two devices.
	Seed uint64

	engine seqrec.Engine
	loss   *float64 // where training leaves its first loss, over that of a uniform guess
}

const redactedLesson = "client.Lesson(redacted)"

// Format hides the lesson, which holds the user's history.
func (l Lesson) Format(f fmt.State, _ rune) { io.WriteString(f, redactedLesson) }

// LogValue hides the lesson.
func (l Lesson) LogValue() slog.Value { return slog.StringValue(redactedLesson) }

// MarshalJSON refuses.
func (l Lesson) MarshalJSON() ([]byte, error) {
	return nil, errors.New("client: a lesson is not written out")
}

// Learner makes a round's vector, Plan.Mechanism.Dim numbers. What it returns
// is clipped, noised and masked before it leaves the device, whatever it is.
type Learner func(ctx context.Context, l Lesson) (model.Update, error)

// Learn is the default Learner: the popularity vector, the transitions among
// the block's items, or local training. A history that teaches nothing gives
// zeros, which are sent like everything else: staying away would tell that the
// history is short.
func (l Lesson) Learn(ctx context.Context) (model.Update, error) {
	if err := ctx.Err(); err != nil {
		return model.Update{}, err
	}
	switch l.Plan.Kind {
	case plan.Popularity:
		return model.NewStatistic(stats.PopularityVector(l.History, l.Items)), nil
	case plan.Transitions:
		w, err := window(l.Plan.Window)
		if err != nil {
			return model.Update{}, err
		}
		return model.NewStatistic(l.Block.Vector(l.History, w)), nil
	case plan.Model:
		return l.train(ctx)
	}
	return model.Update{}, fmt.Errorf("client: a round of kind %v", l.Plan.Kind)
}

func window(w plan.Window) (stats.Window, error) {
	decay, err := strconv.ParseFloat(w.Decay, 64)
	if err != nil {
		return stats.Window{}, fmt.Errorf("client: the window's decay: %w", err)
	}
	parsed := stats.Window{Width: int(w.Width), Decay: decay}
	return parsed, parsed.Check()
}

func (l Lesson) train(ctx context.Context) (model.Update, error) {
	t := l.Plan.Training
	rate, err := strconv.ParseFloat(t.LearningRate, 64)
	if err != nil {
		return model.Update{}, fmt.Errorf("client: the plan's learning rate: %w", err)
	}
	cfg := l.Model.Config()
	if t.MaxLen > 0 && int64(t.MaxLen) < int64(cfg.MaxLen) {
		cfg.MaxLen = int(t.MaxLen)
	}
	sequences := cfg.Sequences(seqrec.History{Items: l.History}, l.Seed)
	if t.Batch > 0 && int64(len(sequences)) > int64(t.Batch) {
		sequences = sequences[:t.Batch] // newest first
	}
	if len(sequences) == 0 {
		return l.nothing(), nil
	}
	update, trained, err := seqrec.Train(stoppable{l.engine, ctx.Err}, l.Params, sequences,
		seqrec.TrainConfig{Steps: int(t.Steps), LearningRate: rate, Optimizer: t.Optimizer})
	if errors.Is(err, seqrec.ErrNothingToLearn) || errors.Is(err, seqrec.ErrDiverged) {
		return l.nothing(), nil
	}
	if err == nil && l.loss != nil && l.Items > 1 {
		*l.loss = trained.Loss / math.Log(float64(l.Items))
	}
	return update, err
}

// stoppable ends training before the next step once stopped says why.
type stoppable struct {
	seqrec.Engine
	stopped func() error
}

func (s stoppable) LossGrad(params []float32, batch []seqrec.Sequence, grad []float32) (float64, int, error) {
	if err := s.stopped(); err != nil {
		return 0, 0, err
	}
	return s.Engine.LossGrad(params, batch, grad)
}

// drawSeed makes a Seed.
func drawSeed(random io.Reader) (uint64, error) {
	var b [8]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return 0, fmt.Errorf("client: a seed for training: %w", err)
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

// nothing is an update of zeros.
func (l Lesson) nothing() model.Update {
	return model.NewStatistic(make([]float32, l.Plan.Mechanism.Dim))
}

// prepare gathers what the plan's task reads, and checks that the plan's
// vector is as long as what the task gives. done gives back what was lent.
func (s *Shared) prepare(pl plan.Plan, base *model.Version, history []int32, get parts) (l Lesson, done func(), r *refusal) {
	l = Lesson{Plan: pl, History: history, Items: s.cfg.Catalogue.Len()}
	done = func() {}
	length := l.Items
	switch pl.Kind {
	case plan.Transitions:
		block, err := s.blocks.get(pl.Block, func() (*stats.Block, error) {
			b, err := get(pl.Block, maxBlockLen)
			if err != nil {
				return nil, err
			}
			return stats.ParseBlock(b, l.Items)
		})
		if err != nil {
			return l, done, refuse(ReasonBlob, err)
		}
		l.Block, length = block, block.Cells()
	case plan.Model:
		if base == nil || base.Spec.IsZero() || base.Params.IsZero() {
			return l, done, refuse(ReasonVersionUnknown, errors.New("the round starts from a version without a Transformer"))
		}
		t, err := s.transformer(base, get)
		if err != nil {
			return l, done, refuse(ReasonBlob, err)
		}
		if l.Params, err = s.weights(base, t, get); err != nil {
			return l, done, refuse(ReasonBlob, err)
		}
		l.Model, length = t.model, t.model.Layout().Size()
		l.engine = t.engines.Get().(seqrec.Engine)
		done = func() { t.engines.Put(l.engine) }
	}
	if pl.Mechanism.Dim != length {
		done()
		return l, func() {}, refuse(ReasonModel, fmt.Errorf("the plan asks for %d numbers, the task has %d", pl.Mechanism.Dim, length))
	}
	return l, done, nil
}
