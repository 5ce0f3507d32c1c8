package seqrec

import (
	"strconv"

	"tutti/model"
)

// Names of the tensors that are not part of a block.
const (
	TensorTable      = "item.table"      // V x d; without features, and where Hybrid
	TensorProjection = "item.projection" // f x d; with features
	TensorItemBias   = "item.bias"       // V; with features and not Hybrid: f, of the features
	TensorPosition   = "position"        // L x d; learned positions
	TensorTime       = "time"            // TimeBuckets x d: gap to the event before
	TensorTimeUntil  = "time.until"      // TimeBuckets x d: gap to what is predicted; not Bidirectional
	TensorUser       = "user"            // u x d
	TensorMask       = "mask"            // d; Bidirectional
	TensorFinalGain  = "final.gain"      // d; pre-norm
	TensorFinalBias  = "final.bias"      // d; pre-norm

	TensorDecoderPosition  = "decoder.position"   // Horizon x d; learned positions
	TensorDecoderStart     = "decoder.start"      // d: what the decoder reads first
	TensorDecoderFinalGain = "decoder.final.gain" // d; pre-norm
	TensorDecoderFinalBias = "decoder.final.bias" // d; pre-norm

	TensorRating     = "rating.weight" // d
	TensorRatingBias = "rating.bias"   // 1
	TensorClick      = "click.weight"  // d
	TensorClickBias  = "click.bias"    // 1
)

// Names of the tensors of a block; BlockTensor and DecoderTensor put the number
// in front.
const (
	TensorNorm1Gain = "norm1.gain" // d
	TensorNorm1Bias = "norm1.bias" // d
	TensorQKV       = "qkv.weight" // d x 3d: queries, keys, values side by side
	TensorQKVBias   = "qkv.bias"   // 3d
	TensorOut       = "out.weight" // d x d
	TensorOutBias   = "out.bias"   // d
	TensorNorm2Gain = "norm2.gain" // d
	TensorNorm2Bias = "norm2.bias" // d

	TensorCrossQ       = "cross.q"        // d x d; decoder
	TensorCrossQBias   = "cross.q.bias"   // d; decoder
	TensorCrossKV      = "cross.kv"       // d x 2d: keys, values side by side; decoder
	TensorCrossKVBias  = "cross.kv.bias"  // 2d; decoder
	TensorCrossOut     = "cross.out"      // d x d; decoder
	TensorCrossOutBias = "cross.out.bias" // d; decoder
	TensorNorm3Gain    = "norm3.gain"     // d; decoder
	TensorNorm3Bias    = "norm3.bias"     // d; decoder

	TensorUp       = "up.weight"   // d x h; SwiGLU: d x 2h, the gate a before b
	TensorUpBias   = "up.bias"     // h; SwiGLU: 2h
	TensorDown     = "down.weight" // h x d
	TensorDownBias = "down.bias"   // d
)

// BlockTensor is the name of a tensor of block b, counted from 0.
func BlockTensor(b int, name string) string { return "block" + strconv.Itoa(b) + "." + name }

// DecoderTensor is the name of a tensor of the decoder's block b, counted from 0.
func DecoderTensor(b int, name string) string { return "decoder" + strconv.Itoa(b) + "." + name }

// hasTable reports whether there is a learned row per item.
func (c Config) hasTable() bool { return c.FeatureDim == 0 || c.Hybrid }

// biases is the length of the item bias.
func (c Config) biases() int {
	if c.hasTable() {
		return c.Items
	}
	return c.FeatureDim
}

// upWidth is the width of the feed-forward layer's first map.
func (c Config) upWidth() int {
	if c.Activation == SwiGLU {
		return 2 * c.Hidden
	}
	return c.Hidden
}

// hasUntil reports whether inputs know when the prediction is wanted. In a
// bidirectional model the MASK that stands for it has a time of its own.
func (c Config) hasUntil() bool { return c.TimeBuckets > 0 && c.Arch != Bidirectional }

// tensorList collects the tensors of a layout in order.
type tensorList []model.TensorSpec

func (l *tensorList) add(name string, shape ...int) {
	*l = append(*l, model.TensorSpec{Name: name, Shape: shape})
}

// addIf adds a tensor that some configurations do without.
func (l *tensorList) addIf(there bool, name string, shape ...int) {
	if there {
		l.add(name, shape...)
	}
}

// tensors is the layout; weights.bind follows the same order.
func (c Config) tensors() []model.TensorSpec {
	d := c.Dim
	var l tensorList
	l.addIf(c.hasTable(), TensorTable, c.Items, d)
	l.addIf(c.FeatureDim > 0, TensorProjection, c.FeatureDim, d)
	l.add(TensorItemBias, c.biases())
	l.addIf(c.Positions == LearnedPositions, TensorPosition, c.MaxLen, d)
	l.addIf(c.TimeBuckets > 0, TensorTime, c.TimeBuckets, d)
	l.addIf(c.hasUntil(), TensorTimeUntil, c.TimeBuckets, d)
	l.addIf(c.UserDim > 0, TensorUser, c.UserDim, d)
	l.addIf(c.Arch == Bidirectional, TensorMask, d)
	for b := range c.Blocks {
		name := func(name string) string { return BlockTensor(b, name) }
		l.addAttention(name, d)
		l.addFeedForward(name, d, c.Hidden, c.upWidth())
	}
	l.addIf(c.Norm == PreNorm, TensorFinalGain, d)
	l.addIf(c.Norm == PreNorm, TensorFinalBias, d)
	if c.Arch == EncoderDecoder {
		l.addDecoder(c)
	}
	l.addIf(c.RatingWeight > 0, TensorRating, d)
	l.addIf(c.RatingWeight > 0, TensorRatingBias, 1)
	l.addIf(c.ClickWeight > 0, TensorClick, d)
	l.addIf(c.ClickWeight > 0, TensorClickBias, 1)
	return l
}

// addAttention adds self-attention and the two norms that every block has.
func (l *tensorList) addAttention(name func(string) string, d int) {
	l.add(name(TensorNorm1Gain), d)
	l.add(name(TensorNorm1Bias), d)
	l.add(name(TensorQKV), d, 3*d)
	l.add(name(TensorQKVBias), 3*d)
	l.add(name(TensorOut), d, d)
	l.add(name(TensorOutBias), d)
	l.add(name(TensorNorm2Gain), d)
	l.add(name(TensorNorm2Bias), d)
}

func (l *tensorList) addFeedForward(name func(string) string, d, h, up int) {
	l.add(name(TensorUp), d, up)
	l.add(name(TensorUpBias), up)
	l.add(name(TensorDown), h, d)
	l.add(name(TensorDownBias), d)
}

func (l *tensorList) addDecoder(c Config) {
	d := c.Dim
	l.addIf(c.Positions == LearnedPositions, TensorDecoderPosition, c.Horizon, d)
	l.add(TensorDecoderStart, d)
	for b := range c.DecoderBlocks {
		name := func(name string) string { return DecoderTensor(b, name) }
		l.addAttention(name, d)
		l.add(name(TensorCrossQ), d, d)
		l.add(name(TensorCrossQBias), d)
		l.add(name(TensorCrossKV), d, 2*d)
		l.add(name(TensorCrossKVBias), 2*d)
		l.add(name(TensorCrossOut), d, d)
		l.add(name(TensorCrossOutBias), d)
		l.add(name(TensorNorm3Gain), d)
		l.add(name(TensorNorm3Bias), d)
		l.addFeedForward(name, d, c.Hidden, c.upWidth())
	}
	l.addIf(c.Norm == PreNorm, TensorDecoderFinalGain, d)
	l.addIf(c.Norm == PreNorm, TensorDecoderFinalBias, d)
}
