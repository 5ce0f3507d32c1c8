package seqrec

import (
	"tutti/model/kernel"
	"tutti/model/layer"
)

// itemVectors turns ids into vectors: rows of a table, projected features, or
// the sum of both; and MASK.
type itemVectors struct {
	cfg      Config
	features []float32 // V x f, or nil
	combined []float32 // V x d: rows + features*projection; Hybrid only
	table    []float32 // V x d: of all items; nil with features alone
}

func newItemVectors(m *Model) *itemVectors { return &itemVectors{cfg: m.cfg, features: m.features} }

// prepare makes the table for the weights of a step.
func (v *itemVectors) prepare(w *weights) {
	c := v.cfg
	if v.table = w.table; !c.Hybrid {
		return
	}
	v.combined = kernel.Grow(v.combined, c.Items*c.Dim)
	copy(v.combined, w.table)
	kernel.Gemm(c.Items, c.Dim, c.FeatureDim, v.features, c.FeatureDim, 1, w.projection, c.Dim, v.combined, c.Dim, true)
	v.table = v.combined
}

// special is the vector of an id that is no item, nil for an item.
func (v *itemVectors) special(w *weights, id int32) []float32 {
	if int(id) == v.cfg.Items {
		return w.mask
	}
	return nil
}

// forward writes the vectors of ids into y (N x d). looked keeps the features of
// the ids for backward (N x f); the table alone does without.
func (v *itemVectors) forward(y []float32, w *weights, ids []int32, looked *[]float32) {
	c, n := v.cfg, len(ids)
	if v.table != nil {
		for i, id := range ids {
			row := v.special(w, id)
			if row == nil {
				row = v.table[int(id)*c.Dim : (int(id)+1)*c.Dim]
			}
			copy(y[i*c.Dim:(i+1)*c.Dim], row)
		}
		return
	}
	*looked = kernel.Grow(*looked, n*c.FeatureDim)
	for i, id := range ids {
		row := (*looked)[i*c.FeatureDim : (i+1)*c.FeatureDim]
		if v.special(w, id) != nil {
			clear(row)
		} else {
			copy(row, v.features[int(id)*c.FeatureDim:])
		}
	}
	layer.LinearForward(y[:n*c.Dim], *looked, w.projection, nil, n, c.FeatureDim, c.Dim)
	for i, id := range ids {
		if row := v.special(w, id); row != nil {
			copy(y[i*c.Dim:(i+1)*c.Dim], row)
		}
	}
}

// backward adds the gradients of forward to g. The gradient of a hybrid table is
// that of the sum: finish passes it on.
func (v *itemVectors) backward(g *weights, dy []float32, ids []int32, looked []float32) {
	c, n := v.cfg, len(ids)
	for i, id := range ids {
		row := v.special(g, id)
		if row == nil && v.table != nil {
			row = g.table[int(id)*c.Dim : (int(id)+1)*c.Dim]
		}
		if row != nil {
			kernel.Add(row, dy[i*c.Dim:(i+1)*c.Dim])
		}
	}
	if v.table == nil { // the features of special ids are 0
		layer.LinearBackward(nil, g.projection, nil, dy[:n*c.Dim], looked, nil, nil, n, c.FeatureDim, c.Dim)
	}
}

// finish gives a hybrid projection its gradient, once that of the table is
// complete.
func (v *itemVectors) finish(g *weights) {
	if c := v.cfg; c.Hybrid {
		layer.LinearBackward(nil, g.projection, nil, g.table, v.features, nil, nil, c.Items, c.FeatureDim, c.Dim)
	}
}
