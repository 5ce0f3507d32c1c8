package server

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"tutti/privacy/ledger"
	wire "tutti/server/grpc"
	"tutti/server/round"
	"tutti/server/store"
)

// What the server proves with its log: that a plan stands in it before anybody works for it, and that a device it counted
// is in the set that the log tells of.

// planPlace keeps what all devices of a round are shown of the plan's place in the log, for one size of it.
type planPlace struct {
	mu    sync.Mutex
	size  uint64
	proof ledger.Logged
}

// logged proves to whoever knows the first from records that the round's plan stands in the log.
func (a *active) logged(from uint64) (ledger.Logged, error) {
	l := &a.place
	l.mu.Lock()
	defer l.mu.Unlock()
	size := a.s.st.LogSize()
	if l.size != size {
		record, ok, err := a.s.st.PlanRecord(a.s.ctx, a.key.Task, a.key.Round)
		if err == nil && !ok {
			err = fmt.Errorf("the plan of round %d is not in the log: %w", a.key.Round, store.ErrCorrupt)
		}
		if err != nil {
			return ledger.Logged{}, err
		}
		note, err := a.s.Ledger().checkpoint(size)
		if err != nil {
			return ledger.Logged{}, err
		}
		planned, err := a.checkpointSize()
		if err != nil {
			return ledger.Logged{}, err
		}
		if l.proof, err = ledger.ProvePlan(record, note, size, size, planned, a.s.st.Hashes()); err != nil {
			return ledger.Logged{}, err
		}
		l.size = size
	}
	out := l.proof
	var err error
	out.Consistency, err = a.s.proof(min(from, size), size)
	return out, err
}

// counted proves that a device is in the set of a group of a round that the log tells of; empty until it does.
func (s *Server) counted(ctx context.Context, k store.Key, device round.ID, from uint64) (receipt []byte, consistency [][]byte, err error) {
	record, ended, err := s.st.EndRecord(ctx, k)
	if err != nil || !ended {
		return nil, nil, err
	}
	set, err := s.setOf(ctx, k)
	if err != nil {
		return nil, nil, err
	}
	index, in := slices.BinarySearchFunc(set, device, func(a [16]byte, b round.ID) int { return bytes.Compare(a[:], b[:]) })
	if !in {
		return nil, nil, fmt.Errorf("a counted device is not in the set of round %d: %w", k.Round, store.ErrCorrupt)
	}
	r := ledger.Receipt{Device: device, Index: uint64(index), Operator: s.Operator()}
	if r.Path, err = ledger.ProveParticipant(set, index); err != nil {
		return nil, nil, err
	}
	if r.Record, err = record.Encode(); err != nil {
		return nil, nil, err
	}
	size := s.st.LogSize()
	if r.Inclusion, err = ledger.ProveInclusion(size, record.Seq, s.st.Hashes()); err != nil {
		return nil, nil, err
	}
	if r.Checkpoint, err = s.Ledger().checkpoint(size); err != nil {
		return nil, nil, err
	}
	if receipt, err = r.Encode(); err != nil {
		return nil, nil, err
	}
	consistency, err = s.proof(min(from, size), size)
	return receipt, consistency, err
}

// setOf is the certified set of a group of a round: ids in their order. Devices ask for the newest round; one set is kept.
func (s *Server) setOf(ctx context.Context, k store.Key) ([][16]byte, error) {
	s.mu.Lock()
	if s.setKey == k && s.set != nil {
		defer s.mu.Unlock()
		return s.set, nil
	}
	s.mu.Unlock()
	r, found, err := s.st.Round(ctx, k)
	if err != nil || !found {
		return nil, err
	}
	ids := idsOf(r.Durable.Set)
	s.mu.Lock()
	s.setKey, s.set = k, ids
	s.mu.Unlock()
	return ids, nil
}

func idsOf(set []round.Upload) [][16]byte {
	ids := make([][16]byte, len(set))
	for i, u := range set {
		ids[i] = u.ID
	}
	return ids
}

// proven completes the answer about a counted upload.
func (b backend) proven(ctx context.Context, k store.Key, device round.ID, from uint64) (wire.Receipt, error) {
	r := wire.Receipt{State: wire.Counted}
	var err error
	r.Proof, r.Consistency, err = b.s.counted(ctx, k, device, from)
	return r, err
}
