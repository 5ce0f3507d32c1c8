// Package server is the aggregation server: it runs rounds (RunRound), publishes versions (Publish), serves devices and
// readers of the log (Serve), and keeps everything that matters in its data directory, so that a process that dies at
// any point is continued by the next (Resume).
//
// The decisions are in server/round, a pure machine; this package is its shell. It reserves the budget and logs the
// plan before a round opens, charges before it asks for a release, and never holds the key of any mask.
//
// # Groups
//
// A round may be split into groups (Config.Groups, rule 11 of the secure sum's design): each is a secure sum of its own,
// over the devices that the lot puts into it, with a configuration, a machine, staged uploads, a certificate and a row of
// its own. They share the plan, the population, the members' keys and coins, the budget and the log's record.
//
//   - The first group opens the round: its machine collects keys and coins. The transition to COLLECTING writes the rows
//     of all groups at once, and the others' machines begin there. Without groups nothing else ever happens.
//   - One goroutine drives all machines of a round.
//   - The first certificate charges the round, and no other charges it again: the groups are disjoint, so the cost to a
//     device is that of its own. It is free only when every group is abandoned by certificate.
//   - A group that is abandoned or lost leaves the others standing. Its devices take their charge back by its own
//     certificate of abandonment.
//   - When nothing can change what the groups come to, the open sums are combined (Combine): added, as if there were no
//     groups, or a median or trimmed mean of the groups' means, scaled to all of their devices. N counts the devices of the
//     open groups.
//   - All groups end in one transaction, with a record for each and one for the round (ledger.Group, ledger.Round).
//
// n_min, n_max and the noise hold for each group, so that the mean over all is about the square root of their number as
// noisy as that of one sum.
package server

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"tutti/aggregation"
	"tutti/privacy/ledger"
	"tutti/server/committee"
	wire "tutti/server/grpc"
	"tutti/server/store"
)

// Server is one aggregation server of one task. Its methods are safe for concurrent use.
type Server struct {
	cfg    Config
	keys   Keys
	st     store.Store
	lease  store.Lease // of the driver
	log    hclog.Logger
	nodes  []*committee.Client
	idents *wire.Limiter
	ctx    context.Context
	stop   context.CancelFunc

	mu       sync.Mutex
	round    *active // the round under way or not yet published; nil if none
	version  *store.SignedVersion
	people   *aggregation.Enrolled // of the newest population
	finished bool
	closed   bool
	proofs   map[[2]uint64][][]byte
	setKey   store.Key  // of set
	set      [][16]byte // of a group that was counted, which devices ask about
	wires    []*wire.Server

	turn      sync.Mutex // one opening or publication at a time
	observing sync.Mutex

	fault func(point string) error // tests: an error stops the driver there, as a crash would
}

// Open opens the data directory, makes what is missing (keys, task record), and continues a round that was under way.
func Open(cfg Config) (*Server, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	st, err := store.Open(context.Background(), store.Options{Dir: cfg.Dir, Clock: cfg.Clock})
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	s := &Server{cfg: cfg, st: st, log: cfg.Log, proofs: map[[2]uint64][][]byte{},
		idents: wire.NewLimiter(cfg.Limits.PerIdent, int(10*cfg.Limits.PerIdent)+1)}
	s.ctx, s.stop = context.WithCancel(context.Background())
	if err := s.start(); err != nil {
		s.Close()
		return nil, fmt.Errorf("server: %w", err)
	}
	return s, nil
}

func (s *Server) start() error {
	var err error
	if s.keys, err = LoadKeys(s.cfg.Dir); err != nil {
		return err
	}
	for _, p := range s.cfg.Committee {
		c, err := committee.Dial(p)
		if err != nil {
			return err
		}
		s.nodes = append(s.nodes, c)
	}
	if err := s.lead(); err != nil {
		return err
	}
	if err := s.openTask(); err != nil {
		return err
	}
	if v, found, err := s.st.LatestVersion(s.ctx, s.cfg.Task); err != nil {
		return err
	} else if found {
		s.version = &v
	}
	if s.cfg.Offline {
		return nil
	}
	return s.resumeRound()
}

// leadFor is how long this server drives its task: it has the data directory for itself until it is closed.
const leadFor = 100 * 365 * 24 * time.Hour

// lead takes the lease of the task's driver.
func (s *Server) lead() error {
	lease, won, err := s.st.Acquire(s.ctx, store.DriverLease(s.cfg.Task), "server", leadFor)
	if err == nil && !won {
		err = fmt.Errorf("task %s is driven by %s", s.cfg.Task, lease.Holder)
	}
	s.lease = lease
	return err
}

func (s *Server) fence() store.Fence { return s.lease.Fence() }

// openTask logs the task on the first run, and holds later runs to what was logged.
func (s *Server) openTask() error {
	t, known := s.st.Totals(s.cfg.Task)
	if !known {
		return s.st.Append(s.ctx, s.fence(), s.cfg.Clock(), &ledger.Task{
			Task: s.cfg.Task, Operator: s.keys.Operator.Public().(ed25519.PublicKey), Purpose: s.cfg.Purpose,
			Unit: "device", Adjacency: "zero-out", Delta: s.cfg.Delta, Budget: s.cfg.Budget,
			Participations: uint64(s.cfg.Participations), Separation: uint64(s.cfg.Separation),
		})
	}
	if (t.Budget == nil) != (s.cfg.Budget == nil) || t.Budget != nil && t.Budget.Cmp(s.cfg.Budget) != 0 {
		return fmt.Errorf("task %s was opened with a budget of rho %s, which cannot be changed to %s: start a new task", s.cfg.Task, text(t.Budget), text(s.cfg.Budget))
	}
	if t.Participations != uint64(s.cfg.Participations) || t.Separation != uint64(s.cfg.Separation) {
		return fmt.Errorf("task %s was opened for %d participations, %d apart (0: no limit), which cannot be changed: start a new task", s.cfg.Task, t.Participations, t.Separation)
	}
	return nil
}

func text(rho *big.Rat) string {
	if rho == nil {
		return "(none)"
	}
	return rho.RatString()
}

// Operator and Enroller are the public keys that devices and committee nodes pin.
func (s *Server) Operator() ed25519.PublicKey { return s.keys.Operator.Public().(ed25519.PublicKey) }

// Enroller is the public key that vouches for devices.
func (s *Server) Enroller() ed25519.PublicKey { return s.keys.Enroller.Public().(ed25519.PublicKey) }

// Serve answers devices on l, which is closed when it returns, until the server is closed.
func (s *Server) Serve(l net.Listener) error {
	w, err := wire.NewServer(backend{s}, s.cfg.TLS, s.cfg.Limits, s.log)
	if err != nil {
		l.Close()
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		l.Close()
		return ErrClosed
	}
	s.wires = append(s.wires, w)
	s.mu.Unlock()
	return w.Serve(l)
}

// Close ends the server: requests under way get a moment, the round under way stays as it is on disk, and the next Open
// continues it.
func (s *Server) Close() error {
	s.mu.Lock()
	wires, a := s.wires, s.round
	s.wires, s.closed = nil, true
	s.mu.Unlock()
	for _, w := range wires {
		w.Drain(500 * time.Millisecond)
	}
	s.stop()
	if a != nil {
		<-a.done
		a.release()
	}
	var errs []error
	for _, n := range s.nodes {
		errs = append(errs, n.Close())
	}
	s.nodes = nil
	return errors.Join(append(errs, s.st.Close())...)
}

// ErrClosed says that the server was closed.
var ErrClosed = errors.New("server: closed")

func (s *Server) observe(e Event) {
	s.observing.Lock()
	defer s.observing.Unlock()
	s.cfg.Observer(e)
}

// Finish tells devices from now on that the task is over.
func (s *Server) Finish() {
	s.mu.Lock()
	s.finished = true
	s.mu.Unlock()
}
