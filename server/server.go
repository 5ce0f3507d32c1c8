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
//
// # Replicas
//
// Any number of servers may share one database (Config.DB), each with a data directory of its own and the same keys. All of
// them answer devices and take uploads; the one that holds the task's lease drives (Lead), and RunRound, Resume, Publish,
// CloseCollection and Abandon are ErrFollower on the others. A replica adds what it took to a partial sum of its own, which
// it keeps in the database: one that dies costs the uploads that it had not kept there, which are late. Whoever drives next
// goes on from the rows; what the last driver still writes is refused.
package server

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
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
	log    hclog.Logger
	nodes  []*committee.Client
	idents *wire.Limiter
	ctx    context.Context
	stop   context.CancelFunc

	replica string        // this one's name; empty where the database is this process's own
	look    chan struct{} // has follow look now
	behind  sync.WaitGroup
	shift   sync.Mutex // one change at a time of who drives, and of the round that a follower takes part in
	passed  uint64     // guarded by shift: a round that takes no uploads any more

	mu       sync.Mutex
	lead     *term       // nil: another replica drives
	named    store.Lease // of the replica's name
	round    *active     // the round under way or not yet published; nil if none
	version  *store.SignedVersion
	people   *aggregation.Enrolled // of the newest population
	finished bool
	opening  time.Time // of the next round, where it is planned
	closed   bool
	proofs   map[[2]uint64][][]byte
	setKey   store.Key  // of set
	set      [][16]byte // of a group that was counted, which devices ask about
	wires    []*wire.Server

	deltas    deltas
	offers    offers
	turn      sync.Mutex // one opening or publication at a time
	observing sync.Mutex
	askMu     sync.Mutex
	asked     []store.Happened // guarded by askMu: by operators, and not done yet
	news      *news            // nil: nothing is told, because no round is run

	fault func(point string) error // tests: an error stops the driver there, as a crash would
}

// Open opens the data directory, makes what is missing (keys, task record), and continues a round that was under way.
func Open(cfg Config) (*Server, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	var st store.Store
	st, err = store.Open(context.Background(), store.Options{Dir: cfg.Dir, DB: cfg.DB, Blobs: cfg.Blobs, Clock: cfg.Clock})
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	if cfg.wrap != nil {
		st = cfg.wrap(st)
	}
	s := &Server{cfg: cfg, st: st, log: cfg.Log, look: make(chan struct{}, 1), proofs: map[[2]uint64][][]byte{},
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
	if err := s.enlist(); err != nil {
		return err
	}
	if err := s.openTask(); err != nil {
		return err
	}
	if err := s.refresh(s.ctx); err != nil {
		return err
	}
	if s.cfg.Offline {
		return nil
	}
	s.news = s.startNews()
	s.behind.Go(s.obey)
	s.behind.Go(s.watchNodes)
	if s.st.Shared() {
		s.behind.Go(s.follow)
		return nil
	}
	s.place(s.ctx, s.lead, true) // what the process before may have left
	return s.resumeRound()
}

// enlist gives this replica its name. Where nobody else can open the database, it drives from the beginning.
func (s *Server) enlist() (err error) {
	if s.st.Shared() {
		if s.cfg.CheckNorm && !s.cfg.Offline {
			return errors.New("proofs of norms need every upload's vector where the round is driven: they are for a server with a database of its own")
		}
		if s.replica, err = replicaName(s.cfg.Dir); err == nil && !s.cfg.Offline {
			err = s.holdName()
		}
		return err
	}
	lease, ok, err := s.st.Acquire(s.ctx, store.DriverLease(s.cfg.Task), s.replica, forever)
	if err == nil && !ok {
		err = store.ErrInUse
	}
	if err != nil {
		return err
	}
	s.lead = &term{lease: lease}
	s.lead.ctx, s.lead.cancel = context.WithCancelCause(s.ctx)
	return nil
}

// replicaName reads the name of the replica that a data directory is of, or makes one.
func replicaName(dir string) (string, error) {
	path := filepath.Join(dir, store.ReplicaFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		b = []byte(strings.ToLower(rand.Text()[:16]) + "\n")
		err = store.WriteFile(path, b)
	}
	if name := strings.TrimSpace(string(b)); err == nil && name == "" {
		err = fmt.Errorf("%s is empty", path)
	}
	return strings.TrimSpace(string(b)), err
}

// openTask logs the task on the first run, and holds later runs to what was logged.
func (s *Server) openTask() error {
	t, known := s.st.Totals(s.cfg.Task)
	if !known {
		return s.logTask()
	}
	if (t.Budget == nil) != (s.cfg.Budget == nil) || t.Budget != nil && t.Budget.Cmp(s.cfg.Budget) != 0 {
		return fmt.Errorf("task %s was opened with a budget of rho %s, which cannot be changed to %s: start a new task", s.cfg.Task, text(t.Budget), text(s.cfg.Budget))
	}
	if t.Participations != uint64(s.cfg.Participations) || t.Separation != uint64(s.cfg.Separation) {
		return fmt.Errorf("task %s was opened for %d participations, %d apart (0: no limit), which cannot be changed: start a new task", s.cfg.Task, t.Participations, t.Separation)
	}
	return nil
}

// logTask logs the task, unless another replica just does.
func (s *Server) logTask() error {
	record := &ledger.Task{
		Task: s.cfg.Task, Operator: s.keys.Operator.Public().(ed25519.PublicKey), Purpose: s.cfg.Purpose,
		Unit: "device", Adjacency: "zero-out", Delta: s.cfg.Delta, Budget: s.cfg.Budget,
		Participations: uint64(s.cfg.Participations), Separation: uint64(s.cfg.Separation),
	}
	if fence, err := s.fence(); err == nil {
		return s.st.Append(s.ctx, fence, s.cfg.Clock(), record)
	}
	for {
		lease, ok, err := s.st.Acquire(s.ctx, store.DriverLease(s.cfg.Task), s.replica, s.cfg.Lease)
		if err != nil {
			return err
		}
		if _, known := s.st.Totals(s.cfg.Task); known {
			if ok {
				s.giveBack(lease)
			}
			return s.openTask()
		}
		if ok {
			err := s.st.Append(s.ctx, (&term{lease: lease}).fence(), s.cfg.Clock(), record)
			s.giveBack(lease)
			return err
		}
		s.pause(s.cfg.Lease / 10)
	}
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
	w, err := s.wire()
	if err != nil {
		l.Close()
		return err
	}
	return w.Serve(l)
}

// ServeWeb answers devices in browsers on l, as Serve does.
func (s *Server) ServeWeb(l net.Listener, web wire.Web) error {
	w, err := s.wire()
	if err != nil {
		l.Close()
		return err
	}
	return w.ServeWeb(l, web)
}

// wire is what all listeners share: limits hold over all of them, and an upload goes on over another one.
func (s *Server) wire() (*wire.Server, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if len(s.wires) == 0 {
		w, err := wire.NewServer(backend{s}, s.cfg.TLS, s.cfg.Limits, s.log, s.cfg.Trace.GRPC()...)
		if err != nil {
			return nil, err
		}
		s.wires = append(s.wires, w)
	}
	return s.wires[0], nil
}

// Close ends the server: requests under way get a moment, the round under way stays as it is on disk, and the next Open
// continues it.
func (s *Server) Close() error {
	s.mu.Lock()
	wires := s.wires
	s.wires, s.closed = nil, true
	s.mu.Unlock()
	for _, w := range wires {
		w.Drain(s.cfg.Limits.Drain)
	}
	t := s.leading()
	s.stop()
	s.behind.Wait()
	s.shift.Lock()
	s.leave(ErrClosed)
	s.shift.Unlock()
	s.news.close()
	if t != nil {
		s.giveBack(t.lease)
	}
	if s.named != (store.Lease{}) {
		s.giveBack(s.named)
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
	s.news.hear(e)
	s.cfg.Observer(e)
}

// Finish tells devices from now on that the task is over; other replicas tell theirs.
func (s *Server) Finish() {
	s.mu.Lock()
	t, known := s.lead, s.finished
	s.finished = true
	s.mu.Unlock()
	s.keepEnd(t)
	if known || t == nil || !s.st.Shared() {
		return
	}
	if err := s.st.Keep(s.ctx, t.fence(), s.cfg.Task, keptFinished, []byte{1}); err != nil {
		s.log.Warn("the other replicas do not know that the task is over", "error", s.fenced(t, err))
	}
}
