package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"tutti/model"
	"tutti/model/optim"
	"tutti/model/run"
	"tutti/model/seqrec"
)

// fit trains to the end of the run, from the last state that was saved. A stop saves and is an error.
func (s *session) fit(ctx context.Context, fitter *seqrec.Fitter) error {
	s.introduce(fitter.Steps())
	defer s.view.erase()
	s.began, s.saved, s.savedStep = time.Now(), time.Now(), fitter.Steps()
	s.manifest.Status = run.Running
	for !fitter.Done() {
		if ctx.Err() != nil {
			if err := s.save(fitter, run.Stopped); err != nil {
				return err
			}
			return &exitError{exitFailed, fmt.Errorf("stopped at step %d of %d, saved; go on with: tutti train --resume --out %s", fitter.Steps(), s.manifest.Progress.Steps, s.folder)}
		}
		if err := fitter.Step(); err != nil {
			return s.diverged(err)
		}
		if err := s.after(fitter); err != nil {
			return err
		}
	}
	best, stats, err := fitter.Result()
	if err != nil {
		return s.diverged(err)
	}
	p := &s.manifest.Progress
	p.Early = stats.Steps < p.Steps
	if stats.BestStep == 0 { // nobody to ask: the last weights
		err = s.dir.SaveBest(best, run.Moment{Step: stats.Steps, Config: s.manifest.Config})
	}
	return errors.Join(err, s.save(fitter, run.Running))
}

// diverged says what may help.
func (s *session) diverged(err error) error {
	if errors.Is(err, seqrec.ErrDiverged) {
		return fmt.Errorf("%w (a smaller fit.rate, a longer fit.warm_up or fit.clip=1 may help; the weights of %s/%s are from before)", err, s.folder, run.BestName)
	}
	return err
}

func (s *session) fitter() (*seqrec.Fitter, error) {
	engine, err := s.engine()
	if err != nil {
		return nil, err
	}
	s.counter = &countingEngine{Engine: engine}
	source, err := s.source()
	if err != nil {
		return nil, err
	}
	c, steps := s.config.Fit, s.manifest.Progress.Steps
	cfg := seqrec.FitConfig{
		Steps: steps, LearningRate: c.Rate, WarmUp: int(c.WarmUp * float64(steps)), Schedule: c.Schedule, FinalRate: c.FinalRate,
		Optimizer: c.Optimiser, Momentum: c.Momentum, WeightDecay: c.WeightDecay, Accumulate: c.Accumulate, Clip: c.Clip,
		Progress: func(step int, loss float64) { s.step, s.losses = step, append(s.losses, loss) },
	}
	if len(s.valid) > 0 {
		cfg.Validate, cfg.ValidateEvery, cfg.Patience = s.validate, s.every(), s.config.Validate.Patience
	}
	if s.rate, err = optim.NewSchedule(optim.ScheduleConfig{Kind: cfg.Schedule, Rate: cfg.LearningRate, Final: cfg.FinalRate, Steps: steps, WarmUp: cfg.WarmUp}); err != nil {
		return nil, &exitError{exitUsage, err}
	}
	f, err := seqrec.NewFitter(s.counter, s.model.Init(s.config.Seed), source, cfg)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return f, nil
}

// measurements is how often a run is measured if nothing else is said.
const measurements = 40

func (s *session) every() int {
	if n := s.config.Validate.Every; n > 0 {
		return n
	}
	return max(1, s.manifest.Progress.Steps/measurements)
}

// records is about how many lines a log gets.
const records = 1000

// restore begins the run, or goes on from its checkpoint, where there is one.
func (s *session) restore(f *seqrec.Fitter, resume bool) error {
	if !resume {
		if exists, err := s.dir.Exists(); exists || err != nil { // since it was looked at first
			return errors.Join(err, usageError("%s holds a run already", s.folder))
		}
		err := s.dir.Begin(&s.manifest, s.config)
		if errors.Is(err, fs.ErrExist) {
			err = &exitError{exitUsage, fmt.Errorf("%w (choose another folder with --out)", err)}
		}
		return err
	}
	data, err := s.dir.Files.Read(run.CheckpointName)
	if errors.Is(err, fs.ErrNotExist) {
		s.log, err = s.dir.CutLog(0)
		return err
	}
	if err != nil {
		return err
	}
	state, err := seqrec.ParseFitState(data)
	if err == nil {
		err = f.Resume(state)
	}
	if err != nil {
		return fmt.Errorf("%s/%s: %w", s.folder, run.CheckpointName, err)
	}
	if s.log, err = s.dir.CutLog(state.Steps()); err != nil {
		return err
	}
	if p := &s.manifest.Progress; p.Step != state.Steps() { // killed between two files
		p.Step, p.Seconds = state.Steps(), 0
		if n := len(s.log); n > 0 {
			p.Seconds = s.log[n-1].Seconds
		}
	}
	s.before = s.manifest.Progress.Seconds
	s.manifest.Progress.Best, s.manifest.Progress.BestNDCG = 0, 0
	for _, r := range s.log {
		if v := r.Validation; v != nil && v.Best {
			s.manifest.Progress.Best, s.manifest.Progress.BestNDCG = r.Step, v.NDCG
		}
	}
	return nil
}

// introduce says what is about to happen.
func (s *session) introduce(step int) {
	s.view = s.app.newTrainView(s.manifest.Progress.Steps, step, s.log)
	d, p := s.manifest.Data, s.manifest.Progress
	s.view.say("%s: %d people, %d items, %d events.", d.Source, d.Users, d.Items, d.Events)
	s.view.say("%s, %d weights, %d steps of %d sequences (%.0f epochs), engine %s.",
		s.config.Recipe, s.manifest.Weights, p.Steps, s.config.Fit.Accumulate*s.config.BatchSize(s.usable()), s.epochs(p.Steps), s.config.Engine)
	s.view.say("Validation on %d people every %d steps. Ctrl-C saves and ends.", len(s.valid), s.every())
	if step > 0 {
		s.view.say("Goes on after step %d.", step)
	}
}

func (s *session) seconds() float64 { return s.before + time.Since(s.began).Seconds() }

// validate rates the weights and keeps the best in a file of their own.
func (s *session) validate(params model.Params) (float64, error) {
	v, err := s.measure(params)
	if err != nil {
		return 0, err
	}
	s.measured = v
	p := &s.manifest.Progress
	if p.Best == 0 || v.NDCG > p.BestNDCG {
		v.Best, p.Best, p.BestNDCG = true, s.step, v.NDCG
		err = s.dir.SaveBest(params, run.Moment{Step: s.step, NDCG: v.NDCG, Config: s.manifest.Config})
	}
	return v.NDCG, err
}

// after is told after every step: it logs, shows and saves.
func (s *session) after(f *seqrec.Fitter) error {
	step := f.Steps()
	p := &s.manifest.Progress
	p.Step, p.Epochs, p.Seconds = step, s.epochs(step), s.seconds()
	if s.measured == nil && step%max(1, p.Steps/records) != 0 && !f.Done() {
		s.view.step(step)
		return nil
	}
	if err := s.record(step); err != nil {
		return err
	}
	due := s.config.Save.Steps > 0 && step-s.savedStep >= s.config.Save.Steps ||
		s.config.Save.Seconds > 0 && time.Since(s.saved) >= time.Duration(s.config.Save.Seconds)*time.Second
	if due {
		return s.save(f, run.Running)
	}
	return nil
}

// record logs what happened since the last line.
func (s *session) record(step int) error {
	r := run.Record{Step: step, Epoch: s.epochs(step), Rate: s.rate(step - 1), Tokens: s.counter.tokens, Seconds: s.seconds(), Validation: s.measured}
	for _, loss := range s.losses {
		r.Loss += loss / float64(len(s.losses))
	}
	s.counter.tokens, s.losses, s.measured = 0, s.losses[:0], nil
	s.log = append(s.log, r)
	s.view.record(r)
	return s.dir.Record(r)
}

// save writes the state, then what people read.
func (s *session) save(f *seqrec.Fitter, status run.Status) error {
	state, err := f.State().Marshal()
	if err != nil {
		return s.diverged(err)
	}
	if err := s.dir.Files.Write(run.CheckpointName, state); err != nil {
		return err
	}
	s.saved, s.savedStep = time.Now(), f.Steps()
	s.manifest.Status, s.manifest.Updated = status, now()
	if err := s.dir.SavePage(s.manifest, s.config, s.log); err != nil {
		return err
	}
	if err := s.dir.Save(s.manifest); err != nil {
		return err
	}
	return nil
}

// countingEngine counts the predicted events.
type countingEngine struct {
	seqrec.Engine
	tokens int
}

func (e *countingEngine) LossGrad(params []float32, batch []seqrec.Sequence, grad []float32) (float64, int, error) {
	loss, tokens, err := e.Engine.LossGrad(params, batch, grad)
	e.tokens += tokens
	return loss, tokens, err
}
