package server

import (
	"crypto/sha256"

	"tutti/privacy/ledger"
	"tutti/privacy/mechanism"
	"tutti/server/round"
)

// firstOpen is the first group whose sum is open; nil if there is none.
func (a *active) firstOpen() *group {
	for _, g := range a.groups {
		if g.open() {
			return g
		}
	}
	return nil
}

// lastRecords end a round in the log when its last group ends with t and no sum of any is open: lost if a group was
// certified, abandoned if none was. Before that, and where a sum waits to be published, they are none.
func (g *group) lastRecords(t *round.Transition) []ledger.Body {
	lost := t.To == round.Lost
	for _, other := range g.groups {
		if other == g {
			continue
		}
		if !other.concluded() && other.m != nil || other.open() {
			return nil
		}
		lost = lost || other.state().State == round.Lost
	}
	if lost {
		return g.roundRecords(ledger.Lost, ledger.Digest{})
	}
	body := &ledger.Abandon{Task: g.key.Task, Round: g.key.Round, Plan: g.signed.Digest(), Reason: t.Durable.Abandon.String(), Certificate: g.refusal}
	if len(g.groups) > 1 && g.groups[1].m != nil {
		body.Certificate = g.refusals()
	}
	return []ledger.Body{body}
}

// refusals is the digest of the certificates of all groups' abandonments; zero where one is missing.
func (a *active) refusals() ledger.Digest {
	var all []ledger.Digest
	for _, g := range a.groups {
		if g.refusal == (ledger.Digest{}) {
			return ledger.Digest{}
		}
		all = append(all, g.refusal)
	}
	return ledger.Join(all...)
}

// roundRecords are the log's records of a round that was charged: those of its groups, if it was split, and its own.
func (a *active) roundRecords(outcome string, after ledger.Digest) []ledger.Body {
	r := &ledger.Round{
		Task: a.key.Task, Round: a.key.Round, What: a.plan.Kind.String(), Plan: a.signed.Digest(), Outcome: outcome,
		Mechanism: a.plan.Mechanism.AppendCanonical(nil), NMin: uint64(a.params.NMin()), Noise: a.plan.Mechanism.Noise,
		Rho: a.cost(), Before: a.s.head(),
	}
	if c := a.plan.Central; c != nil {
		r.Central = c.Noise.String()
	}
	r.After = r.Before
	if after != (ledger.Digest{}) {
		r.After = after
	}
	if a.result != nil && a.result.Sum.Meter.PadCoords > 0 {
		m := a.result.Sum.Meter
		r.Meter = ledger.NewMeter(m.PadCoords, m.MeasuredVar, m.ExpectedVar, m.ZScore)
	}
	if a.result != nil && outcome == ledger.Published {
		r.Metrics = rows(a.result.Metrics)
	}
	var out []ledger.Body
	var sets, certificates, sums []ledger.Digest
	for _, g := range a.groups {
		b := g.record()
		out = append(out, b)
		sets, certificates, sums = append(sets, b.Participants), append(certificates, b.Certificate), append(sums, b.Aggregate)
		if b.Outcome == outcome {
			r.Survived += b.Survived
		}
	}
	if len(out) == 1 {
		r.Participants, r.Certificate, r.Aggregate = sets[0], certificates[0], sums[0]
		return []ledger.Body{r}
	}
	r.Participants, r.Certificate = ledger.Join(sets...), ledger.Join(certificates...)
	if outcome == ledger.Published {
		r.Aggregate = ledger.Join(sums...)
	}
	return append(out, r)
}

// record is the log's record of a group that has ended, or is about to.
func (g *group) record() *ledger.Group {
	d := g.m.Durable()
	b := &ledger.Group{Task: g.key.Task, Round: g.key.Round, Group: uint64(g.key.Shard), Plan: g.signed.Digest()}
	if d.State == round.Abandoned {
		b.Outcome, b.Reason, b.Certificate = ledger.Abandoned, d.Abandon.String(), g.refusal
		return b
	}
	b.Outcome, b.Survived, b.Participants, b.Certificate = ledger.Published, uint64(len(d.Set)), participants(d.Set), sha256.Sum256(g.cert.Marshal())
	if d.State == round.Lost {
		b.Outcome, b.Reason = ledger.Lost, d.Lost.String()
		return b
	}
	b.Aggregate = g.sum.aggregate
	return b
}

// opening is the opened sum of one group.
type opening struct {
	devices   int
	sum       mechanism.Decoded
	metrics   mechanism.Decoded // empty: none were asked for
	aggregate [32]byte          // digest of the opened integer sum, the operator's noise included
	canonical []byte            // of the sum, to be kept when it is published; nil: it is not kept
	wrong     []string          // nodes whose answers the others corrected
}
