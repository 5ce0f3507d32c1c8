package main

import (
	"fmt"
	"math/big"

	"tutti/model/blend"
	"tutti/model/stats"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
)

// statistics is the recommender of two releases: popularity, which chooses a block of items, and transitions among them.
type statistics struct {
	world *world
	split plan.Split
	noise bool

	popularity [][]float32 // each device's vector
}

// widestBlock keeps a run of thousands of people within seconds.
const widestBlock = 150

func newStatistics(w *world, epsilon float64, noise bool) (*statistics, error) {
	split, err := plan.PlanSplit(plan.Wish{Goal: len(w.train), Population: len(w.train), Epsilon: epsilon, Items: w.items})
	if err != nil {
		return nil, err
	}
	if split.Block == 0 {
		return nil, fmt.Errorf("%d people at epsilon %g are too few for transitions: want more people or a larger epsilon", len(w.train), epsilon)
	}
	split.Block = min(split.Block, widestBlock)
	s := &statistics{world: w, split: split, noise: noise}
	for _, h := range w.train {
		s.popularity = append(s.popularity, stats.PopularityVector(h, w.items))
	}
	return s, s.chooseTarget()
}

// chooseTarget lets the backdoor push an item that has a place in the block and is shown to few: the one at three
// quarters of the block's popularity.
func (s *statistics) chooseTarget() error {
	p, err := stats.NewPopularity(stats.CountPopularity(s.world.train, s.world.items), 0)
	if err == nil {
		s.world.target = p.TopK(s.split.Block)[s.split.Block*3/4]
	}
	return err
}

func (s *statistics) rho(of *big.Rat) *big.Rat {
	if !s.noise {
		return nil
	}
	return of
}

func (s *statistics) learn(set setting) (measured, error) {
	w := s.world
	bad := attackers(len(w.train), set.Share, w.seed)
	push := make([]float32, w.items)
	push[w.target] = 1
	first, m, why, err := s.release(set, bad, s.popularity, push, s.split.Popularity, 1)
	if err != nil || why != "" {
		return measured{Infeasible: why}, err
	}
	popularity, err := stats.NewPopularity(first.sum(), first.sigma*float64(first.devices))
	if err != nil {
		return measured{}, err
	}
	block, err := stats.NewBlock(popularity.TopK(s.split.Block), w.items)
	if err != nil {
		return measured{}, err
	}
	vectors := make([][]float32, len(w.train))
	for i, h := range w.train {
		vectors[i] = block.Vector(h, stats.DefaultWindow)
	}
	second, _, _, err := s.release(set, bad, vectors, pushTransitions(block, w.target), s.split.Transitions, 2)
	if err != nil {
		return measured{}, err
	}
	transitions, err := stats.NewTransitions(block, second.sum(), second.sigma*float64(second.devices))
	if err != nil {
		return measured{}, err
	}
	recommender, err := blend.New(blend.Parts{Popularity: popularity, Transitions: transitions})
	if err != nil {
		return measured{}, err
	}
	result, err := w.evaluate(bad, func(h []int32, out []float32) { _ = recommender.Scores(h, out) }) // indices are the data's own
	result.LeftOut, result.Excluded = float64(first.leftOut+second.leftOut)/2, float64(first.excluded+second.excluded)/2
	if m.Noise {
		result.Noise = first.sigma / s.alone(m, first.devices)
	}
	return result, err
}

// alone is the noise on the mean of one group without defence.
func (s *statistics) alone(m mechanism.Params, devices int) float64 {
	one, _, err := defence{groups: 1}.design(len(s.world.train), release{m.Dim, m.Clip, s.split.Popularity})
	if err != nil {
		panic(err) // it was designed before
	}
	return one.NoiseOnSum(devices) / float64(devices)
}

// release has every device send, and opens the sums.
func (s *statistics) release(set setting, bad []bool, vectors [][]float32, push []float32, rho *big.Rat, number uint64) (o opened, m mechanism.Params, why string, err error) {
	m, why, err = set.Defence.design(len(vectors), release{len(push), 1, s.rho(rho)})
	if err != nil || why != "" {
		return o, m, why, err
	}
	sent := vectors
	if set.Attack != honest {
		sent = append([][]float32(nil), vectors...)
		for i := range sent {
			if bad[i] {
				sent[i] = set.Attack.send(sent[i], push, m.Clip, set.Defence.longest(m))
			}
		}
	}
	o, err = set.Defence.open(sent, bad, m, s.world.seed*1000+number)
	return o, m, "", err
}

// sum is the mean times the devices.
func (o opened) sum() []float32 {
	out := make([]float32, len(o.mean))
	for i, v := range o.mean {
		out[i] = v * float32(o.devices)
	}
	return out
}

// pushTransitions is the vector that ties the target to every item of the block.
func pushTransitions(block *stats.Block, target int32) []float32 {
	push := make([]float32, block.Cells())
	if at := block.Position(target); at >= 0 {
		for p := range block.K() {
			if p != at {
				push[block.Cell(p, at)] = 1
			}
		}
	}
	return push
}
