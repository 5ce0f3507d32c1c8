package server

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"io"
	"math/big"
	"strings"

	"tutti/privacy/ledger"
	"tutti/server/store"
)

// Ledger is the server's transparency log.
type Ledger struct{ s *Server }

// Ledger gives access to the log.
func (s *Server) Ledger() Ledger { return Ledger{s} }

// Append writes a record that belongs to no round, durably: telemetry. It makes Ledger a telemetry.Ledger.
func (l Ledger) Append(body ledger.Body) error {
	t := l.s.leading()
	if t == nil {
		return ErrFollower
	}
	return l.s.fenced(t, l.s.st.Append(l.s.ctx, t.fence(), l.s.cfg.Clock(), body))
}

// Size is the number of records.
func (l Ledger) Size() uint64 { return l.s.st.LogSize() }

// Totals is what the task has spent by the log.
func (l Ledger) Totals() ledger.Totals {
	t, _ := l.s.st.Totals(l.s.cfg.Task)
	return t
}

// Origin is the log's name.
func (l Ledger) Origin() string { return "tutti/" + l.s.cfg.Task }

// Checkpoint is the signed note over all records.
func (l Ledger) Checkpoint() ([]byte, error) { return l.checkpoint(l.s.st.LogSize()) }

func (l Ledger) checkpoint(size uint64) ([]byte, error) {
	root, err := l.s.st.Root(size)
	if err != nil {
		return nil, err
	}
	return ledger.SignCheckpoint(l.s.keys.Operator, ledger.Checkpoint{Origin: l.Origin(), Size: size, Root: root})
}

// Records calls each with every record from seq on.
func (l Ledger) Records(ctx context.Context, from uint64, each func(ledger.Record) error) error {
	return l.s.st.Records(ctx, from, func(_ uint64, data []byte) error {
		rec, err := ledger.Decode(data)
		if err != nil {
			return err
		}
		return each(rec)
	})
}

// Export writes ledger.jsonl.
func (l Ledger) Export(ctx context.Context, w io.Writer) error {
	b := bufio.NewWriter(w)
	if err := l.Records(ctx, 0, func(r ledger.Record) error { return ledger.Export(b, r) }); err != nil {
		return err
	}
	return b.Flush()
}

// Tokens makes n one-time enrolment tokens. The server keeps their hashes only.
func (s *Server) Tokens(ctx context.Context, n int) ([]string, error) {
	out, hashes := make([]string, n), make([][32]byte, n)
	for i := range out {
		var raw [20]byte
		if _, err := io.ReadFull(rand.Reader, raw[:]); err != nil {
			return nil, err
		}
		out[i] = strings.ToLower(base32.StdEncoding.EncodeToString(raw[:]))
		hashes[i] = store.TokenHash(s.cfg.Task, out[i])
	}
	return out, s.st.AddTokens(ctx, s.cfg.Clock(), s.cfg.Task, hashes)
}

// BudgetError refuses a round that the task's budget does not bear.
type BudgetError struct {
	Budget, Spent, Asked *big.Rat // Spent: charged, reserved and held
}

func (e *BudgetError) Error() string {
	return fmt.Sprintf("server: the task's privacy budget is rho %s, of which %s is spent or reserved; this round would cost %s more and was not opened",
		e.Budget.FloatString(6), e.Spent.FloatString(6), e.Asked.FloatString(6))
}

// Remaining is what the budget still bears; nil when no bound is claimed.
func (s *Server) Remaining(ctx context.Context) (*big.Rat, error) {
	budget, spent, err := s.spent(ctx)
	if err != nil || budget == nil {
		return nil, err
	}
	return budget.Sub(budget, spent), nil
}

// spent is the budget and what the task has spent, reserved, or holds for rounds that were abandoned without a
// certificate; the log counts the latter as free.
func (s *Server) spent(ctx context.Context) (budget, spent *big.Rat, err error) {
	t, _ := s.st.Totals(s.cfg.Task)
	books, err := s.st.Budget(ctx, s.cfg.Task)
	if err != nil {
		return nil, nil, err
	}
	spent = new(big.Rat).Add(t.Spent, t.Reserved)
	spent.Add(spent, books[store.Held])
	if t.Budget != nil {
		budget = new(big.Rat).Set(t.Budget)
	}
	return budget, spent, nil
}

// checkBudget refuses a round whose cost does not fit: with it, one device could lose more than the budget.
func (s *Server) checkBudget(ctx context.Context, rho *big.Rat, stream ledger.Digest) error {
	if rho == nil {
		return nil
	}
	budget, spent, err := s.spent(ctx)
	if err != nil || budget == nil {
		return err
	}
	last, err := s.st.LastRound(ctx, s.cfg.Task)
	if err != nil {
		return err
	}
	before, _ := s.st.With(s.cfg.Task, last+1, nil, ledger.Digest{})
	with, _ := s.st.With(s.cfg.Task, last+1, rho, stream)
	if with.Sub(with, before).Add(with, spent).Cmp(budget) > 0 {
		return &BudgetError{Budget: budget, Spent: spent, Asked: rho}
	}
	return nil
}

// Participation says, over all devices that were ever counted, how many there are, in how many rounds one was counted at
// most, and how many counts there are in all: exact numbers, for the operator alone.
func (s *Server) Participation(ctx context.Context) (devices, most, total int, err error) {
	return s.st.Participation(ctx, s.cfg.Task)
}
