package main

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"

	"tutti/aggregation"
	"tutti/model"
	"tutti/model/blend"
	"tutti/model/dataset"
	"tutti/model/graph"
	"tutti/model/optim"
	"tutti/model/seqrec"
	"tutti/privacy/plan"
	"tutti/server"
	"tutti/server/campaign"
)

// recipe is what an operator decides about a task; everything else follows from it.
type recipe struct {
	Goal    int           `json:"goal"`              // devices wanted in a round
	Epsilon float64       `json:"epsilon"`           // of the whole claim
	People  int           `json:"people"`            // devices that may enrol: one a token
	Groups  int           `json:"groups,omitempty"`  // sums that a round is split into by lot; 0: one
	Combine string        `json:"combine,omitempty"` // median, trimmed, or "": the sum of the groups' sums
	Rounds  int           `json:"rounds"`            // model rounds; automatic: as the planner advises
	Size    string        `json:"size"`              // "small" or "table"
	Noise   bool          `json:"noise"`
	Trust   string        `json:"trust,omitempty"`     // who adds it: "" or distributed, central, central-mf
	Most    int           `json:"most,omitempty"`      // rounds that a device is in at most; 0: any number
	Apart   int           `json:"apart,omitempty"`     // model rounds from one that a device is in to its next; 0: as many as the devices allow, with central-mf
	Metrics string        `json:"metrics,omitempty"`   // what model rounds measure on devices: off, basic, groups, or auto
	Clip    string        `json:"clip,omitempty"`      // fixed or adaptive
	Mode    string        `json:"mode,omitempty"`      // of model rounds: "" or sync, buffered
	Stale   int           `json:"staleness,omitempty"` // buffered: versions behind the newest that an update may have started from; 0: defaultStale
	Seed    uint64        `json:"seed"`                // data, initial weights, who is asked; never noise, masks or keys
	Collect time.Duration `json:"collect"`
}

// How the clip of model rounds is chosen.
const (
	clipFixed    = "fixed"
	clipAdaptive = "adaptive"
)

// How model rounds take updates: in step with the newest version, or whatever is done, some versions behind.
const (
	modeSync     = "sync"
	modeBuffered = "buffered"
	defaultStale = 4
)

// staleness is how many versions behind the newest an update of a model round may have started.
func (r recipe) staleness() (uint32, error) {
	switch {
	case r.Mode != "" && r.Mode != modeSync && r.Mode != modeBuffered:
		return 0, usageError("--mode %q: want %s or %s", r.Mode, modeSync, modeBuffered)
	case r.Stale < 0 || r.Stale > plan.MaxStale:
		return 0, usageError("--staleness %d: want 0 to %d", r.Stale, plan.MaxStale)
	case r.Mode != modeBuffered && r.Stale > 0:
		return 0, usageError("--staleness belongs to --mode %s", modeBuffered)
	case r.Mode != modeBuffered:
		return 0, nil
	case r.Stale == 0:
		return defaultStale, nil
	}
	return uint32(r.Stale), nil
}

// measuring are the metrics that may be asked for.
var measuring = []plan.MetricSet{plan.MetricsAuto, plan.MetricsOff, plan.MetricsBasic, plan.MetricsGroups}

// blendWeight is the Transformer's weight in the served blend.
const blendWeight = 0.5

// automatic leaves the number of model rounds to the planner.
const automatic = -1

// Sizes of the Transformer. Small: a few thousand numbers over public features and what was released, so that model
// rounds can help where devices are few. Table: one learned row per item, for many devices or none of the noise.
const (
	sizeSmall = "small"
	sizeTable = "table"
)

func (r recipe) spec(items int) (blend.Spec, error) {
	switch r.Size {
	case sizeSmall:
		return blend.Spec{Items: items, Dim: 16, Blocks: 1, Heads: 2, Hidden: 32, MaxLen: 16, Features: true, Embedding: 16}, nil
	case sizeTable:
		return blend.Spec{Items: items, Dim: 64, Blocks: 2, Heads: 2, Hidden: 64, MaxLen: 64}, nil
	}
	return blend.Spec{}, usageError("--model %q: want %s or %s", r.Size, sizeSmall, sizeTable)
}

// split plans the budget. Without noise it still says who must be in a sum.
func (r recipe) split(items, dim int) (plan.Split, error) {
	if r.Groups < 0 || r.Groups > aggregation.MaxGroups {
		return plan.Split{}, usageError("--groups %d: a round is split into 1 to %d groups", r.Groups, aggregation.MaxGroups)
	}
	if err := server.Combine(r.Combine).Check(max(1, r.Groups)); err != nil {
		return plan.Split{}, &exitError{exitUsage, err}
	}
	if !slices.Contains(measuring, plan.MetricSet(r.Metrics)) && r.Metrics != "" {
		return plan.Split{}, usageError("--metrics %q: want %s, %s, %s or %s", r.Metrics, measuring[0], measuring[1], measuring[2], measuring[3])
	}
	if r.Clip != "" && r.Clip != clipFixed && r.Clip != clipAdaptive {
		return plan.Split{}, usageError("--clip %q: want %s or %s", r.Clip, clipFixed, clipAdaptive)
	}
	if _, err := r.staleness(); err != nil {
		return plan.Split{}, err
	}
	wish := plan.Wish{Participations: r.Most, Metrics: plan.MetricSet(r.Metrics), AdaptiveClip: r.Clip == clipAdaptive, Goal: r.Goal, Groups: r.Groups, Epsilon: r.Epsilon, Items: items, Dim: dim}
	if r.People > 0 {
		wish.Population, wish.Threshold = r.People, server.Threshold(server.DefaultAsked, r.Goal, r.People)
	}
	var err error
	if wish.Trust, err = r.trust(); err != nil {
		return plan.Split{}, err
	}
	if wish.Separation = r.Apart; wish.Separation == 0 && wish.Trust == plan.TrustCentralMF {
		wish.Separation = r.apart()
	}
	switch {
	case r.Rounds == 0:
		wish.Model = plan.ModelOff
	case r.Rounds > 0:
		wish.Model, wish.Rounds = plan.ModelForce, r.Rounds
	}
	s, err := plan.PlanSplit(wish)
	if err != nil {
		return s, &exitError{exitUsage, fmt.Errorf("%w (more devices or a larger --epsilon may help)", err)}
	}
	return s, nil
}

// apart is how many model rounds a device may rest from one to its next, so that enough others are still drawn and free: of
// all that the lot draws, one and a quarter of what a round wants, and four standard deviations of the lot. A round often
// takes somewhat more devices than it wants.
func (r recipe) apart() int {
	goal := float64(r.Goal)
	people := max(float64(r.People), goal)
	drawn := min(server.DefaultAsked*goal, people)
	needed := 1.25*goal + 4*math.Sqrt(goal)
	return 1 + int(max(0, people/(1.15*goal)*(1-needed/drawn)))
}

func (r recipe) trust() (plan.Trust, error) {
	t, err := plan.ParseTrust(r.Trust)
	if err != nil {
		err = usageError("--trust %q: want distributed, central or central-mf", r.Trust)
	}
	return t, err
}

// trusted is who adds the noise as a task file says it.
func (r recipe) trusted() string {
	if t, err := plan.ParseTrust(r.Trust); err == nil && t != plan.TrustDevices {
		return t.String()
	}
	return ""
}

// trainable is the number of weights that a model round sums.
func trainable(spec blend.Spec, public blend.Public) (int, error) {
	m, err := spec.Model(public, nil, nil)
	if err != nil {
		return 0, err
	}
	return m.Layout().Size(), nil
}

// publicOfCatalogue is what everybody may know of the items.
func publicOfCatalogue(c *dataset.Catalogue) blend.Public {
	dim, rows := c.Features()
	return blend.Public{Dim: dim, Rows: rows}
}

// clip bounds a device's update: of every model round, or of the first where it adapts.
func (r recipe) clip() float64 {
	switch {
	case r.Size == sizeTable && r.Noise:
		return 1
	case r.Size == sizeTable:
		return 10
	}
	return 0.3
}

// maxClip is the largest clip that any round of the task has; 0, any: a fixed one is in no device's policy.
func (r recipe) maxClip() float64 {
	if r.Clip != clipAdaptive {
		return 0
	}
	return max(1, campaign.MaxClip(r.clip())) // what statistics are scaled to is 1
}

// campaign puts the recipe together for a server.
func (r recipe) campaign(s *server.Server, task string, items model.Digest, public blend.Public, spec blend.Spec, split plan.Split, observer func(campaign.Progress)) campaign.Config {
	c := campaign.Config{
		Server: s, Log: s.Ledger(), Task: task, Items: items, Public: public, Spec: spec,
		Split: split, Noise: r.Noise, Collect: r.Collect, Weight: blendWeight, Seed: r.Seed,
		NewEngine: wideEngine, Observer: observer, Retries: 3,
		AdaptiveClip: r.Clip == clipAdaptive, LastClip: s.LastClip, Clip: r.clip(), Rollbacks: s.Rollbacks,
	}
	c.Staleness, _ = r.staleness() // split has checked it
	c.Pause, c.LongestPause = 10*time.Second, 10*time.Minute
	switch r.Size {
	case sizeTable:
		c.Training = plan.Training{Steps: 1, Batch: 1, MaxLen: uint32(spec.MaxLen), LearningRate: "1", Optimizer: "sgd"}
		c.Optimiser = optim.ServerConfig{Rule: optim.FedAdam, LearningRate: 0.003, Tau: 1e-8}
		c.Distil = campaign.Distillation{} // many noise-free rounds need no start from statistics
		if r.Noise {                       // under noise Adam blows up coordinates that hold nothing else
			c.Optimiser = optim.ServerConfig{Rule: optim.FedAvg, LearningRate: 2}
			c.Distil = campaign.Distillation{Steps: 60, Batch: 16, Length: 32, LearningRate: 2e-3, WarmUp: 10, Seed: r.Seed}
		}
	default:
		c.Training = plan.Training{Steps: 1, Batch: 1, MaxLen: uint32(spec.MaxLen), LearningRate: "1", Optimizer: "sgd"}
		c.Optimiser = optim.ServerConfig{Rule: optim.FedAvg, LearningRate: 1}
		c.Distil = campaign.Distillation{Steps: 40, Batch: 8, Length: 16, LearningRate: 2e-3, WarmUp: 5, Seed: r.Seed}
	}
	return c
}

// wideEngine trains one model on all cores, for what is computed in one place: the graph's fused layers without the graph,
// equal to it in loss and gradient.
func wideEngine(m *seqrec.Model) seqrec.Engine {
	return seqrec.NewParallelEngine(m, runtime.GOMAXPROCS(0))
}

// graphEngine is the default trainer of this command: the recommender as a gorgonia graph.
func graphEngine(m *seqrec.Model) seqrec.Engine {
	e, err := graph.NewEngine(m)
	if err != nil {
		panic(err) // a checked model has a graph
	}
	return e
}
