package report

import (
	"errors"
	"math/big"
	"slices"

	"tutti/privacy/accounting"
	"tutti/privacy/ledger"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
)

// cost is what one release costs in each view; nil where nothing bounds it. rho is what is charged for it.
type cost struct{ server, released, rho *big.Rat }

// costs are those of a planned round: of its main vector, and of its metrics. Noise that the server adds protects what is
// released and nothing that the server sees; the metrics carry the devices' own noise in every mode.
func (p planFact) costs() (main, metrics cost) {
	rho := p.plan.Mechanism.Rho()
	main = cost{rho, rho, rho}
	if c := p.plan.Central; c != nil {
		rho = c.Rho()
		main = cost{nil, rho, rho}
	}
	if p.plan.Metrics != nil {
		rho := p.plan.Metrics.Mechanism.Rho()
		metrics = cost{rho, rho, rho}
	}
	return main, metrics
}

// charge enters what a round costs. What was opened and never published costs nothing to those who see what is released;
// a stream of correlated noise costs once and as a whole, whatever becomes of its rounds.
func (f *facts) charge(seq uint64, p planFact, published bool) {
	main, metrics := p.costs()
	stream := p.plan.Stream() != ledger.Digest{}
	switch {
	case p.paid:
		main.released, main.rho = new(big.Rat), new(big.Rat)
	case !published && !stream && main.released != nil:
		main.released = new(big.Rat)
	}
	f.charges = append(f.charges, charge{seq, p.record.What, stream, main})
	if p.plan.Metrics != nil {
		if !published && metrics.released != nil {
			metrics.released = new(big.Rat)
		}
		f.charges = append(f.charges, charge{seq, "metrics", false, metrics})
	}
}

// checkRho: the cost of each round follows from its numbers in exact arithmetic; gives their total with telemetry's.
func (f *facts) checkRho() (*big.Rat, *Failure) {
	known := map[mechanism.Params]*big.Rat{}
	theorem := func(p mechanism.Params) (*big.Rat, error) {
		if rho, ok := known[p]; ok {
			return rho, nil
		}
		rho, err := rhoOf(p)
		if err == nil {
			known[p] = rho
		}
		return rho, err
	}
	for _, r := range f.rounds {
		p := r.plan.plan
		rho, err := theorem(p.Mechanism)
		if err != nil || !sameRho(rho, p.Mechanism.Rho()) {
			return nil, fail(ReasonRho, "round %d is charged with another rho than B^2/(2 (n_min - t_c) sigma^2)", r.record.Round)
		}
		if p.Central != nil {
			if rho, err = centralRho(p); err != nil {
				return nil, fail(ReasonRho, "the server's noise of round %d: %v", r.record.Round, err)
			}
			if r.plan.paid {
				rho = new(big.Rat)
			}
		}
		if p.Metrics != nil {
			more, err := theorem(p.Metrics.Mechanism)
			if err != nil || !sameRho(more, p.Metrics.Mechanism.Rho()) {
				return nil, fail(ReasonRho, "the metrics of round %d are charged with another rho than B^2/(2 (n_min - t_c) sigma^2)", r.record.Round)
			}
			if rho != nil && more != nil {
				rho = new(big.Rat).Add(rho, more)
			} else {
				rho = nil
			}
		}
		if !sameRho(rho, r.record.Rho) {
			return nil, fail(ReasonRho, "round %d is charged with another rho than its signed plan gives", r.record.Round)
		}
	}
	return f.total(), nil
}

// centralRho is the cost by the accountant's theorems on the noise that a server adds.
func centralRho(p plan.Plan) (*big.Rat, error) {
	event, err := p.Event()
	if err != nil {
		return nil, err
	}
	rho, err := accounting.Rho(event)
	if err == nil && !sameRho(rho, p.Central.Rho()) {
		err = errors.New("another rho than 1/(2 z^2)")
	}
	return rho, err
}

// rhoOf is the cost by the accountant's theorem on sums of discrete Gaussians; nil when noise is off.
func rhoOf(p mechanism.Params) (*big.Rat, error) {
	if !p.Noise {
		return nil, nil
	}
	return accounting.Rho(accounting.DiscreteGaussianSum{
		L2: big.NewRat(p.L2Bound, 1), Sigma2: p.Sigma2.Rat(), Shares: p.NMin - p.Colluders, Dim: p.PaddedDim,
	})
}

// total is what everything with noise was charged, every device counted in every round.
func (f *facts) total() *big.Rat {
	sum := new(adder)
	for _, c := range f.charges {
		if c.rho != nil {
			sum.add(c.rho)
		}
	}
	return sum.rat()
}

// adder sums rationals of which most are the same: one product for each that differs, instead of one gcd for each.
type adder struct {
	values []*big.Rat
	counts []int64
	at     map[string]int
}

func (a *adder) add(x *big.Rat) {
	if a.at == nil {
		a.at = map[string]int{}
	}
	if n := len(a.values); n > 0 && a.values[n-1].Cmp(x) == 0 {
		a.counts[n-1]++
		return
	}
	key := x.String()
	i, ok := a.at[key]
	if !ok {
		i = len(a.values)
		a.at[key] = i
		a.values, a.counts = append(a.values, x), append(a.counts, 0)
	}
	a.counts[i]++
}

func (a *adder) rat() *big.Rat {
	sum := new(big.Rat)
	for i, x := range a.values {
		sum.Add(sum, new(big.Rat).Mul(x, big.NewRat(a.counts[i], 1)))
	}
	return sum
}

// lone is what is left to a device all of whose companions are false: in each round, its own noise only. Nil where the
// server's noise is what is counted.
func (f *facts) lone() *big.Rat {
	sum := new(adder)
	for _, c := range f.telemetry {
		sum.add(c.record.Rho)
	}
	own := func(m mechanism.Params) {
		if rho := m.Rho(); rho != nil {
			honest := big.NewRat(int64(m.NMin-m.Colluders), 1)
			sum.add(honest.Mul(honest, rho))
		}
	}
	for _, p := range f.held() {
		if p.plan.Central != nil {
			return nil
		}
		own(p.plan.Mechanism)
		if p.plan.Metrics != nil {
			own(p.plan.Metrics.Mechanism)
		}
	}
	return sum.rat()
}

// held are the plans of all rounds that were charged, or may be yet.
func (f *facts) held() []planFact {
	out := make([]planFact, 0, len(f.rounds)+len(f.pending))
	for _, r := range f.rounds {
		out = append(out, r.plan)
	}
	return append(out, f.pending...)
}

// off says whether any round lacked noise, or will.
func (f *facts) off() bool { return slices.ContainsFunc(f.held(), lacking) }

func lacking(p planFact) bool { return !p.plan.Mechanism.Noise && p.plan.Central == nil }

// privacy is the state that the report leads with.
func (f *facts) privacy() string {
	switch {
	case f.off():
		return PrivacyOff
	case len(f.central()) > 0:
		return PrivacyCentral
	}
	return PrivacyOn
}

// central are the plans whose noise the server was trusted to add.
func (f *facts) central() (out []planFact) {
	for _, p := range f.held() {
		if p.plan.Central != nil {
			out = append(out, p)
		}
	}
	return out
}

// openRounds are the rounds without noise.
func (f *facts) openRounds() (open []roundFact) {
	for _, r := range f.rounds {
		if lacking(r.plan) {
			open = append(open, r)
		}
	}
	return open
}
