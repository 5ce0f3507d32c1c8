package accounting

import "math/big"

// Event is one privacy-relevant release, or a composition of them.
type Event interface{ event() }

// ZCDP is a rho-zCDP release.
type ZCDP struct{ Rho *big.Rat }

// Gaussian is a Gaussian mechanism with sigma = Z times the L2 sensitivity.
type Gaussian struct{ Z float64 }

// PureDP is an epsilon-DP release.
type PureDP struct{ Epsilon float64 }

// Laplace is a Laplace mechanism with scale = B times the L1 sensitivity.
type Laplace struct{ B float64 }

// Composed is the adaptive composition of Events.
type Composed struct{ Events []Event }

// SelfComposed is Count adaptive repetitions of Event.
type SelfComposed struct {
	Event Event
	Count int
}

func (ZCDP) event()         {}
func (Gaussian) event()     {}
func (PureDP) event()       {}
func (Laplace) event()      {}
func (Composed) event()     {}
func (SelfComposed) event() {}

// Rho returns the zCDP cost of e, exactly.
func Rho(e Event) (*big.Rat, error) { panic("not yet") }

// DecodeEvent reads a typed JSON event tree.
func DecodeEvent(b []byte) (Event, error) { panic("not yet") }

// EpsilonFromRho converts rho-zCDP to (epsilon, delta)-DP.
func EpsilonFromRho(rho *big.Rat, delta float64) (float64, error) { panic("not yet") }

// RhoForEpsilon returns the largest rho (rounded down) whose epsilon at delta is at most eps.
func RhoForEpsilon(eps, delta float64) (*big.Rat, error) { panic("not yet") }

// Budget is an immutable total of rho with what was spent and reserved.
type Budget struct{ total, spent, reserved *big.Rat }

// NewBudget returns an unspent budget.
func NewBudget(total *big.Rat) (Budget, error) { panic("not yet") }

// Reserve sets rho aside, or returns a *BudgetError (errors.Is ErrBudgetSpent).
func (b Budget) Reserve(rho *big.Rat) (Budget, error) { panic("not yet") }

// Commit turns rho that was reserved into rho that is spent.
func (b Budget) Commit(rho *big.Rat) (Budget, error) { panic("not yet") }

// Release gives back rho that was reserved.
func (b Budget) Release(rho *big.Rat) (Budget, error) { panic("not yet") }

// Spend is Reserve and Commit at once.
func (b Budget) Spend(rho *big.Rat) (Budget, error) { panic("not yet") }

// Claim is what a user is told about a total rho.
type Claim struct {
	Rho        *big.Rat
	Delta      float64
	Epsilon    float64 // zCDP, Canonne-Kamath-Steinke, zero-out adjacency
	Mu         float64 // GDP: sqrt(2 rho)
	EpsilonGDP float64 // central exact Gaussian at delta 1e-5, to compare with studies
}

// NewClaim computes both columns.
func NewClaim(rho *big.Rat, delta float64) (Claim, error) { panic("not yet") }
