package client

import (
	"crypto/cipher"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"strings"

	"tutti/client/history"
	"tutti/model"
	"tutti/privacy/ledger"
	"tutti/privacy/plan"
)

// The saved state: 12 bytes of nonce, then AES-256-GCM under a key derived from
// the app's. Inside: domain, version, then the fields in order.

const (
	stateDomain  = "tutti/client/state"
	stateVersion = 3 // 1 had no counter of rounds, no time, no receipts, no streams, and one note of a fork; 2 doubted no version
	statePurpose = "tutti/state/v1"

	maxState      = 40 << 20
	maxTask       = 64
	maxRational   = 16 << 10
	maxNote       = 8 << 10
	maxFork       = 32 << 10
	maxVersionLen = 4 << 10
	maxConfig     = 4 << 20
	maxDelta      = 32
)

// ErrTampered says that what the device keeps was changed, or was sealed under
// another key, or that a part of it is gone. The app asks for the right key, or
// erases the store and begins anew.
var ErrTampered = errors.New("client: the device's memory was changed, is incomplete, or belongs to another key")

var errState = errors.New("client: malformed state")

// sealer seals and opens states.
type sealer struct {
	aead   cipher.AEAD
	random io.Reader
}

func newSealer(key history.Key, random io.Reader) (sealer, error) {
	aead, err := key.AEAD(statePurpose)
	return sealer{aead, random}, err
}

func (x sealer) seal(s *state) ([]byte, error) {
	nonce := make([]byte, x.aead.NonceSize())
	if _, err := io.ReadFull(x.random, nonce); err != nil {
		return nil, fmt.Errorf("client: no randomness: %w", err)
	}
	return x.aead.Seal(nonce, nonce, s.encode(), []byte(stateDomain)), nil
}

func (x sealer) open(sealed []byte) (state, error) {
	n := x.aead.NonceSize()
	if len(sealed) < n || len(sealed) > maxState {
		return state{}, ErrTampered
	}
	plain, err := x.aead.Open(nil, sealed[:n], sealed[n:], []byte(stateDomain))
	if err != nil {
		return state{}, ErrTampered
	}
	return decodeState(plain)
}

func (s *state) encode() []byte {
	w := &stateWriter{}
	w.bytes([]byte(stateDomain))
	w.u8(stateVersion)
	w.bytes([]byte(s.task))
	w.b = append(w.b, s.seed[:]...)
	w.bytes(s.enrolment)
	w.rational(s.spent)
	w.u32(s.unnoised)
	w.flag(s.sealed)
	w.u64(s.lastRound)
	w.u32(s.rounds)
	w.u64(uint64(s.seen))
	w.u8(byte(len(s.charges)))
	for _, c := range s.charges {
		w.u64(c.round)
		w.u8(byte(c.phase))
		w.rational(c.rho)
		w.bytes(c.config)
	}
	w.u64(s.counted)
	w.u64(s.proven)
	w.u32(s.unproven)
	w.u8(byte(len(s.receipts)))
	for _, r := range s.receipts {
		w.bytes(r)
	}
	w.bytes([]byte(s.log.Last.Origin))
	w.u64(s.log.Last.Size)
	w.b = append(w.b, s.log.Last.Root[:]...)
	w.bytes(s.log.Note)
	w.u64(s.logged)
	w.bytes(s.evidence())
	w.u8(byte(len(s.versions)))
	for _, v := range s.versions {
		w.u64(v.number)
		w.b = append(w.b, v.digest[:]...)
		w.bytes(v.version)
		w.bytes(v.signature)
	}
	w.u64(s.records)
	w.offered(s.offered)
	w.bytes([]byte(s.delta))
	w.u8(byte(s.last.kind))
	w.u8(byte(s.last.reason))
	w.u8(byte(s.last.policy))
	w.u64(s.last.round)
	w.u64(uint64(s.last.time))
	w.u8(byte(len(s.refusals)))
	for _, r := range s.refusals {
		w.u8(byte(r.reason))
		w.u8(byte(r.policy))
		w.u32(r.count)
	}
	w.streams(s)
	for _, v := range s.versions {
		w.flag(v.doubted)
	}
	return w.b
}

// decodeState reads exactly what encode writes; lengths are checked before
// anything is allocated.
func decodeState(b []byte) (state, error) {
	r := &stateReader{rest: b}
	if string(r.bytes(len(stateDomain))) != stateDomain {
		return state{}, fmt.Errorf("%w: not a state", errState)
	}
	version := r.u8()
	if r.err == nil && (version < 1 || version > stateVersion) {
		return state{}, fmt.Errorf("%w: version %d, this program reads up to %d", errState, version, stateVersion)
	}
	var s state
	s.task = string(r.bytes(maxTask))
	copy(s.seed[:], r.take(len(s.seed)))
	s.enrolment = r.bytes(ed25519.SignatureSize)
	s.spent = r.rational()
	s.unnoised = r.u32()
	s.sealed = r.flag()
	s.lastRound = r.u64()
	s.rounds = uint32(min(s.lastRound, math.MaxUint32)) // version 1 did not count: any round up to the last may be one
	if version > 1 {
		s.rounds, s.seen = r.u32(), int64(r.u64())
	}
	for range r.count(maxCharges) {
		s.charges = append(s.charges, charge{round: r.u64(), phase: phase(r.u8()), rho: r.rational(), config: r.bytes(maxConfig)})
	}
	s.counted = r.u64()
	if version > 1 {
		s.proven, s.unproven = r.u64(), r.u32()
		for range r.count(maxReceipts) {
			s.receipts = append(s.receipts, r.bytes(ledger.MaxReceipt))
		}
	}
	s.log.Last.Origin, s.log.Last.Size = string(r.bytes(maxNote)), r.u64()
	copy(s.log.Last.Root[:], r.take(len(s.log.Last.Root)))
	s.log.Note = r.bytes(maxNote)
	if version > 1 {
		s.logged = r.u64()
		s.fork = r.fork()
	} else if note := r.bytes(maxNote); note != nil {
		s.fork = &ledger.Fork{A: s.log.Note, B: note}
	}
	for range r.count(maxVersions) {
		v := accepted{number: r.u64()}
		copy(v.digest[:], r.take(len(v.digest)))
		v.version, v.signature = r.bytes(maxVersionLen), r.bytes(ed25519.SignatureSize)
		s.versions = append(s.versions, v)
	}
	s.records = r.u64()
	s.offered = r.offered()
	s.delta = string(r.bytes(maxDelta))
	s.last = lastOutcome{kind: OutcomeKind(r.u8()), reason: Reason(r.u8()), policy: plan.Reason(r.u8()), round: r.u64(), time: int64(r.u64())}
	for range r.count(maxRefusals) {
		s.refusals = append(s.refusals, refusalCount{Reason(r.u8()), plan.Reason(r.u8()), r.u32()})
	}
	if version > 1 {
		r.streams(&s)
	}
	if version > 2 {
		for i := range s.versions {
			s.versions[i].doubted = r.flag()
		}
	}
	if r.err == nil && len(r.rest) > 0 {
		r.fail("bytes after the end")
	}
	if r.err != nil {
		return state{}, r.err
	}
	return s, s.check()
}

// check holds what every state satisfies that this package has written.
func (s *state) check() error {
	for _, c := range s.charges {
		if c.phase >= phases || c.rho == nil || c.rho.Sign() < 0 || c.round > s.lastRound {
			return fmt.Errorf("%w: a charge", errState)
		}
	}
	for i, v := range s.versions {
		parsed, err := model.ParseVersion(v.version)
		if err != nil || parsed.Number != v.number || parsed.Digest() != v.digest {
			return fmt.Errorf("%w: a version", errState)
		}
		if i > 0 && v.number >= s.versions[i-1].number {
			return fmt.Errorf("%w: versions out of order", errState)
		}
	}
	if s.seen < 0 || !s.sealed && (s.rounds > 0 || s.seen > 0) || s.log.Note == nil && s.log.Last != (ledger.Checkpoint{}) {
		return fmt.Errorf("%w: counters or log", errState)
	}
	if s.spent == nil || s.spent.Sign() < 0 || s.task == "" || !s.sealed && (s.lastRound != 0 || len(s.charges) > 0) {
		return fmt.Errorf("%w: the books", errState)
	}
	return s.checkStreams()
}

// evidence is the fork as its file; nil without one.
func (s *state) evidence() []byte {
	if s.fork == nil {
		return nil
	}
	b, err := s.fork.Encode()
	if err != nil {
		panic("client: " + err.Error()) // made by ledger, or read from its file
	}
	return b
}

// fork reads the file of a fork.
func (r *stateReader) fork() *ledger.Fork {
	b := r.bytes(maxFork)
	if b == nil {
		return nil
	}
	f, err := ledger.ParseFork(b)
	if err != nil {
		r.fail("the evidence of a fork")
	}
	return f
}

type stateWriter struct{ b []byte }

func (w *stateWriter) u8(v byte)    { w.b = append(w.b, v) }
func (w *stateWriter) u32(v uint32) { w.b = binary.BigEndian.AppendUint32(w.b, v) }
func (w *stateWriter) u64(v uint64) { w.b = binary.BigEndian.AppendUint64(w.b, v) }
func (w *stateWriter) bytes(v []byte) {
	w.u32(uint32(len(v)))
	w.b = append(w.b, v...)
}

func (w *stateWriter) flag(v bool) {
	if v {
		w.u8(1)
	} else {
		w.u8(0)
	}
}

func (w *stateWriter) rational(x *big.Rat) {
	if x == nil {
		w.bytes(nil)
	} else {
		w.bytes([]byte(x.String()))
	}
}

func (w *stateWriter) offered(o offered) {
	w.u8(byte(o.kind))
	w.u32(o.numbers)
	w.u32(o.padded)
	w.u64(o.bytes)
	w.rational(o.rho)
	w.u32(o.cohort)
}

// stateReader walks a state; the first failure sticks and reads give zeros.
type stateReader struct {
	rest []byte
	err  error
}

func (r *stateReader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", errState, what)
	}
}

func (r *stateReader) take(n int) []byte {
	if r.err == nil && n > len(r.rest) {
		r.fail("cut short")
	}
	if r.err != nil {
		return nil
	}
	out := r.rest[:n:n]
	r.rest = r.rest[n:]
	return out
}

func (r *stateReader) u8() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *stateReader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *stateReader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// bytes reads a byte string of at most limit; nil when empty.
func (r *stateReader) bytes(limit int) []byte {
	n := r.u32()
	if uint64(n) > uint64(limit) {
		r.fail("a field is too long")
	}
	if n == 0 || r.err != nil {
		return nil
	}
	return r.take(int(n))
}

// count reads the length of a list, 0 after a failure.
func (r *stateReader) count(limit int) int {
	n := int(r.u8())
	if n > limit {
		r.fail("a list is too long")
	}
	if r.err != nil {
		return 0
	}
	return n
}

func (r *stateReader) flag() bool {
	b := r.u8()
	if b > 1 {
		r.fail("a flag is neither 0 nor 1")
	}
	return b == 1
}

// rational reads "num/den" in lowest terms and nothing else.
func (r *stateReader) rational() *big.Rat {
	text := string(r.bytes(maxRational))
	if text == "" || r.err != nil {
		return nil
	}
	if strings.Trim(text, "0123456789/") != "" {
		r.fail("a rational")
		return nil
	}
	x, ok := new(big.Rat).SetString(text)
	if !ok || x.String() != text {
		r.fail("a rational")
		return nil
	}
	return x
}

func (r *stateReader) offered() offered {
	return offered{kind: plan.Kind(r.u8()), numbers: r.u32(), padded: r.u32(), bytes: r.u64(), rho: r.rational(), cohort: r.u32()}
}
