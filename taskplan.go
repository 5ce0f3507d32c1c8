package main

import (
	"tutti/model/blend"
	"tutti/model/dataset"
	"tutti/privacy/plan"
)

// taskPlan is a recipe applied to a catalogue: what is trained, and how the budget is spent.
type taskPlan struct {
	catalogue *dataset.Catalogue
	public    blend.Public
	spec      blend.Spec
	dim       int // numbers that a model round sums
	split     plan.Split
}

func planned(r recipe, catalogue *dataset.Catalogue) (taskPlan, error) {
	p := taskPlan{catalogue: catalogue, public: publicOfCatalogue(catalogue)}
	var err error
	if p.spec, err = r.spec(catalogue.Len()); err != nil {
		return p, err
	}
	if p.dim, err = trainable(p.spec, p.public); err != nil {
		return p, err
	}
	p.split, err = r.split(catalogue.Len(), p.dim)
	return p, err
}
