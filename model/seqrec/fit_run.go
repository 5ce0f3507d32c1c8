package seqrec

import (
	"errors"
	"fmt"
	"math"

	"tutti/model"
	"tutti/model/kernel"
	"tutti/model/optim"
)

// Fitter trains step by step, for callers that save what they have and go on
// later; Fit and FitSource are its loop. The weights depend on the arguments and
// the number of steps alone: a Fitter that resumes from the State of another ends
// with the same bits.
//
// One goroutine uses it at a time. After an error it is of no further use; the
// last State before it is.
type Fitter struct {
	cfg    FitConfig
	engine Engine
	source Source
	opt    optim.Optimizer
	rate   optim.Schedule

	params      model.Params
	best        model.Params // zero before the first rating
	grad, micro []float32    // of the step, of one batch of several
	progress
}

// progress is how far training has come.
type progress struct {
	step      int // steps made
	tokens    int
	lossSum   float64 // of the tenth of the run that the last step lies in
	bestValue float64
	bestStep  int
	misses    int  // ratings since the best one
	ended     bool // early
}

// NewFitter checks cfg. It leaves start alone.
func NewFitter(engine Engine, start model.Params, source Source, cfg FitConfig) (*Fitter, error) {
	if cfg.Accumulate == 0 {
		cfg.Accumulate = 1
	}
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("fit: %w", err)
	}
	f := &Fitter{cfg: cfg, engine: engine, source: source}
	var err error
	if f.rate, err = cfg.schedule(); err != nil {
		return nil, fmt.Errorf("fit: %w", err)
	}
	if f.opt, err = cfg.optimizer(); err != nil {
		return nil, fmt.Errorf("fit: %w", err)
	}
	if engine.Layout().Digest() != start.Layout().Digest() {
		return nil, errors.New("fit: weights and engine have different layouts")
	}
	f.params = start.Clone()
	f.grad = make([]float32, start.Layout().Size())
	if cfg.Accumulate > 1 {
		f.micro = make([]float32, len(f.grad))
	}
	return f, nil
}

// check refuses what the optimiser and the schedule do not look at.
func (cfg FitConfig) check() error {
	switch {
	case cfg.Steps < 1 || cfg.Accumulate < 1 || cfg.Steps > math.MaxInt/cfg.Accumulate:
		return fmt.Errorf("%d steps of %d batches, want at least one of each", cfg.Steps, cfg.Accumulate)
	case !(cfg.Clip >= 0):
		return fmt.Errorf("option Clip is %v, want a positive norm or 0", cfg.Clip)
	case cfg.Validate == nil && cfg.Patience != 0:
		return fmt.Errorf("a Patience of %d, but no Validate to lose it with", cfg.Patience)
	case cfg.Patience < 0:
		return fmt.Errorf("option Patience is %d, want at least 0", cfg.Patience)
	case cfg.Validate != nil && cfg.ValidateEvery < 1:
		return fmt.Errorf("ValidateEvery is %d, want at least 1", cfg.ValidateEvery)
	}
	return nil
}

// Done reports whether training has ended: all steps made, or patience lost.
func (f *Fitter) Done() bool { return f.ended || f.step >= f.cfg.Steps }

// Steps is how many steps were made, those before Resume included.
func (f *Fitter) Steps() int { return f.step }

// Rate is the learning rate of the last step; before the first step, of that.
func (f *Fitter) Rate() float64 { return f.rate(max(0, f.step-1)) }

// Step makes one step, and rates the weights if it is time. After the end it does
// nothing.
func (f *Fitter) Step() error {
	if f.Done() {
		return nil
	}
	loss, tokens, err := f.gradient()
	if err != nil {
		return fmt.Errorf("fit: step %d: %w", f.step, err)
	}
	f.clip()
	f.opt.Step(f.params.Values(), f.grad, f.rate(f.step))
	if f.tenth(f.step) == f.step {
		f.lossSum = 0
	}
	f.lossSum += loss
	f.tokens += tokens
	f.step++
	if f.cfg.Progress != nil {
		f.cfg.Progress(f.step, loss)
	}
	if f.cfg.Validate != nil && (f.step%f.cfg.ValidateEvery == 0 || f.step == f.cfg.Steps) {
		if err := f.validate(); err != nil {
			return fmt.Errorf("fit: validation after %d steps: %w", f.step, err)
		}
	}
	return nil
}

// gradient fills grad with that of the mean loss per token over the step's
// batches. The mean weighs every batch by its tokens, so that k batches are as
// good as one with all their sequences, ratings and clicks being weighed with the
// items of their batch. A batch that has nothing but those counts as one token.
// Of several, some may have nothing to learn.
func (f *Fitter) gradient() (loss float64, tokens int, err error) {
	k := f.cfg.Accumulate
	if k == 1 {
		return f.batch(f.step, f.grad)
	}
	clear(f.grad)
	weights := 0
	for j := range k {
		one, n, err := f.batch(f.step*k+j, f.micro)
		if errors.Is(err, ErrNothingToLearn) {
			continue
		}
		if err != nil {
			return 0, 0, fmt.Errorf("batch %d: %w", j, err)
		}
		weight := max(1, n)
		kernel.Axpy(f.grad, float32(weight), f.micro)
		loss += one * float64(weight)
		weights += weight
		tokens += n
	}
	if weights == 0 {
		return 0, 0, ErrNothingToLearn
	}
	kernel.Scale(f.grad, 1/float32(weights))
	return loss / float64(weights), tokens, nil
}

func (f *Fitter) batch(number int, grad []float32) (loss float64, tokens int, err error) {
	batch, err := f.source(number)
	if err != nil {
		return 0, 0, err
	}
	return checkedStep(f.engine, f.params, batch, grad)
}

// clip scales the gradient down to cfg.Clip (Pascanu et al. 2013, algorithm 1).
func (f *Fitter) clip() {
	if f.cfg.Clip == 0 {
		return
	}
	var square float64
	for _, g := range f.grad {
		square += float64(g) * float64(g)
	}
	if norm := math.Sqrt(square); norm > f.cfg.Clip {
		kernel.Scale(f.grad, float32(f.cfg.Clip/norm))
	}
}

// tenth is the first step of the tenth of the run that step lies in; the last
// tenth ends with the last step.
func (f *Fitter) tenth(step int) int {
	length := max(1, f.cfg.Steps/10)
	return max(0, f.cfg.Steps-((f.cfg.Steps-1-step)/length+1)*length)
}

// validate rates the weights, keeps the best, and ends training when patience is
// lost.
func (f *Fitter) validate() error {
	value, err := f.cfg.Validate(f.params)
	if err != nil {
		return err
	}
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return fmt.Errorf("a rating of %v", value)
	}
	if f.bestStep == 0 || value > f.bestValue {
		f.best, f.bestValue, f.bestStep, f.misses = f.params.Clone(), value, f.step, 0
		return nil
	}
	f.misses++
	f.ended = f.cfg.Patience > 0 && f.misses >= f.cfg.Patience
	return nil
}

// Result returns a copy of the weights, the best ones if they are validated, and
// how training went so far. Weights that are not finite are ErrDiverged.
func (f *Fitter) Result() (model.Params, FitStats, error) {
	out := f.params
	if f.bestStep > 0 {
		out = f.best
	}
	if !kernel.Finite(out.Values()) {
		return model.Params{}, FitStats{}, fmt.Errorf("fit: %w: a weight is not finite", ErrDiverged)
	}
	s := FitStats{Tokens: f.tokens, Steps: f.step, Best: f.bestValue, BestStep: f.bestStep}
	if f.step > 0 {
		s.Loss = f.lossSum / float64(f.step-f.tenth(f.step-1))
	}
	return out.Clone(), s, nil
}
