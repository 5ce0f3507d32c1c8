package server

import (
	"errors"
	"time"

	"tutti/aggregation"
	"tutti/server/round"
	"tutti/server/store"
)

// group is one secure sum of a round: all of it where the round is not split. The lot puts every device into one group
// (rule 11 of secure-aggregation.md); a group has a configuration, a machine, files and a certificate of its own, and one
// that fails leaves the others standing.
type group struct {
	*active
	key store.Key

	// owned by run, and by others after done or opened is closed
	m       *round.Machine // nil: the round is not open yet
	first   round.Effects  // what a machine that was made before run began wants done
	wake    time.Time      // when the machine wants a Tick; zero: never
	cfg     *aggregation.Config
	set     *aggregation.Set
	cert    *aggregation.Certificate
	refusal aggregation.Digest // of the certificate of its abandonment; zero: none
	sum     *opening
	stream  *store.Stream // of central noise, behind the row drawn last; nil: none was drawn
	batches map[int]*batch
	words   map[round.ID][]aggregation.CheckAnswer // of the sharing check, while the collection lasts
	staged  int                                    // uploads when it was abandoned

	// guarded by active.mu
	stored round.Durable // as it is on disk
	offer  *offer        // while devices may come
	intake *intake
	folder *folder
}

func (g *group) tell(in round.Input) { g.mail.put(letter{g: g, in: in}) }

// over says that the group wants nothing more: it has ended, or the round ended before it was split.
func (g *group) over() bool {
	if g.m == nil {
		return g != g.groups[0] && g.groups[0].over()
	}
	return g.m.Done()
}

// concluded says that no answer of a member or a device can change what the group comes to.
func (g *group) concluded() bool {
	s := g.state().State
	return g.over() || s == round.Released || s == round.Applied
}

// open says that the group's sum is open and waits to be published.
func (g *group) open() bool {
	s := g.state().State
	return s == round.Released || s == round.Applied
}

func (g *group) step(in round.Input) bool { return g.carryOut(g.m.Step(g.s.cfg.Clock(), in)) }

// carryOut does what the machine asks, in the order of Effects. False: the driver stops.
func (g *group) carryOut(out round.Effects) bool {
	if out.Persist != nil {
		switch err := g.persist(step{g, out.Persist}); {
		case errors.Is(err, errConfig): // nothing was stored: go back, and abandon instead
			g.s.log.Error("no configuration", "round", g.key.Round, "error", err)
			g.m, _ = round.Resume(g.m.Params(), g.state(), nil, g.s.cfg.Clock())
			return g.step(round.Stop{Reason: round.CommitteeAbsent})
		case err != nil:
			g.err = err
			return false
		}
	}
	if g.m.State() == round.Collecting && !g.m.Taking() {
		g.closeOffer()
	}
	for _, r := range out.Send {
		g.ask(r)
	}
	for _, w := range out.Work {
		g.do(w)
	}
	for _, e := range out.Events {
		g.report(e)
	}
	g.wake = out.Wake
	return true
}

// state is the group as it is on disk.
func (g *group) state() round.Durable {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stored
}

// do gives local work away.
func (g *group) do(w round.Work) {
	switch {
	case w.Fold != nil:
		g.folder.fold(w.Fold)
	case w.Check != nil:
		g.check(*w.Check)
	case w.Assemble != nil:
		g.folder.assemble(w.Assemble)
	case w.Unmask:
		answers := g.m.Durable().Answers
		g.spawn(func() { g.unmask(answers) })
	}
}

// id names the group in the protocol; the first one's name is also the round's, of which keys and coins are.
func (g *group) id() aggregation.RoundID {
	return aggregation.RoundID{Task: g.key.Task, Round: g.key.Round, Shard: g.key.Shard}
}

// split makes the groups beside the first one, which has opened the round for all of them: the same keys and coins, each
// with a configuration of its own.
func (g *group) split(d round.Durable) ([]store.Round, error) {
	var rows []store.Round
	for _, other := range g.groups[1:] {
		cfg, err := other.configure(d.Keys, d.Coins)
		if err != nil {
			return nil, err
		}
		other.cfg = cfg
		d.Version = 0
		rows = append(rows, store.Round{Key: other.key, Kind: g.plan.Kind.String(), Durable: d, Plan: g.signed, Config: cfg.Marshal()})
	}
	return rows, nil
}

// join starts a group that split made, once it is durable.
func (g *group) join(d round.Durable) error {
	d.Version = 0
	g.mu.Lock()
	g.stored = d
	g.mu.Unlock()
	if err := g.openIntake(nil); err != nil {
		return err
	}
	m, out := round.Resume(g.groups[0].m.Params(), d, nil, g.s.cfg.Clock())
	g.m = m
	if !g.carryOut(out) {
		return g.err
	}
	return nil
}

// groupOf is the group that the lot puts a device into; nil before the lot is drawn.
func (a *active) groupOf(id round.ID) *group {
	if len(a.groups) == 1 {
		return a.groups[0]
	}
	a.mu.Lock()
	lot := a.lot
	a.mu.Unlock()
	if lot == nil {
		return nil
	}
	return a.groups[lot.ShardOf(id)]
}
