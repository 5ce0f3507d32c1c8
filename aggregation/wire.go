package aggregation

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Every label below separates one use of a hash or of a signing key from all others.
const (
	labelConfig   = "tutti/agg/v1/cfg"
	labelSeedA    = "tutti/agg/v1/A"
	labelEnrol    = "tutti/agg/v1/enrol"
	labelRoundKey = "tutti/agg/v1/roundkey"
	labelShare    = "tutti/agg/v1/share"
	labelEnvelope = "tutti/agg/v1/envelope"
	labelHeader   = "tutti/agg/v1/header"
	labelMember   = "tutti/agg/v1/memberheader"
	labelUpload   = "tutti/agg/v1/upload"
	labelVector   = "tutti/agg/v1/vector"
	labelPartial  = "tutti/agg/v1/partial"
	labelSet      = "tutti/agg/v1/set"
	labelProposal = "tutti/agg/v1/proposal"
	labelSign     = "tutti/agg/v1/sign"
	labelAbandon  = "tutti/agg/v1/abandon"
	labelCert     = "tutti/agg/v1/certificate"
	labelAnswer   = "tutti/agg/v1/answer"
	labelRecord   = "tutti/agg/v1/record"
)

// wireVersion follows the label in every encoding.
const wireVersion = 1

// ErrEncoding reports bytes that are not the canonical encoding of anything.
var ErrEncoding = errors.New("aggregation: malformed encoding")

// Digest is a SHA-256 value.
type Digest = [32]byte

// hash is SHA-256(len(label) ‖ label ‖ parts); every caller gives parts of fixed length,
// or length-prefixed by writer, so that no two inputs share an encoding.
func hash(label string, parts ...[]byte) Digest {
	h := sha256.New()
	h.Write([]byte{byte(len(label))})
	h.Write([]byte(label))
	for _, p := range parts {
		h.Write(p)
	}
	var d Digest
	h.Sum(d[:0])
	return d
}

// signDigest signs label ‖ 0 ‖ digest, so that a signature under one label is void under another.
func signDigest(key ed25519.PrivateKey, label string, digest Digest) []byte {
	return ed25519.Sign(key, signedMessage(label, digest))
}

func verifyDigest(public ed25519.PublicKey, label string, digest Digest, signature []byte) bool {
	return len(public) == ed25519.PublicKeySize && len(signature) == ed25519.SignatureSize &&
		ed25519.Verify(public, signedMessage(label, digest), signature)
}

func signedMessage(label string, digest Digest) []byte {
	message := make([]byte, 0, len(label)+1+len(digest))
	message = append(message, label...)
	message = append(message, 0)
	return append(message, digest[:]...)
}

// writer builds a canonical encoding: fixed order, big-endian integers, byte strings behind a uint32 length.
type writer struct{ b []byte }

func newWriter(label string, capacity int) *writer {
	w := &writer{b: make([]byte, 0, capacity+len(label)+5)}
	w.bytes([]byte(label))
	w.u8(wireVersion)
	return w
}

func (w *writer) u8(v uint8)   { w.b = append(w.b, v) }
func (w *writer) u16(v uint16) { w.b = binary.BigEndian.AppendUint16(w.b, v) }
func (w *writer) u32(v uint32) { w.b = binary.BigEndian.AppendUint32(w.b, v) }
func (w *writer) u64(v uint64) { w.b = binary.BigEndian.AppendUint64(w.b, v) }
func (w *writer) raw(v []byte) { w.b = append(w.b, v...) }
func (w *writer) bytes(v []byte) {
	w.u32(uint32(len(v)))
	w.raw(v)
}

// reader takes a canonical encoding apart. The first error sticks; lengths are checked before anything is allocated.
type reader struct {
	b   []byte
	err error
}

func newReader(label string, b []byte) *reader {
	r := &reader{b: b}
	if got := r.bytes(len(label)); r.err == nil && string(got) != label {
		r.fail("is not a %s", label)
	}
	if v := r.u8(); r.err == nil && v != wireVersion {
		r.fail("version %d of %s is unknown", v, label)
	}
	return r
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrEncoding, fmt.Sprintf(format, args...))
	}
}

// raw returns the next n bytes without copying them.
func (r *reader) raw(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || n > len(r.b) {
		r.fail("%d bytes wanted, %d left", n, len(r.b))
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// copyOf returns a copy of the next n bytes.
func (r *reader) copyOf(n int) []byte { return append([]byte(nil), r.raw(n)...) }

func (r *reader) fixed(into []byte) { copy(into, r.raw(len(into))) }

func (r *reader) u8() uint8 {
	if v := r.raw(1); v != nil {
		return v[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if v := r.raw(2); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if v := r.raw(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if v := r.raw(8); v != nil {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

// bytes returns a length-prefixed byte string of at most limit bytes, not copied.
func (r *reader) bytes(limit int) []byte {
	n := r.u32()
	if r.err == nil && uint64(n) > uint64(limit) {
		r.fail("a field of %d bytes, at most %d allowed", n, limit)
	}
	return r.raw(int(n))
}

// count checks that a list of n entries of size bytes each can still follow, before its allocation.
func (r *reader) count(n uint32, limit, size int) int {
	if r.err == nil && uint64(n) > uint64(limit) {
		r.fail("a list of %d, at most %d allowed", n, limit)
	}
	if r.err == nil && uint64(n)*uint64(size) > uint64(len(r.b)) {
		r.fail("a list of %d does not fit into %d bytes", n, len(r.b))
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

// done refuses trailing bytes and returns the first error.
func (r *reader) done() error {
	if r.err == nil && len(r.b) != 0 {
		r.fail("%d bytes too many", len(r.b))
	}
	return r.err
}
