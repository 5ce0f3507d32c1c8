package accounting

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
)

// ErrBudgetSpent is what errors.Is finds in the refusal of a charge.
var ErrBudgetSpent = errors.New("accounting: privacy budget spent")

// BudgetError is the refusal of a charge that would exceed the total.
type BudgetError struct {
	Remaining *big.Rat // rho that is neither spent nor reserved
	Needed    *big.Rat // rho that was asked for
}

// Error states both figures.
func (e *BudgetError) Error() string {
	needed, _ := e.Needed.Float64()
	remaining, _ := e.Remaining.Float64()
	return fmt.Sprintf("%v: rho %.6g is needed, %.6g remains", ErrBudgetSpent, needed, remaining)
}

// Is makes errors.Is(err, ErrBudgetSpent) true.
func (e *BudgetError) Is(target error) bool { return target == ErrBudgetSpent }

// Budget is a total of rho with what of it is spent and what is reserved,
// spent + reserved <= total at all times. It is an immutable value: every
// method returns a new one, so a caller persists the new one and then lets
// go of the old one. The zero Budget has nothing to spend.
type Budget struct {
	total, spent, reserved *big.Rat // nil is zero; never written after construction
}

// NewBudget returns a budget of total, none of it spent.
func NewBudget(total *big.Rat) (Budget, error) {
	if err := checkRho(total); err != nil {
		return Budget{}, err
	}
	return Budget{total: new(big.Rat).Set(total)}, nil
}

// Total returns the rho that may be spent in all.
func (b Budget) Total() *big.Rat { return orZero(b.total) }

// Spent returns the rho that is gone.
func (b Budget) Spent() *big.Rat { return orZero(b.spent) }

// Reserved returns the rho that is set aside for releases under way.
func (b Budget) Reserved() *big.Rat { return orZero(b.reserved) }

// Remaining returns total - spent - reserved, never negative.
func (b Budget) Remaining() *big.Rat {
	left := b.Total()
	left.Sub(left, orZero(b.spent))
	return left.Sub(left, orZero(b.reserved))
}

// Reserve sets rho aside before a release. It returns a *BudgetError when
// less remains; a nil rho, which is no finite claim, is refused as well.
func (b Budget) Reserve(rho *big.Rat) (Budget, error) {
	if err := checkRho(rho); err != nil {
		return b, err
	}
	if left := b.Remaining(); rho.Cmp(left) > 0 {
		return b, &BudgetError{Remaining: left, Needed: new(big.Rat).Set(rho)}
	}
	b.reserved = new(big.Rat).Add(orZero(b.reserved), rho)
	return b, nil
}

// Commit turns rho that was reserved into rho that is spent: the release
// happens, or may have happened.
func (b Budget) Commit(rho *big.Rat) (Budget, error) {
	next, err := b.Release(rho)
	if err != nil {
		return b, err
	}
	next.spent = new(big.Rat).Add(orZero(b.spent), rho)
	return next, nil
}

// Release gives back rho that was reserved: the release certainly did not
// and will not happen.
func (b Budget) Release(rho *big.Rat) (Budget, error) {
	if err := checkRho(rho); err != nil {
		return b, err
	}
	if rho.Cmp(orZero(b.reserved)) > 0 {
		return b, fmt.Errorf("%w: rho %s was never reserved", ErrRange, rho.RatString())
	}
	b.reserved = new(big.Rat).Sub(orZero(b.reserved), rho)
	return b, nil
}

// Spend is Reserve and Commit in one.
func (b Budget) Spend(rho *big.Rat) (Budget, error) {
	next, err := b.Reserve(rho)
	if err != nil {
		return b, err
	}
	return next.Commit(rho)
}

func orZero(r *big.Rat) *big.Rat {
	if r == nil {
		return new(big.Rat)
	}
	return new(big.Rat).Set(r)
}

type budgetForm struct {
	Total    string `json:"total"`
	Spent    string `json:"spent"`
	Reserved string `json:"reserved"`
}

// MarshalJSON writes the three amounts as "num/den".
func (b Budget) MarshalJSON() ([]byte, error) {
	return json.Marshal(budgetForm{FormatRho(b.total), FormatRho(b.spent), FormatRho(b.reserved)})
}

// UnmarshalJSON reads what MarshalJSON writes and refuses a state that no
// sequence of calls can reach.
func (b *Budget) UnmarshalJSON(data []byte) error {
	if len(data) > 4*maxRho {
		return fmt.Errorf("%w: %d bytes of budget", ErrRange, len(data))
	}
	var form budgetForm
	if err := json.Unmarshal(data, &form); err != nil {
		return err
	}
	var read Budget
	var err [3]error
	read.total, err[0] = ParseRho(form.Total)
	read.spent, err[1] = ParseRho(form.Spent)
	read.reserved, err[2] = ParseRho(form.Reserved)
	if err := errors.Join(err[:]...); err != nil {
		return err
	}
	if read.Remaining().Sign() < 0 {
		return fmt.Errorf("%w: a budget that is overdrawn", ErrRange)
	}
	*b = read
	return nil
}
