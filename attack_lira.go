package main

import (
	"context"
	"fmt"
	"math"
	"math/big"

	"tutti/model"
	"tutti/model/blend"
	"tutti/model/seqrec"
	"tutti/model/stats"
	"tutti/privacy/accounting"
	"tutti/privacy/audit/attack"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
)

// attackEpsilon is the budget of the recommenders that membership inference is tried on: the demo's.
const attackEpsilon = 8

// liraStatistics is the default recipe's release: popularity, then transitions among the most popular items. Every device
// takes part, with zeros where it is out; every noise share counts in the claim, so that the noise is no more than claimed.
type liraStatistics struct {
	options attack.Options
	people  attackPeople
	split   plan.Split
}

func newLiraStatistics(o attack.Options, p attackPeople) (attack.Released, error) {
	split, err := plan.PlanSplit(plan.Wish{Goal: len(p.histories), Population: len(p.histories), Epsilon: attackEpsilon, Items: p.items()})
	if err != nil {
		return attack.Released{}, err
	}
	l := &liraStatistics{options: o, people: p, split: split}
	rho := new(big.Rat)
	for _, v := range l.vectors() {
		m, err := l.design(v.dim, v.rho, true)
		if err != nil {
			return attack.Released{}, err
		}
		rho.Add(rho, m.Rho())
	}
	setup := fmt.Sprintf("%s; the statistics recommender at epsilon %d and delta %s", p.source, attackEpsilon, split.Delta)
	if split.Block >= 2 {
		setup += fmt.Sprintf(", popularity and transitions among %d items", split.Block)
	} else {
		setup += ", popularity alone: so few people have no transitions"
	}
	return attack.Released{
		Name: "statistics", Users: len(p.histories), Mu: muOfRho(rho), Train: l.train,
		Setup: setup + "; the attacker has both opened sums (inner product with the person's vectors) and the recommender (log probability of the person's items)",
	}, nil
}

func muOfRho(rho *big.Rat) float64 {
	r, _ := rho.Float64()
	return math.Sqrt(2 * r)
}

// priced is one vector kind of the recipe.
type priced struct {
	dim int
	rho *big.Rat
}

func (l *liraStatistics) vectors() []priced {
	list := []priced{{l.people.items(), l.split.Popularity}}
	if k := l.split.Block; k >= 2 {
		list = append(list, priced{k * (k - 1) / 2, l.split.Transitions})
	}
	return list
}

func (l *liraStatistics) design(dim int, rho *big.Rat, noise bool) (mechanism.Params, error) {
	n := len(l.people.histories)
	literal := mechanism.Literal{Dim: dim, Clip: 1, NMin: n, NMax: n, Noise: noise}
	if noise {
		literal.Rho = rho
	}
	return mechanism.Design(literal)
}

// release opens one sum, and says how noisy it is.
func (l *liraStatistics) release(ctx context.Context, v priced, noise bool, label string, vectors [][]float32, in []bool) (sum []float32, sigma float64, err error) {
	m, err := l.design(v.dim, v.rho, noise)
	if err != nil {
		return nil, 0, err
	}
	sum, err = l.options.Sum(ctx, m, len(in), label, func(i int) []float32 {
		if in[i] {
			return vectors[i]
		}
		return nil
	})
	if noise {
		sigma = m.NoiseOnSum(len(in))
	}
	return sum, sigma, err
}

func (l *liraStatistics) train(ctx context.Context, noise bool, number int, in []bool) ([][]float64, error) {
	items, label := l.people.items(), fmt.Sprintf("lira statistics %v %d ", noise, number)
	statistics := make([][]float64, len(in))
	first := make([][]float32, len(in))
	for i, h := range l.people.histories {
		first[i] = stats.PopularityVector(h, items)
	}
	kinds := l.vectors()
	sum, sigma, err := l.release(ctx, kinds[0], noise, label+"popularity", first, in)
	if err != nil {
		return nil, err
	}
	for i := range in {
		statistics[i] = append(statistics[i], alignment(sum, first[i]))
	}
	popularity, err := stats.NewPopularity(sum, sigma)
	if err != nil {
		return nil, err
	}
	var transitions *stats.Transitions
	if len(kinds) > 1 {
		block, err := stats.NewBlock(popularity.TopK(l.split.Block), items)
		if err != nil {
			return nil, err
		}
		second := make([][]float32, len(in))
		for i, h := range l.people.histories {
			second[i] = block.Vector(h, stats.DefaultWindow)
		}
		sum, sigma, err := l.release(ctx, kinds[1], noise, label+"transitions", second, in)
		if err != nil {
			return nil, err
		}
		for i := range in {
			statistics[i] = append(statistics[i], alignment(sum, second[i]))
		}
		if transitions, err = stats.NewTransitions(block, sum, sigma); err != nil {
			return nil, err
		}
	}
	scorer, err := stats.NewScorer(popularity, transitions)
	if err != nil {
		return nil, err
	}
	chance := make([]float32, items)
	for i, h := range l.people.histories {
		statistics[i] = append(statistics[i], confidence(scorer, h, chance))
	}
	return statistics, nil
}

// alignment is the inner product of a release with what a person would have sent, which has norm 1.
func alignment(sum, x []float32) float64 {
	total := 0.0
	for j, v := range x {
		if v != 0 {
			total += float64(v) * float64(sum[j])
		}
	}
	return total
}

// asked is how many of a person's last items the recommender is asked for.
const asked = 5

// confidence is the mean log odds that the recommender gives the person's last items.
func confidence(scorer *stats.Scorer, history []int32, chance []float32) float64 {
	total, n := 0.0, 0
	for at := max(1, len(history)-asked); at < len(history); at++ {
		scorer.Distribution(history[:at], chance)
		p := min(max(float64(chance[history[at]]), 1e-9), 1-1e-9)
		total += math.Log(p / (1 - p))
		n++
	}
	return total / float64(max(1, n))
}

// liraModel is a small Transformer with a row per item, trained by federated rounds over everybody.
type liraModel struct {
	options attack.Options
	people  attackPeople
	trainer *trainer
	rounds  int
	rho     *big.Rat // of one round
}

const (
	liraClip = 1.0
	liraRate = 2.0 // of the server, per round: the mean update is taken so often
)

func newLiraModel(o attack.Options, p attackPeople, rounds int) (attack.Released, error) {
	spec := blend.Spec{Items: p.items(), Dim: 16, Blocks: 1, Heads: 2, Hidden: 32, MaxLen: 16}
	m, err := spec.Model(blend.Public{}, nil, nil)
	if err != nil {
		return attack.Released{}, err
	}
	delta := accounting.ClaimDelta(len(p.histories))
	total, err := accounting.RhoForEpsilon(attackEpsilon, delta)
	if err != nil {
		return attack.Released{}, err
	}
	l := &liraModel{options: o, people: p, trainer: newTrainer(m, p.histories, o.Seed), rounds: rounds}
	l.rho = new(big.Rat).Quo(total, big.NewRat(int64(rounds), 1))
	design, err := l.design(true)
	if err != nil {
		return attack.Released{}, err
	}
	spent := new(big.Rat).Mul(design.Rho(), big.NewRat(int64(rounds), 1))
	return attack.Released{
		Name: "model", Users: len(p.histories), Mu: muOfRho(spent), Train: l.train,
		Setup: fmt.Sprintf("%s; a Transformer with a row for each of %d items (%d weights), %d rounds of everybody at epsilon %d in all; the attacker has the last weights: loss of the person's sequence, and the weights' change along the person's first update", p.source, p.items(), m.Layout().Size(), rounds, attackEpsilon),
	}, nil
}

func (l *liraModel) design(noise bool) (mechanism.Params, error) {
	n := len(l.people.histories)
	literal := mechanism.Literal{Dim: l.trainer.model.Layout().Size(), Clip: liraClip, NMin: n, NMax: n, Noise: noise}
	if noise {
		literal.Rho = l.rho
	}
	return mechanism.Design(literal)
}

func (l *liraModel) train(ctx context.Context, noise bool, number int, in []bool) ([][]float64, error) {
	m, err := l.design(noise)
	if err != nil {
		return nil, err
	}
	params := l.trainer.params.Clone()
	for round := range l.rounds {
		from := params
		sum, err := l.options.Sum(ctx, m, len(in), fmt.Sprintf("lira model %v %d %d", noise, number, round), func(i int) []float32 {
			if in[i] {
				return l.trainer.update(from, i)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		params = params.Clone()
		for j, v := range sum {
			params.Values()[j] += liraRate * v / float32(len(in))
		}
	}
	return l.measure(params)
}

// measure is what the attacker computes from the last weights.
func (l *liraModel) measure(params model.Params) ([][]float64, error) {
	change := make([]float32, len(params.Values()))
	for j, v := range params.Values() {
		change[j] = v - l.trainer.params.Values()[j]
	}
	engine := seqrec.NewEngine(l.trainer.model)
	statistics := make([][]float64, len(l.people.histories))
	for i := range statistics {
		loss, _, err := engine.LossGrad(params.Values(), l.trainer.window(i), nil)
		if err != nil {
			return nil, fmt.Errorf("person %d: %w", i, err)
		}
		own := l.trainer.update(l.trainer.params, i)
		length := 0.0
		for _, v := range own {
			length += float64(v) * float64(v)
		}
		statistics[i] = []float64{-loss, alignment(change, own) / math.Sqrt(max(length, 1e-30))}
	}
	return statistics, nil
}
