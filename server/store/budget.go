package store

import (
	"context"
	"database/sql"
	"fmt"
	"math/big"

	"tutti/server/round"
)

// BudgetState is what became of the rho that a round reserved.
type BudgetState int

const (
	Reserved BudgetState = iota + 1 // the round is under way
	Charged                         // a certificate exists
	Freed                           // nothing can have been opened, and no device is charged
	Held                            // abandoned without a certificate: devices keep their charge, so the server does
)

// Budget is what a task has reserved, charged and held by the server's own books, beside which the log keeps the public
// ones. Rounds without noise are not in it.
func (s *SQL) Budget(ctx context.Context, task string) (map[BudgetState]*big.Rat, error) {
	out := noBudget()
	err := s.db.Query(ctx, `SELECT rho, state FROM budget WHERE task = ?`, []any{task}, func(rows *sql.Rows) error {
		var text string
		var state int
		if err := rows.Scan(&text, &state); err != nil || text == "" {
			return err
		}
		rho, ok := new(big.Rat).SetString(text)
		if !ok || out[BudgetState(state)] == nil {
			return fmt.Errorf("budget of task %s: %w", task, ErrCorrupt)
		}
		out[BudgetState(state)].Add(out[BudgetState(state)], rho)
		return nil
	})
	return out, err
}

func noBudget() map[BudgetState]*big.Rat {
	return map[BudgetState]*big.Rat{Reserved: new(big.Rat), Charged: new(big.Rat), Freed: new(big.Rat), Held: new(big.Rat)}
}

func rhoText(rho *big.Rat) string {
	if rho == nil {
		return ""
	}
	return rho.RatString()
}

// endedStates leaves out the states in which a round needs nothing more, as SQL reads them.
var endedStates = fmt.Sprintf("state NOT IN (%d, %d)", round.Published, round.Lost)
