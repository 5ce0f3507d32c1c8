package main

import (
	"fmt"
	"math"
	"runtime"
	"time"

	"tutti/model"
	"tutti/model/graph"
	"tutti/model/metric"
	"tutti/model/optim"
	"tutti/model/run"
	"tutti/model/seqrec"
)

// session is one process that trains a run.
type session struct {
	app    *app
	dir    run.Dir
	folder string // as the user wrote it
	view   *trainView

	config   run.Config
	manifest run.Manifest
	material *material
	model    *seqrec.Model
	valid    []metric.Case // asked during training
	log      []run.Record

	// Of this process.
	counter   *countingEngine
	rate      optim.Schedule
	before    float64 // seconds of training by other processes
	began     time.Time
	saved     time.Time
	savedStep int
	// Since the last line of the log.
	step     int
	losses   []float64
	measured *run.Validation
}

// prepare loads the data and builds the model; a run that exists must still have the data it began with.
func (s *session) prepare(exists bool) error {
	var err error
	if s.material, err = loadMaterial(s.config); err != nil {
		return err
	}
	if exists {
		if err := s.material.same(s.manifest.Data, s.dir.Name); err != nil {
			return err
		}
	}
	if s.model, err = s.material.build(s.config); err != nil {
		return err
	}
	s.valid = sample(s.material.split.Validation, s.config.Validate.Users)
	if exists {
		if s.manifest.Status != run.Finished {
			s.manifest.Progress.Resumed++
		}
		return nil
	}
	return s.describe()
}

// describe fills in the manifest of a new run.
func (s *session) describe() error {
	v := buildVersion()
	workers := s.config.Workers
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	steps, err := s.steps()
	if err != nil {
		return err
	}
	s.manifest = run.Manifest{
		Status: run.Running, Created: now(), Updated: now(),
		Software: run.Software{Version: v.Version, Revision: v.Revision, Go: v.Go, OS: v.OS, Arch: v.Arch},
		Data:     s.material.about, Recipe: s.config.Recipe, Seed: s.config.Seed, Engine: s.config.Engine, Workers: workers,
		Weights: s.model.Layout().Size(), Progress: run.Progress{Steps: steps},
	}
	return nil
}

func now() string { return time.Now().UTC().Format(time.RFC3339) }

// usable is how many histories have something to learn.
func (s *session) usable() int {
	n := 0
	for _, h := range s.material.split.Train {
		if len(h) >= 2 {
			n++
		}
	}
	return n
}

// steps is the length of the run.
func (s *session) steps() (int, error) {
	usable := s.usable()
	if usable == 0 {
		return 0, fmt.Errorf("nobody in %s has two events to learn from", s.material.about.Source)
	}
	if s.config.Fit.Steps > 0 {
		return s.config.Fit.Steps, nil
	}
	if s.config.Fit.Epochs <= 0 {
		return 0, usageError("fit.epochs and fit.steps are both 0: how long should it train?")
	}
	return int(math.Ceil(s.config.Fit.Epochs / s.epochs(1))), nil
}

// epochs is how many passes over the histories a number of steps makes.
func (s *session) epochs(steps int) float64 {
	usable := s.usable()
	return float64(steps) * float64(s.config.Fit.Accumulate*min(s.config.BatchSize(usable), usable)) / float64(usable)
}

// source makes the batches of the recipe.
func (s *session) source() (seqrec.Source, error) {
	c := s.config
	histories, err := s.material.histories(c)
	if err != nil {
		return nil, err
	}
	size := c.BatchSize(s.usable())
	switch c.Recipe {
	case run.EncDec:
		return seqrec.ContinueHistories(histories, c.Model.MaxLen, c.Model.Horizon, size, c.Seed), nil
	case run.Bidirectional:
		m := seqrec.Masking{Items: s.manifest.Data.Items, MaxLen: c.Model.MaxLen, Rate: c.Batch.Mask, LastOnly: c.Batch.LastOnly}
		if err := m.Check(); err != nil {
			return nil, &exitError{exitUsage, err}
		}
		return seqrec.ClozeHistories(histories, m, size, c.Seed), nil
	}
	return seqrec.CropHistories(histories, c.Model.MaxLen, size, c.Batch.Random, c.Seed), nil
}

// engine computes loss and gradient, on as many parts of a batch as the run began with.
func (s *session) engine() (seqrec.Engine, error) {
	if s.config.Engine == run.EngineFused {
		return seqrec.NewParallelEngine(s.model, s.manifest.Workers), nil
	}
	return graph.NewParallel(s.model, graph.Tasks, s.manifest.Workers)
}

// measure asks the validation people.
func (s *session) measure(params model.Params) (*run.Validation, error) {
	begun := time.Now()
	t, err := s.trained(params)
	if err != nil {
		return nil, err
	}
	result, err := s.material.ask(s.valid, measured{"validation", t.answer})
	if err != nil {
		return nil, err
	}
	return &run.Validation{NDCG: result.NDCG, HR: result.HR, Users: len(s.valid), Seconds: time.Since(begun).Seconds()}, nil
}

// trained is the run with some weights.
func (s *session) trained(params model.Params) (*trained, error) {
	scorer, err := seqrec.NewScorer(s.model, params)
	if err != nil {
		return nil, err
	}
	return &trained{material: s.material, dir: s.dir, manifest: s.manifest, config: s.config, model: s.model, params: params, scorer: scorer}, nil
}

// finish measures the best weights on the test split and writes the last documents.
func (s *session) finish() error {
	best, at, err := s.dir.BestOf(s.manifest)
	if err != nil {
		return err
	}
	t, err := s.trained(best)
	if err != nil {
		return err
	}
	s.manifest.Progress.Best, s.manifest.Progress.BestNDCG = at.Step, at.NDCG
	s.view.steps = s.manifest.Progress.Step // nothing is left
	u := s.app.plain()
	if len(s.material.split.Test) > 0 {
		s.view.say("Measuring the best weights, of step %d, on the test split.", at.Step)
		if s.manifest.Result, err = t.evaluate(u, "test"); err != nil {
			return err
		}
	}
	if s.manifest.Examples, err = t.examples(4); err != nil {
		return err
	}
	s.manifest.Status, s.manifest.Updated = run.Finished, now()
	if err := s.dir.SavePage(s.manifest, s.config, s.log); err != nil {
		return err
	}
	return s.dir.Save(s.manifest)
}

// trainResult is tutti train as one JSON document.
type trainResult struct {
	Folder   string       `json:"folder"`
	Manifest run.Manifest `json:"run"`
}

// report shows a finished run.
func (s *session) report() error {
	if s.app.json {
		return s.app.emit(trainResult{s.folder, s.manifest})
	}
	u := s.app.plain()
	p := s.manifest.Progress
	early := ""
	if p.Early {
		early = ", ended early"
	}
	u.say("%s: step %d of %d%s, best weights at step %d (validation NDCG@10 %.4f), %s of training", s.folder, p.Step, p.Steps, early, p.Best, p.BestNDCG,
		time.Duration(p.Seconds*float64(time.Second)).Round(100*time.Millisecond))
	if s.manifest.Result != nil {
		short := *s.manifest.Result
		short.Groups, short.Exposure = nil, nil
		u.evaluation(&short)
	}
	u.say("%s/%s shows it; tutti evaluate --run %s tells for whom it works; tutti recommend --run %s --user %d asks it.",
		s.folder, run.PageName, s.folder, s.folder, s.material.data.Users[0].ID)
	return nil
}

// examples asks for some people of the test split what comes next.
func (t *trained) examples(count int) ([]run.Example, error) {
	cases := sample(t.split.Test, count)
	scores := make([]float32, t.scorer.Items())
	titles := t.data.Catalogue.Items
	var out []run.Example
	for _, c := range cases {
		list, err := t.top(t.caseQuery(c.User, c.History), 5, false, scores)
		if err != nil {
			return nil, err
		}
		e := run.Example{Person: t.data.Users[c.User].ID, Recent: t.recent(c.History, 3), Next: titles[c.Target].DisplayTitle()}
		for _, r := range list {
			e.Items = append(e.Items, run.Suggested{Item: titles[r.item].ID, Title: titles[r.item].DisplayTitle(), Probability: r.probability, True: r.item == c.Target})
		}
		out = append(out, e)
	}
	return out, nil
}
