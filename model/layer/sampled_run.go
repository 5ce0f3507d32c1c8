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
		s.gatherShared()
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

func (s *Sampled) tileWidth(left int) int {
	return min(left, tokenTile, max(8, sampledBudget/max(1, s.m)))
}

// gatherShared copies the shared negatives' rows together.
func (s *Sampled) gatherShared() {
	d := s.in.D
	s.rows, s.rowsT = kernel.Grow(s.rows, s.m*d), kernel.Grow(s.rowsT, s.m*d)
	ids := s.in.Negatives[:s.m]
	GatherForward(s.rows, s.in.Table, ids, d)
	kernel.Transpose(s.rowsT, s.m, s.rows, d, s.m, d)
	if s.in.DTable != nil {
		s.dRows = kernel.Grow(s.dRows, s.m*d)
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

// forward fills score and own.
func (s *Sampled) forward() {
	d, t := s.in.D, len(s.tokens)
	if !s.in.Each {
		kernel.Gemm(t, s.m, d, s.h, d, 1, s.rowsT, s.m, s.score, s.m, false)
	}
	for i, token := range s.tokens {
		h, score := s.row(i)
		vector, bias := s.item(s.in.Targets[token])
		s.own[i] = kernel.Dot(h, vector) + bias
		ids, _ := s.negatives(token)
		switch {
		case s.in.Each:
			for j, id := range ids {
				vector, bias := s.item(id)
				score[j] = kernel.Dot(h, vector) + bias
			}
		case s.in.Bias != nil:
			for j, id := range ids {
				score[j] += s.in.Bias[id]
			}
		}
	}
}

// apply turns scores into gradients and returns the tile's loss.
func (s *Sampled) apply() (loss float64) {
	var hits []int32
	for i, token := range s.tokens {
		ids, logCount := s.negatives(token)
		hits = hits[:0]
		for j, id := range ids {
			if id == s.in.Targets[token] {
				hits = append(hits, int32(j))
			}
		}
		_, score := s.row(i)
		one, dOwn := s.rule(s.own[i], score, logCount, hits)
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
	clear(s.dh)
	if !in.Each {
		s.backwardShared(t)
	}
	for i, token := range s.tokens {
		h, ds := s.row(i)
		if in.Each {
			ids, _ := s.negatives(token)
			for j, id := range ids {
				s.backwardItem(s.dh[i*d:(i+1)*d], h, id, ds[j])
			}
		}
		s.backwardItem(s.dh[i*d:(i+1)*d], h, in.Targets[token], s.dOwn[i])
	}
	if in.DH != nil {
		GatherBackward(in.DH, s.dh, s.tokens, d)
	}
}

func (s *Sampled) backwardShared(t int) {
	d := s.in.D
	if s.in.DH != nil {
		kernel.Gemm(t, d, s.m, s.score, s.m, 1, s.rows, d, s.dh, d, false)
	}
	if s.in.DTable != nil {
		kernel.Gemm(s.m, d, t, s.score, 1, s.m, s.h, d, s.dRows, d, true)
	}
	if s.in.DBias != nil {
		kernel.SumRows(s.dBias, s.score, t)
	}
}

// backwardItem adds the gradients of the score of one item against h.
func (s *Sampled) backwardItem(dh, h []float32, id int32, ds float32) {
	d := s.in.D
	if ds == 0 {
		return
	}
	if s.in.DH != nil {
		vector, _ := s.item(id)
		kernel.Axpy(dh, ds, vector)
	}
	if s.in.DTable != nil {
		kernel.Axpy(s.in.DTable[int(id)*d:(int(id)+1)*d], ds, h)
	}
	if s.in.DBias != nil {
		s.in.DBias[id] += ds
	}
}
