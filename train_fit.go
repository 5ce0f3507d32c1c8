package main

import (
	"context"
	"time"

	"tutti/model/run"
	"tutti/model/seqrec"
)

// fit trains to the end of the run.
func (s *session) fit(ctx context.Context) error {
	engine, err := s.engine()
	if err != nil {
		return err
	}
	steps := s.manifest.Progress.Steps
	s.view = s.app.newTrainView(steps, 0, nil)
	s.view.say("%s", s.manifest.Data.Source)
	begun := time.Now()
	p, _, err := seqrec.FitSource(ctx, engine, s.model.Init(s.config.Seed), s.source(), seqrec.FitConfig{
		Steps: steps, LearningRate: s.config.Fit.Rate, WarmUp: int(s.config.Fit.WarmUp * float64(steps)), WeightDecay: s.config.Fit.WeightDecay,
		Progress: func(step int, loss float64) {
			s.view.step(step)
			if step%10 == 0 {
				r := run.Record{Step: step, Epoch: s.epochs(step), Loss: loss, Seconds: time.Since(begun).Seconds()}
				s.log = append(s.log, r)
				s.dir.Record(r)
				s.view.record(r)
			}
		},
	})
	if err != nil {
		return err
	}
	v, err := s.measure(p)
	if err != nil {
		return err
	}
	s.manifest.Progress.Step, s.manifest.Progress.Seconds = steps, time.Since(begun).Seconds()
	return s.dir.SaveBest(p, run.Moment{Step: steps, NDCG: v.NDCG, Config: s.manifest.Config})
}

func (s *session) say(format string, args ...any) { s.view.say(format, args...) }
