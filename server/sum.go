package server

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"tutti/aggregation"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
	"tutti/server/round"
	"tutti/server/store"
)

// unmask opens and decodes the sum with the answers so far. Only what the sum itself says can void the round: where the
// server cannot read or write, or is closed, the round stands still and is resumed from what is stored.
func (g *group) unmask(answers []round.Said) {
	sum, wrong, err := g.openSum(answers)
	switch {
	case err == nil:
		g.mail.put(letter{do: func() { g.sum = sum }})
		g.tell(round.Unmasked{Wrong: wrong})
	case errors.Is(err, aggregation.ErrTooFew), errors.Is(err, aggregation.ErrInconsistent):
		g.s.log.Error("answers disagree", "round", g.key.Round, "answers", len(answers), "error", err)
		g.tell(round.Unmasked{Fault: round.Disagreement})
	case errors.Is(err, aggregation.ErrGarbled), errors.Is(err, mechanism.ErrMismatch):
		g.s.log.Error("the sum is garbage", "round", g.key.Round, "error", err)
		g.tell(round.Unmasked{Fault: round.Garbage})
	default:
		g.mail.put(letter{fault: fmt.Errorf("opening the sum of round %d: %w", g.key.Round, err)})
	}
}

// openSum opens the group's sum from what is durable: the partial sum and the answers.
// wrong are the members, from 0, whose answers the others corrected.
func (g *group) openSum(said []round.Said) (opened *opening, wrong []int, err error) {
	b, err := g.s.st.Sum(g.ctx, g.key)
	if err != nil {
		return nil, nil, err
	}
	partial, err := aggregation.ParseAccumulator(g.cfg, b)
	if err != nil {
		return nil, nil, err
	}
	answers := make([]aggregation.Answer, len(said))
	for i, x := range said {
		parsed, err := aggregation.ParseAnswer(x.Bytes)
		if err != nil {
			return nil, nil, err
		}
		answers[i] = *parsed
	}
	sum, liars, err := aggregation.Unmask(g.cfg, g.set, partial, answers)
	if err != nil {
		return nil, nil, err
	}
	sum, reach, err := g.addNoise(sum)
	if err != nil {
		return nil, nil, err
	}
	opened, err = decode(g.plan, sum, g.set.Len(), reach)
	if err != nil {
		return nil, nil, err
	}
	canonical := SumBytes(sum)
	opened.aggregate = sha256.Sum256(canonical)
	if g.s.cfg.KeepSums {
		opened.canonical = canonical
	}
	for _, member := range liars {
		wrong = append(wrong, int(member)-1)
		opened.wrong = append(opened.wrong, g.nodes[member-1].Address())
	}
	return opened, wrong, nil
}

// decode reads the opened sum of n devices: the main vector and, behind it, the metrics where the plan asks for some. The
// server's noise, if it added any, pushes a coordinate of the main vector by reach at most.
func decode(p plan.Plan, sum []int64, n int, reach int64) (*opening, error) {
	if len(sum) != p.Dim() {
		return nil, fmt.Errorf("%w: a sum of %d numbers, the plan has %d", mechanism.ErrMismatch, len(sum), p.Dim())
	}
	opened := &opening{devices: n}
	codec, err := mechanism.NewCodec(p.Mechanism)
	if err != nil {
		return nil, err
	}
	if opened.sum, err = codec.DecodeNoised(sum[:p.Mechanism.PaddedDim], n, reach); err != nil || p.Metrics == nil {
		return opened, err
	}
	if codec, err = mechanism.NewCodec(p.Metrics.Mechanism); err != nil {
		return nil, err
	}
	opened.metrics, err = codec.DecodeSum(sum[p.Mechanism.PaddedDim:], n)
	return opened, err
}

// SumBytes is the canonical form of an opened sum, whose digest the log holds: "tutti/sum/v1", the number of
// coordinates as uint32, then each as int64, big-endian.
func SumBytes(sum []int64) []byte {
	const domain = "tutti/sum/v1"
	b := make([]byte, 0, len(domain)+4+8*len(sum))
	b = binary.BigEndian.AppendUint32(append(b, domain...), uint32(len(sum)))
	for _, v := range sum {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	return b
}

// Counters reads what became of the uploads of any round, also of one that was abandoned.
func (s *Server) Counters(ctx context.Context, number uint64) (Counters, error) {
	return s.counters(ctx, store.Key{Task: s.cfg.Task, Round: number})
}

// counters reads what became of a round's uploads.
func (s *Server) counters(ctx context.Context, k store.Key) (Counters, error) {
	groups, err := s.st.Groups(ctx, k)
	if err != nil {
		return Counters{}, err
	}
	c := Counters{Drops: map[string]int{}}
	for k.Shard = range groups {
		if err := s.countGroup(ctx, k, &c); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (s *Server) countGroup(ctx context.Context, k store.Key, c *Counters) error {
	uploads, err := s.st.Uploads(ctx, k)
	if err != nil {
		return err
	}
	c.Staged += len(uploads)
	for _, u := range uploads {
		switch u.State {
		case store.CountedUpload:
			c.Counted++
			c.UploadMillis = append(c.UploadMillis, float64(u.Millis))
		case store.LateUpload:
			c.Late++
		case store.RefusedUpload, store.UnsoundUpload, store.OversizedUpload:
			c.Refused++
		}
	}
	drops, err := s.st.Drops(ctx, k)
	for reason, n := range drops {
		c.Drops[reason] += n
	}
	return err
}
