package server

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"

	"tutti/model"
	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/server/round"
	"tutti/server/store"
)

// Publication is what was made of a round's sum, or of post-processing.
type Publication struct {
	Round   *RoundResult   // the round it ends; nil: post-processing, which costs nothing
	Version *model.Version // Number and Parent are filled in; nil: the round makes no version
	Blobs   [][]byte       // contents that the version, or a later plan, names by digest
	Cause   string         // "round", "distil", ...; for the log

	// Keep is small named state of the task, written in the transaction that ends the round; see Kept. Only with a round.
	Keep map[string][]byte
}

// VersionMessage is what the operator signs to publish a version: domain and canonical version, each behind its length.
func VersionMessage(version []byte) []byte {
	const domain = "tutti/version/v1"
	b := append(binary.BigEndian.AppendUint32(nil, uint32(len(domain))), domain...)
	return append(binary.BigEndian.AppendUint32(b, uint32(len(version))), version...)
}

// Publish keeps blobs, signs and logs a version, and ends the round. What is published is durable, and offered to
// devices, when it returns.
func (s *Server) Publish(ctx context.Context, p Publication) (model.Version, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	t := s.leading()
	if t == nil {
		return model.Version{}, ErrFollower
	}
	if p.Round == nil && len(p.Keep) > 0 {
		return model.Version{}, errors.New("server: state is kept with the end of a round, or with Keep")
	}
	for _, b := range p.Blobs {
		if _, err := s.st.PutBlob(b); err != nil {
			return model.Version{}, fmt.Errorf("server: %w", err)
		}
	}
	var v model.Version
	var signed *store.SignedVersion
	if p.Version != nil {
		var err error
		if v, signed, err = s.sign(*p.Version); err != nil {
			return v, fmt.Errorf("server: %w", err)
		}
	}
	if p.Round != nil {
		err := s.publishRound(ctx, p, signed)
		if err == nil && signed != nil {
			s.place(ctx, t, p.Round.Plan.Kind == plan.Model)
		}
		return v, err
	}
	if signed == nil {
		return v, errors.New("server: a publication without a round and without a version")
	}
	record := &ledger.Version{Task: s.cfg.Task, Number: signed.Number, Parent: v.Parent, Digest: signed.Digest, Cause: p.Cause}
	if err := s.st.PutVersion(ctx, t.fence(), s.cfg.Clock(), s.cfg.Task, *signed, record); err != nil {
		return v, s.fenced(t, fmt.Errorf("server: %w", err))
	}
	s.offerVersion(signed)
	s.observe(Published{Version: signed.Number, Cause: p.Cause})
	s.place(ctx, t, false)
	return v, nil
}

// place gives the newest version its place in the roll-out. It is published in any case: where its place cannot be written,
// devices go on being offered what they were, until the next publication or start.
func (s *Server) place(ctx context.Context, t *term, staged bool) {
	if err := s.advance(ctx, t, staged); err != nil {
		s.log.Warn("the newest version is not rolled out yet", "error", err)
	}
}

// sign gives a version its number and parent, checks that its blobs are here, and signs it.
func (s *Server) sign(v model.Version) (model.Version, *store.SignedVersion, error) {
	v.Number, v.Parent = 1, model.Digest{}
	if last := s.latest(); last != nil {
		v.Number, v.Parent = last.Number+1, last.Digest
	}
	for _, d := range []model.Digest{v.Spec, v.Params, v.Popularity, v.Transitions} {
		if d == (model.Digest{}) {
			continue
		}
		if _, _, c, err := s.st.OpenBlob(d); err != nil {
			return v, nil, err
		} else {
			c.Close()
		}
	}
	b, err := v.Marshal()
	if err != nil {
		return v, nil, err
	}
	if _, err := s.st.PutBlob(b); err != nil { // for devices that train on it before it is rolled out to them
		return v, nil, err
	}
	return v, &store.SignedVersion{Number: v.Number, Digest: v.Digest(), Version: b, Signature: ed25519.Sign(s.keys.Operator, VersionMessage(b))}, nil
}

// finish is a publication on its way through the round's driver.
type finish struct {
	publication Publication
	signed      *store.SignedVersion
	outcome     chan error
}

func (f *finish) succeed() { f.outcome <- nil }

func (f *finish) fail(err error) {
	if err == nil {
		err = ErrClosed
	}
	f.outcome <- err
}

// records are the round's last log records and its version, written with its last transition.
func (f *finish) records(a *active) ([]ledger.Body, *store.SignedVersion) {
	if f.signed == nil {
		return a.roundRecords(ledger.Published, ledger.Digest{}), nil
	}
	parent := a.s.head()
	return append(a.roundRecords(ledger.Published, f.signed.Digest),
		&ledger.Version{Task: a.key.Task, Number: f.signed.Number, Parent: parent, Digest: f.signed.Digest, Cause: f.publication.Cause}), f.signed
}

// publishRound moves the round to APPLIED, because its blobs are durable, and to PUBLISHED with its records.
func (s *Server) publishRound(ctx context.Context, p Publication, signed *store.SignedVersion) error {
	s.mu.Lock()
	a := s.round
	s.mu.Unlock()
	waits := false
	if a != nil && a.key.Round == p.Round.Round {
		select {
		case <-a.opened:
			waits = a.firstOpen() != nil
		default:
		}
	}
	if !waits {
		return fmt.Errorf("server: round %d does not wait to be published", p.Round.Round)
	}
	f := &finish{publication: p, signed: signed, outcome: make(chan error, 1)}
	a.mail.put(letter{do: func() { a.finish = f }})
	a.tell(round.ApplyDone{})
	a.mail.put(letter{publish: true})
	select {
	case err := <-f.outcome:
		if err != nil {
			return err
		}
	case <-a.done: // it had stopped before the letter came
		select {
		case err := <-f.outcome:
			if err != nil {
				return err
			}
		default:
			return fmt.Errorf("server: round %d stands still: %w", p.Round.Round, a.err)
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	<-a.done
	e := Published{Round: p.Round.Round, Cause: p.Cause}
	if signed != nil {
		s.offerVersion(signed)
		e.Version = signed.Number
	}
	s.forget(a)
	s.observe(e)
	return nil
}

// publishGroups ends all groups whose sums are applied, in one transaction, with the round's records and its version.
// False: the driver stops.
func (a *active) publishGroups() bool {
	var steps []step
	var told []round.Effects
	for _, g := range a.groups {
		if g.m == nil || g.m.State() != round.Applied {
			continue
		}
		if out := g.m.Step(a.s.cfg.Clock(), round.PublishDone{}); out.Persist != nil {
			steps, told = append(steps, step{g, out.Persist}), append(told, out)
		}
	}
	if len(steps) == 0 {
		return true
	}
	if a.err = a.persist(steps...); a.err != nil {
		return false
	}
	for i, x := range steps {
		told[i].Persist = nil
		x.g.carryOut(told[i])
	}
	a.finish.succeed()
	a.finish = nil
	return true
}

// latest is the newest published version; nil before the first.
func (s *Server) latest() *store.SignedVersion {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

// head is its digest.
func (s *Server) head() ledger.Digest {
	if v := s.latest(); v != nil {
		return v.Digest
	}
	return ledger.Digest{}
}

func (s *Server) offerVersion(v *store.SignedVersion) {
	s.mu.Lock()
	s.version = v
	s.mu.Unlock()
}

// Version is the newest published version; false before the first.
func (s *Server) Version() (model.Version, bool) {
	v := s.latest()
	if v == nil {
		return model.Version{}, false
	}
	parsed, err := model.ParseVersion(v.Version)
	return parsed, err == nil
}

// Blob reads a published blob.
func (s *Server) Blob(digest [32]byte) ([]byte, error) { return s.st.Blob(digest) }

// PutBlob keeps content that a plan will name, durably, and returns its digest.
func (s *Server) PutBlob(content []byte) ([32]byte, error) { return s.st.PutBlob(content) }
