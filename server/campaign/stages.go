package campaign

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"math/big"

	"tutti/model"
	"tutti/model/blend"
	"tutti/model/delta"
	"tutti/model/stats"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
	"tutti/server"
)

// spec is the round that a stage runs.
func (c *Campaign) spec(ctx context.Context, stage Stage) (server.RoundSpec, error) {
	s := server.RoundSpec{Goal: c.cfg.Split.Goal, Items: plan.Digest(c.cfg.Items), Collect: c.cfg.Collect}
	var dim int
	var rho *big.Rat
	var err error
	clip := 1.0 // what the statistics' vectors are scaled to
	switch stage {
	case StagePopularity:
		s.Kind, dim, rho = plan.Popularity, c.cfg.Spec.Items, c.cfg.Split.Popularity
	case StageTransitions:
		block, err := stats.NewBlock(c.parts.Popularity.TopK(c.cfg.Split.Block), c.cfg.Spec.Items)
		if err != nil {
			return s, err
		}
		if s.Block, err = c.cfg.Server.PutBlob(block.Marshal()); err != nil {
			return s, err
		}
		w := stats.DefaultWindow
		s.Window = plan.Window{Width: uint32(w.Width), Decay: plan.FormatDecimal(w.Decay)}
		s.Kind, dim, rho = plan.Transitions, block.Cells(), c.cfg.Split.Transitions
	case StageModel:
		s.Kind, dim, rho, s.Training = plan.Model, c.parts.Params.Layout().Size(), c.cfg.Split.Round, c.cfg.Training
		if clip, err = c.clip(ctx); err != nil {
			return s, err
		}
	default:
		return s, fmt.Errorf("no round belongs to this stage")
	}
	s.Participations = c.cfg.Split.Participations
	if stage == StageModel {
		s.Separation, s.Staleness = c.cfg.Split.Separation, c.cfg.Staleness
	}
	s.Central = c.central(stage, rho)
	if s.Mechanism, err = c.mechanism(dim, clip, rho); err == nil && s.Central != nil && s.Central.Noise == plan.CentralBLT {
		s.Mechanism.Signs = streamSigns(c.cfg.Task)
	}
	if err != nil || stage != StageModel {
		return s, err
	}
	s.Metrics, err = c.metrics(s.Mechanism)
	return s, err
}

// metrics designs what the next model round asks of its devices besides their updates; nil: nothing.
func (c *Campaign) metrics(main mechanism.Params) (*plan.Metrics, error) {
	names, rho := c.cfg.Split.Measure.Of(c.rounds)
	if len(names) == 0 {
		return nil, nil
	}
	if !c.cfg.Noise {
		rho = nil
	}
	var signs [32]byte
	if _, err := io.ReadFull(rand.Reader, signs[:]); err != nil {
		return nil, err
	}
	return plan.DesignMetrics(names, main, rho, signs)
}

// central is the noise that the operator adds to the rounds of a stage; nil: the devices add it, or nobody does.
func (c *Campaign) central(stage Stage, rho *big.Rat) *plan.Central {
	switch split := c.cfg.Split; {
	case !c.cfg.Noise || split.Trust == plan.TrustDevices:
		return nil
	case stage == StageModel && split.Stream != nil:
		return split.Stream
	}
	return plan.CentralFor(rho)
}

// streamSigns are the rotation's signs of all rounds of a stream: its noise cancels out between rounds only where all are
// rotated alike. They are public in any case.
func streamSigns(task string) [32]byte {
	return sha256.Sum256([]byte("tutti/stream/signs/v1\x00" + task))
}

// mechanism designs clip and noise of one round, with fresh public signs.
func (c *Campaign) mechanism(dim int, clip float64, rho *big.Rat) (mechanism.Params, error) {
	l := mechanism.Literal{
		Dim: dim, Clip: clip, NMin: c.cfg.Split.NMin, NMax: c.cfg.Split.NMax, Colluders: c.cfg.Split.Colluders, Noise: c.cfg.Noise && c.cfg.Split.Trust == plan.TrustDevices,
	}
	if l.Noise {
		l.Rho = rho
	}
	if _, err := io.ReadFull(rand.Reader, l.Signs[:]); err != nil {
		return mechanism.Params{}, err
	}
	return mechanism.Design(l)
}

// noiseOnSum is the standard deviation of the noise in a result's sum; without privacy there is none to remove.
func noiseOnSum(r *server.RoundResult) float64 {
	if !r.Plan.Mechanism.Noise && r.Plan.Central == nil {
		return 0
	}
	return r.NoiseOnSum()
}

func (c *Campaign) publishPopularity(ctx context.Context, r *server.RoundResult) error {
	popularity, err := stats.NewPopularity(r.Sum.Values, noiseOnSum(r))
	if err != nil {
		return err
	}
	blob := popularity.Marshal()
	v := model.Version{Items: c.cfg.Items, Popularity: sha256.Sum256(blob)}
	return c.publish(ctx, StagePopularity, r, v, [][]byte{blob}, blend.Parts{Popularity: popularity})
}

func (c *Campaign) publishTransitions(ctx context.Context, r *server.RoundResult) error {
	chosen, err := c.cfg.Server.Blob(r.Plan.Block)
	if err != nil {
		return err
	}
	block, err := stats.ParseBlock(chosen, c.cfg.Spec.Items)
	if err != nil {
		return err
	}
	transitions, err := stats.NewTransitions(block, r.Sum.Values, noiseOnSum(r))
	if err != nil {
		return err
	}
	blob := transitions.Marshal()
	v := c.version
	v.Transitions = sha256.Sum256(blob)
	parts := c.parts
	parts.Transitions = transitions
	return c.publish(ctx, StageTransitions, r, v, [][]byte{blob}, parts)
}

// distil makes the Transformer's start of the releases: post-processing.
func (c *Campaign) distil(ctx context.Context) error {
	parts := c.parts
	var err error
	if parts.Model, err = c.cfg.Spec.Model(c.cfg.Public, parts.Popularity, parts.Transitions); err != nil {
		return err
	}
	statistics, err := stats.NewScorer(parts.Popularity, parts.Transitions)
	if err != nil {
		return err
	}
	parts.Params, err = distil(ctx, c.cfg.NewEngine(parts.Model), parts.Model.Init(c.cfg.Seed), statistics, c.cfg.Spec.Items, c.cfg.Distil,
		func(step int, loss float64) {
			c.cfg.Observer(Progress{Stage: StageDistil, Step: step, Steps: c.cfg.Distil.Steps, Loss: loss})
		})
	if err != nil {
		return err
	}
	parts.Weight = c.cfg.Weight
	spec, err := c.cfg.Spec.Marshal()
	if err != nil {
		return err
	}
	v := c.version
	v.Spec, v.Layout, v.Blend = sha256.Sum256(spec), parts.Model.Layout().Digest(), model.FormatBlend(c.cfg.Weight)
	return c.publishParams(ctx, StageDistil, nil, v, [][]byte{spec}, parts)
}

// publishModel applies the mean of a round's updates.
func (c *Campaign) publishModel(ctx context.Context, r *server.RoundResult) error {
	optimiser, err := c.optimise(ctx)
	if err != nil {
		return err
	}
	mean := make([]float32, len(r.Sum.Values))
	for i, x := range r.Sum.Values {
		mean[i] = x / float32(r.N)
	}
	parts := c.parts
	parts.Params = parts.Params.Clone()
	if err := optimiser.Step(parts.Params.Values(), mean); err != nil {
		return err
	}
	if noiseOnSum(r) > 0 { // in steps far below the change, most of which it is: devices download a fifth
		if _, err := delta.Snap(c.parts.Params.Values(), parts.Params.Values()); err != nil {
			return err
		}
	}
	if err := c.publishParams(ctx, StageModel, r, c.version, nil, parts); err != nil {
		return err
	}
	c.rounds++
	return nil
}

// publishParams adds the weights to what is published.
func (c *Campaign) publishParams(ctx context.Context, stage Stage, r *server.RoundResult, v model.Version, blobs [][]byte, parts blend.Parts) error {
	var file bytes.Buffer
	if err := model.WriteSafetensors(&file, parts.Params, nil); err != nil {
		return err
	}
	v.Params = sha256.Sum256(file.Bytes())
	return c.publish(ctx, stage, r, v, append(blobs, file.Bytes()), parts)
}

// publish makes the next version, and what it is made of the campaign's state.
func (c *Campaign) publish(ctx context.Context, stage Stage, r *server.RoundResult, v model.Version, blobs [][]byte, parts blend.Parts) error {
	told := c.tally
	if r != nil {
		told = told.add(r.Round, r.Counters)
	}
	kept, err := c.keep(r, told)
	if err != nil {
		return err
	}
	published, err := c.cfg.Server.Publish(ctx, server.Publication{Round: r, Version: &v, Blobs: blobs, Cause: stage.String(), Keep: kept})
	if err != nil {
		return err
	}
	c.version, c.parts, c.tally = published, parts, told
	said := Progress{Stage: stage, Step: c.rounds, Steps: c.cfg.Split.Rounds, Version: published, Parts: parts}
	if stage == StageModel {
		c.clipped(r.Plan, r.Metrics)
		said.Metrics = r.Metrics
		if c.cfg.AdaptiveClip {
			said.Clip = NextClip(c.lastClip, c.within, c.cfg.Clip)
		}
	}
	c.cfg.Observer(said)
	return nil
}
