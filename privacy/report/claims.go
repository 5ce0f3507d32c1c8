package report

import (
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"sync/atomic"

	"tutti/privacy/accounting"
)

// fprs are the false-positive rates of the trade-off curve.
var fprs = []string{"0.0001", "0.001", "0.01", "0.02", "0.05", "0.1", "0.2", "0.3", "0.5", "0.7", "0.9"}

// curveDeltas are the deltas of the curve of epsilon over delta.
var curveDeltas = []string{"1e-2", "1e-3", "1e-4", "1e-5", "1e-6", "1e-7", "1e-8", "1e-9", "1e-10", "1e-11", "1e-12"}

// accounts are what the task spent in either view. first is that of the first claim, which every running total uses.
type accounts struct{ server, released account }

func (f *facts) accounts() accounts {
	a := accounts{server: f.accountOf(ViewServer)}
	a.released = a.server
	if slices.ContainsFunc(f.charges, func(c charge) bool { return !sameRho(c.server, c.released) }) {
		a.released = f.accountOf(ViewReleased)
	}
	return a
}

func (a accounts) first() account {
	if a.server.unbounded {
		return a.released
	}
	return a.server
}

// claims are at most two, never mixed: what the server sees, and what is released. With privacy off there is none.
func (f *facts) claims(r *Report, a accounts) ([]Claim, *Failure) {
	out := []Claim{}
	if r.Privacy == PrivacyOff {
		return out, nil
	}
	for _, view := range []struct {
		name string
		account
	}{{ViewServer, a.server}, {ViewReleased, a.released}} {
		if view.unbounded {
			continue
		}
		c, bad := f.claim(r, view.name, view.account, out)
		if bad != nil {
			return nil, bad
		}
		out = append(out, c)
	}
	return out, nil
}

// claim is one view's; what follows from rho alone is taken over from a claim before it with the same rho.
func (f *facts) claim(r *Report, view string, a account, before []Claim) (Claim, *Failure) {
	d, bad := delta(f)
	if bad != nil {
		return Claim{}, bad
	}
	numbers, err := accounting.NewClaim(a.rho, d)
	if err != nil {
		return Claim{}, fail(ReasonEpsilon, "%v", err)
	}
	strict, err := accounting.EpsilonFromRho(a.rho, 1e-10)
	if err != nil {
		return Claim{}, fail(ReasonEpsilon, "%v", err)
	}
	eps := up(numbers.Epsilon, 4)
	c := Claim{
		View: view, Sentence: claimSentence(view, eps, f.task.Delta, a.most, a.rounds), Adversary: adversary(view, r.Setting, r.Security, f.colluders()),
		Covers: covers(view), Unit: f.task.Unit, Adjacency: f.task.Adjacency,
		Rounds: a.rounds, MaxParticipations: a.most, MinSeparation: a.apart, Participation: a.inWords, Notion: "zCDP",
		Rho: a.rho.String(), RhoDecimal: a.rho.FloatString(6), Mu: fixed(numbers.Mu, 6),
		Epsilons: []Epsilon{
			{f.task.Delta, eps, zcdpAccount, claimNote},
			{"1e-10", up(strict, 4), zcdpAccount, strictNote},
			{decimal(accounting.CentralDelta), up(numbers.CentralEpsilon, 4), gdpAccount, centralNote},
		},
		Tier: tier(numbers.Epsilon),
	}
	if len(before) > 0 && before[0].Rho == c.Rho {
		same := before[0]
		c.Curve, c.Tradeoff = slices.Clone(same.Curve), slices.Clone(same.Tradeoff)
		if same.PLD != nil {
			pld := *same.PLD
			c.PLD = &pld
		}
		return c, nil
	}
	if c.Curve, bad = curve(a.rho); bad != nil {
		return c, bad
	}
	if c.Tradeoff, bad = tradeoff(a.rho, numbers.Mu); bad != nil {
		return c, bad
	}
	c.PLD = f.pld(a, d)
	if view == ViewServer {
		c.Lone, bad = f.loneClaim(d)
	}
	return c, bad
}

// loneClaim is the guarantee left when every other device is false.
func (f *facts) loneClaim(d float64) (*Lone, *Failure) {
	lone := f.lone()
	if lone == nil {
		return nil, nil
	}
	eps, err := accounting.EpsilonFromRho(lone, d)
	if err != nil {
		return nil, fail(ReasonEpsilon, "%v", err)
	}
	return &Lone{lone.FloatString(6), f.task.Delta, up(eps, 4)}, nil
}

func curve(rho *big.Rat) ([]Point, *Failure) {
	out := make([]Point, 0, len(curveDeltas))
	for _, text := range curveDeltas {
		x, _ := ratOf(text)
		eps, err := accounting.EpsilonFromRho(rho, toFloat(x))
		if err != nil {
			return nil, fail(ReasonEpsilon, "%v", err)
		}
		out = append(out, Point{text, up(eps, 4)})
	}
	return out, nil
}

// tradeoff bounds every test of membership, at each false-positive rate: by zCDP, and by a Gaussian of the same rho.
func tradeoff(rho *big.Rat, mu float64) ([]Tradeoff, *Failure) {
	out := make([]Tradeoff, 0, len(fprs))
	for _, text := range fprs {
		x, _ := ratOf(text)
		fpr := toFloat(x)
		gaussian := fpr
		if mu > 0 {
			var err error
			if gaussian, err = accounting.MaxTPR(mu, fpr); err != nil {
				return nil, fail(ReasonEpsilon, "%v", err)
			}
		}
		out = append(out, Tradeoff{text, up(min(1, maxTPR(toFloat(rho), fpr)), 4), up(min(1, gaussian), 4)})
	}
	return out, nil
}

// renyiOrders are those at which maxTPR asks; more would tighten the bound a little.
var renyiOrders = func() (out []float64) {
	for a := 1.02; a < 600; a *= 1.12 {
		out = append(out, a)
	}
	return out
}()

// maxTPR is the largest true-positive rate of any test with this false-positive rate against a rho-zCDP release: a test
// is a map to one bit, and the divergences of its two bits are at most rho a at every order a (data processing, Bun and
// Steinke, arXiv 1605.02065, Lemma 2.2), in both directions.
func maxTPR(rho, fpr float64) float64 {
	fits := func(tpr float64) bool {
		for _, a := range renyiOrders {
			if bitDivergence(tpr, fpr, a) > rho*a || bitDivergence(fpr, tpr, a) > rho*a {
				return false
			}
		}
		return true
	}
	low, high := fpr, 1.0
	for range 40 {
		if middle := (low + high) / 2; fits(middle) {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

// bitDivergence is the Renyi divergence of order a between bits that are 1 with probability p and q.
func bitDivergence(p, q, a float64) float64 {
	term := func(x, y float64) float64 { // log of x^a y^(1-a)
		switch {
		case x <= 0:
			return math.Inf(-1)
		case y <= 0:
			return math.Inf(1)
		}
		return a*math.Log(x) + (1-a)*math.Log(y)
	}
	s, t := term(p, q), term(1-p, 1-q)
	top := max(s, t)
	if math.IsInf(top, 0) {
		return top
	}
	return (top + math.Log(math.Exp(s-top)+math.Exp(t-top))) / (a - 1)
}

// epsilons converts running totals, of which there may be ten thousand, on all processors.
func epsilons(totals []*big.Rat, delta float64) ([]float64, error) {
	out, errs := make([]float64, len(totals)), make([]error, len(totals))
	inParallel(len(totals), 64, func(i int) { out[i], errs[i] = accounting.EpsilonFromRho(totals[i], delta) })
	for _, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("epsilon of a running total: %w", err)
		}
	}
	return out, nil
}

// pld is epsilon by the privacy loss distribution of what the rounds would be with continuous Gaussian noise of the same
// rho, and of the statements as they are. Nil where the accountant has none for it.
func (f *facts) pld(a account, d float64) *PLD {
	rounds := new(big.Rat).Set(a.rho)
	spoken := map[string]int{}
	for _, t := range f.telemetry {
		spoken[t.record.Epsilon]++
		rounds.Sub(rounds, t.record.Rho)
	}
	var parts []accounting.Event
	if rounds.Sign() > 0 {
		parts = append(parts, accounting.Gaussian{Z: 1 / math.Sqrt(2*toFloat(rounds))})
	}
	for _, text := range slices.Sorted(maps.Keys(spoken)) {
		eps, err := strconv.ParseFloat(text, 64)
		if err != nil || !(eps > 0) {
			return nil
		}
		parts = append(parts, accounting.SelfComposed{Event: accounting.Laplace{B: 1 / eps}, Count: spoken[text]})
	}
	if len(parts) == 0 {
		return nil
	}
	eps, step, ok := lossEpsilon(accounting.Composed{Events: parts}, d)
	if !ok {
		return nil
	}
	return &PLD{f.task.Delta, up(eps, 4), decimal(step), true, pldNote}
}

// lossOf remembers the last loss distribution: a report is built and verified, and its claims are often alike.
var lossOf atomic.Pointer[lossMemo]

type lossMemo struct {
	event     string
	delta     float64
	eps, step float64
	ok        bool
}

func lossEpsilon(e accounting.Event, delta float64) (eps, step float64, ok bool) {
	name := fmt.Sprint(e)
	if m := lossOf.Load(); m != nil && m.event == name && m.delta == delta {
		return m.eps, m.step, m.ok
	}
	m := &lossMemo{event: name, delta: delta}
	if loss, err := accounting.NewPLD(e); err == nil {
		m.step = loss.Step()
		m.eps, err = loss.Epsilon(delta)
		m.ok = err == nil && !math.IsInf(m.eps, 0)
	}
	lossOf.Store(m)
	return m.eps, m.step, m.ok
}
