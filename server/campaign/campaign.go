package campaign

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"tutti/model"
	"tutti/model/blend"
	"tutti/model/optim"
	"tutti/model/seqrec"
	"tutti/model/stats"
	"tutti/privacy/plan"
	"tutti/server"
)

// Campaign runs the recipe. Its whole state is what the server has published, so that a new Campaign on the same server
// goes on where the last one stopped; only the optimiser's momentum starts anew.
type Campaign struct {
	cfg       Config
	version   model.Version
	parts     blend.Parts
	rounds    int // model rounds published
	optimiser *optim.Server
	counters  []server.Counters
}

// New reads where the task stands.
func New(cfg Config) (*Campaign, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Observer == nil {
		cfg.Observer = func(Progress) {}
	}
	c := &Campaign{cfg: cfg}
	v, found := cfg.Server.Version()
	if !found {
		return c, nil
	}
	parts, err := c.load(v)
	if err != nil {
		return nil, fmt.Errorf("campaign: version %d: %w", v.Number, err)
	}
	c.version, c.parts = v, parts
	if parts.Model != nil {
		c.rounds = int(v.Number) - distilledVersion
	}
	return c, nil
}

// distilledVersion is the number of the version that holds the Transformer's start: popularity is 1, transitions is 2.
const distilledVersion = 3

// Parts is what the newest version is made of.
func (c *Campaign) Parts() blend.Parts { return c.parts }

// Run runs what is left of the recipe. It ends early, without error, where a round must not be opened any more because
// the budget is spent.
func (c *Campaign) Run(ctx context.Context) error {
	if err := c.resume(ctx); err != nil {
		return err
	}
	for {
		stage := c.next()
		if stage == StageTelemetry {
			break
		}
		c.cfg.Observer(Progress{Stage: stage, Step: c.rounds, Steps: c.cfg.Split.Rounds})
		if err := c.run(ctx, stage); err != nil {
			return fmt.Errorf("campaign: %s: %w", stage, err)
		}
	}
	if err := c.tell(); err != nil {
		return fmt.Errorf("campaign: telemetry: %w", err)
	}
	c.cfg.Observer(Progress{Stage: StageDone, Version: c.version, Parts: c.parts})
	return nil
}

// next is the stage that follows from what is published.
func (c *Campaign) next() Stage {
	s := c.cfg.Split
	switch {
	case c.parts.Popularity == nil:
		return StagePopularity
	case c.parts.Transitions == nil && s.Block > 0:
		return StageTransitions
	case c.parts.Model == nil && s.Rounds > 0:
		return StageDistil
	case c.parts.Model != nil && c.rounds < s.Rounds:
		return StageModel
	}
	return StageTelemetry
}

func (c *Campaign) run(ctx context.Context, stage Stage) error {
	if stage == StageDistil {
		return c.distil(ctx)
	}
	spec, err := c.spec(stage)
	if err != nil {
		return err
	}
	for attempt := 0; ; attempt++ {
		result, err := c.cfg.Server.RunRound(ctx, spec)
		if err == nil {
			return c.apply(ctx, result)
		}
		if attempt >= c.cfg.Retries || !again(err) {
			return err
		}
		c.cfg.Observer(Progress{Stage: stage, Err: err})
		if spec, err = c.spec(stage); err != nil { // new signs: nothing of the failed round is used twice
			return err
		}
	}
}

// again says whether another round may succeed where this one did not. A failed round means new keys, new noise, and,
// where it was charged, a new charge.
func again(err error) bool {
	var abandoned *server.AbandonedError
	var lost *server.LostError
	return errors.As(err, &abandoned) || errors.As(err, &lost)
}

// resume finishes the round that an earlier process left.
func (c *Campaign) resume(ctx context.Context) error {
	result, err := c.cfg.Server.Resume(ctx)
	switch {
	case errors.Is(err, server.ErrNothing):
		return nil
	case err != nil && again(err):
		c.cfg.Observer(Progress{Stage: c.next(), Err: err})
		return nil
	case err != nil:
		return fmt.Errorf("campaign: resuming: %w", err)
	}
	return c.apply(ctx, result)
}

// apply makes of an opened sum what its kind is for, and publishes it.
func (c *Campaign) apply(ctx context.Context, r *server.RoundResult) error {
	c.counters = append(c.counters, r.Counters)
	switch r.Plan.Kind {
	case plan.Popularity:
		return c.publishPopularity(ctx, r)
	case plan.Transitions:
		return c.publishTransitions(ctx, r)
	case plan.Model:
		return c.publishModel(ctx, r)
	}
	return fmt.Errorf("a round of kind %v", r.Plan.Kind)
}

// load reads a published version.
func (c *Campaign) load(v model.Version) (blend.Parts, error) {
	var p blend.Parts
	weight, err := v.BlendWeight()
	if err != nil {
		return p, err
	}
	p.Weight = weight
	if !v.Popularity.IsZero() {
		b, err := c.cfg.Server.Blob(v.Popularity)
		if err != nil {
			return p, err
		}
		if p.Popularity, err = stats.ParsePopularity(b, c.cfg.Spec.Items); err != nil {
			return p, err
		}
	}
	if !v.Transitions.IsZero() {
		b, err := c.cfg.Server.Blob(v.Transitions)
		if err != nil {
			return p, err
		}
		if p.Transitions, err = stats.ParseTransitions(b, c.cfg.Spec.Items); err != nil {
			return p, err
		}
	}
	if v.Params.IsZero() {
		return p, nil
	}
	if p.Model, err = c.cfg.Spec.Model(c.cfg.Public, p.Popularity, p.Transitions); err != nil {
		return p, err
	}
	if p.Model.Layout().Digest() != v.Layout {
		return p, errors.New("the Transformer's shape is not the one that the task was started with")
	}
	b, err := c.cfg.Server.Blob(v.Params)
	if err != nil {
		return p, err
	}
	p.Params, _, err = model.ReadSafetensors(bytes.NewReader(b), int64(len(b)))
	return p, err
}

// Engine is what a campaign distils with where the caller has no other wish: the fused layers.
func Engine(m *seqrec.Model) seqrec.Engine { return seqrec.NewParallelEngine(m, 2) }
