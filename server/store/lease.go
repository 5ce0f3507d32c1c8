package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// ErrFenced says that a write came from somebody who does not hold its lease, or no longer: another replica may have
// taken over. Nothing of it was written. Whoever gets it stops driving.
var ErrFenced = errors.New("the lease is not held any more: another server may have taken over")

// Lease is the right to drive something until it runs out. Tokens of a name only grow, with every Acquire.
type Lease struct {
	Name   string
	Holder string
	Token  uint64
	Until  time.Time // by the holder's own clock, counted from before it asked: the holder stops no later than this
}

// Fence is what a write of the holder carries.
func (l Lease) Fence() Fence { return Fence{l.Name, l.Token} }

// Fence makes a write fail as a whole, with ErrFenced, if the lease has a newer token or has run out.
type Fence struct {
	Name  string
	Token uint64
}

// DriverLease names the lease of a task's driver.
func DriverLease(task string) string { return "task/" + task }

// Acquire takes a lease that is free, has run out, or is this holder's; false says that somebody else holds it, and the
// Lease who and until when.
func (s *SQL) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (Lease, bool, error) {
	asked := s.clock()
	l, won := Lease{}, false
	err := s.db.do(ctx, func(tx *Tx) error {
		l, won = Lease{Name: name, Holder: holder, Until: asked.Add(ttl)}, false
		var by string
		var token, until, now int64
		err := tx.QueryRow(`SELECT holder, token, until, `+tx.d.now()+` FROM leases WHERE name = ?`, name).Scan(&by, &token, &until, &now)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			l.Token, won = 1, true
			_, err = tx.Exec(`INSERT INTO leases VALUES (?, ?, 1, `+tx.d.now()+` + ?)`, name, holder, ttl.Microseconds())
			return err
		case err != nil:
			return err
		case by != holder && until > now:
			l.Holder, l.Token, l.Until = by, uint64(token), asked.Add(time.Duration(until-now)*time.Microsecond)
			return nil
		}
		l.Token, won = uint64(token)+1, true
		_, err = tx.Exec(`UPDATE leases SET holder = ?, token = ?, until = `+tx.d.now()+` + ? WHERE name = ?`, holder, token+1, ttl.Microseconds(), name)
		return err
	})
	return l, won && err == nil, err
}

// Renew makes a lease that is still held last ttl from now; ErrFenced if it is not.
func (s *SQL) Renew(ctx context.Context, l Lease, ttl time.Duration) (Lease, error) {
	asked := s.clock()
	err := s.db.do(ctx, func(tx *Tx) error {
		if err := fenced(tx, l.Fence()); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE leases SET until = `+tx.d.now()+` + ? WHERE name = ?`, ttl.Microseconds(), l.Name)
		return err
	})
	if err == nil {
		l.Until = asked.Add(ttl)
	}
	return l, err
}

// Release gives a lease back; one that is not held any more is nobody's to give.
func (s *SQL) Release(ctx context.Context, l Lease) error {
	return s.db.do(ctx, func(tx *Tx) error {
		_, err := tx.Exec(`UPDATE leases SET until = 0 WHERE name = ? AND token = ?`, l.Name, int64(l.Token))
		return err
	})
}

// fenced is ErrFenced unless f's lease is held. Writes are serial, so that it is still held when this one commits.
func fenced(tx *Tx, f Fence) error {
	var token, until, now int64
	err := tx.QueryRow(`SELECT token, until, `+tx.d.now()+` FROM leases WHERE name = ?`, f.Name).Scan(&token, &until, &now)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("%w (%q, token %d: there is none)", ErrFenced, f.Name, f.Token)
	case err != nil:
		return err
	case uint64(token) != f.Token:
		return fmt.Errorf("%w (%s: token %d, newest %d)", ErrFenced, f.Name, f.Token, token)
	case until <= now:
		return fmt.Errorf("%w (%s: ran out %v ago)", ErrFenced, f.Name, time.Duration(now-until)*time.Microsecond)
	}
	return nil
}

// fencedUnlessOperator lets through a write without a fence: an operator's own, which needs no driver.
func fencedUnlessOperator(tx *Tx, f Fence) error {
	if f == (Fence{}) {
		return nil
	}
	return fenced(tx, f)
}
