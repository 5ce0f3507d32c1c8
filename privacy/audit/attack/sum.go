package attack

import (
	"context"
	"fmt"
	"math"

	"tutti/privacy/mechanism"
)

// device gives the vector of device i; nil: a device that takes part with zeros, as one whose data were removed.
type device func(i int) []float32

// summing adds what n devices encode: what the secure sum opens. codecs are one per worker.
func (o Options) summing(ctx context.Context, codecs []*mechanism.Codec, n int, label string, of device, s *steps) ([]int64, error) {
	p := codecs[0].Params()
	sums := make([][]int64, len(codecs))
	o.Workers = len(codecs)
	err := o.each(ctx, n, func(w, i int) error {
		if sums[w] == nil {
			sums[w] = make([]int64, p.PaddedDim)
		}
		x := of(i)
		if x == nil {
			x = make([]float32, p.Dim)
		}
		encoded, err := codecs[w].Encode(mechanism.Clip(x, p.Clip), newStream(o.Seed, label, i))
		if err != nil {
			return err
		}
		for k, v := range encoded.Values() {
			sums[w][k] += int64(v)
		}
		s.add(1)
		return nil
	})
	if err != nil {
		return nil, err
	}
	total := make([]int64, p.PaddedDim)
	for _, sum := range sums {
		for k, v := range sum {
			total[k] += v
		}
	}
	return total, nil
}

// codecs makes a codec per worker.
func (o Options) codecs(p mechanism.Params) ([]*mechanism.Codec, error) {
	list := make([]*mechanism.Codec, max(1, o.Workers))
	for w := range list {
		c, err := mechanism.NewCodec(p)
		if err != nil {
			return nil, err
		}
		list[w] = c
	}
	return list, nil
}

// opened is the decoded sum of n devices under the mechanism; z 0: the sum without noise.
func (o Options) opened(ctx context.Context, dim int, clip float64, n int, z float64, label string, of device, s *steps) ([]float32, mechanism.Params, error) {
	if z == 0 {
		return o.plain(dim, clip, n, of, s), mechanism.Params{}, nil
	}
	p, err := mechanism.Design(mechanism.Literal{Dim: dim, Clip: clip, NMin: n, NMax: n, Z: z, Noise: true})
	if err != nil {
		return nil, p, fmt.Errorf("attack: %d devices at z %g: %w", n, z, err)
	}
	codecs, err := o.codecs(p)
	if err != nil {
		return nil, p, err
	}
	sum, err := o.summing(ctx, codecs, n, label, of, s)
	if err != nil {
		return nil, p, err
	}
	decoded, err := codecs[0].DecodeSum(sum, n)
	return decoded.Values, p, err
}

// plain is the sum of the clipped vectors.
func (o Options) plain(dim int, clip float64, n int, of device, s *steps) []float32 {
	sum := make([]float64, dim)
	for i := range n {
		if x := of(i); x != nil {
			factor := min(1, clip/norm(x))
			for k, v := range x {
				if v != 0 {
					sum[k] += float64(v) * factor
				}
			}
		}
		s.add(1)
	}
	out := make([]float32, dim)
	for k, v := range sum {
		out[k] = float32(v)
	}
	return out
}

// norm is the L2 norm; that of zeros is 1, so that it can be divided by.
func norm(x []float32) float64 {
	square := 0.0
	for _, v := range x {
		square += float64(v) * float64(v)
	}
	if square == 0 {
		return 1
	}
	return math.Sqrt(square)
}

// dot is the inner product of a with b at the norm that b is clipped to, divided by that norm.
func dot(a, b []float32) float64 {
	sum := 0.0
	for k, v := range b {
		if v != 0 {
			sum += float64(v) * float64(a[k])
		}
	}
	return sum / norm(b)
}

// Sum is what n devices release together under the mechanism, from their vectors: nil is a device that takes part with
// zeros. The noise is the experiment's, by seed and label; two sums of one label share it.
func (o Options) Sum(ctx context.Context, p mechanism.Params, n int, label string, vectors func(device int) []float32) ([]float32, error) {
	o.Progress = nil
	if !p.Noise {
		return o.plain(p.Dim, p.Clip, n, vectors, o.steps(n)), nil
	}
	codecs, err := o.codecs(p)
	if err != nil {
		return nil, err
	}
	sum, err := o.summing(ctx, codecs, n, label, vectors, o.steps(n))
	if err != nil {
		return nil, err
	}
	decoded, err := codecs[0].DecodeSum(sum, n)
	return decoded.Values, err
}
