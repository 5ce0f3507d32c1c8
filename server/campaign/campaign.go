package campaign

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"tutti/model"
	"tutti/model/blend"
	"tutti/model/optim"
	"tutti/model/seqrec"
	"tutti/model/stats"
	"tutti/privacy/plan"
	"tutti/server"
	"tutti/server/pace"
)

// Campaign runs the recipe. Its whole state is what the server has published, and keeps with it (see keep.go), so that a new
// Campaign on the same server, or on another replica of it, goes on exactly where the last one stopped.
type Campaign struct {
	cfg       Config
	version   model.Version
	parts     blend.Parts
	rounds    int           // model rounds published
	optimiser *optim.Server // nil: not read back yet
	tally     tally         // what became of devices, until something is said about it
	lastClip  float64       // of the newest model round; 0: not known here
	within    float64       // share of devices that were within it; NaN: not asked
	failures  int           // rounds in a row that came to nothing

	streamEnded bool // no row of the stream of noise is left for another model round
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
	if err := c.catchUp(); err != nil {
		return nil, err
	}
	return c, nil
}

// catchUp makes the newest published version the campaign's state.
func (c *Campaign) catchUp() error {
	v, found := c.cfg.Server.Version()
	if !found || v == c.version {
		return nil
	}
	parts, err := c.load(v)
	if err != nil {
		return fmt.Errorf("campaign: version %d: %w", v.Number, err)
	}
	back := 0
	if c.cfg.Rollbacks != nil {
		if back, err = c.cfg.Rollbacks(context.Background()); err != nil {
			return fmt.Errorf("campaign: the versions before %d: %w", v.Number, err)
		}
	}
	c.version, c.parts, c.rounds = v, parts, max(0, modelRounds(v)-back)
	return nil
}

// modelRounds counts from a version's number how many model rounds led to it: before them came one version for the
// popularity, one for the transitions, if there are any, and one for the Transformer's start. Versions that brought an
// older content back are counted too, and taken off by the caller.
func modelRounds(v model.Version) int {
	switch {
	case v.Params.IsZero():
		return 0
	case v.Transitions.IsZero():
		return int(v.Number) - 2
	}
	return int(v.Number) - 3
}

// Parts is what the newest version is made of.
func (c *Campaign) Parts() blend.Parts { return c.parts }

// Run runs what is left of the recipe. It ends with the server's error, wrapped: with a *server.BudgetError where the budget
// does not bear the next round, with a *server.CommitteeError where too few nodes answer, with the last
// *server.AbandonedError or *server.LostError after Retries. After any of them Run may be called again.
func (c *Campaign) Run(ctx context.Context) error {
	if err := c.resume(ctx); err != nil {
		return err
	}
	for {
		if err := c.catchUp(); err != nil { // an operator, or a roll-out that was stopped, may have brought older weights back
			return err
		}
		stage := c.next()
		if stage == StageTelemetry {
			break
		}
		c.cfg.Observer(Progress{Stage: stage, Step: c.rounds, Steps: c.cfg.Split.Rounds})
		err := c.run(ctx, stage)
		var ended *server.StreamEndedError
		if errors.As(err, &ended) { // rounds were abandoned or lost, and took its rows
			c.streamEnded = true
			continue
		}
		if err != nil {
			return fmt.Errorf("campaign: %s: %w", stage, err)
		}
	}
	if err := c.tell(ctx); err != nil {
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
	case c.parts.Model != nil && c.rounds < s.Rounds && !c.streamEnded:
		return StageModel
	}
	return StageTelemetry
}

func (c *Campaign) run(ctx context.Context, stage Stage) error {
	if stage == StageDistil {
		return c.distil(ctx)
	}
	spec, err := c.spec(ctx, stage)
	if err != nil {
		return err
	}
	for attempt := 0; ; attempt++ {
		result, err := c.cfg.Server.RunRound(ctx, spec)
		if err == nil {
			c.failures = 0
			return c.apply(ctx, result)
		}
		if attempt >= c.cfg.Retries || !again(err) {
			return err
		}
		if err := c.pause(ctx, stage, err); err != nil {
			return err
		}
		if spec, err = c.spec(ctx, stage); err != nil { // new signs: nothing of the failed round is used twice
			return err
		}
	}
}

// pause waits before a round is run anew, longer with each that came to nothing in a row, and says so to devices and to the
// operator: what kept devices away is not over at once.
func (c *Campaign) pause(ctx context.Context, stage Stage, cause error) error {
	c.failures++
	wait := pace.Backoff(c.failures, c.cfg.Pause, c.cfg.LongestPause)
	until := time.Now().Add(wait)
	c.cfg.Observer(Progress{Stage: stage, Err: cause, Until: until})
	if wait <= 0 {
		return ctx.Err()
	}
	if err := c.cfg.Server.Planned(ctx, until); err != nil {
		return err
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// again says whether another round may succeed where this one did not. A failed round means new keys, new noise, and,
// where it was charged, a new charge.
func again(err error) bool {
	var abandoned *server.AbandonedError
	var lost *server.LostError
	return errors.As(err, &abandoned) || errors.As(err, &lost)
}

// resume finishes the round that an earlier process, or an earlier Run, left.
func (c *Campaign) resume(ctx context.Context) error {
	if err := errors.Join(c.catchUp(), c.recall(ctx)); err != nil {
		return err
	}
	result, err := c.cfg.Server.Resume(ctx)
	switch {
	case errors.Is(err, server.ErrNothing):
		return nil
	case err != nil && again(err):
		return c.pause(ctx, c.next(), err)
	case err != nil:
		return fmt.Errorf("campaign: resuming: %w", err)
	}
	return c.apply(ctx, result)
}

// apply makes of an opened sum what its kind is for, and publishes it.
func (c *Campaign) apply(ctx context.Context, r *server.RoundResult) error {
	if err := c.catchUp(); err != nil { // to what the round started from
		return err
	}
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

// load reads a published version. It refuses one of another task: another catalogue, another Transformer.
func (c *Campaign) load(v model.Version) (blend.Parts, error) {
	var p blend.Parts
	if v.Items != c.cfg.Items {
		return p, errors.New("it is of another catalogue: a task keeps the catalogue that it was started with")
	}
	weight, err := v.BlendWeight()
	if err != nil {
		return p, err
	}
	p.Weight = weight
	if p.Popularity, err = released(c, v.Popularity, stats.ParsePopularity); err != nil {
		return p, err
	}
	if p.Transitions, err = released(c, v.Transitions, stats.ParseTransitions); err != nil {
		return p, err
	}
	if v.Params.IsZero() {
		return p, nil
	}
	spec, err := c.cfg.Spec.Digest()
	if err != nil {
		return p, err
	}
	if p.Model, err = c.cfg.Spec.Model(c.cfg.Public, p.Popularity, p.Transitions); err != nil {
		return p, err
	}
	if spec != v.Spec || p.Model.Layout().Digest() != v.Layout { // heads, for one, do not show in the layout
		return p, errors.New("it has a Transformer of another shape: a task keeps the one that it was started with")
	}
	b, err := c.cfg.Server.Blob(v.Params)
	if err != nil {
		return p, err
	}
	p.Params, _, err = model.ReadSafetensors(bytes.NewReader(b), int64(len(b)))
	return p, err
}

// released reads the statistics that a version names; nil where it names none.
func released[T any](c *Campaign, digest model.Digest, parse func(blob []byte, items int) (*T, error)) (*T, error) {
	if digest.IsZero() {
		return nil, nil
	}
	b, err := c.cfg.Server.Blob(digest)
	if err != nil {
		return nil, err
	}
	return parse(b, c.cfg.Spec.Items)
}

// Engine is what a campaign distils with where the caller has no other wish: the fused layers.
func Engine(m *seqrec.Model) seqrec.Engine { return seqrec.NewParallelEngine(m, 2) }
