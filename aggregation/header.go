package aggregation

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
)

const (
	maxEnvelopeLen = 1 << 17
	// MaxHeaderLen bounds the canonical bytes of a Header.
	MaxHeaderLen = 16 << 20
	// MaxMemberHeaderLen bounds the canonical bytes of a MemberHeader.
	MaxMemberHeaderLen = maxEnvelopeLen + maxAlphaLen + MaxMembers*len(Digest{}) + 4096
)

// Prelude is what a device signs, less the envelopes: the part of a header that server and members both see.
type Prelude struct {
	ID        DeviceID
	Public    ed25519.PublicKey // 32 bytes; ID is its hash
	Nonce     [16]byte          // of this attempt
	Cfg       Digest            // the round's configuration
	Base      Digest            // the model version that the update starts from
	VecHash   Digest            // of the packed masked vector
	Statement                   // of the norm proof; empty without the check
	Signature []byte            // 64 bytes, by the device over Digest
}

// Header travels in front of the masked vector, from device to server.
type Header struct {
	Prelude
	Envelopes [][]byte // Envelopes[j] is sealed to member j+1
}

// MemberHeader is what the server shows member j of a Header: its own envelope and the Merkle path to the signed root,
// and beside it the path from the device to the population's root, which no device has to know (rule 1).
type MemberHeader struct {
	Prelude
	Enrolment EnrolmentPath
	EnvRoot   Digest
	Member    uint16 // 1..m
	Envelope  []byte
	Path      []Digest // siblings from the leaf up
}

// Upload is everything that a device sends. Its bytes are kept until the receipt and re-sent, never re-made (rule 9).
type Upload struct {
	Header *Header
	Vector []byte // packed masked coordinates, Params.VectorLen bytes
}

// digest is H(id, key, nonce, cfg, base, vecHash, envRoot), and the statement of the norm proof where there is one: what the
// device signs and what U lists.
func (p *Prelude) digest(envRoot Digest) Digest {
	if !p.Statement.empty() {
		proof := p.Statement.digest()
		return hash(labelUpload, p.ID[:], p.Public, p.Nonce[:], p.Cfg[:], p.Base[:], p.VecHash[:], envRoot[:], proof[:])
	}
	return hash(labelUpload, p.ID[:], p.Public, p.Nonce[:], p.Cfg[:], p.Base[:], p.VecHash[:], envRoot[:])
}

// Digest is digest_i, the name of this attempt in the set U.
func (h *Header) Digest() Digest { return h.digest(h.EnvRoot()) }

// Entry is the header's line in a Set.
func (h *Header) Entry() Entry { return Entry{ID: h.ID, Digest: h.Digest()} }

// EnvRoot is the Merkle root over the envelopes, and their number.
func (h *Header) EnvRoot() Digest {
	return envelopeRoot(len(h.Envelopes), merkleRoot(envelopeLeaves(h.Envelopes)))
}

// Digest is digest_i, equal to that of the Header it was cut from.
func (h *MemberHeader) Digest() Digest { return h.digest(h.EnvRoot) }

// ForMember cuts the header down to what member j (1..m) needs; path is the device's in the round's population.
func (h *Header) ForMember(j uint16, path EnrolmentPath) (*MemberHeader, error) {
	if j < 1 || int(j) > len(h.Envelopes) {
		return nil, fmt.Errorf("%w: member %d of %d", ErrConfig, j, len(h.Envelopes))
	}
	return h.cut(envelopeLeaves(h.Envelopes), j, path), nil
}

// ForMembers is ForMember for all of them: the envelopes are hashed once. Element j-1 is for member j.
func (h *Header) ForMembers(path EnrolmentPath) []*MemberHeader {
	leaves := envelopeLeaves(h.Envelopes)
	cuts := make([]*MemberHeader, len(leaves))
	for j := range cuts {
		cuts[j] = h.cut(leaves, uint16(j+1), path)
	}
	return cuts
}

func (h *Header) cut(leaves []Digest, j uint16, path EnrolmentPath) *MemberHeader {
	return &MemberHeader{
		Prelude: h.Prelude, Enrolment: path, EnvRoot: envelopeRoot(len(leaves), merkleRoot(leaves)), Member: j,
		Envelope: h.Envelopes[j-1], Path: merklePath(leaves, int(j-1)),
	}
}

// VerifyHeader is the server's check of a header before it stages the vector; the error is a Reason.
// path is the device's in the round's population: the zero path stands for a device that the server does not find there.
func VerifyHeader(cfg *Config, h *Header, path EnrolmentPath) error {
	if h.Cfg != cfg.digest {
		return ReasonConfig
	}
	if len(h.Envelopes) != cfg.params.Members() {
		return ReasonEnvelopes
	}
	for _, e := range h.Envelopes {
		if len(e) != cfg.params.EnvelopeLen(cfg.Suite()) {
			return ReasonEnvelopes
		}
	}
	if r := checkPrelude(cfg, &h.Prelude, path); r != Accepted {
		return r
	}
	if !verifyDigest(h.Public, labelUpload, h.Digest(), h.Signature) {
		return ReasonSignature
	}
	return nil
}

// checkPrelude checks, cheapest first, all that server and members check alike, but the device's signature.
func checkPrelude(cfg *Config, p *Prelude, path EnrolmentPath) Reason {
	switch {
	case p.Cfg != cfg.digest:
		return ReasonConfig
	case len(p.Public) != ed25519.PublicKeySize || IDOf(p.Public) != p.ID:
		return ReasonIdentity
	case !cfg.AllowsBase(p.Base):
		return ReasonBase
	case !p.Statement.fits(cfg.params):
		return ReasonEnvelopes
	case !cfg.Eligible(p.ID):
		return ReasonNotEligible
	case cfg.ShardOf(p.ID) != cfg.literal.Round.Shard:
		return ReasonShard
	case !cfg.literal.Population.Holds(p.ID, path):
		return ReasonEnrolment
	}
	return Accepted
}

func (p *Prelude) write(w *writer) error {
	if len(p.Public) != ed25519.PublicKeySize || len(p.Signature) != ed25519.SignatureSize {
		return fmt.Errorf("%w: header fields of the wrong length", ErrEncoding)
	}
	w.raw(p.ID[:])
	w.raw(p.Public)
	w.raw(p.Nonce[:])
	w.raw(p.Cfg[:])
	w.raw(p.Base[:])
	w.raw(p.VecHash[:])
	if err := p.Statement.write(w); err != nil {
		return err
	}
	w.raw(p.Signature)
	return nil
}

func (p *Prelude) read(r *reader) {
	r.fixed(p.ID[:])
	p.Public = r.copyOf(ed25519.PublicKeySize)
	r.fixed(p.Nonce[:])
	r.fixed(p.Cfg[:])
	r.fixed(p.Base[:])
	r.fixed(p.VecHash[:])
	p.Statement = readStatement(r)
	p.Signature = r.copyOf(ed25519.SignatureSize)
}

// Marshal returns the canonical bytes.
func (h *Header) Marshal() ([]byte, error) {
	w := newWriter(labelHeader, 512)
	if err := h.Prelude.write(w); err != nil {
		return nil, err
	}
	if len(h.Envelopes) < 1 || len(h.Envelopes) > MaxMembers {
		return nil, fmt.Errorf("%w: %d envelopes", ErrEncoding, len(h.Envelopes))
	}
	w.u16(uint16(len(h.Envelopes)))
	for _, e := range h.Envelopes {
		if len(e) > maxEnvelopeLen {
			return nil, fmt.Errorf("%w: envelope of %d bytes", ErrEncoding, len(e))
		}
		w.bytes(e)
	}
	if len(w.b) > MaxHeaderLen {
		return nil, fmt.Errorf("%w: header of %d bytes", ErrEncoding, len(w.b))
	}
	return w.b, nil
}

// ParseHeader accepts exactly the bytes that Marshal gives.
func ParseHeader(b []byte) (*Header, error) {
	if len(b) > MaxHeaderLen {
		return nil, fmt.Errorf("%w: header of %d bytes", ErrEncoding, len(b))
	}
	r := newReader(labelHeader, b)
	h := new(Header)
	h.Prelude.read(r)
	n := r.count(uint32(r.u16()), MaxMembers, 4)
	if r.err == nil && n < 1 {
		r.fail("no envelopes")
	}
	h.Envelopes = make([][]byte, n)
	for i := range h.Envelopes {
		h.Envelopes[i] = append([]byte{}, r.bytes(maxEnvelopeLen)...)
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	return h, nil
}

// Marshal returns the canonical bytes.
func (h *MemberHeader) Marshal() ([]byte, error) {
	w := newWriter(labelMember, 2048+len(h.Envelope))
	if err := h.Prelude.write(w); err != nil {
		return nil, err
	}
	if len(h.Envelope) > maxEnvelopeLen || len(h.Path) > maxPathLen {
		return nil, fmt.Errorf("%w: envelope or path too long", ErrEncoding)
	}
	if err := h.Enrolment.write(w); err != nil {
		return nil, err
	}
	w.raw(h.EnvRoot[:])
	w.u16(h.Member)
	w.bytes(h.Envelope)
	w.u8(uint8(len(h.Path)))
	for _, d := range h.Path {
		w.raw(d[:])
	}
	return w.b, nil
}

// ParseMemberHeader accepts exactly the bytes that Marshal gives.
func ParseMemberHeader(b []byte) (*MemberHeader, error) {
	if len(b) > MaxMemberHeaderLen {
		return nil, fmt.Errorf("%w: member header of %d bytes", ErrEncoding, len(b))
	}
	r := newReader(labelMember, b)
	h := new(MemberHeader)
	h.Prelude.read(r)
	h.Enrolment = readEnrolmentPath(r)
	r.fixed(h.EnvRoot[:])
	h.Member = r.u16()
	h.Envelope = append([]byte{}, r.bytes(maxEnvelopeLen)...)
	h.Path = make([]Digest, r.count(uint32(r.u8()), maxPathLen, len(Digest{})))
	for i := range h.Path {
		r.fixed(h.Path[i][:])
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	return h, nil
}

// HashVector is the VecHash of a whole vector; VectorCheck computes it over a stream.
func HashVector(vector []byte) Digest {
	h := newVectorHash()
	h.Write(vector)
	var d Digest
	h.Sum(d[:0])
	return d
}

func newVectorHash() interface {
	Write([]byte) (int, error)
	Sum([]byte) []byte
} {
	h := sha256.New()
	h.Write([]byte{byte(len(labelVector))})
	h.Write([]byte(labelVector))
	return h
}
