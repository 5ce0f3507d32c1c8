package attack

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"

	"tutti/aggregation"
	"tutti/privacy/audit"
	"tutti/privacy/ledger"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
)

// malice is one plan that would give a device's data away, and what a device has to say to it.
type malice struct {
	name   string
	want   plan.Reason
	change func(w *planWorld, p *plan.Plan, st *plan.State) error
	lax    func(w *planWorld, p *plan.Policy, st *plan.State) // the one check taken away; nil: a rule that cannot be
}

// MaliciousPlans shows a device one plan after another that would give its data away, each with one rule of its policy
// broken. The unprotected arm is the same device without that rule: it has to accept the plan, or the rule was not what
// refused it.
func MaliciousPlans(ctx context.Context, o Options) (audit.Section, error) {
	w, err := newPlanWorld(o.Seed)
	if err != nil {
		return audit.Section{}, err
	}
	list := append(append(whoAsks(), howNoised()...), whatItCosts()...)
	s := audit.Section{
		Kind:        "malicious_plan",
		ThreatModel: "The operator, or somebody in its name, signs a plan that would open a single device's data.",
		Setup:       fmt.Sprintf("%d plans, each one change away from a plan that the device follows.", len(list)+1),
		Power:       "A plan counts as refused only with the reason that belongs to it.",
		Bound:       "0",
	}
	if err := w.policy.Check(w.plan, w.state); err != nil {
		return s, fmt.Errorf("attack: the honest plan is refused: %w", err)
	}
	work := o.steps(len(list) + 1)
	followed, without, removable := 0, 0, 1
	for _, m := range list {
		if err := ctx.Err(); err != nil {
			return s, err
		}
		said, accepted, err := w.show(m)
		if err != nil {
			return s, fmt.Errorf("attack: %s: %w", m.name, err)
		}
		if said != m.want {
			followed++
		}
		if m.lax != nil {
			removable++
		}
		if accepted {
			without++
		}
		s.Values = append(s.Values, audit.Value{Name: m.name, Value: named(said)})
		work.add(1)
	}
	said, accepted, err := w.forge()
	if err != nil {
		return s, err
	}
	if said != plan.ReasonOperator {
		followed++
	}
	if accepted {
		without++
	}
	work.add(1)
	s.Values = append(s.Values, audit.Value{Name: "forged signature", Value: named(said)})
	s.Values = append([]audit.Value{{Name: "followed, or refused with another reason", Value: fmt.Sprint(followed)}}, s.Values...)
	s.PositiveControl = &audit.Control{
		Setup: fmt.Sprintf("the device without the one rule: follows, of %d (the other %d rules cannot be switched off)", removable, len(list)+1-removable),
		Value: fmt.Sprint(without), Detected: without == removable,
	}
	judge(&s, followed == 0, "Every plan is refused with the reason that belongs to it.", "A malicious plan is followed, or refused for another reason.")
	return s, nil
}

func named(r plan.Reason) string {
	if r == plan.Accepted {
		return "followed"
	}
	return "refused: " + r.String()
}

// planWorld is a device with a policy and a plan that it follows.
type planWorld struct {
	operator, enroller, stranger ed25519.PrivateKey
	ids                          []aggregation.DeviceID
	policy                       plan.Policy
	plan                         plan.Plan
	state                        plan.State
}

const planTask = "films"

func planKey(seed uint64, number int) ed25519.PrivateKey {
	b := make([]byte, ed25519.SeedSize)
	_, _ = newStream(seed, "plan keys", number).Read(b)
	return ed25519.NewKeyFromSeed(b)
}

func planDesign(change func(*mechanism.Literal)) (mechanism.Params, error) {
	l := mechanism.Literal{Dim: 1000, Clip: 1, NMin: 70, NMax: 130, Colluders: 7, Rho: big.NewRat(1, 10), Noise: true}
	if change != nil {
		change(&l)
	}
	return mechanism.Design(l)
}

func newPlanWorld(seed uint64) (*planWorld, error) {
	w := &planWorld{operator: planKey(seed, 1), enroller: planKey(seed, 2), stranger: planKey(seed, 3)}
	var members []ed25519.PublicKey
	for j := range committee {
		members = append(members, public(planKey(seed, 10+j)))
	}
	for i := range 200 {
		w.ids = append(w.ids, aggregation.DeviceID{byte(i), 1})
	}
	population, err := w.people(140)
	if err != nil {
		return nil, err
	}
	m, err := planDesign(nil)
	if err != nil {
		return nil, err
	}
	base := sha256.Sum256([]byte("base"))
	w.plan = plan.Plan{
		Task: planTask, Round: 5, Kind: plan.Popularity, BaseNumber: 2, Base: base, Items: sha256.Sum256([]byte("items")),
		Mechanism: m, Goal: 100, Committee: members, Corrupt: corrupt, Packing: packing, Enroller: public(w.enroller),
		Population: population, Threshold: aggregation.EveryDevice, Groups: 1, Participations: 10, Separation: 1,
		Suite: aggregation.SuiteMLKEM768X25519, CheckNorm: true,
		Budget: big.NewRat(1, 1), Delta: "1e-06", Checkpoint: []byte("a signed note"), Deadline: 1000,
	}
	w.policy = plan.Policy{
		Task: planTask, Operator: public(w.operator), Enroller: public(w.enroller), Committee: members,
		MinMembers: committee, MinCorrupt: corrupt, MinCohort: 70, MinColluder: big.NewRat(1, 20), MaxClip: 1, MinPopulation: 130,
		MaxRhoRound: big.NewRat(1, 5), MaxRhoTotal: big.NewRat(1, 2), MinPad: mechanism.MinMeterPad, PostQuantum: true, CheckNorm: true,
	}
	w.state = plan.State{Now: 999, Seen: 999, Spent: big.NewRat(3, 10), Sealed: true, LastRound: 4, Rounds: 1, BaseNumber: 2, Base: base, Log: plan.LogConsistent}
	return w, nil
}

func (w *planWorld) people(n int) (aggregation.Population, error) {
	e, err := aggregation.NewEnrolled(w.ids[:n])
	if err != nil {
		return aggregation.Population{}, err
	}
	return e.Sign(w.enroller, planTask), nil
}

// show has the device judge a malicious plan, with and without the rule that should refuse it.
func (w *planWorld) show(m malice) (said plan.Reason, followedWithout bool, err error) {
	p, policy, st := w.plan, w.policy, w.state
	p.Committee = append([]ed25519.PublicKey(nil), p.Committee...)
	if err := m.change(w, &p, &st); err != nil {
		return 0, false, err
	}
	if err := policy.Check(p, st); err != nil {
		var r *plan.Refusal
		if !errors.As(err, &r) {
			return 0, false, err
		}
		said = r.Reason
	}
	if m.lax == nil {
		return said, false, nil
	}
	m.lax(w, &policy, &st)
	return said, policy.Check(p, st) == nil, nil
}

// forge signs the plan with a stranger's key.
func (w *planWorld) forge() (said plan.Reason, followedWithout bool, err error) {
	signed, err := plan.Sign(w.stranger, w.plan)
	if err != nil {
		return 0, false, err
	}
	if _, err := w.policy.Open(signed); err != nil {
		var r *plan.Refusal
		if !errors.As(err, &r) {
			return 0, false, err
		}
		said = r.Reason
	}
	trusting := w.policy
	trusting.Operator = public(w.stranger) // a device that believes the key that comes with the plan
	p, err := trusting.Open(signed)
	return said, err == nil && trusting.Check(p, w.state) == nil, nil
}

// fork is what a device finds that saw one branch of the operator's log and is shown another: both signed, by the real
// log.
func (w *planWorld) fork() (plan.LogCheck, error) {
	branch := func(records ...string) (ledger.Checkpoint, error) {
		var stored ledger.Memory
		for i, r := range records {
			more, err := ledger.Append(uint64(i), []byte(r), stored)
			if err != nil {
				return ledger.Checkpoint{}, err
			}
			stored = append(stored, more...)
		}
		root, err := ledger.Root(uint64(len(records)), stored)
		if err != nil {
			return ledger.Checkpoint{}, err
		}
		note, err := ledger.SignCheckpoint(w.operator, ledger.Checkpoint{Origin: planTask, Size: uint64(len(records)), Root: root})
		if err != nil {
			return ledger.Checkpoint{}, err
		}
		return ledger.OpenCheckpoint(note, planTask, public(w.operator))
	}
	seen, err := branch("plan", "round 1", "round 2")
	if err != nil {
		return 0, err
	}
	shown, err := branch("plan", "round 1", "another round 2")
	if err != nil {
		return 0, err
	}
	if err := ledger.CheckConsistency(seen, shown, nil); errors.Is(err, ledger.ErrFork) {
		return plan.LogForked, nil
	}
	return plan.LogConsistent, nil
}
