package main

import (
	"errors"
	"sync"

	"tutti/model"
	"tutti/model/blend"
	"tutti/model/optim"
	"tutti/model/seqrec"
	"tutti/model/stats"
)

// network is a small Transformer with a row per item, trained by federated rounds without noise: with so few devices the
// planner advises against model rounds under noise, whatever the defence.
type network struct {
	world   *world
	model   *seqrec.Model
	rounds  int
	engines sync.Pool
	lessons [][]seqrec.Sequence // of each device
	push    []seqrec.Sequence   // what teaches the target after everything
}

const (
	networkClip = 1.0
	serverRate  = 2.0
)

func newNetwork(w *world, rounds int) (*network, error) {
	spec := blend.Spec{Items: w.items, Dim: 16, Blocks: 1, Heads: 2, Hidden: 32, MaxLen: 16}
	m, err := spec.Model(blend.Public{}, nil, nil)
	if err != nil {
		return nil, err
	}
	n := &network{world: w, model: m, rounds: rounds}
	n.engines.New = func() any { return seqrec.NewEngine(m) }
	for _, h := range w.train {
		n.lessons = append(n.lessons, first(seqrec.Windows(h, spec.MaxLen)))
	}
	popular := stats.TopK(stats.CountPopularity(w.train, w.items), 3*w.items/4)
	w.target = popular[len(popular)-1]
	var push []int32
	for _, item := range popular[:8] {
		push = append(push, item, w.target)
	}
	n.push = first(seqrec.Windows(push, spec.MaxLen))
	return n, nil
}

func first(list []seqrec.Sequence) []seqrec.Sequence { return list[:min(1, len(list))] }

func (n *network) learn(set setting) (measured, error) {
	w := n.world
	bad := attackers(len(w.train), set.Share, w.seed)
	params := n.model.Init(w.seed)
	server, err := optim.NewServer(optim.ServerConfig{Rule: optim.FedAvg, LearningRate: serverRate}, n.model.Layout().Size())
	if err != nil {
		return measured{}, err
	}
	m, why, err := set.Defence.design(len(w.train), release{n.model.Layout().Size(), networkClip, nil})
	if err != nil || why != "" {
		return measured{Infeasible: why}, err
	}
	var result measured
	for round := range n.rounds {
		sent, err := n.updates(set, params, bad, set.Defence.longest(m))
		if err != nil {
			return measured{}, err
		}
		o, err := set.Defence.open(sent, bad, m, w.seed*1000+uint64(round))
		if err != nil {
			return measured{}, err
		}
		result.LeftOut += float64(o.leftOut) / float64(n.rounds)
		result.Excluded += float64(o.excluded) / float64(n.rounds)
		params = params.Clone()
		if err := server.Step(params.Values(), o.mean); err != nil {
			return measured{}, err
		}
	}
	scorer, err := seqrec.NewScorer(n.model, params)
	if err != nil {
		return measured{}, err
	}
	quality, err := w.evaluate(bad, func(h []int32, out []float32) { _ = scorer.Scores(h, out) }) // an empty history scores nothing
	result.NDCG, result.Chance, result.Target = quality.NDCG, quality.Chance, quality.Target
	return result, err
}

// updates are what all devices send in a round.
func (n *network) updates(set setting, params model.Params, bad []bool, longest float64) ([][]float32, error) {
	engine := n.engines.Get().(seqrec.Engine)
	defer n.engines.Put(engine)
	cfg := seqrec.TrainConfig{Steps: 1, LearningRate: 1}
	train := func(lesson []seqrec.Sequence) ([]float32, error) {
		u, _, err := seqrec.Train(engine, params, lesson, cfg)
		if errors.Is(err, seqrec.ErrNothingToLearn) || errors.Is(err, seqrec.ErrDiverged) {
			return make([]float32, n.model.Layout().Size()), nil
		}
		if err != nil {
			return nil, err
		}
		x := u.Values()
		if norm(x) > networkClip {
			x = scaled(x, networkClip)
		}
		return x, nil
	}
	var push []float32
	if set.Attack == backdoor {
		var err error
		if push, err = train(n.push); err != nil {
			return nil, err
		}
	}
	sent := make([][]float32, len(n.lessons))
	for i, lesson := range n.lessons {
		x, err := train(lesson)
		if err != nil {
			return nil, err
		}
		if bad[i] {
			x = set.Attack.send(x, push, networkClip, longest)
		}
		sent[i] = x
	}
	return sent, nil
}
