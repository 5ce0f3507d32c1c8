package layer

import "tutti/model/kernel"

// count is m, the negatives of one token.
func (in *SampledArgs) count() int {
	if !in.Each || in.N == 0 {
		return len(in.Negatives)
	}
	return len(in.Negatives) / in.N
}

// run works off the tokens in tiles, rule giving each token's loss.
func (s *Sampled) run(in SampledArgs, rule rowRule) (loss float64) {
	s.in, s.m, s.rule = in, in.count(), rule
	defer func() { s.in, s.rule = SampledArgs{}, nil }()
	s.active = s.active[:0]
	for i, target := range in.Targets[:in.N] {
		if target >= 0 {
			s.active = append(s.active, int32(i))
		}
	}
	if s.m == 0 || len(s.active) == 0 {
		s.m = 0
	}
	if !in.Each {
		s.gather(in.Negatives[:s.m], in.LogCount)
		s.rowsT = kernel.Grow(s.rowsT, s.m*in.D)
		kernel.Transpose(s.rowsT, s.m, s.rows, in.D, s.m, in.D)
		s.clearShared()
	}
	for rest := s.active; len(rest) > 0; rest = rest[len(s.tokens):] {
		s.startTile(rest[:s.tileWidth(len(rest))])
		s.forward()
		loss += s.apply()
		s.backward()
	}
	if !in.Each {
		s.scatterShared()
	}
	return loss
}

// tileWidth is one token where every token has rows of its own.
func (s *Sampled) tileWidth(left int) int {
	if s.in.Each {
		return 1
	}
	return min(left, tokenTile, max(8, sampledBudget/max(1, s.m)))
}

// gather copies negatives' rows together, and what their scores get on top.
func (s *Sampled) gather(ids []int32, logCount []float32) {
	d := s.in.D
	s.rows, s.shift = kernel.Grow(s.rows, s.m*d), kernel.Grow(s.shift, s.m)
	GatherForward(s.rows, s.in.Table, ids, d)
	clear(s.shift)
	if s.in.Bias != nil {
		for j, id := range ids {
			s.shift[j] = s.in.Bias[id]
		}
	}
	if s.correct {
		kernel.Axpy(s.shift, -1, logCount[:s.m])
	}
}

// clearShared starts the gradients of shared negatives.
func (s *Sampled) clearShared() {
	if s.in.DTable != nil {
		s.dRows = kernel.Grow(s.dRows, s.m*s.in.D)
		clear(s.dRows)
	}
	if s.in.DBias != nil {
		s.dBias = kernel.Grow(s.dBias, s.m)
		clear(s.dBias)
	}
}

// scatterShared adds what the shared negatives collected to the table.
func (s *Sampled) scatterShared() {
	ids := s.in.Negatives[:s.m]
	if s.in.DTable != nil {
		GatherBackward(s.in.DTable, s.dRows, ids, s.in.D)
	}
	if s.in.DBias != nil {
		for j, id := range ids {
			s.in.DBias[id] += s.dBias[j]
		}
	}
}

func (s *Sampled) startTile(tokens []int32) {
	d, t := s.in.D, len(tokens)
	s.tokens = tokens
	s.h, s.dh = kernel.Grow(s.h, t*d), kernel.Grow(s.dh, t*d)
	s.own, s.dOwn = kernel.Grow(s.own, t), kernel.Grow(s.dOwn, t)
	s.score = kernel.Grow(s.score, t*s.m)
	GatherForward(s.h, s.in.H, tokens, d)
}

// row is token i of the tile: its row of H and its scores.
func (s *Sampled) row(i int) (h, score []float32) {
	d := s.in.D
	return s.h[i*d : (i+1)*d], s.score[i*s.m : (i+1)*s.m]
}

// item is an item's vector and bias.
func (s *Sampled) item(id int32) (vector []float32, bias float32) {
	d := s.in.D
	if s.in.Bias != nil {
		bias = s.in.Bias[id]
	}
	return s.in.Table[int(id)*d : (int(id)+1)*d], bias
}

// negatives are those of a token, with the logs of their expected counts.
func (s *Sampled) negatives(token int32) (ids []int32, logCount []float32) {
	lo := 0
	if s.in.Each {
		lo = int(token) * s.m
	}
	if s.in.LogCount != nil {
		logCount = s.in.LogCount[lo : lo+s.m]
	}
	return s.in.Negatives[lo : lo+s.m], logCount
}

// forward fills score and own. The products add to bias and correction, which
// stand in the rows first.
func (s *Sampled) forward() {
	d, t := s.in.D, len(s.tokens)
	for i, token := range s.tokens {
		h, score := s.row(i)
		vector, bias := s.item(s.in.Targets[token])
		s.own[i] = kernel.Dot(h, vector) + bias
		if s.in.Each {
			s.gather(s.negatives(token))
		}
		copy(score, s.shift)
	}
	if s.in.Each {
		kernel.MatVec(s.score, s.rows, d, s.h)
	} else {
		kernel.Gemm(t, s.m, d, s.h, d, 1, s.rowsT, s.m, s.score, s.m, true)
	}
}

// apply turns scores into gradients and returns the tile's loss.
func (s *Sampled) apply() (loss float64) {
	for i, token := range s.tokens {
		target := s.in.Targets[token]
		ids, _ := s.negatives(token)
		_, score := s.row(i)
		hits := 0
		for j, id := range ids {
			if id == target {
				score[j] = outside
				hits++
			}
		}
		one, dOwn := s.rule(s.own[i], score, hits)
		loss += one
		s.dOwn[i] = dOwn * s.in.Scale
	}
	return loss
}

// backward adds the tile's gradients, those of shared negatives to dRows and
// dBias.
func (s *Sampled) backward() {
	in, d, t := &s.in, s.in.D, len(s.tokens)
	if in.DH == nil && in.DTable == nil && in.DBias == nil {
		return
	}
	kernel.Scale(s.score, in.Scale)
	if in.DH != nil {
		kernel.Gemm(t, d, s.m, s.score, s.m, 1, s.rows, d, s.dh, d, false)
	}
	if in.Each {
		ids, _ := s.negatives(s.tokens[0])
		for j, id := range ids {
			s.backwardItem(s.h, id, s.score[j])
		}
	} else {
		s.backwardShared(t)
	}
	for i, token := range s.tokens {
		h, _ := s.row(i)
		target, g := in.Targets[token], s.dOwn[i]
		if in.DH != nil {
			vector, _ := s.item(target)
			kernel.Axpy(s.dh[i*d:(i+1)*d], g, vector)
		}
		s.backwardItem(h, target, g)
	}
	if in.DH != nil {
		GatherBackward(in.DH, s.dh, s.tokens, d)
	}
}

// backwardShared adds the gradients of the shared negatives' vectors and biases.
func (s *Sampled) backwardShared(t int) {
	if d := s.in.D; s.in.DTable != nil {
		kernel.Gemm(s.m, d, t, s.score, 1, s.m, s.h, d, s.dRows, d, true)
	}
	if s.in.DBias != nil {
		kernel.SumRows(s.dBias, s.score, t)
	}
}

// backwardItem adds the gradients of the vector and bias of one item, whose score
// against h has the gradient g.
func (s *Sampled) backwardItem(h []float32, id int32, g float32) {
	d := s.in.D
	if s.in.DTable != nil {
		kernel.Axpy(s.in.DTable[int(id)*d:(int(id)+1)*d], g, h)
	}
	if s.in.DBias != nil {
		s.in.DBias[id] += g
	}
}
