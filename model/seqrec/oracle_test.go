package seqrec_test

import (
	"math"

	"tutti/model"
	"tutti/model/kernel"
	"tutti/model/layer"
	"tutti/model/seqrec"
)

// oracle is the whole recommender in float64, one sequence and one token at a
// time, straight from its description; it shares no code with the package.
type oracle struct {
	cfg      seqrec.Config
	features []float64
	p        map[string][]float64
	dropping bool   // as in training
	seed     uint64 // of the sequence at hand
}

func newOracle(m *seqrec.Model, params model.Params) *oracle {
	o := &oracle{cfg: m.Config(), features: wide(m.Features()), p: map[string][]float64{}}
	for _, t := range m.Layout().Tensors() {
		o.p[t.Name] = wide(params.View(t.Name))
	}
	return o
}

func wide(x []float32) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

// affine is row*w + b for w of len(row) x len(b).
func affine(row, w, b []float64) []float64 {
	out := make([]float64, len(b))
	for o := range out {
		out[o] = b[o]
		for k, v := range row {
			out[o] += v * w[k*len(b)+o]
		}
	}
	return out
}

func normalise(row, gain, bias []float64) []float64 {
	mean, variance := 0.0, 0.0
	for _, v := range row {
		mean += v / float64(len(row))
	}
	for _, v := range row {
		variance += (v - mean) * (v - mean) / float64(len(row))
	}
	out := make([]float64, len(row))
	for i, v := range row {
		out[i] = (v-mean)/math.Sqrt(variance+1e-5)*gain[i] + bias[i]
	}
	return out
}

func plus(x, y []float64) []float64 {
	out := make([]float64, len(x))
	for i := range x {
		out[i] = x[i] + y[i]
	}
	return out
}

func dot(x, y []float64) (sum float64) {
	for i := range x {
		sum += x[i] * y[i]
	}
	return sum
}

func (o *oracle) itemVector(id int) (vector []float64, bias float64) {
	d, f := o.cfg.Dim, o.cfg.FeatureDim
	if f == 0 {
		return o.p[seqrec.TensorTable][id*d : (id+1)*d], o.p[seqrec.TensorItemBias][id]
	}
	row := o.features[id*f : (id+1)*f]
	return affine(row, o.p[seqrec.TensorProjection], make([]float64, d)), dot(row, o.p[seqrec.TensorItemBias])
}

// kept is what dropout multiplies number at of a site with: it asks the kernel
// for the one number.
func (o *oracle) kept(site, at int, more uint64) float64 {
	if !o.dropping {
		return 1
	}
	x := []float32{1}
	kernel.Dropout(x, x, layer.DropoutKey(o.seed, site)+more, uint32(at), float32(o.cfg.Dropout))
	return float64(x[0])
}

// drop is row i of a sequence after dropout.
func (o *oracle) drop(row []float64, site, i int) []float64 {
	out := make([]float64, len(row))
	for j, v := range row {
		out[j] = v * o.kept(site, i*len(row)+j, 0)
	}
	return out
}

// attend is causal multi-head attention over the rows q|k|v of one sequence.
func (o *oracle) attend(qkv [][]float64, site int) [][]float64 {
	d, w := o.cfg.Dim, o.cfg.Dim/o.cfg.Heads
	out := make([][]float64, len(qkv))
	for i := range qkv {
		out[i] = make([]float64, d)
		for h := range o.cfg.Heads {
			total := 0.0
			sum := make([]float64, w)
			for j := 0; j <= i; j++ {
				e := math.Exp(dot(qkv[i][h*w:(h+1)*w], qkv[j][d+h*w:d+(h+1)*w]) / math.Sqrt(float64(w)))
				total += e
				e *= o.kept(site, i*len(qkv)+j, uint64(h)*0xd1342543de82ef95)
				for c := range sum {
					sum[c] += e * qkv[j][2*d+h*w+c]
				}
			}
			for c := range sum {
				out[i][h*w+c] = sum[c] / total
			}
		}
	}
	return out
}

// outputs is the normalised output of every position.
func (o *oracle) outputs(items []int32) [][]float64 {
	d := o.cfg.Dim
	x := make([][]float64, len(items))
	for i, id := range items {
		vector, _ := o.itemVector(int(id))
		x[i] = o.drop(plus(vector, o.p[seqrec.TensorPosition][i*d:(i+1)*d]), seqrec.EmbeddingSite, i)
	}
	for b := range o.cfg.Blocks {
		in := func(name string) []float64 { return o.p[seqrec.BlockTensor(b, name)] }
		qkv := make([][]float64, len(x))
		for i, row := range x {
			normed := normalise(row, in(seqrec.TensorNorm1Gain), in(seqrec.TensorNorm1Bias))
			qkv[i] = affine(normed, in(seqrec.TensorQKV), in(seqrec.TensorQKVBias))
		}
		for i, att := range o.attend(qkv, seqrec.BlockSite(b, seqrec.AttentionWeights)) {
			mid := plus(x[i], o.drop(affine(att, in(seqrec.TensorOut), in(seqrec.TensorOutBias)), seqrec.BlockSite(b, seqrec.AttentionOutput), i))
			up := affine(normalise(mid, in(seqrec.TensorNorm2Gain), in(seqrec.TensorNorm2Bias)), in(seqrec.TensorUp), in(seqrec.TensorUpBias))
			for j, u := range up {
				up[j] = 0.5 * u * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(u+0.044715*u*u*u)))
			}
			x[i] = plus(mid, o.drop(affine(up, in(seqrec.TensorDown), in(seqrec.TensorDownBias)), seqrec.BlockSite(b, seqrec.FeedForward), i))
		}
	}
	for i := range x {
		x[i] = normalise(x[i], o.p[seqrec.TensorFinalGain], o.p[seqrec.TensorFinalBias])
	}
	return x
}

// logits scores every item after every position.
func (o *oracle) logits(items []int32) [][]float64 {
	out := o.outputs(items)
	for i, h := range out {
		row := make([]float64, o.cfg.Items)
		for v := range row {
			vector, bias := o.itemVector(v)
			row[v] = dot(h, vector) + bias
		}
		out[i] = row
	}
	return out
}

// loss is the mean over the positions that have a target.
func (o *oracle) loss(batch []seqrec.Sequence) float64 {
	sum, tokens := 0.0, 0
	for _, s := range batch {
		o.seed = s.Seed
		for i, logits := range o.logits(s.Items) {
			total := 0.0
			for _, l := range logits {
				total += math.Exp(l)
			}
			mass := 0.0
			for v, l := range logits {
				q := 0.0
				if s.Soft != nil {
					q = float64(s.Soft[i*len(logits)+v])
				} else if s.Targets[i] == int32(v) {
					q = 1
				}
				sum -= q * (l - math.Log(total))
				mass += q
			}
			if mass > 0 {
				tokens++
			}
		}
	}
	return sum / float64(tokens)
}

// slope is d loss/d x by central differences.
func slope(x []float64, loss func() float64) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		const h = 1e-5
		x[i] = v + h
		up := loss()
		x[i] = v - h
		down := loss()
		x[i] = v
		out[i] = (up - down) / (2 * h)
	}
	return out
}
