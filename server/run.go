package server

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"tutti/privacy/ledger"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
	"tutti/server/committee"
	"tutti/server/round"
	"tutti/server/store"
)

// RoundSpec is what a round is to sum. The committee, the base version and the log's checkpoint are the server's part.
type RoundSpec struct {
	Kind      plan.Kind
	Goal      int              // devices that close the collection early
	Mechanism mechanism.Params // from mechanism.Design
	Items     plan.Digest      // of the catalogue
	Block     plan.Digest      // transitions: blob of the chosen items
	Window    plan.Window      // transitions
	Training  plan.Training    // model
	Central   *plan.Central    // nil: the devices add the noise; Index is the server's part
	Metrics   *plan.Metrics    // from plan.DesignMetrics; nil: none
	Collect   time.Duration    // how long uploads are taken at most

	Participations uint32 // k, rounds of the task that a device may be in; 0: any number
	Staleness      uint32 // versions behind the newest that a model update may have started from; 0: none
	Separation     uint32 // b, rounds from one to the next that a device may be in; 0: 1
}

// RoundResult is an opened sum.
type RoundResult struct {
	Round     uint64
	Plan      plan.Plan
	N         int               // devices in the sum
	Sum       mechanism.Decoded // the sum, not the mean, with its noise; and the noise meter
	Metrics   []plan.Figure     // what the devices know, over all open groups; nil: none were asked for
	Rho       *big.Rat          // what it cost every device in it; nil: noise was off
	Aggregate [32]byte          // digest of the opened integer sum
	Took      time.Duration     // since the round opened
	Wrong     []string          // committee nodes whose answers were wrong and were corrected by the others'
	Counters  Counters
	Groups    []GroupResult // of a round that was split; Aggregate is then ledger.Join of theirs
	Combined  Combine       // how Sum was made of the groups'
}

// Counters are what became of the devices that came: exact numbers, for the operator alone. What leaves the house goes
// through privacy/telemetry.
type Counters struct {
	Staged, Counted, Late, Refused int
	Drops                          map[string]int // devices never staged, each once, by round.DropReason label
	UploadMillis                   []float64      // one per counted device
}

var (
	// ErrUnfinished says that a round is under way or waits to be published: Resume, then Publish.
	ErrUnfinished = errors.New("server: a round is under way or waits to be published: finish it with Resume and Publish")
	// ErrOffline says that this server was opened for its log alone.
	ErrOffline = errors.New("server: opened offline: it runs no round")
	// ErrNothing says that there is no round to resume.
	ErrNothing = errors.New("server: there is no round to resume")
)

// AbandonedError ends a round of which nothing was opened.
type AbandonedError struct {
	Round  uint64
	Reason round.AbandonReason
	Staged int
	Freed  bool // nobody is charged
}

func (e *AbandonedError) Error() string {
	return fmt.Sprintf("server: round %d was abandoned: %s", e.Round, e.Reason.Sentence())
}

// LostError ends a round that was charged and gave no sum.
type LostError struct {
	Round  uint64
	Reason round.LostReason
}

func (e *LostError) Error() string {
	return fmt.Sprintf("server: round %d is lost: %s", e.Round, e.Reason.Sentence())
}

// CommitteeError says that too few nodes answer to open a round.
type CommitteeError struct {
	Want    int
	Missing []string // addresses, with the reason
}

func (e *CommitteeError) Error() string {
	return fmt.Sprintf("server: a round needs %d committee nodes; these do not answer: %s", e.Want, strings.Join(e.Missing, "; "))
}

// RunRound opens a round and returns its opened sum, which must then be published (Publish). A *BudgetError,
// *CommitteeError, *AbandonedError or *LostError says why there is none; after any other error the round stays as it is
// on disk and Resume continues it. So it does when ctx ends first.
//
// A round opens only when enough devices are enrolled; RunRound waits for them. Its population is frozen then: whoever
// enrols later takes part in the next one.
//
// A node that dies or lies while the round opens ends it before any device has seen it; RunRound then opens another one
// without that node, a few times.
func (s *Server) RunRound(ctx context.Context, spec RoundSpec) (*RoundResult, error) {
	if err := s.ready(ctx, spec); err != nil {
		return nil, err
	}
	if err := s.permitted(ctx); err != nil {
		return nil, err
	}
	var without []ed25519.PublicKey
	for attempt := 1; ; attempt++ {
		a, err := s.openRound(ctx, spec, without)
		if err != nil {
			return nil, err
		}
		result, err := s.await(ctx, a)
		var abandoned *AbandonedError
		if attempt < 3 && errors.As(err, &abandoned) && abandoned.Reason == round.CommitteeAbsent {
			without = append(without, a.failed...)
			if err := s.permitted(ctx); err != nil {
				return nil, err
			}
			continue
		}
		return result, err
	}
}

// ready waits for the devices of a round, if nothing else stands in its way.
func (s *Server) ready(ctx context.Context, spec RoundSpec) error {
	if s.cfg.Offline {
		return ErrOffline
	}
	if s.leading() == nil {
		return ErrFollower
	}
	if err := s.permitted(ctx); err != nil {
		return err
	}
	if err := s.checkBudget(ctx, s.leastCost(spec), ledger.Digest{}); err != nil {
		return err
	}
	if have, err := s.st.Enrolled(ctx, s.cfg.Task); err != nil || have >= s.devicesWanted(spec) {
		return err
	}
	if _, err := s.present(ctx); err != nil {
		return err
	}
	return s.awaitDevices(ctx, s.devicesWanted(spec))
}

// leastOf is the smallest of limits, of which 0 is none.
func leastOf(limits ...uint32) uint32 {
	least := uint32(plan.AnyParticipations)
	for _, l := range limits {
		if l > 0 {
			least = min(least, l)
		}
	}
	return least
}

// leastCost is what a round costs at least: of a stream, nothing if it is paid for.
func (s *Server) leastCost(spec RoundSpec) *big.Rat {
	if spec.Central == nil || spec.Central.Noise != plan.CentralBLT {
		return plan.Plan{Mechanism: spec.Mechanism, Metrics: spec.Metrics, Central: spec.Central}.Rho()
	}
	if spec.Metrics == nil {
		return nil
	}
	return spec.Metrics.Mechanism.Rho()
}

// Resume waits for the round under way, or gives the opened sum of the one that waits to be published.
func (s *Server) Resume(ctx context.Context) (*RoundResult, error) {
	s.mu.Lock()
	a, lead := s.round, s.lead
	s.mu.Unlock()
	switch {
	case lead == nil && !s.cfg.Offline:
		return nil, ErrFollower
	case a == nil:
		return nil, ErrNothing
	}
	select {
	case <-a.done:
		if a.err != nil && s.ctx.Err() == nil { // it stood still: start again from what is stored
			var err error
			if a, err = s.restart(a); err != nil {
				return nil, err
			}
		}
	default:
	}
	return s.await(ctx, a)
}

// await waits until a round's sum is open, or it has ended without one.
func (s *Server) await(ctx context.Context, a *active) (*RoundResult, error) {
	select {
	case <-a.opened:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if a.firstOpen() != nil && a.result != nil {
		return a.result, nil
	}
	select { // it ended otherwise: let its driver finish
	case <-a.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if a.err != nil {
		return nil, a.err
	}
	s.forget(a)
	return nil, a.fate()
}

// forget makes room for the next round.
func (s *Server) forget(a *active) {
	a.release()
	s.mu.Lock()
	if s.round == a {
		s.round = nil
	}
	s.mu.Unlock()
}

// CloseCollection ends the collection of the round under way, in all of its groups, before its deadline; the minimum still
// holds. Only the driver can.
func (s *Server) CloseCollection() error { return s.tell(round.CloseNow{}) }

// Abandon abandons the round under way, or those of its groups that are not certified already. Only the driver can.
func (s *Server) Abandon() error { return s.tell(round.Stop{Reason: round.StoppedByCaller}) }

func (s *Server) tell(in round.Input) error {
	s.mu.Lock()
	a, lead := s.round, s.lead
	s.mu.Unlock()
	if lead == nil {
		return ErrFollower
	}
	if a != nil && a.drives() {
		a.tell(in)
	}
	return nil
}

// openRound reserves the budget, logs the plan and starts the driver.
func (s *Server) openRound(ctx context.Context, spec RoundSpec, without []ed25519.PublicKey) (*active, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	busy, lead := s.round != nil, s.lead
	s.mu.Unlock()
	switch {
	case s.ctx.Err() != nil:
		return nil, ErrClosed
	case s.cfg.Offline:
		return nil, ErrOffline
	case lead == nil:
		return nil, ErrFollower
	case busy:
		return nil, ErrUnfinished
	}
	members, err := s.present(ctx)
	if err != nil {
		return nil, err
	}
	left := slices.DeleteFunc(slices.Clone(members), func(k ed25519.PublicKey) bool {
		return slices.ContainsFunc(without, func(o ed25519.PublicKey) bool { return k.Equal(o) })
	})
	if len(left) >= s.cfg.MinMembers {
		members = left
	}
	now := s.cfg.Clock()
	p, err := s.planOf(ctx, spec, members, now)
	if err != nil {
		return nil, err
	}
	paid := s.Ledger().Totals().Stream
	rho := p.Cost(paid)
	if err := s.checkBudget(ctx, rho, p.Stream()); err != nil {
		return nil, err
	}
	signed, err := plan.Sign(s.keys.Operator, p)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	key := store.Key{Task: p.Task, Round: p.Round}
	a, err := s.newActive(key, now, signed, lead)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	params, err := a.machineParams()
	if err != nil {
		a.cancel(nil)
		return nil, fmt.Errorf("server: %w", err)
	}
	first := a.groups[0]
	first.stored = round.Durable{State: round.Created, Since: now}
	row := store.Round{Key: key, Kind: p.Kind.String(), Durable: first.stored, Plan: signed}
	if err := s.st.Begin(ctx, lead.fence(), now, row, rho, planRecord(p, signed, paid)); err != nil {
		a.cancel(nil)
		return nil, s.fenced(lead, fmt.Errorf("server: %w", err))
	}
	first.m, first.first = round.New(params, now)
	s.observe(Moved{Round: p.Round, To: round.Created})
	if err := s.begin(a); err != nil {
		a.release()
		return nil, err
	}
	return a, nil
}

// begin starts a round's driver, or the taking of its uploads for another, unless the server is closing, or drives no
// longer: then the round waits in the database for whoever is next.
func (s *Server) begin(a *active) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		a.cancel(ErrClosed)
		return ErrClosed
	case s.lead != a.term:
		a.cancel(ErrFollower)
		return ErrFollower
	}
	s.round = a
	if a.drives() {
		go a.run()
	} else {
		go a.attend()
	}
	return nil
}

// fenced ends a term that the database knows to be over.
func (s *Server) fenced(t *term, err error) error {
	if errors.Is(err, store.ErrFenced) {
		go s.stepDown(t, errLost)
		return fmt.Errorf("%w: %w", ErrFollower, err)
	}
	return err
}

// planOf completes a spec.
func (s *Server) planOf(ctx context.Context, spec RoundSpec, members []ed25519.PublicKey, now time.Time) (plan.Plan, error) {
	last, err := s.st.LastRound(ctx, s.cfg.Task)
	if err != nil {
		return plan.Plan{}, err
	}
	people, err := s.freeze(ctx)
	if err != nil {
		return plan.Plan{}, err
	}
	checkpoint, err := s.Ledger().Checkpoint()
	if err != nil {
		return plan.Plan{}, err
	}
	p := plan.Plan{
		Task: s.cfg.Task, Round: last + 1, Kind: spec.Kind, Items: spec.Items, Block: spec.Block, Window: spec.Window, Training: spec.Training,
		Mechanism: spec.Mechanism, Metrics: spec.Metrics, Goal: uint32(spec.Goal), Committee: members, Corrupt: uint32(s.cfg.Corrupt), Packing: uint32(s.cfg.packing(len(members))),
		Population: people, Threshold: Threshold(s.cfg.Asked, spec.Goal, int(people.Size)), Groups: uint32(s.cfg.Groups), Suite: s.cfg.Suite, CheckNorm: s.cfg.CheckNorm,
		Enroller: s.Enroller(), Budget: s.cfg.Budget, Participations: leastOf(s.cfg.Participations, spec.Participations), Separation: max(1, s.cfg.Separation, spec.Separation), Delta: s.cfg.Delta, Checkpoint: checkpoint, Deadline: now.Add(spec.Collect).Unix(),
	}
	if v := s.latest(); v != nil {
		p.BaseNumber, p.Base = v.Number, v.Digest
	}
	if p.Older, err = s.olderBases(ctx, spec, p.BaseNumber); err != nil {
		return p, err
	}
	if spec.Central != nil {
		c := *spec.Central
		p.Central = &c
		if err := s.placeInStream(ctx, &p); err != nil {
			return p, err
		}
		if err := s.checkCentral(p); err != nil {
			return p, err
		}
	}
	if spec.Collect < time.Second {
		return p, fmt.Errorf("server: a collection of %v: at least one second is needed", spec.Collect)
	}
	return p, nil
}

// present asks all nodes who they are and lists those that answer, in their configured order.
func (s *Server) present(ctx context.Context) ([]ed25519.PublicKey, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	errs := make([]error, len(s.nodes))
	var wg sync.WaitGroup
	for i, n := range s.nodes {
		wg.Go(func() { _, errs[i] = n.Identity(ctx) })
	}
	wg.Wait()
	var here []ed25519.PublicKey
	var missing []string
	for i, err := range errs {
		if err == nil {
			here = append(here, s.cfg.Committee[i].Identity)
			continue
		}
		missing = append(missing, fmt.Sprintf("%s (%s)", s.cfg.Committee[i].Address, plainly(err)))
		s.log.Warn("committee node is missing", "node", s.cfg.Committee[i].Address, "error", err)
	}
	if len(here) < s.cfg.MinMembers {
		return nil, &CommitteeError{Want: s.cfg.MinMembers, Missing: missing}
	}
	return here, nil
}

func plainly(err error) string {
	switch {
	case errors.Is(err, committee.ErrIdentity):
		return "another node answers there"
	case strings.Contains(err.Error(), "x509:"), strings.Contains(err.Error(), "tls:"):
		return "its certificate is not accepted: check the CA files on both sides"
	case strings.Contains(err.Error(), "refused"):
		return "nothing listens there: is the node running?"
	}
	return "no answer"
}
