package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"tutti/model"
	"tutti/model/blend"
	"tutti/model/graph"
	"tutti/model/seqrec"
	"tutti/model/stats"
	"tutti/privacy/plan"
)

// maker gives what turns a history into the vector that a device must have sent in a round, before it was turned into
// integers and masked.
func (b *books) maker(ctx context.Context, p plan.Plan) (func(items []int32) ([]float64, error), error) {
	switch p.Kind {
	case plan.Popularity:
		return func(items []int32) ([]float64, error) { return popularityOf(items), nil }, nil
	case plan.Transitions:
		blob, err := b.st.Blob(p.Block)
		if err != nil {
			return nil, err
		}
		block, err := stats.ParseBlock(blob, b.catalogue.Len())
		if err != nil {
			return nil, err
		}
		decay, err := strconv.ParseFloat(p.Window.Decay, 64)
		return func(items []int32) ([]float64, error) {
			return transitionsOf(items, block.Items(), int(p.Window.Width), decay), nil
		}, err
	case plan.Model:
		return b.trainer(ctx, p)
	}
	return nil, fmt.Errorf("a round of kind %v", p.Kind)
}

// trainer makes the update that a device makes: the same steps from the same weights give the same numbers. One film
// teaches nothing, and gives zeros.
func (b *books) trainer(ctx context.Context, p plan.Plan) (func(items []int32) ([]float64, error), error) {
	m, weights, err := b.base(ctx, p)
	if err != nil {
		return nil, err
	}
	engine, err := graph.NewEngine(m)
	if err != nil {
		return nil, err
	}
	rate, err := strconv.ParseFloat(p.Training.LearningRate, 64)
	if err != nil {
		return nil, err
	}
	cfg := seqrec.TrainConfig{Steps: int(p.Training.Steps), LearningRate: rate, Optimizer: p.Training.Optimizer}
	return func(items []int32) ([]float64, error) {
		update := make([]float64, p.Mechanism.Dim)
		sequences := seqrec.Windows(items, int(p.Training.MaxLen))
		if len(sequences) == 0 {
			return update, nil
		}
		trained, _, err := seqrec.Train(engine, weights, sequences[:min(len(sequences), int(p.Training.Batch))], cfg)
		if err != nil {
			return nil, err
		}
		for i, x := range trained.Values() {
			update[i] = float64(x)
		}
		return scaled(update, p.Mechanism.Clip, false), nil
	}, nil
}

// base builds the Transformer and the weights that a round starts from.
func (b *books) base(ctx context.Context, p plan.Plan) (*seqrec.Model, model.Params, error) {
	v, err := b.version(ctx, p)
	if err != nil {
		return nil, model.Params{}, err
	}
	parts := map[model.Digest][]byte{}
	for _, d := range []model.Digest{v.Spec, v.Popularity, v.Transitions, v.Params} {
		if parts[d], err = b.st.Blob(d); err != nil {
			return nil, model.Params{}, err
		}
	}
	spec, err := blend.ParseSpec(parts[v.Spec])
	if err != nil {
		return nil, model.Params{}, err
	}
	popularity, err := stats.ParsePopularity(parts[v.Popularity], spec.Items)
	if err != nil {
		return nil, model.Params{}, err
	}
	transitions, err := stats.ParseTransitions(parts[v.Transitions], spec.Items)
	if err != nil {
		return nil, model.Params{}, err
	}
	dim, rows := b.catalogue.Features()
	m, err := spec.Model(blend.Public{Dim: dim, Rows: rows}, popularity, transitions)
	if err != nil {
		return nil, model.Params{}, err
	}
	weights, _, err := model.ReadSafetensors(bytes.NewReader(parts[v.Params]), int64(len(parts[v.Params])))
	return m, weights, err
}

// version finds the version that a plan names by its digest. The server hands out the newest only, from which the ones
// before differ in their weights: the blob that gives the digest is the right one.
func (b *books) version(ctx context.Context, p plan.Plan) (model.Version, error) {
	newest, found, err := b.st.LatestVersion(ctx, p.Task)
	if err != nil || !found {
		return model.Version{}, fmt.Errorf("no version is published: %w", err)
	}
	v, err := model.ParseVersion(newest.Version)
	if err != nil {
		return v, err
	}
	v.Number, v.Parent = p.BaseNumber, b.versions[p.BaseNumber-1]
	blobs, err := filepath.Glob(filepath.Join(b.dir, "blobs", "*", "*"))
	if err != nil {
		return v, err
	}
	for _, path := range blobs {
		name := filepath.Base(filepath.Dir(path)) + filepath.Base(path)
		if _, err := hex.Decode(v.Params[:], []byte(name)); err == nil && v.Digest() == p.Base {
			return v, nil
		}
	}
	return v, fmt.Errorf("%w: the weights of version %d", os.ErrNotExist, p.BaseNumber)
}
