package main

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"gonum.org/v1/gonum/mat"

	"tutti/model"
	"tutti/model/blend"
	"tutti/model/dataset"
	"tutti/model/seqrec"
	"tutti/model/stats"
	"tutti/privacy/audit/attack"
)

// attackPeople is whose vectors are attacked: histories over a catalogue.
type attackPeople struct {
	source    string
	catalogue *dataset.Catalogue
	histories [][]int32 // oldest first
}

func (p attackPeople) items() int { return p.catalogue.Len() }

// uniformHistories are people without any common taste: what a sum shows of them is of themselves.
func uniformHistories(people, items, length int, seed uint64) [][]int32 {
	random := rand.New(rand.NewPCG(seed, 0xa77ac4))
	list := make([][]int32, people)
	for i := range list {
		seen := map[int32]bool{}
		for len(list[i]) < min(length, items) {
			if item := int32(random.IntN(items)); !seen[item] {
				seen[item] = true
				list[i] = append(list[i], item)
			}
		}
	}
	return list
}

func distinct(history []int32) []int32 {
	return slices.Compact(slices.Sorted(slices.Values(history)))
}

// popularityKind is what every device sends first: 1/sqrt(n) at each of its n items.
func popularityKind(histories [][]int32, items int) attack.Kind {
	return attack.Kind{
		Name: "popularity vector", Devices: len(histories), Dim: items, Clip: 1, Items: items,
		Vector: func(i int) []float32 { return stats.PopularityVector(histories[i], items) },
		Held:   func(i int) []int32 { return distinct(histories[i]) },
		Score: func(v []float32, out []float64) {
			for j, x := range v {
				out[j] = float64(x)
			}
		},
	}
}

// transitionsKind is what every device sends second: a cell for each pair of items of the block. An item's score is the
// sum of its cells; items outside the block have none.
func transitionsKind(histories [][]int32, items, k int) (attack.Kind, error) {
	block, err := stats.NewBlock(stats.TopK(stats.CountPopularity(histories, items), k), items)
	if err != nil {
		return attack.Kind{}, err
	}
	return attack.Kind{
		Name: "transitions vector", Devices: len(histories), Dim: block.Cells(), Clip: 1, Items: items,
		Vector: func(i int) []float32 { return block.Vector(histories[i], stats.DefaultWindow) },
		Held: func(i int) (held []int32) {
			for _, item := range distinct(histories[i]) {
				if block.Position(item) >= 0 {
					held = append(held, item)
				}
			}
			return held
		},
		Score: func(v []float32, out []float64) {
			for j := range out {
				out[j] = math.NaN()
			}
			for p, item := range block.Items() {
				out[item] = 0
				for q := range block.K() {
					if q != p {
						out[item] += float64(v[block.Cell(p, q)])
					}
				}
			}
		},
	}, nil
}

// trainer makes what a device's local training sends: one step of the real recommender on the newest window, as the
// recipes do.
type trainer struct {
	model     *seqrec.Model
	params    model.Params
	histories [][]int32
	engines   sync.Pool
}

func newTrainer(m *seqrec.Model, histories [][]int32, seed uint64) *trainer {
	t := &trainer{model: m, params: m.Init(seed), histories: histories}
	t.engines.New = func() any { return seqrec.NewEngine(m) }
	return t
}

// window is what device i learns from.
func (t *trainer) window(i int) []seqrec.Sequence {
	list := seqrec.Windows(t.histories[i], t.model.Config().MaxLen)
	return list[:min(1, len(list))]
}

// update is what device i sends after a step from the given weights; zeros where it has nothing to learn from.
func (t *trainer) update(params model.Params, i int) []float32 {
	engine := t.engines.Get().(seqrec.Engine)
	defer t.engines.Put(engine)
	u, _, err := seqrec.Train(engine, params, t.window(i), seqrec.TrainConfig{Steps: 1, LearningRate: 1})
	switch {
	case errors.Is(err, seqrec.ErrNothingToLearn), errors.Is(err, seqrec.ErrDiverged):
		return make([]float32, t.model.Layout().Size())
	case err != nil:
		panic(err) // histories are of the catalogue, weights of the model
	}
	return u.Values()
}

// held are the items of device i's window.
func (t *trainer) held(i int) []int32 {
	h := t.histories[i]
	return distinct(h[max(0, len(h)-t.model.Config().MaxLen-1):])
}

// tableKind is the update of a recommender with a learned row for each item; the attack ranks items by the norm of their
// rows' changes.
func tableKind(histories [][]int32, items int, seed uint64) (attack.Kind, error) {
	spec := blend.Spec{Items: items, Dim: 16, Blocks: 1, Heads: 2, Hidden: 32, MaxLen: 20}
	m, err := spec.Model(blend.Public{}, nil, nil)
	if err != nil {
		return attack.Kind{}, err
	}
	t := newTrainer(m, histories, seed)
	table, at, ok := m.Layout().Tensor(seqrec.TensorTable)
	if !ok {
		return attack.Kind{}, fmt.Errorf("the recommender has no %s", seqrec.TensorTable)
	}
	width := table.Size() / items
	return attack.Kind{
		Name: "update of a recommender with a row per item", Devices: len(histories), Dim: m.Layout().Size(), Clip: 1, Items: items,
		Vector: func(i int) []float32 { return t.update(t.params, i) },
		Held:   t.held,
		Score: func(v []float32, out []float64) {
			for j := range out {
				out[j] = 0
				for _, x := range v[at+j*width : at+(j+1)*width] {
					out[j] += float64(x) * float64(x)
				}
			}
		},
	}, nil
}

// smallKind is the update of the small recommender, which has no row per item but reads public features. The change of the
// features' bias is the features' mean over what was predicted less that over what came, so the attack solves for the
// items by ridge regression of that change on the features.
func smallKind(p attackPeople, seed uint64) (attack.Kind, error) {
	spec, err := recipe{Size: sizeSmall}.spec(p.items())
	if err != nil {
		return attack.Kind{}, err
	}
	m, err := spec.Model(publicOfCatalogue(p.catalogue), nil, nil)
	if err != nil {
		return attack.Kind{}, err
	}
	t := newTrainer(m, p.histories, seed)
	bias, at, ok := m.Layout().Tensor(seqrec.TensorItemBias)
	if !ok {
		return attack.Kind{}, fmt.Errorf("the recommender has no %s", seqrec.TensorItemBias)
	}
	width := bias.Size()
	features := make([]float64, p.items()*width)
	for j, x := range m.Features() {
		features[j] = float64(x)
	}
	x := mat.NewDense(p.items(), width, features)
	var gram mat.Dense
	gram.Mul(x.T(), x)
	for j := range width {
		gram.Set(j, j, gram.At(j, j)+1e-3)
	}
	return attack.Kind{
		Name: "update of the small recommender (features only)", Devices: len(p.histories), Dim: m.Layout().Size(), Clip: .3, Items: p.items(),
		Vector: func(i int) []float32 { return t.update(t.params, i) },
		Held:   t.held,
		Score: func(v []float32, out []float64) {
			change := mat.NewVecDense(width, nil)
			for j, b := range v[at : at+width] {
				change.SetVec(j, float64(b))
			}
			var weights, scores mat.VecDense
			if err := weights.SolveVec(&gram, change); err != nil {
				weights.CloneFromVec(change) // singular features: the plain product ranks too
			}
			scores.MulVec(x, &weights)
			for j := range out {
				out[j] = scores.AtVec(j)
			}
		},
	}, nil
}
