package server

import (
	"errors"
	"slices"

	"tutti/aggregation"
	"tutti/server/committee"
	"tutti/server/round"
)

// The sharing check, as the shell carries it out: the members' words are kept in memory, per upload, until the set is
// fixed. A process that dies loses them, and members repeat them.

// hear keeps a member's words on a batch; it runs on the driver's goroutine.
func (g *group) hear(r round.Request, verdicts []committee.Verdict) {
	if g.words == nil { // the set is fixed
		return
	}
	for i, v := range verdicts {
		if v.Reason != aggregation.Accepted {
			continue
		}
		said := g.words[r.IDs[i]]
		if !slices.ContainsFunc(said, func(c aggregation.CheckAnswer) bool { return c.Member == uint16(r.Member+1) }) {
			g.words[r.IDs[i]] = append(said, aggregation.CheckAnswer{Member: uint16(r.Member + 1), Words: v.Check})
		}
	}
}

// check compares the words of the members on a batch; it runs on the driver's goroutine and leaves the work to another.
func (g *group) check(c round.Check) {
	answers := make([][]aggregation.CheckAnswer, len(c.IDs))
	for i, id := range c.IDs {
		for _, said := range g.words[id] {
			if slices.Contains(c.Members, int(said.Member)-1) {
				answers[i] = append(answers[i], said)
			}
		}
	}
	cfg := g.cfg
	g.spawn(func() {
		found, err := g.findings(cfg, c, answers)
		if err != nil {
			if g.ctx.Err() == nil {
				g.mail.put(letter{fault: err})
			}
			return
		}
		g.tell(round.Checked{Batch: c.Batch, Findings: found})
	})
}

func (g *group) findings(cfg *aggregation.Config, c round.Check, answers [][]aggregation.CheckAnswer) ([]round.Finding, error) {
	headers, err := g.headersOf(c.IDs)
	if err != nil {
		return nil, err
	}
	var vector []byte
	if cfg.Params().Literal().Norm > 0 {
		vector = make([]byte, g.params.VectorLen())
	}
	out := make([]round.Finding, len(c.IDs))
	for i, id := range c.IDs {
		h, err := wholeHeader(headers[i])
		if err != nil {
			return nil, err
		}
		if vector != nil {
			if err := g.vectorOf(id, vector); err != nil {
				return nil, err
			}
		}
		wrong, err := aggregation.CheckShares(cfg, h, vector, answers[i])
		switch {
		case errors.Is(err, aggregation.ErrTooFew):
		case errors.Is(err, aggregation.ErrSharing):
			g.s.log.Warn("an upload's key shares are unsound", "round", g.key.Round, "members", len(answers[i]))
			out[i].Sharing = round.Unsound
		case errors.Is(err, aggregation.ErrNorm):
			g.s.log.Warn("an upload's vector is too long", "round", g.key.Round)
			out[i].Sharing = round.Oversized
		case err != nil:
			return nil, err
		default:
			out[i].Sharing = round.Sound
			for _, member := range wrong {
				g.s.log.Warn("a committee node's check contradicts the others", "round", g.key.Round, "node", g.nodes[member-1].Address())
				out[i].Wrong = append(out[i].Wrong, int(member)-1)
			}
		}
	}
	return out, nil
}

// wholeHeader puts a header together again from what the members are shown of it.
func wholeHeader(columns [][]byte) (*aggregation.Header, error) {
	h := new(aggregation.Header)
	for j, b := range columns {
		m, err := aggregation.ParseMemberHeader(b)
		if err != nil {
			return nil, err
		}
		if j == 0 {
			h.Prelude = m.Prelude
		}
		h.Envelopes = append(h.Envelopes, m.Envelope)
	}
	return h, nil
}

// vectorOf reads the staged vector of an upload.
func (g *group) vectorOf(id round.ID, into []byte) error {
	in := g.taking()
	if in == nil {
		return ErrClosed
	}
	s, ok := in.slot(id)
	if !ok {
		return errors.New("upload of a device that is not staged")
	}
	return in.staging.Vector(s.Slot, into)
}
