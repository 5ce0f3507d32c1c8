package seqrec

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"

	"tutti/model"
	"tutti/model/optim"
)

// FitState is everything that a Fitter knows after a step: with the same start
// arguments, what it takes to go on from there with the same bits. It holds no
// random generator: whatever is random about a step follows from its number.
type FitState struct {
	params, best model.Params // best: zero before the first rating
	opt          optim.State
	progress
}

// Steps is how many steps were made.
func (s FitState) Steps() int { return s.step }

// Params are the weights after the last step. Do not change them.
func (s FitState) Params() model.Params { return s.params }

// State returns a copy of what the Fitter knows.
func (f *Fitter) State() FitState {
	s := FitState{params: f.params.Clone(), opt: f.opt.State(), progress: f.progress}
	if f.bestStep > 0 {
		s.best = f.best.Clone()
	}
	return s
}

// Resume goes on from a state of a Fitter with the same arguments; start is
// forgotten. What can be checked is: the layout, the rule of the optimiser, that
// the run is as long, and that weights which were rated will be rated again.
func (f *Fitter) Resume(s FitState) error {
	if s.params.Layout().Digest() != f.params.Layout().Digest() {
		return errors.New("fit: the state has another layout")
	}
	if s.step > f.cfg.Steps {
		return fmt.Errorf("fit: the state is of step %d of %d", s.step, f.cfg.Steps)
	}
	if s.bestStep > 0 && f.cfg.Validate == nil {
		return errors.New("fit: the state has best weights, but there is no Validate to find better ones")
	}
	if err := s.check(); err != nil {
		return fmt.Errorf("fit: %w", err)
	}
	if err := f.opt.Restore(s.opt); err != nil {
		return fmt.Errorf("fit: %w", err)
	}
	f.params, f.progress = s.params.Clone(), s.progress
	f.best = model.Params{}
	if s.bestStep > 0 {
		f.best = s.best.Clone()
	}
	return nil
}

// check refuses what no Fitter leaves behind.
func (s FitState) check() error {
	size := s.params.Layout().Size()
	for _, vector := range [][]float32{s.opt.First, s.opt.Second} {
		if vector != nil && len(vector) != size {
			return fmt.Errorf("state: %d values of the optimiser for %d weights", len(vector), size)
		}
	}
	rated := s.bestStep > 0
	switch {
	case size == 0:
		return errors.New("state: no weights")
	case s.step < 0 || s.tokens < 0 || s.misses < 0 || s.bestStep < 0 || s.bestStep > s.step || uint64(s.step) != s.opt.Steps:
		return fmt.Errorf("state: %d steps, %d of the optimiser, best at %d, %d tokens, %d misses", s.step, s.opt.Steps, s.bestStep, s.tokens, s.misses)
	case rated && s.best.Layout().Digest() != s.params.Layout().Digest() || !rated && s.best.Layout().Size() != 0:
		return errors.New("state: best weights that do not fit the step they are of")
	case !rated && (s.bestValue != 0 || s.misses != 0 || s.ended):
		return errors.New("state: ratings without a best one")
	case !finite(s.bestValue) || !finite(s.lossSum):
		return errors.New("state: a value is not finite")
	}
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

const fitStateFormat = "tutti/model/seqrec/fit/1"

// parts are the vectors of a state in the order of their tensors, each under its
// prefix.
func (s *FitState) parts() []fitPart {
	return []fitPart{
		{"weights/", s.params.Values()}, {"first/", s.opt.First}, {"second/", s.opt.Second}, {"best/", s.best.Values()},
	}
}

type fitPart struct {
	prefix string
	values []float32
}

// Marshal returns the state as a safetensors file, canonical: the weights under
// "weights/", the optimiser's vectors under "first/" and "second/", the best
// weights under "best/", the numbers in the metadata. Equal states give equal
// bytes. A state that diverged is refused.
func (s FitState) Marshal() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("fit: %w", err)
	}
	var specs []model.TensorSpec
	var values []float32
	for _, p := range s.parts() {
		if len(p.values) == 0 {
			continue
		}
		for _, t := range s.params.Layout().Tensors() {
			t.Name = p.prefix + t.Name
			specs = append(specs, t)
		}
		values = append(values, p.values...)
	}
	layout, err := model.NewLayout(specs...)
	if err != nil {
		return nil, fmt.Errorf("fit: state: %w", err)
	}
	all, err := model.ParamsOf(layout, values)
	if err != nil {
		return nil, fmt.Errorf("fit: state: %w: %w", ErrDiverged, err)
	}
	var file bytes.Buffer
	if err := model.WriteSafetensors(&file, all, s.meta()); err != nil {
		return nil, fmt.Errorf("fit: state: %w", err)
	}
	return file.Bytes(), nil
}

func (s FitState) meta() map[string]string {
	return map[string]string{
		"format": fitStateFormat, "step": strconv.Itoa(s.step), "tokens": strconv.Itoa(s.tokens),
		"loss": exact(s.lossSum), "best_value": exact(s.bestValue), "best_step": strconv.Itoa(s.bestStep),
		"misses": strconv.Itoa(s.misses), "ended": strconv.FormatBool(s.ended),
		"optimizer": string(s.opt.Rule), "optimizer_steps": strconv.FormatUint(s.opt.Steps, 10),
	}
}

// exact writes all bits of x.
func exact(x float64) string { return strconv.FormatFloat(x, 'x', -1, 64) }

// ParseFitState reads what Marshal wrote, and nothing else; memory is bounded by
// a small multiple of len(b).
func ParseFitState(b []byte) (FitState, error) {
	s, err := parseFitState(b)
	if err != nil {
		return FitState{}, fmt.Errorf("fit state: %w", err)
	}
	again, err := s.Marshal()
	if err != nil {
		return FitState{}, fmt.Errorf("fit state: %w", err)
	}
	if !bytes.Equal(again, b) {
		return FitState{}, errors.New("fit state: not in canonical form")
	}
	return s, nil
}

func parseFitState(b []byte) (s FitState, err error) {
	all, meta, err := model.ReadSafetensors(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return s, err
	}
	if err := s.readMeta(meta); err != nil {
		return s, err
	}
	specs := map[string][]model.TensorSpec{}
	values := map[string][]float32{}
	for _, t := range all.Layout().Tensors() {
		prefix, name, _ := strings.Cut(t.Name, "/")
		values[prefix] = append(values[prefix], all.View(t.Name)...)
		t.Name = name
		specs[prefix] = append(specs[prefix], t)
	}
	if s.params, err = paramsOf(specs["weights"], values["weights"]); err != nil {
		return s, err
	}
	if s.bestStep > 0 {
		if s.best, err = paramsOf(specs["best"], values["best"]); err != nil {
			return s, err
		}
	}
	s.opt.First, s.opt.Second = values["first"], values["second"]
	return s, nil
}

func paramsOf(specs []model.TensorSpec, values []float32) (model.Params, error) {
	layout, err := model.NewLayout(specs...)
	if err != nil {
		return model.Params{}, err
	}
	return model.ParamsOf(layout, values)
}

// readMeta reads the numbers; Marshal's comparison refuses other ways to write
// them.
func (s *FitState) readMeta(meta map[string]string) error {
	var errs [7]error
	number := func(i int, key string) (n int) {
		n, errs[i] = strconv.Atoi(meta[key])
		return n
	}
	s.step, s.tokens = number(0, "step"), number(1, "tokens")
	s.bestStep, s.misses = number(2, "best_step"), number(3, "misses")
	s.lossSum, errs[4] = strconv.ParseFloat(meta["loss"], 64)
	s.bestValue, errs[5] = strconv.ParseFloat(meta["best_value"], 64)
	s.opt.Steps, errs[6] = strconv.ParseUint(meta["optimizer_steps"], 10, 64)
	s.opt.Rule, s.ended = optim.Rule(meta["optimizer"]), meta["ended"] == "true"
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	if !maps.Equal(meta, s.meta()) {
		return errors.New("unknown or unusual metadata")
	}
	return nil
}
