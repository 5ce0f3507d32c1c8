package campaign_test

import (
	"context"
	"fmt"

	"tutti/model"
	"tutti/model/blend"
	"tutti/model/optim"
	"tutti/privacy/plan"
	"tutti/server/campaign"
)

// A task of ten devices: the planner splits the budget, the campaign runs the rounds, and what the newest version is
// made of can be served.
func Example() {
	m, _ := town() // in earnest: server.Open
	spec := blend.Spec{Items: items, Dim: 4, Blocks: 1, Heads: 2, Hidden: 4, MaxLen: 4, Features: true, Embedding: 2}
	shape, err := spec.Model(m.public, nil, nil)
	if err != nil {
		panic(err)
	}
	split, err := plan.PlanSplit(plan.Wish{Goal: devices, Epsilon: 8, Items: items, Dim: shape.Layout().Size(), Rounds: 1, Model: plan.ModelForce})
	if err != nil {
		panic(err)
	}
	c, err := campaign.New(campaign.Config{
		Server: m, Task: "films", Items: model.Digest{1}, Public: m.public, Spec: spec, Split: split, Noise: true,
		Clip: 0.3, Training: plan.Training{Steps: 1, Batch: 1, MaxLen: 4, LearningRate: "1", Optimizer: "sgd"},
		Optimiser: optim.ServerConfig{Rule: optim.FedAvg, LearningRate: 1},
		Distil:    campaign.Distillation{Steps: 2, Batch: 2, Length: 4, LearningRate: 0.01}, Weight: 0.5, NewEngine: campaign.Engine,
		Observer: func(p campaign.Progress) {
			if p.Version.Number > 0 {
				fmt.Println(p.Stage, p.Version.Number)
			}
		},
	})
	if err != nil {
		panic(err)
	}
	if err := c.Run(context.Background()); err != nil {
		panic(err)
	}
	recommender, err := blend.New(c.Parts())
	if err != nil {
		panic(err)
	}
	list, err := recommender.Rank([]int32{0, 3}, 5, nil)
	fmt.Println(len(list), "recommendations", err)
	// Output:
	// popularity 1
	// transitions 2
	// distil 3
	// model 4
	// done 4
	// 5 recommendations <nil>
}
