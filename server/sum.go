package server

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"tutti/aggregation"
	"tutti/privacy/mechanism"
	"tutti/server/round"
	"tutti/server/store"
)

// unmask opens and decodes the sum with the answers so far. Only what the sum itself says can void the round: where the
// server cannot read or write, or is closed, the round stands still and is resumed from what is stored.
func (a *active) unmask(answers []round.Said) {
	result, wrong, err := a.openSum(answers)
	switch {
	case err == nil:
		a.mail.put(letter{do: func() { a.result = result }})
		a.tell(round.Unmasked{Wrong: wrong})
	case errors.Is(err, aggregation.ErrTooFew), errors.Is(err, aggregation.ErrInconsistent):
		a.s.log.Error("answers disagree", "round", a.key.Round, "answers", len(answers), "error", err)
		a.tell(round.Unmasked{Fault: round.Disagreement})
	case errors.Is(err, aggregation.ErrGarbled), errors.Is(err, mechanism.ErrMismatch):
		a.s.log.Error("the sum is garbage", "round", a.key.Round, "error", err)
		a.tell(round.Unmasked{Fault: round.Garbage})
	default:
		a.mail.put(letter{fault: fmt.Errorf("opening the sum of round %d: %w", a.key.Round, err)})
	}
}

// openSum makes the result from what is durable: the partial sum and the answers.
// wrong are the members, from 0, whose answers the others corrected.
func (a *active) openSum(said []round.Said) (result *RoundResult, wrong []int, err error) {
	b, err := a.s.st.Partial(a.key)
	if err != nil {
		return nil, nil, err
	}
	partial, err := aggregation.ParseAccumulator(a.cfg, b)
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
	sum, liars, err := aggregation.Unmask(a.cfg, a.set, partial, answers)
	if err != nil {
		return nil, nil, err
	}
	codec, err := mechanism.NewCodec(a.plan.Mechanism)
	if err != nil {
		return nil, nil, err
	}
	decoded, err := codec.DecodeSum(sum, a.set.Len())
	if err != nil {
		return nil, nil, err
	}
	opened := SumBytes(sum)
	if a.s.cfg.KeepSums {
		if _, err := a.s.st.PutBlob(opened); err != nil {
			return nil, nil, err
		}
	}
	counters, err := a.s.counters(a.ctx, a.key)
	if err != nil {
		return nil, nil, err
	}
	result = &RoundResult{
		Round: a.key.Round, Plan: a.plan, N: a.set.Len(), Sum: decoded, Rho: a.plan.Rho(), Aggregate: sha256.Sum256(opened),
		Took: a.s.cfg.Clock().Sub(a.began), Counters: counters,
	}
	for _, member := range liars {
		wrong = append(wrong, int(member)-1)
		result.Wrong = append(result.Wrong, a.nodes[member-1].Address())
	}
	return result, wrong, nil
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
	uploads, err := s.st.Uploads(ctx, k)
	if err != nil {
		return Counters{}, err
	}
	c := Counters{Staged: len(uploads)}
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
	c.Drops, err = s.st.Drops(ctx, k)
	return c, err
}
