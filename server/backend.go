package server

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"tutti/aggregation"
	"tutti/server/attest"
	wire "tutti/server/grpc"
	"tutti/server/pace"
	"tutti/server/round"
	"tutti/server/store"
)

// backend is the Server as devices see it.
type backend struct{ s *Server }

// clockSkew is how far a device's clock may be off.
const clockSkew = 5 * time.Minute

// EnrollMessage is what a device signs to show that it holds the key that it wants enrolled: domain, task, token, each
// behind its length.
func EnrollMessage(task, token string) []byte {
	return appendField(appendField(appendField(nil, "tutti/enroll/v1"), task), token)
}

// CheckInMessage is what a device signs when it checks in: domain, task, public key, time, log size.
func CheckInMessage(task string, publicKey []byte, unix int64, logSize uint64) []byte {
	b := appendField(appendField(appendField(nil, "tutti/checkin/v1"), task), string(publicKey))
	b = binary.BigEndian.AppendUint64(b, uint64(unix))
	return binary.BigEndian.AppendUint64(b, logSize)
}

func appendField(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

func (b backend) Enroll(ctx context.Context, r wire.Enrollment) ([]byte, error) {
	s := b.s
	switch {
	case r.Task != s.cfg.Task:
		return nil, s.wrongTask(r.Task)
	case len(r.PublicKey) != ed25519.PublicKeySize || !ed25519.Verify(r.PublicKey, EnrollMessage(r.Task, r.Token), r.Proof):
		return nil, fmt.Errorf("%w: the proof that the key is held", wire.ErrUnauthenticated)
	}
	id, token := aggregation.IDOf(r.PublicKey), store.TokenHash(r.Task, r.Token)
	if s.cfg.Attestor != nil {
		ticket, err := s.cfg.Attestor.Attest(ctx, attest.Request{Task: r.Task, PublicKey: r.PublicKey, Attestation: r.Attestation, Certificate: r.Certificate})
		if errors.Is(err, attest.ErrCertificate) {
			return nil, wire.ErrCertificate
		} else if err != nil {
			return nil, fmt.Errorf("%w: %w", wire.ErrAttestation, err)
		}
		token = ticketHash(r.Task, ticket)
	}
	err := s.st.Enrol(ctx, s.cfg.Clock(), r.Task, token, id, r.PublicKey)
	if s.cfg.Attestor != nil && errors.Is(err, store.ErrToken) { // a ticket becomes known when it is shown first
		_ = s.st.AddTokens(ctx, s.cfg.Clock(), r.Task, [][32]byte{token}) // fails where another request was faster: the next line judges
		err = s.st.Enrol(ctx, s.cfg.Clock(), r.Task, token, id, r.PublicKey)
	}
	switch {
	case errors.Is(err, store.ErrTokenUsed) && s.cfg.Attestor != nil:
		return nil, fmt.Errorf("%w: it has enrolled another device", wire.ErrAttestation)
	case errors.Is(err, store.ErrToken):
		return nil, wire.ErrToken
	case errors.Is(err, store.ErrTokenUsed):
		return nil, wire.ErrTokenUsed
	case err != nil:
		return nil, err
	}
	return aggregation.Enrol(s.keys.Enroller, r.Task, r.PublicKey), nil
}

// ticketHash is how an attestation is kept that was spent. No token has its form.
func ticketHash(task, ticket string) [32]byte {
	return store.TokenHash(task, "attested\x00"+ticket)
}

func (b backend) CheckIn(ctx context.Context, r wire.CheckIn) (wire.Answer, error) {
	s := b.s
	if r.Task != s.cfg.Task {
		return wire.Answer{}, s.wrongTask(r.Task)
	}
	now := s.cfg.Clock()
	if skew := now.Sub(r.Time); skew > clockSkew || skew < -clockSkew {
		return wire.Answer{}, fmt.Errorf("%w: the device's is %v %s", wire.ErrClock, skew.Abs().Round(time.Second), map[bool]string{true: "behind", false: "ahead"}[skew > 0])
	}
	if len(r.PublicKey) != ed25519.PublicKeySize || !ed25519.Verify(r.PublicKey, CheckInMessage(r.Task, r.PublicKey, r.Time.Unix(), r.LogSize), r.Signature) ||
		!aggregation.VerifyEnrolment(s.Enroller(), r.Task, r.PublicKey, r.Enrolment) {
		return wire.Answer{}, wire.ErrUnauthenticated
	}
	if wait := s.idents.Wait(string(r.PublicKey), now); wait > 0 {
		return wire.Answer{}, &wire.TryLater{Why: "this device asks too often", After: wait}
	}
	var a wire.Answer
	if v := s.offered(aggregation.IDOf(r.PublicKey)); v != nil {
		a.Version = &wire.SignedVersion{Version: v.Version, Signature: v.Signature}
	}
	if why, ok := s.speaks(r, &a); !ok {
		return s.wait(a, why), nil
	}
	return s.offerRound(a, r, now)
}

func (s *Server) wrongTask(asked string) error {
	return fmt.Errorf("%w: %q is asked for, this server runs %q", wire.ErrTask, asked, s.cfg.Task)
}

// offerRound completes a check-in's answer with the device's own group of the open round, or with a wait.
func (s *Server) offerRound(answer wire.Answer, r wire.CheckIn, now time.Time) (wire.Answer, error) {
	id := aggregation.IDOf(r.PublicKey)
	s.mu.Lock()
	a, finished := s.round, s.finished
	s.mu.Unlock()
	if finished {
		return s.wait(answer, wire.WaitFinished), nil
	}
	if a == nil {
		return s.wait(answer, wire.WaitNoRound), nil
	}
	g := a.groupOf(id)
	if g == nil {
		return s.wait(answer, wire.WaitNoRound), nil
	}
	a.mu.Lock()
	o, in := g.offer, g.intake
	a.mu.Unlock()
	if o == nil || !a.invites(in.cfg, id) {
		return s.wait(answer, wire.WaitNoRound), nil
	}
	switch {
	case !understands(answer.Protocol, a.plan):
		return s.wait(answer, wire.WaitProtocol), nil
	case a.rest[id] || rests(r, a.plan): // it would take another's place and refuse
		return s.wait(answer, wire.WaitResting), nil
	}
	hold := a.hold()
	switch ok, counted := in.room(id, now, hold); {
	case counted:
		return s.wait(answer, wire.WaitCounted), nil
	case !ok:
		return s.wait(answer, wire.WaitFull), nil
	}
	proof, err := a.logged(r.LogSize)
	if err != nil {
		return answer, err
	}
	answer.Accepted, answer.Refused = s.again(pace.Done), s.again(pace.Full)
	answer.Offer = &wire.Offer{Plan: a.signed.Bytes, PlanSignature: a.signed.Signature, Config: o.config, Logged: proof}
	return answer, nil
}

// invites says whether a device is one of the round's: enrolled when its population was frozen, and drawn.
func (a *active) invites(cfg *aggregation.Config, id round.ID) bool {
	_, enrolled := a.people.Path(id)
	return enrolled && cfg.Eligible(id)
}

// proof of consistency; devices come from few sizes, so a few are kept.
func (s *Server) proof(from, to uint64) ([][]byte, error) {
	s.mu.Lock()
	p, known := s.proofs[[2]uint64{from, to}]
	s.mu.Unlock()
	if known {
		return p, nil
	}
	p, err := s.st.Proof(from, to)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.proofs) > 128 {
		clear(s.proofs)
	}
	s.proofs[[2]uint64{from, to}] = p
	return p, nil
}

func (b backend) Blob(digest [32]byte) (io.ReaderAt, int64, io.Closer, error) {
	r, size, c, err := b.s.st.OpenBlob(digest)
	if errors.Is(err, store.ErrNoBlob) {
		err = fmt.Errorf("%w: %w", wire.ErrNone, err)
	}
	return r, size, c, err
}

func (b backend) BeginUpload(ctx context.Context, task string, number uint64, header []byte, vectorBytes uint64) (wire.Upload, wire.Receipt, error) {
	u, receipt, err := b.beginUpload(ctx, task, number, header, vectorBytes)
	if u != nil {
		return steered{u, b.s}, receipt, err
	}
	return nil, b.s.steer(receipt), err
}

func (b backend) beginUpload(ctx context.Context, task string, number uint64, header []byte, vectorBytes uint64) (wire.Upload, wire.Receipt, error) {
	s := b.s
	if task != s.cfg.Task {
		return nil, wire.Receipt{State: wire.Rejected, Reason: round.DropNoRound}, nil
	}
	a, err := s.roundTaking(ctx, number)
	if err != nil {
		return nil, wire.Receipt{}, err
	}
	if a != nil {
		if in := a.intakeOf(header); in != nil && a.ctx.Err() == nil {
			u, receipt, err := in.begin(ctx, header, vectorBytes)
			if u == nil {
				return nil, receipt, err
			}
			return u, receipt, nil
		}
		if a.ctx.Err() != nil {
			if receipt, err := a.groups[0].tooLate(); err != nil {
				return nil, receipt, err
			}
		}
	}
	return b.past(ctx, number, header)
}

// intakeOf is the intake of the group that a header's device is in; nil if it takes nothing.
func (a *active) intakeOf(header []byte) *intake {
	g := a.groups[0]
	if len(a.groups) > 1 {
		if h, err := aggregation.ParseHeader(header); err == nil { // a header that cannot be read is no group's: the first one says so
			g = a.groupOf(h.ID)
		}
	}
	if g == nil {
		return nil
	}
	return g.taking()
}

// past answers an upload for a round that takes none: what became of it if it is known, else that it is late.
func (b backend) past(ctx context.Context, number uint64, header []byte) (wire.Upload, wire.Receipt, error) {
	last, err := b.s.st.LastRound(ctx, b.s.cfg.Task)
	if err != nil {
		return nil, wire.Receipt{}, err
	}
	if number == 0 || number > last {
		return nil, wire.Receipt{State: wire.Rejected, Reason: round.DropNoRound}, nil
	}
	h, err := aggregation.ParseHeader(header)
	if err != nil {
		return nil, wire.Receipt{State: wire.Rejected, Reason: round.DropHeader}, nil
	}
	receipt, err := b.Receipt(ctx, b.s.cfg.Task, number, h.ID, 0)
	if receipt.State == wire.Unknown {
		receipt = wire.Receipt{State: wire.Late, Reason: round.DropClosed}
	}
	return nil, receipt, err
}

func (b backend) Receipt(ctx context.Context, task string, number uint64, device round.ID, logSize uint64) (wire.Receipt, error) {
	k := store.Key{Task: task, Round: number}
	u, known, err := b.s.st.Upload(ctx, k, device)
	if err != nil {
		return wire.Receipt{}, err
	}
	k.Shard = u.Shard
	if !known {
		if k.Shard, err = b.groupOf(ctx, k, device); err != nil {
			return wire.Receipt{}, err
		}
	}
	fate, found, err := b.s.st.Fate(ctx, k)
	if err != nil || !found {
		return wire.Receipt{State: wire.Unknown}, err
	}
	switch {
	case fate.State == round.Abandoned && fate.Abandon != nil:
		return wire.Receipt{State: wire.Abandoned, Abandon: fate.Abandon}, nil
	case !known:
		return wire.Receipt{State: wire.Unknown}, nil
	case fate.State == round.Abandoned && fate.Settled:
		return wire.Receipt{State: wire.Late, Reason: round.DropClosed}, nil
	}
	switch u.State {
	case store.CountedUpload:
		return b.proven(ctx, k, device, logSize)
	case store.LateUpload:
		return wire.Receipt{State: wire.Late, Reason: round.DropClosed}, nil
	case store.RefusedUpload:
		return wire.Receipt{State: wire.Rejected, Reason: round.DropCommittee}, nil
	case store.UnsoundUpload:
		return wire.Receipt{State: wire.Rejected, Reason: round.DropSharing}, nil
	case store.OversizedUpload:
		return wire.Receipt{State: wire.Rejected, Reason: round.DropNorm}, nil
	}
	return wire.Receipt{State: wire.Staged}, nil
}

// groupOf is the group that the lot of a round put a device into, whether or not it came.
func (b backend) groupOf(ctx context.Context, k store.Key, device round.ID) (uint32, error) {
	if groups, err := b.s.st.Groups(ctx, k); err != nil || groups < 2 {
		return 0, err
	}
	r, _, err := b.s.st.Round(ctx, k)
	if err != nil {
		return 0, err
	}
	cfg, err := aggregation.ParseConfig(r.Config)
	if err != nil {
		return 0, err
	}
	return cfg.ShardOf(device), nil
}

func (b backend) Checkpoint(context.Context) ([]byte, error) { return b.s.Ledger().Checkpoint() }

func (b backend) Consistency(_ context.Context, from, to uint64) ([][]byte, error) {
	if to > b.s.st.LogSize() || from > to {
		return nil, fmt.Errorf("%w: no proof from %d to %d of %d records", wire.ErrBad, from, to, b.s.st.LogSize())
	}
	return b.s.proof(from, to)
}

func (b backend) Records(ctx context.Context, from uint64, each func(uint64, []byte) error) error {
	return b.s.st.Records(ctx, from, each)
}
