package seqrec

import (
	"fmt"

	"tutti/model"
	"tutti/model/kernel"
	"tutti/model/layer"
)

// FusedEngine is the Engine on the fused layers, without any graph: what phones
// and browsers run. After the first batch of a size it allocates nothing.
type FusedEngine struct {
	model *Model
	enc   *encoder
	ce    *layer.CrossEntropy

	params, grads weights
	targets       []int32     // N
	soft          [][]float32 // N rows, or none
	dh            []float32   // N x d
	asked, dAsked []float32   // N x f: outputs in feature space; only with features
}

// NewEngine returns an engine for m; one goroutine uses it at a time.
func NewEngine(m *Model) *FusedEngine {
	return &FusedEngine{model: m, enc: newEncoder(m), ce: layer.NewCrossEntropy()}
}

// Layout implements Engine.
func (e *FusedEngine) Layout() model.Layout { return e.model.layout }

// LossGrad implements Engine.
func (e *FusedEngine) LossGrad(params []float32, batch []Sequence, grad []float32) (loss float64, tokens int, err error) {
	if tokens, err = e.model.checkCall(params, batch, grad); err != nil {
		return 0, 0, err
	}
	sum, err := e.lossGrad(params, batch, grad, 1/float32(tokens))
	return sum / float64(tokens), tokens, err
}

// checkCall refuses what does not fit the model and counts the targets.
func (m *Model) checkCall(params []float32, batch []Sequence, grad []float32) (tokens int, err error) {
	if size := m.layout.Size(); len(params) != size || grad != nil && len(grad) != size {
		return 0, fmt.Errorf("loss: %d parameters and %d gradients for a layout of %d", len(params), len(grad), size)
	}
	v := m.cfg.Items
	for i, s := range batch {
		if err := s.check(m.cfg); err != nil {
			return 0, fmt.Errorf("loss: sequence %d: %w", i, err)
		}
		for p := range s.Items {
			if s.Soft == nil && s.Targets[p] != NoTarget || s.Soft != nil && !allZero(s.Soft[p*v:(p+1)*v]) {
				tokens++
			}
		}
	}
	if tokens == 0 {
		return 0, fmt.Errorf("loss: %w", ErrNothingToLearn)
	}
	return tokens, nil
}

func allZero(row []float32) bool {
	for _, q := range row {
		if q != 0 {
			return false
		}
	}
	return true
}

// lossGrad returns the summed loss of a checked batch and overwrites grad, if
// not nil, with scale times its gradient.
func (e *FusedEngine) lossGrad(params []float32, batch []Sequence, grad []float32, scale float32) (float64, error) {
	e.params.bind(e.model.cfg, params)
	e.pack(batch)
	h := e.enc.forward(&e.params)
	if grad == nil {
		return e.head(h, scale)
	}
	clear(grad)
	e.grads.bind(e.model.cfg, grad)
	e.dh = kernel.Grow(e.dh, len(h))
	clear(e.dh)
	sum, err := e.headBackward(h, scale)
	if err != nil {
		return 0, fmt.Errorf("loss: %w", err)
	}
	e.enc.backward(&e.params, &e.grads, e.dh)
	return sum, nil
}

// pack lays the sequences one after another.
func (e *FusedEngine) pack(batch []Sequence) {
	v := e.model.cfg.Items
	enc := e.enc
	enc.ids, enc.offsets = enc.ids[:0], append(enc.offsets[:0], 0)
	e.targets, e.soft = e.targets[:0], e.soft[:0]
	anySoft := false
	for _, s := range batch {
		enc.ids = append(enc.ids, s.Items...)
		enc.offsets = append(enc.offsets, int32(len(enc.ids)))
		for p := range s.Items {
			var row []float32
			target := NoTarget
			if s.Soft != nil {
				row, anySoft = s.Soft[p*v:(p+1)*v], true
			} else {
				target = s.Targets[p]
			}
			e.soft, e.targets = append(e.soft, row), append(e.targets, target)
		}
	}
	if !anySoft {
		e.soft = e.soft[:0]
	}
}

// loss describes the head without gradients: every item's vector against h, or
// against h in feature space.
func (e *FusedEngine) loss(h []float32, scale float32) layer.CrossEntropyArgs {
	c, n := e.model.cfg, len(e.targets)
	args := layer.CrossEntropyArgs{N: n, V: c.Items, Targets: e.targets, Scale: scale}
	if len(e.soft) > 0 {
		args.Soft = e.soft
	}
	if c.FeatureDim == 0 {
		args.D, args.H, args.Table, args.Bias = c.Dim, h, e.params.table, e.params.itemBias
		return args
	}
	// h*(F*W)^T + F*b = (h*W^T + b)*F^T: the catalogue is never projected.
	e.asked = kernel.Grow(e.asked, n*c.FeatureDim)
	layer.LinearTForward(e.asked, h, e.params.projection, e.params.itemBias, e.enc.scratch, n, c.Dim, c.FeatureDim)
	args.D, args.H, args.Table = c.FeatureDim, e.asked, e.model.features
	return args
}

func (e *FusedEngine) head(h []float32, scale float32) (float64, error) {
	sum, err := e.ce.Run(e.loss(h, scale))
	if err != nil {
		return 0, fmt.Errorf("loss: %w", err)
	}
	return sum, nil
}

// headBackward also adds the gradients of h to dh and those of the item weights
// to grads.
func (e *FusedEngine) headBackward(h []float32, scale float32) (float64, error) {
	c := e.model.cfg
	args := e.loss(h, scale)
	if c.FeatureDim == 0 {
		args.DH, args.DTable, args.DBias = e.dh, e.grads.table, e.grads.itemBias
		return e.ce.Run(args)
	}
	e.dAsked = kernel.Grow(e.dAsked, args.N*c.FeatureDim)
	clear(e.dAsked)
	args.DH = e.dAsked
	sum, err := e.ce.Run(args)
	if err != nil {
		return 0, err
	}
	layer.LinearTBackward(e.dh, e.grads.projection, e.grads.itemBias, e.dAsked, h, e.params.projection, args.N, c.Dim, c.FeatureDim)
	return sum, nil
}
