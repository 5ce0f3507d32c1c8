package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"tutti/aggregation"
	"tutti/server/committee"
	"tutti/server/round"
	"tutti/server/store"
)

// forMembers cuts a staged header into what each member is shown of it.
func (a *active) forMembers(header []byte) ([][]byte, error) {
	h, err := aggregation.ParseHeader(header)
	if err == nil && len(h.Envelopes) != a.params.Members() {
		err = fmt.Errorf("%d envelopes", len(h.Envelopes))
	}
	if err != nil {
		return nil, fmt.Errorf("staged header: %w: %w", store.ErrCorrupt, err)
	}
	path, _ := a.people.Path(h.ID) // verified when it was staged
	out := make([][]byte, 0, len(h.Envelopes))
	for _, m := range h.ForMembers(path) {
		b, err := m.Marshal()
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// batch is what the members are shown of a batch of uploads, read once for all of them.
type batch struct {
	ids     []round.ID
	ready   chan struct{}
	headers [][][]byte // per upload, per member
	err     error
	wanted  int // members that have not judged it yet
}

// keepBatches bounds the batches in memory.
const keepBatches = 8

// headersOf reads the member headers of uploads.
func (g *group) headersOf(ids []round.ID) ([][][]byte, error) {
	in := g.taking()
	if in == nil {
		return nil, ErrClosed
	}
	out := make([][][]byte, len(ids))
	for i, id := range ids {
		s, ok := in.slot(id)
		if !ok {
			return nil, fmt.Errorf("upload of a device that is not staged")
		}
		b, err := in.headerOf(g.ctx, s)
		if err != nil {
			return nil, err
		}
		if out[i], err = g.forMembers(b); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// headerOf reads a staged header: out of this replica's files, or out of the database.
func (in *intake) headerOf(ctx context.Context, s store.Staged) ([]byte, error) {
	if in.own(s) {
		return in.staging.Header(s.Slot, s.Header)
	}
	return in.g.s.st.Header(ctx, in.g.key, s.ID)
}

// batchOf shares one reading of a batch among the members; it runs on the driver's goroutine.
func (g *group) batchOf(r round.Request) *batch {
	b := g.batches[r.Batch]
	if b == nil {
		b = &batch{ids: r.IDs, ready: make(chan struct{}), wanted: len(g.nodes)}
		g.batches[r.Batch] = b
		if len(g.batches) > keepBatches { // a member is far behind: read again for it later
			delete(g.batches, slices.Min(slices.Collect(maps.Keys(g.batches))))
		}
		g.spawn(func() {
			b.headers, b.err = g.headersOf(b.ids)
			close(b.ready)
		})
	}
	return b
}

// judgedBy lets a batch go when every member has judged it; a late member has it read again.
func (g *group) judgedBy(number int) {
	if b := g.batches[number]; b != nil {
		if b.wanted--; b.wanted <= 0 {
			delete(g.batches, number)
		}
	}
}

// ask sends one request to one member, and its answer or failure to the machine.
func (g *group) ask(r round.Request) {
	node := g.nodes[r.Member]
	cfg, set, cert := g.cfg, g.set, g.cert
	var keys [][]byte
	if r.Ask == round.AskReveal {
		for _, k := range g.m.Durable().Keys {
			keys = append(keys, k.Bytes)
		}
	}
	var b *batch
	if r.Ask == round.AskJudge {
		b = g.batchOf(r)
	}
	g.spawn(func() {
		in, err := g.request(node, r, b, keys, cfg, set, cert)
		if err == nil {
			g.tell(in)
			return
		}
		if g.ctx.Err() != nil {
			return
		}
		var refused *committee.Refused
		final := errors.As(err, &refused) && refused.Refusal != aggregation.RefuseShares || errors.Is(err, errFalse)
		g.s.log.Warn("committee", "round", g.key.Round, "node", node.Address(), "request", r.Ask.String(), "final", final, "error", err)
		if r.Ask == round.AskOpen || r.Ask == round.AskReveal {
			g.mail.put(letter{do: func() { g.failed = append(g.failed, g.plan.Committee[r.Member]) }})
		}
		g.tell(round.Failed{Member: r.Member, Ask: r.Ask, Batch: r.Batch, Final: final})
	})
}

func (g *group) request(node *committee.Client, r round.Request, b *batch, keys [][]byte, cfg *aggregation.Config, set *aggregation.Set, cert *aggregation.Certificate) (round.Input, error) {
	switch r.Ask {
	case round.AskOpen:
		key, err := g.keyOf(node, r.Member)
		return round.Opened{Member: r.Member, Key: key}, err
	case round.AskReveal:
		coin, err := g.coinOf(node, r.Member, keys)
		return round.Revealed{Member: r.Member, Coin: coin}, err
	case round.AskBegin:
		return round.Begun{Member: r.Member}, node.BeginRound(g.ctx, cfg)
	case round.AskJudge:
		return g.judge(node, r, b)
	case round.AskSign:
		signature, err := node.SignSet(g.ctx, cfg, uint16(r.Member+1), set)
		return round.SetSigned{Member: r.Member, Signature: signature}, err
	case round.AskAbandon:
		signature, err := node.SignAbandon(g.ctx, g.id())
		if err == nil && cfg != nil {
			one, _ := aggregation.CertifyAbandon(cfg, []aggregation.AbandonSignature{{Member: uint16(r.Member + 1), Signature: signature}})
			if len(one.Signatures) != 1 {
				err = errors.New("its signature of the abandonment does not hold")
			}
		}
		return round.AbandonSigned{Member: r.Member, Signature: signature}, err
	case round.AskRelease:
		answer, err := g.releaseOf(node, r.Member, cfg, set, cert)
		return round.Answered{Member: r.Member, Answer: answer}, err
	}
	return nil, fmt.Errorf("no such request: %v", r.Ask)
}

// errFalse says that a member's answer does not hold, and would not if it were asked again.
var errFalse = errors.New("a false answer")

// keyOf asks for a member's key of the round and verifies that the member signed it.
func (g *group) keyOf(node *committee.Client, member int) ([]byte, error) {
	size, err := node.LogSize(g.ctx, g.key.Task)
	if err != nil {
		return nil, err
	}
	logged, err := g.logged(size)
	if err != nil {
		return nil, err
	}
	b, err := node.OpenRound(g.ctx, g.signed, logged)
	if err != nil {
		return nil, err
	}
	key, err := committee.ParseKey(b)
	if err == nil && (key.Suite != g.plan.Suite || !key.Verify(g.plan.Committee[member], g.id(), g.signed.Digest(), uint16(member+1))) {
		err = fmt.Errorf("%w: its round key", errFalse)
	}
	return b, err
}

// coinOf shows a member all keys and asks for its coin, which its key must have committed it to.
func (g *group) coinOf(node *committee.Client, member int, keys [][]byte) ([]byte, error) {
	coin, err := node.Reveal(g.ctx, g.id(), keys)
	if err != nil {
		return nil, err
	}
	key, err := committee.ParseKey(keys[member])
	if err == nil && (len(coin) != 32 || !key.Opens([32]byte(coin))) {
		err = fmt.Errorf("%w: its coin is not the one that it committed to", errFalse)
	}
	return coin, err
}

func (g *group) judge(node *committee.Client, r round.Request, b *batch) (round.Input, error) {
	<-b.ready
	if b.err != nil {
		return nil, b.err
	}
	verdicts, err := node.SubmitShares(g.ctx, g.id(), memberColumn(b.headers, r.Member))
	if err != nil {
		return nil, err
	}
	judged := round.Judged{Member: r.Member, Batch: r.Batch, Accepted: make([]bool, len(verdicts))}
	for i, v := range verdicts {
		judged.Accepted[i] = v.Reason == aggregation.Accepted
		if v.Reason != aggregation.Accepted {
			g.s.log.Debug("committee refuses an upload", "round", g.key.Round, "node", node.Address(), "reason", v.Reason.String())
		}
	}
	g.mail.put(letter{do: func() { // before the verdicts that follow it
		g.judgedBy(r.Batch)
		g.hear(r, verdicts)
	}})
	return judged, nil
}

func memberColumn(headers [][][]byte, member int) [][]byte {
	out := make([][]byte, len(headers))
	for i := range headers {
		out[i] = headers[i][member]
	}
	return out
}

// releaseOf asks for a member's answer. A member that restarted has lost its shares and is shown the headers of U once
// more (rule 7 of secure-aggregation.md).
func (g *group) releaseOf(node *committee.Client, member int, cfg *aggregation.Config, set *aggregation.Set, cert *aggregation.Certificate) ([]byte, error) {
	answer, err := node.Release(g.ctx, cfg, cert)
	if !errors.Is(err, aggregation.RefuseShares) {
		return answer, err
	}
	ids := make([]round.ID, set.Len())
	for i := range ids {
		ids[i] = set.At(i).ID
	}
	for len(ids) > 0 {
		n := min(len(ids), 64)
		headers, err := g.headersOf(ids[:n])
		if err != nil {
			return nil, err
		}
		if _, err := node.SubmitShares(g.ctx, g.id(), memberColumn(headers, member)); err != nil {
			return nil, err
		}
		ids = ids[n:]
	}
	return node.Release(g.ctx, cfg, cert)
}
