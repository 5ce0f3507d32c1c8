package graph_test

import (
	"fmt"

	"gorgonia.org/gorgonia"

	"tutti/model/graph"
	"tutti/model/seqrec"
)

func recommender() (*seqrec.Model, []seqrec.Sequence) {
	m, err := seqrec.New(seqrec.Config{Items: 30, Dim: 8, Blocks: 2, Heads: 2, Hidden: 8, MaxLen: 12}, nil)
	if err != nil {
		panic(err)
	}
	var batch []seqrec.Sequence
	for start := range int32(6) { // everybody walks through the catalogue in steps of three
		history := make([]int32, 9)
		for i := range history {
			history[i] = (start + 3*int32(i)) % 30
		}
		batch = append(batch, seqrec.FromHistory(history, 12))
	}
	return m, batch
}

// train makes steps of Adam and returns the loss before the first and after the
// last of them.
func train(m *seqrec.Model, engine seqrec.Engine, batch []seqrec.Sequence) (before, after float64, err error) {
	start := m.Init(1)
	update, stats, err := seqrec.Train(engine, start, batch, seqrec.TrainConfig{Steps: 60, LearningRate: 0.02, Optimizer: "adam"})
	if err != nil {
		return 0, 0, err
	}
	for i, v := range update.Values() {
		start.Values()[i] += v
	}
	after, _, err = engine.LossGrad(start.Values(), batch, nil)
	return stats.Loss, after, err
}

// An extra term beside the recommender's own loss: a penalty on the size of the
// item vectors, out of gorgonia's operations. Its gradient is gorgonia's.
func Example() {
	m, batch := recommender()
	engine, err := graph.New(m, func(g *graph.Graph) (*gorgonia.Node, error) {
		square, err := gorgonia.Square(g.Param(seqrec.TensorTable))
		if err != nil {
			return nil, err
		}
		sum := gorgonia.Must(gorgonia.Sum(square)) // a panic here is New's error
		penalty := gorgonia.Must(gorgonia.Mul(sum, gorgonia.NewConstant(float32(0.01))))
		return gorgonia.Add(g.NextItem(), penalty)
	})
	if err != nil {
		panic(err)
	}
	before, after, err := train(m, engine, batch)
	if err != nil {
		panic(err)
	}
	fmt.Printf("from %.1f to %.1f\n", before, after)
	// Output: from 3.4 to 0.6
}

// Another loss altogether, on the matrix of logits: one minus the probability of
// the right item, which bears wrong targets better than cross-entropy (Ghosh,
// Kumar & Sastry 2017, mean absolute error).
func Example_loss() {
	m, batch := recommender()
	engine, err := graph.New(m, func(g *graph.Graph) (*gorgonia.Node, error) {
		p := gorgonia.Must(gorgonia.SoftMax(g.Logits(), 1))
		right := gorgonia.Must(gorgonia.Sum(gorgonia.Must(gorgonia.HadamardProd(g.Targets(), p))))
		return gorgonia.Sub(gorgonia.NewConstant(float32(1)), gorgonia.Must(gorgonia.Mul(right, g.PerToken())))
	})
	if err != nil {
		panic(err)
	}
	before, after, err := train(m, engine, batch)
	if err != nil {
		panic(err)
	}
	fmt.Printf("from %.2f to %.2f\n", before, after)
	// Output: from 0.97 to 0.05
}
