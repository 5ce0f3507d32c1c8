package report

import "math/big"

// checkBudget: the task's own bound, and the bound that every signed plan gave, hold for the dearest device.
func (f *facts) checkBudget(a accounts) *Failure {
	if spent := a.first(); !spent.unbounded && f.task.Budget != nil && spent.rho.Cmp(f.task.Budget) > 0 {
		return fail(ReasonBudget, "rho %s was spent of %s", spent.rho.FloatString(6), f.task.Budget.FloatString(6))
	}
	so, noised := a.first(), new(big.Rat)
	for _, r := range f.rounds {
		if r.record.Rho == nil {
			continue
		}
		noised.Add(noised, r.record.Rho)
		spent := noised
		if !so.unbounded {
			spent = so.after[r.record.Round]
		}
		if limit := r.plan.plan.Budget; limit == nil || spent.Cmp(limit) > 0 {
			return fail(ReasonBudget, "with round %d, rho %s exceeds what its plan allowed a device to spend", r.record.Round, spent.FloatString(6))
		}
		if r.plan.plan.Delta != f.task.Delta {
			return fail(ReasonBudget, "round %d was planned at delta %s, the task's is %s", r.record.Round, r.plan.plan.Delta, f.task.Delta)
		}
	}
	return nil
}
