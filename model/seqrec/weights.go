package seqrec

// weights are the tensors of one flat vector, of parameters or of gradients.
// What a configuration does without is nil.
type weights struct {
	table      []float32 // V x d; without features, and where Hybrid
	projection []float32 // f x d; with features
	itemBias   []float32 // V, or f with features that are not Hybrid
	position   []float32 // L x d
	time       []float32 // buckets x d
	until      []float32 // buckets x d
	user       []float32 // u x d
	mask       []float32 // d
	blocks     []blockWeights

	finalGain, finalBias []float32 // d; pre-norm

	decoder decoderWeights

	rating, ratingBias []float32 // d, 1
	click, clickBias   []float32 // d, 1
}

type blockWeights struct {
	norm1Gain, norm1Bias []float32 // d
	qkv, qkvBias         []float32 // d x 3d, 3d
	out, outBias         []float32 // d x d, d
	norm2Gain, norm2Bias []float32 // d
	up, upBias           []float32 // d x h, h; SwiGLU: d x 2h, 2h
	down, downBias       []float32 // h x d, d
}

// decoderWeights are the tensors of the decoder.
type decoderWeights struct {
	position             []float32 // horizon x d
	start                []float32 // d
	blocks               []decoderBlockWeights
	finalGain, finalBias []float32 // d; pre-norm
}

// decoderBlockWeights has in blockWeights the self-attention, the norms before
// it and before the cross-attention, and the feed-forward layer.
type decoderBlockWeights struct {
	blockWeights
	crossQ, crossQBias     []float32 // d x d, d
	crossKV, crossKVBias   []float32 // d x 2d, 2d
	crossOut, crossOutBias []float32 // d x d, d
	norm3Gain, norm3Bias   []float32 // d: of the feed-forward layer
}

// cutter hands out the parts of a vector one after another.
type cutter []float32

func (c *cutter) next(n int) (view []float32) {
	view, *c = (*c)[:n:n], (*c)[n:]
	return view
}

// nextIf is nil where the tensor does not exist.
func (c *cutter) nextIf(there bool, n int) []float32 {
	if !there {
		return nil
	}
	return c.next(n)
}

// bind points w into values, in the order of Config.tensors.
func (w *weights) bind(c Config, values []float32) {
	d, rest := c.Dim, cutter(values)
	w.table = rest.nextIf(c.hasTable(), c.Items*d)
	w.projection = rest.nextIf(c.FeatureDim > 0, c.FeatureDim*d)
	w.itemBias = rest.next(c.biases())
	w.position = rest.nextIf(c.Positions == LearnedPositions, c.MaxLen*d)
	w.time = rest.nextIf(c.TimeBuckets > 0, c.TimeBuckets*d)
	w.until = rest.nextIf(c.hasUntil(), c.TimeBuckets*d)
	w.user = rest.nextIf(c.UserDim > 0, c.UserDim*d)
	w.mask = rest.nextIf(c.Arch == Bidirectional, d)
	if w.blocks == nil {
		w.blocks = make([]blockWeights, c.Blocks)
	}
	for b := range w.blocks {
		w.blocks[b].bindAttention(&rest, d)
		w.blocks[b].bindFeedForward(&rest, d, c.Hidden, c.upWidth())
	}
	w.finalGain, w.finalBias = rest.nextIf(c.Norm == PreNorm, d), rest.nextIf(c.Norm == PreNorm, d)
	if c.Arch == EncoderDecoder {
		w.decoder.bind(c, &rest)
	}
	w.rating, w.ratingBias = rest.nextIf(c.RatingWeight > 0, d), rest.nextIf(c.RatingWeight > 0, 1)
	w.click, w.clickBias = rest.nextIf(c.ClickWeight > 0, d), rest.nextIf(c.ClickWeight > 0, 1)
}

func (w *blockWeights) bindAttention(rest *cutter, d int) {
	w.norm1Gain, w.norm1Bias = rest.next(d), rest.next(d)
	w.qkv, w.qkvBias = rest.next(d*3*d), rest.next(3*d)
	w.out, w.outBias = rest.next(d*d), rest.next(d)
	w.norm2Gain, w.norm2Bias = rest.next(d), rest.next(d)
}

func (w *blockWeights) bindFeedForward(rest *cutter, d, h, up int) {
	w.up, w.upBias = rest.next(d*up), rest.next(up)
	w.down, w.downBias = rest.next(h*d), rest.next(d)
}

func (w *decoderWeights) bind(c Config, rest *cutter) {
	d := c.Dim
	w.position = rest.nextIf(c.Positions == LearnedPositions, c.Horizon*d)
	w.start = rest.next(d)
	if w.blocks == nil {
		w.blocks = make([]decoderBlockWeights, c.DecoderBlocks)
	}
	for i := range w.blocks {
		b := &w.blocks[i]
		b.bindAttention(rest, d)
		b.crossQ, b.crossQBias = rest.next(d*d), rest.next(d)
		b.crossKV, b.crossKVBias = rest.next(d*2*d), rest.next(2*d)
		b.crossOut, b.crossOutBias = rest.next(d*d), rest.next(d)
		b.norm3Gain, b.norm3Bias = rest.next(d), rest.next(d)
		b.bindFeedForward(rest, d, c.Hidden, c.upWidth())
	}
	w.finalGain, w.finalBias = rest.nextIf(c.Norm == PreNorm, d), rest.nextIf(c.Norm == PreNorm, d)
}
