package report

import (
	"fmt"
	"math/big"
	"sort"

	"tutti/privacy/plan"
)

// visit is a round that one device may have been in.
type visit struct {
	round      uint64
	rho        *big.Rat // what it costs the device
	most       uint64   // k of the round's plan: the device is in no more rounds than that, this one counted
	separation uint64   // b of the plan: and in none of the b-1 before it
	whole      *big.Rat // what it costs whoever is in the task at all, if anything
}

// mostStates bounds the table of worstDevice; beyond it every round is counted, which is never too little.
const mostStates = 4 << 20

// worstDevice gives, after each round, the most that a device can have been charged which keeps the k and b of every
// plan: the largest sum over rounds r_1 < r_2 < ... with at most k(r_i) of them up to r_i and r_i >= r_(i-1) + b(r_i).
// visits are in the order of their rounds. limited is false where no plan sets a limit that binds, or where the table
// would be too large: then all rounds are counted.
func worstDevice(visits []visit) (after []*big.Rat, limited bool) {
	counts, separated := uint64(0), false
	for _, v := range visits {
		if v.separation > 1 {
			separated = true
		}
		if v.most < uint64(len(visits)) {
			counts = max(counts, v.most)
			limited = true
		}
	}
	for _, v := range visits {
		if limited && v.most >= uint64(len(visits)) { // a plan without a cap beside plans with one
			counts = uint64(len(visits))
		}
	}
	if !limited && !separated || uint64(len(visits))*(counts+1) > mostStates {
		return runningSums(visits), false
	}
	if !limited {
		counts = 1 // one column: no cap on the number, only on the distance
	}
	return worstTable(visits, int(counts), limited), true
}

func runningSums(visits []visit) []*big.Rat {
	out := make([]*big.Rat, len(visits))
	sum := new(big.Rat)
	for i, v := range visits {
		if v.rho.Sign() > 0 {
			sum = new(big.Rat).Add(sum, v.rho)
		}
		out[i] = sum
	}
	return out
}

// worstTable is best[i][c]: the dearest choice among the first i rounds with at most c of them; with one column and no
// cap, with any number of them. All sums are integers over the common denominator.
func worstTable(visits []visit, columns int, capped bool) []*big.Rat {
	den := big.NewInt(1)
	for _, v := range visits {
		d := v.rho.Denom()
		g := new(big.Int).GCD(nil, nil, den, d)
		den = new(big.Int).Mul(den, new(big.Int).Quo(d, g))
	}
	zero := new(big.Int)
	best := make([][]*big.Int, len(visits)+1)
	best[0] = make([]*big.Int, columns+1)
	for c := range best[0] {
		best[0][c] = zero
	}
	out := make([]*big.Rat, len(visits))
	for i, v := range visits {
		price := new(big.Int).Mul(v.rho.Num(), new(big.Int).Quo(den, v.rho.Denom()))
		free := sort.Search(i, func(j int) bool { return visits[j].round+max(v.separation, 1) > v.round }) // rounds that may come before it
		row := append([]*big.Int{}, best[i]...)
		for c := 1; c <= columns; c++ {
			if capped && uint64(c) > v.most {
				// With at most c rounds in all, this one may still be among the first k.
				row[c] = larger(row[c], row[c-1])
				continue
			}
			earlier := c
			if capped {
				earlier = c - 1
			}
			row[c] = larger(row[c], new(big.Int).Add(best[free][earlier], price))
		}
		best[i+1] = row
		out[i] = new(big.Rat).SetFrac(row[columns], den)
	}
	return out
}

func larger(a, b *big.Int) *big.Int {
	if a.Cmp(b) >= 0 {
		return a
	}
	return b
}

// visits are the rounds that were charged, or may be yet, in their order, at the price that one view has.
func (f *facts) visits(view string) ([]visit, bool) {
	price, whole := map[uint64]*big.Rat{}, map[uint64]*big.Rat{} // by record
	for _, c := range f.charges {
		rho, sums := c.of(view), price
		if rho == nil {
			return nil, false
		}
		if c.whole {
			sums = whole
		}
		if sum := sums[c.seq]; sum != nil {
			rho = new(big.Rat).Add(sum, rho)
		}
		sums[c.seq] = rho
	}
	out := make([]visit, 0, len(f.rounds)+len(f.pending))
	add := func(seq uint64, p plan.Plan) {
		v := visit{p.Round, price[seq], uint64(p.Participations), uint64(p.Separation), whole[seq]}
		if v.rho == nil {
			v.rho = new(big.Rat)
		}
		out = append(out, v)
	}
	for _, r := range f.rounds {
		add(r.seq, r.plan.plan)
	}
	for _, p := range f.pending {
		add(p.seq, p.plan)
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].round < out[j].round })
	return out, true
}

// of is the charge in one view; nil where nothing bounds it.
func (c charge) of(view string) *big.Rat {
	if view == ViewServer {
		return c.server
	}
	return c.released
}

// account is what the dearest device spent in one view.
type account struct {
	rho       *big.Rat            // in all, statements counted in full
	after     map[uint64]*big.Rat // after each round, streams in full, without the statements
	rounds    uint64
	most      uint64 // rounds that one device can be in
	apart     uint64
	limited   bool
	inWords   string
	unbounded bool
}

// accountOf adds up what one view costs: every statement, and the rounds of the dearest device.
func (f *facts) accountOf(view string) account {
	visits, bounded := f.visits(view)
	a := account{rho: new(big.Rat), after: map[uint64]*big.Rat{}, unbounded: !bounded}
	if !bounded {
		return a
	}
	after, limited := worstDevice(visits)
	a.rounds, a.limited, a.apart = uint64(len(visits)), limited, 1
	streams := new(big.Rat)
	for i, v := range visits {
		if a.rho = after[i]; v.whole != nil {
			streams = new(big.Rat).Add(streams, v.whole)
		}
		if streams.Sign() > 0 {
			a.rho = new(big.Rat).Add(a.rho, streams)
		}
		a.after[v.round] = a.rho
	}
	a.most = a.rounds
	if limited {
		a.most, a.apart = reach(visits), leastSeparation(visits)
		a.inWords = fmt.Sprintf("the dearest choice of rounds that every signed plan allows one device: at most %d, %d apart; the device counts them itself", a.most, a.apart)
	} else {
		a.inWords = "every device is counted in every round, which is the most it can be"
	}
	statements := new(adder)
	for _, t := range f.telemetry {
		statements.add(t.record.Rho)
	}
	a.rho = new(big.Rat).Add(a.rho, statements.rat())
	return a
}

// words says what the dearest device spent.
func (a account) words() string {
	if a.unbounded {
		return "no view has a finite cost"
	}
	return fmt.Sprintf("%s of %d rounds for the dearest device", a.rho.FloatString(6), a.rounds)
}

// reach is the most rounds that one device can be in.
func reach(visits []visit) uint64 {
	units := make([]visit, len(visits))
	one := big.NewRat(1, 1)
	for i, v := range visits {
		units[i] = v
		units[i].rho = one
	}
	after, _ := worstDevice(units)
	if len(after) == 0 {
		return 0
	}
	return after[len(after)-1].Num().Uint64()
}

func leastSeparation(visits []visit) uint64 {
	least := uint64(0)
	for i, v := range visits {
		if i == 0 || v.separation < least {
			least = v.separation
		}
	}
	return max(least, 1)
}
