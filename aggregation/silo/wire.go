package silo

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tuneinsight/lattigo/v5/ring"
)

// ErrEncoding reports bytes that are not the canonical encoding of anything.
var ErrEncoding = errors.New("silo: malformed encoding")

// ErrSignature reports a message that its organisation did not sign.
var ErrSignature = errors.New("silo: signature")

// Digest is a SHA-256 value.
type Digest = [32]byte

const (
	digestLen = 32
	headerLen = 4 + digestLen + 2 // magic, version, kind; configuration; sender
	overhead  = headerLen + ed25519.SignatureSize

	labelConfig   = "tutti/silo/v1/config"
	labelSign     = "tutti/silo/v1/sign"
	labelMessage  = "tutti/silo/v1/message"
	labelView     = "tutti/silo/v1/view"
	labelKeys     = "tutti/silo/v1/keys"
	labelCRS      = "tutti/silo/v1/crs"
	labelSeed     = "tutti/silo/v1/seed"
	labelEnvelope = "tutti/silo/v1/envelope"
	labelVector   = "tutti/silo/v1/vector"
	labelSum      = "tutti/silo/v1/sum"
	labelProposal = "tutti/silo/v1/proposal"
	labelRecord   = "tutti/silo/v1/record"
)

// kind is what a message is.
type kind uint8

const (
	kindAnnounce kind = iota + 1
	kindKeyShare
	kindContribution
	kindPartial
	kindProposal
)

func (k kind) String() string {
	return [...]string{"unknown", "announcement", "key share", "contribution", "partial decryption", "proposal"}[k]
}

// hash is SHA-256(len(label) ‖ label ‖ parts); the parts of one label have fixed lengths, but for the last.
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

// start begins a message of n bytes.
func start(k kind, cfg Digest, from, n int) []byte {
	b := make([]byte, 0, n)
	b = append(b, 'T', 'S', 1, byte(k))
	b = append(b, cfg[:]...)
	return binary.BigEndian.AppendUint16(b, uint16(from))
}

// sign appends the signature over all that is there.
func sign(b []byte, key ed25519.PrivateKey) []byte {
	return append(b, ed25519.Sign(key, signed(hash(labelMessage, b)))...)
}

func signed(digest Digest) []byte { return append([]byte(labelSign+"\x00"), digest[:]...) }

// message is a verified message, split.
type message struct {
	from   int
	digest Digest // of all but the signature
	body   []byte
}

// open checks length, header, sender and signature, in this order, before anything is allocated.
func (c *Config) open(k kind, b []byte) (message, error) {
	if want := c.lengthOf(k); len(b) != want {
		return message{}, fmt.Errorf("%w: a %s has %d bytes, not %d", ErrEncoding, k, want, len(b))
	}
	if b[0] != 'T' || b[1] != 'S' || b[2] != 1 || b[3] != byte(k) {
		return message{}, fmt.Errorf("%w: not a %s", ErrEncoding, k)
	}
	if Digest(b[4:4+digestLen]) != c.digest {
		return message{}, RefuseOtherConfig
	}
	from := int(binary.BigEndian.Uint16(b[4+digestLen:]))
	if from >= len(c.literal.Keys) {
		return message{}, fmt.Errorf("%w: there is no organisation %d", ErrEncoding, from)
	}
	end := len(b) - ed25519.SignatureSize
	digest := hash(labelMessage, b[:end])
	if !ed25519.Verify(c.literal.Keys[from], signed(digest), b[end:]) {
		return message{}, fmt.Errorf("%w: %s of organisation %d", ErrSignature, k, from)
	}
	return message{from: from, digest: digest, body: b[headerLen:end]}, nil
}

func (c *Config) lengthOf(k kind) int {
	switch k {
	case kindAnnounce:
		return overhead + publicKeyLen
	case kindKeyShare:
		return c.params.KeyShareLen()
	case kindContribution:
		return c.params.ContributionLen()
	case kindPartial:
		return c.params.PartialLen()
	}
	panic("silo: no fixed length for " + k.String())
}

// appendPoly writes every coefficient big-endian in as many bytes as its prime needs. lattigo's Gaussian sampler returns q for
// "-0", so a residue may arrive unreduced: it is reduced here, and readers refuse what is not.
func (p *Params) appendPoly(b []byte, pol ring.Poly) []byte {
	for j, q := range p.literal.Moduli {
		width := p.widths[j]
		for _, v := range pol.Coeffs[j] {
			if v >= q {
				v %= q
			}
			for k := width - 1; k >= 0; k-- {
				b = append(b, byte(v>>(8*k)))
			}
		}
	}
	return b
}

// eachWord calls f for every word of an encoded polynomial and stops at a word that is not below its prime.
func (p *Params) eachWord(b []byte, f func(prime, i int, v uint64)) error {
	for j, q := range p.literal.Moduli {
		width := p.widths[j]
		for i := range p.degree() {
			var v uint64
			for _, x := range b[:width] {
				v = v<<8 | uint64(x)
			}
			if v >= q {
				return fmt.Errorf("%w: residue %d of prime %d is not reduced", ErrEncoding, i, q)
			}
			f(j, i, v)
			b = b[width:]
		}
	}
	return nil
}

// readPoly decodes exactly polyLen bytes.
func (p *Params) readPoly(b []byte) (ring.Poly, error) {
	pol := p.bgv.RingQ().NewPoly()
	return pol, p.eachWord(b, func(j, i int, v uint64) { pol.Coeffs[j][i] = v })
}
