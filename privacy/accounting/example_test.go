package accounting_test

import (
	"errors"
	"fmt"
	"math/big"

	"tutti/privacy/accounting"
)

// A task may cost epsilon 8; a round costs rho 1/4. The budget takes four
// rounds and refuses the fifth.
func Example() {
	total, err := accounting.RhoForEpsilon(8, accounting.ClaimDelta(6040))
	if err != nil {
		fmt.Println(err)
		return
	}
	budget, err := accounting.NewBudget(total)
	if err != nil {
		fmt.Println(err)
		return
	}
	round := big.NewRat(1, 4)
	for {
		reserved, err := budget.Reserve(round) // before the round begins
		if errors.Is(err, accounting.ErrBudgetSpent) {
			fmt.Println("refused:", err)
			break
		}
		if budget, err = reserved.Commit(round); err != nil { // before the sum is opened
			fmt.Println(err)
			return
		}
	}
	claim, err := accounting.NewClaim(budget.Spent(), 1e-6)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("spent: rho %s, epsilon %.3f at delta %g (central GDP at 1e-5: %.3f)\n",
		accounting.FormatRho(claim.Rho), claim.Epsilon, claim.Delta, claim.CentralEpsilon)
	// Output:
	// refused: accounting: privacy budget spent: rho 0.25 is needed, 0.052358 remains
	// spent: rho 1/1, epsilon 7.766 at delta 1e-06 (central GDP at 1e-5: 6.573)
}
