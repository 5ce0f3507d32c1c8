package seqrec

import (
	"math"
	"math/rand/v2"

	"tutti/model"
)

// initialStd is the spread of initial weights and of initial item vectors
// (GPT-2's value). Maps that add to the residual stream of a pre-norm model get
// it divided by the square root of how many there are.
const initialStd = 0.02

// Init returns initial weights: the same for the same seed, everywhere.
func (m *Model) Init(seed uint64) model.Params {
	c := m.cfg
	in := initialiser{model.NewParams(m.layout), rand.New(rand.NewPCG(seed, 0x7475747469))} // "tutti"
	items := initialStd
	if c.Hybrid {
		items /= math.Sqrt2 // a vector is the sum of two
	}
	in.normal(TensorTable, items)
	in.normal(TensorProjection, m.projectionStd(items))
	in.normal(TensorPosition, initialStd)
	in.normal(TensorTime, initialStd)
	in.normal(TensorTimeUntil, initialStd)
	in.normal(TensorUser, initialStd)
	in.normal(TensorMask, initialStd)
	for b := range c.Blocks {
		in.block(func(name string) string { return BlockTensor(b, name) }, c.residualStd(2*c.Blocks))
	}
	in.ones(TensorFinalGain)
	in.normal(TensorDecoderPosition, initialStd)
	in.normal(TensorDecoderStart, initialStd)
	for b := range c.DecoderBlocks {
		in.block(func(name string) string { return DecoderTensor(b, name) }, c.residualStd(3*c.DecoderBlocks))
	}
	in.ones(TensorDecoderFinalGain)
	in.ones(TensorRating)
	in.ones(TensorClick)
	return in.params
}

// residualStd is the spread of the maps that add to the stream, branches of
// them one after another.
func (c Config) residualStd(branches int) float64 {
	if c.Norm == PostNorm {
		return initialStd
	}
	return initialStd / math.Sqrt(float64(branches))
}

// initialiser fills tensors by name; names that the layout lacks are skipped.
type initialiser struct {
	params model.Params
	rng    *rand.Rand
}

func (in initialiser) normal(name string, std float64) {
	for i, values := 0, in.params.View(name); i < len(values); i++ {
		values[i] = float32(std * bell(in.rng))
	}
}

func (in initialiser) ones(name string) {
	for i, values := 0, in.params.View(name); i < len(values); i++ {
		values[i] = 1
	}
}

func (in initialiser) block(name func(string) string, residual float64) {
	in.ones(name(TensorNorm1Gain))
	in.normal(name(TensorQKV), initialStd)
	in.normal(name(TensorOut), residual)
	in.ones(name(TensorNorm2Gain))
	in.normal(name(TensorCrossQ), initialStd)
	in.normal(name(TensorCrossKV), initialStd)
	in.normal(name(TensorCrossOut), residual)
	in.ones(name(TensorNorm3Gain))
	in.normal(name(TensorUp), initialStd)
	in.normal(name(TensorDown), residual)
}

// bell is close to a standard normal: the sum of four 16-bit uniforms. Unlike a
// real one it is exact integers and a single rounding, so that every machine
// draws the same.
func bell(rng *rand.Rand) float64 {
	bits := rng.Uint64()
	sum := bits&0xffff + bits>>16&0xffff + bits>>32&0xffff + bits>>48
	return float64(int64(sum)-2*0xffff) * (1.7320508075688772 / 65536) // variance 4/12
}

// projectionStd makes the entries of the projected item vectors, F*W, spread by
// std whatever the scale of the features.
func (m *Model) projectionStd(std float64) float64 {
	var energy float64
	for _, x := range m.features {
		energy += float64(float64(x) * float64(x)) // rounded, never fused
	}
	if energy == 0 {
		return std
	}
	return std / math.Sqrt(energy/float64(m.cfg.Items))
}
