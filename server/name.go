package server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"tutti/server/store"
)

// A replica takes the uploads under its name for its own, so no two processes may have one name on one database: each holds
// a lease of its name for as long as it lives. The lease of a process that was killed is taken over at once by the next one
// on the very same directory, which one process at a time can lock; by anybody else once it has run out.

// ErrReplicaName refuses a server whose name another one has.
var ErrReplicaName = errors.New("another server uses the replica name")

// nameLease names the lease of a replica's name.
func nameLease(replica string) string { return "replica/" + replica }

// holdName takes this replica's name, and waits for one whose holder may be dead.
func (s *Server) holdName() error {
	holder := lifeOf(filepath.Join(s.cfg.Dir, "replica.db"))
	if holder == "" {
		holder = rand.Text()
	}
	for began := time.Now(); ; s.pause(s.cfg.Lease / 10) {
		asked := time.Now()
		lease, ok, err := s.st.Acquire(s.ctx, nameLease(s.replica), holder, s.cfg.Lease)
		switch {
		case err != nil:
			return err
		case ok:
			s.named = lease
			s.behind.Go(func() { s.keepName(lease) })
			return nil
		case asked.Sub(began) > s.cfg.Lease*5/4:
			return fmt.Errorf("%w of %s: every server needs a directory of its own; copy keys/, setup.json and task.json, never %s",
				ErrReplicaName, filepath.Join(s.cfg.Dir, store.ReplicaFile), store.ReplicaFile)
		}
	}
}

// keepName renews the lease until the server closes. A server that was away for too long takes its name again; if another
// one has it by then, this one stops.
func (s *Server) keepName(lease store.Lease) {
	for every := s.cfg.Lease / 3; ; {
		s.pause(every)
		if s.ctx.Err() != nil {
			return
		}
		next, err := s.st.Renew(s.ctx, lease, s.cfg.Lease)
		if errors.Is(err, store.ErrFenced) {
			next, err = s.takeNameAgain(lease)
		}
		switch {
		case err == nil:
			lease, every = next, s.cfg.Lease/3
		case errors.Is(err, ErrReplicaName):
			s.log.Error("this server stops", "replica", s.replica, "error", err)
			s.stop()
			return
		case s.ctx.Err() == nil:
			s.log.Warn("renewing the lease of the replica's name", "replica", s.replica, "error", err)
			every = s.cfg.Lease / 10
		}
	}
}

func (s *Server) takeNameAgain(old store.Lease) (store.Lease, error) {
	next, ok, err := s.st.Acquire(s.ctx, old.Name, old.Holder, s.cfg.Lease)
	if err == nil && !ok {
		err = ErrReplicaName
	}
	if err == nil {
		s.mu.Lock()
		s.named = next
		s.mu.Unlock()
	}
	return next, err
}
