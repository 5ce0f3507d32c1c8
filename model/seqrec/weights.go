package seqrec

// weights are the tensors of one flat vector, of parameters or of gradients.
type weights struct {
	table      []float32 // V x d, nil with features
	projection []float32 // f x d, nil without
	itemBias   []float32 // V, or f with features
	position   []float32 // L x d
	blocks     []blockWeights

	finalGain, finalBias []float32 // d
}

type blockWeights struct {
	norm1Gain, norm1Bias []float32 // d
	qkv, qkvBias         []float32 // d x 3d, 3d
	out, outBias         []float32 // d x d, d
	norm2Gain, norm2Bias []float32 // d
	up, upBias           []float32 // d x h, h
	down, downBias       []float32 // h x d, d
}

// bind points w into values, in the order of Config.tensors.
func (w *weights) bind(c Config, values []float32) {
	next := func(n int) (view []float32) {
		view, values = values[:n:n], values[n:]
		return view
	}
	d, h := c.Dim, c.Hidden
	if c.FeatureDim == 0 {
		w.table, w.itemBias = next(c.Items*d), next(c.Items)
	} else {
		w.projection, w.itemBias = next(c.FeatureDim*d), next(c.FeatureDim)
	}
	w.position = next(c.MaxLen * d)
	if w.blocks == nil {
		w.blocks = make([]blockWeights, c.Blocks)
	}
	for b := range w.blocks {
		w.blocks[b] = blockWeights{
			norm1Gain: next(d), norm1Bias: next(d),
			qkv: next(d * 3 * d), qkvBias: next(3 * d),
			out: next(d * d), outBias: next(d),
			norm2Gain: next(d), norm2Bias: next(d),
			up: next(d * h), upBias: next(h),
			down: next(h * d), downBias: next(d),
		}
	}
	w.finalGain, w.finalBias = next(d), next(d)
}
