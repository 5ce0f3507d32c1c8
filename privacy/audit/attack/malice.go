package attack

import (
	"math"
	"math/big"

	"tutti/aggregation"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
)

// designed changes the plan's mechanism to one that is designed anew, so that it holds together.
func designed(change func(*mechanism.Literal)) func(*planWorld, *plan.Plan, *plan.State) error {
	return func(_ *planWorld, p *plan.Plan, _ *plan.State) (err error) {
		p.Mechanism, err = planDesign(change)
		p.Goal = uint32(p.Mechanism.NMax)
		return err
	}
}

func changed(change func(w *planWorld, p *plan.Plan)) func(*planWorld, *plan.Plan, *plan.State) error {
	return func(w *planWorld, p *plan.Plan, _ *plan.State) error { change(w, p); return nil }
}

func policy(change func(p *plan.Policy)) func(*planWorld, *plan.Policy, *plan.State) {
	return func(_ *planWorld, p *plan.Policy, _ *plan.State) { change(p) }
}

// whoAsks: plans of strangers, and sums that strangers guard.
func whoAsks() []malice {
	return []malice{
		{"plan for another task", plan.ReasonTask,
			func(w *planWorld, p *plan.Plan, _ *plan.State) (err error) {
				p.Task = "diary"
				e, err := aggregation.NewEnrolled(w.ids[:140])
				p.Population = e.Sign(w.enroller, p.Task)
				return err
			}, policy(func(p *plan.Policy) { p.Task = "diary" })},
		{"devices that the server invented", plan.ReasonEnroller,
			func(w *planWorld, p *plan.Plan, _ *plan.State) error {
				e, err := aggregation.NewEnrolled(w.ids[:140])
				p.Enroller, p.Population = public(w.stranger), e.Sign(w.stranger, planTask)
				return err
			}, func(w *planWorld, p *plan.Policy, _ *plan.State) { p.Enroller = public(w.stranger) }},
		{"a committee of the operator's own keys", plan.ReasonMember,
			changed(func(w *planWorld, p *plan.Plan) {
				for j := range p.Committee {
					p.Committee[j] = public(planKey(7, 100+j))
				}
			}), policy(func(p *plan.Policy) {
				p.Committee = nil
				for j := range committee {
					p.Committee = append(p.Committee, public(planKey(7, 100+j)))
				}
			})},
		{"a committee of four", plan.ReasonCommittee,
			changed(func(_ *planWorld, p *plan.Plan) { p.Committee, p.Packing = p.Committee[:4], 1 }),
			policy(func(p *plan.Policy) { p.MinMembers = 1 })},
		{"a population of few", plan.ReasonSmallPopulation,
			func(w *planWorld, p *plan.Plan, _ *plan.State) (err error) {
				p.Population, err = w.people(120)
				return err
			},
			policy(func(p *plan.Policy) { p.MinPopulation = 0 })},
		{"envelopes that a quantum computer opens", plan.ReasonPostQuantum,
			changed(func(_ *planWorld, p *plan.Plan) { p.Suite = aggregation.SuiteX25519 }),
			policy(func(p *plan.Policy) { p.PostQuantum = false })},
		{"inputs that nobody checks", plan.ReasonUncheckedNorm,
			changed(func(_ *planWorld, p *plan.Plan) { p.CheckNorm = false }),
			policy(func(p *plan.Policy) { p.CheckNorm = false })},
	}
}

// howNoised: too little noise, too few devices.
func howNoised() []malice {
	return []malice{
		{"z = 0: noise off", plan.ReasonNoiseOff,
			designed(func(l *mechanism.Literal) { l.Noise, l.Rho = false, nil }),
			policy(func(p *plan.Policy) { p.AllowNoiseOff = true })},
		{"the server adds the noise", plan.ReasonCentral,
			func(_ *planWorld, p *plan.Plan, _ *plan.State) (err error) {
				p.Mechanism, err = planDesign(func(l *mechanism.Literal) { l.Noise, l.Rho = false, nil })
				p.Goal, p.Central = uint32(p.Mechanism.NMax), &plan.Central{Noise: plan.CentralGaussian, Z: "5"}
				return err
			}, policy(func(p *plan.Policy) { p.AllowCentral = true })},
		{"n_min = 1: a cohort of one device", plan.ReasonCohort,
			designed(func(l *mechanism.Literal) { l.NMin, l.Colluders = 1, 0 }), nil},
		{"two honest devices in a sum", plan.ReasonCohort,
			designed(func(l *mechanism.Literal) { l.NMin, l.Colluders = 9, 7 }),
			policy(func(p *plan.Policy) { p.MinCohort = 1 })},
		{"nobody assumed to collude", plan.ReasonColluders,
			designed(func(l *mechanism.Literal) { l.Colluders = 0 }),
			policy(func(p *plan.Policy) { p.MinColluder = nil })},
		{"a huge clip", plan.ReasonClip,
			designed(func(l *mechanism.Literal) { l.Clip = 1e6 }),
			policy(func(p *plan.Policy) { p.MaxClip = 0 })},
		{"little noise: rho of 0.4 in one round", plan.ReasonRoundCost,
			designed(func(l *mechanism.Literal) { l.Rho = big.NewRat(4, 10) }),
			policy(func(p *plan.Policy) { p.MaxRhoRound, p.MaxRhoTotal = big.NewRat(9, 1), big.NewRat(9, 1) })},
	}
}

// whatItCosts: budgets spent, rounds repeated, histories rewritten.
func whatItCosts() []malice {
	return []malice{
		{"delta of 1e-3", plan.ReasonDelta, changed(func(_ *planWorld, p *plan.Plan) { p.Delta = "0.001" }), nil},
		{"a budget that is spent", plan.ReasonBudget,
			func(_ *planWorld, _ *plan.Plan, st *plan.State) error { st.Spent = big.NewRat(45, 100); return nil },
			policy(func(p *plan.Policy) { p.MaxRhoTotal = big.NewRat(math.MaxInt32, 1) })},
		{"the same round again", plan.ReasonRepeated,
			func(_ *planWorld, p *plan.Plan, st *plan.State) error { st.LastRound = p.Round; return nil },
			func(_ *planWorld, _ *plan.Policy, st *plan.State) { st.LastRound, st.Sealed = 0, false }},
		{"more rounds than a device may be in", plan.ReasonParticipations,
			func(_ *planWorld, p *plan.Plan, st *plan.State) error { st.Rounds = p.Participations; return nil },
			func(_ *planWorld, _ *plan.Policy, st *plan.State) { st.Rounds = 0 }},
		{"a clock turned back", plan.ReasonClock,
			func(_ *planWorld, _ *plan.Plan, st *plan.State) error { st.Seen = st.Now + 1000; return nil },
			func(_ *planWorld, _ *plan.Policy, st *plan.State) { st.Seen = 0 }},
		{"an old model", plan.ReasonOldBase,
			func(_ *planWorld, p *plan.Plan, st *plan.State) error { st.BaseNumber = p.BaseNumber + 1; return nil },
			func(_ *planWorld, _ *plan.Policy, st *plan.State) { st.BaseNumber, st.Base = 0, plan.Digest{} }},
		{"no log", plan.ReasonLogMissing,
			func(_ *planWorld, p *plan.Plan, st *plan.State) error { st.Log = plan.LogMissing; return nil }, trustsLog},
		{"a plan that stands in no log", plan.ReasonNotLogged,
			func(_ *planWorld, _ *plan.Plan, st *plan.State) error { st.Log = plan.LogWithoutPlan; return nil }, trustsLog},
		{"a forked log", plan.ReasonLogForked,
			func(w *planWorld, _ *plan.Plan, st *plan.State) (err error) { st.Log, err = w.fork(); return err }, trustsLog},
	}
}

// trustsLog is a device that keeps no checkpoint.
func trustsLog(_ *planWorld, _ *plan.Policy, st *plan.State) { st.Log = plan.LogConsistent }
