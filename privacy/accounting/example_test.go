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

// What is known about a task of 1,000 rounds with a sample of 1 % in each,
// by two accountants, and the least noise for epsilon 2 by the better one.
func ExampleLeastNoise() {
	rounds := func(z float64) accounting.Event {
		return accounting.SelfComposed{Event: accounting.PoissonSampled{Q: 0.01, Event: accounting.Gaussian{Z: z}}, Count: 1000}
	}
	byRDP, err := accounting.EpsilonByRDP(rounds(1), 1e-6)
	if err != nil {
		fmt.Println(err)
		return
	}
	byPLD, err := accounting.EpsilonByPLD(rounds(1), 1e-6)
	if err != nil {
		fmt.Println(err)
		return
	}
	z, err := accounting.LeastNoise(2, 1e-6, rounds, accounting.EpsilonByPLD)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = accounting.EpsilonByRho(rounds(1), 1e-6)
	fmt.Printf("epsilon %.3f by RDP, %.3f by PLD; epsilon 2 needs z %.3f; zCDP refuses: %v\n",
		byRDP, byPLD, z, errors.Is(err, accounting.ErrEvent))
	// Output:
	// epsilon 2.437 by RDP, 2.125 by PLD; epsilon 2 needs z 1.029; zCDP refuses: true
}

// A task of 1,000 rounds that a device may be in 5 times, 200 rounds apart:
// what correlated noise of two buffers gains over independent noise.
func ExampleChooseBLT() {
	const rounds, participations, separation = 1000, 5, 200
	chosen, err := accounting.ChooseBLT(rounds, participations, separation, 2)
	if err != nil {
		fmt.Println(err)
		return
	}
	loss, err := chosen.MaxLoss(rounds, participations, separation)
	if err != nil {
		fmt.Println(err)
		return
	}
	independent, err := accounting.BLT{}.MaxLoss(rounds, participations, separation)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("theta %.3f, omega %.3f: error %.2f instead of %.2f\n", chosen.Theta, chosen.Omega, loss, independent)
	// Output:
	// theta [0.992 0.757], omega [0.160 0.317]: error 8.99 instead of 70.71
}
