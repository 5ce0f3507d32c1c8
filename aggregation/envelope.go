package aggregation

import (
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/binary"
	"fmt"

	"tutti/aggregation/share"
)

// Suite names the HPKE algorithms of a round's envelopes (RFC 9180, base mode; HKDF-SHA256 and AES-256-GCM in both).
type Suite uint8

const (
	SuiteX25519         Suite = 1 // DHKEM(X25519, HKDF-SHA256)
	SuiteMLKEM768X25519 Suite = 2 // X-Wing, draft-ietf-hpke-pq: opens only to who breaks both ML-KEM-768 and X25519
)

const (
	maxPublicKeyLen = 2048 // room for MLKEM768X25519 (1216)
	roundSeedLen    = 32   // both the HPKE key pair and the coin of a round follow from it
	shareVersion    = 1    // leads every envelope's plaintext
	aeadOverhead    = 16

	labelKeySeed = "tutti/agg/v1/keyseed"
)

// Valid reports whether the suite is one of the listed ones.
func (s Suite) Valid() bool { return s == SuiteX25519 || s == SuiteMLKEM768X25519 }

// String is the KEM's name.
func (s Suite) String() string {
	switch s {
	case SuiteX25519:
		return "X25519"
	case SuiteMLKEM768X25519:
		return "MLKEM768X25519"
	}
	return fmt.Sprintf("suite(%d)", uint8(s))
}

// overhead is the encapsulated key and the AEAD tag, in bytes.
func (s Suite) overhead() int {
	if s == SuiteMLKEM768X25519 {
		return 1088 + 32 + aeadOverhead
	}
	return 32 + aeadOverhead
}

func (s Suite) kem() (hpke.KEM, error) {
	switch s {
	case SuiteX25519:
		return hpke.DHKEM(ecdh.X25519()), nil
	case SuiteMLKEM768X25519:
		return hpke.MLKEM768X25519(), nil
	}
	return nil, fmt.Errorf("%w: suite %d is unknown", ErrConfig, uint8(s))
}

func (s Suite) publicKey(b []byte) (hpke.PublicKey, error) {
	kem, err := s.kem()
	if err != nil {
		return nil, err
	}
	return kem.NewPublicKey(b)
}

// privateKey derives the round's key pair from its seed (RFC 9180, DeriveKeyPair), under a label of its own: the coin that the
// member shows is derived from the same seed.
func (s Suite) privateKey(seed []byte) (hpke.PrivateKey, error) {
	kem, err := s.kem()
	if err != nil {
		return nil, err
	}
	ikm := hash(labelKeySeed, seed)
	defer clear(ikm[:])
	key, err := kem.DeriveKeyPair(ikm[:])
	if err != nil || s != SuiteMLKEM768X25519 {
		return key, err
	}
	return quicken(key)
}

// envelopeInfo binds an envelope to round, device, attempt and member: a copy under any other does not open.
func envelopeInfo(cfg Digest, id DeviceID, nonce [16]byte, member uint16) []byte {
	w := newWriter(labelShare, 80)
	w.raw(cfg[:])
	w.raw(id[:])
	w.raw(nonce[:])
	w.u16(member)
	return w.b
}

// sealShare encrypts one member's words: its share of the key, of the blinding polynomials and of the norm proof. HPKE draws its ephemeral key from the standard library's own generator: crypto/hpke takes no other.
func sealShare(key hpke.PublicKey, info []byte, field share.Field, words []uint64) ([]byte, error) {
	plain := make([]byte, 1+field.Bytes()*len(words))
	defer clear(plain)
	plain[0] = shareVersion
	field.Put(plain[1:], words)
	return hpke.Seal(key, hpke.HKDFSHA256(), hpke.AES256GCM(), info, plain)
}

// openShare is the member's end: ReasonEnvelope if it does not open, ReasonShare if its content is not len(words) words of the
// field, which it writes to words. Both results are the caller's to erase: packed holds the words as they came.
func openShare(key hpke.PrivateKey, info, envelope []byte, field share.Field, words []uint64) (packed []byte, reason Reason) {
	plain, err := hpke.Open(key, hpke.HKDFSHA256(), hpke.AES256GCM(), info, envelope)
	if err != nil {
		return nil, ReasonEnvelope
	}
	if len(plain) != 1+field.Bytes()*len(words) || plain[0] != shareVersion || !parseWords(field, words, plain[1:]) {
		clear(plain)
		return nil, ReasonShare
	}
	return plain[1:], Accepted
}

// parseWords is Field.Parse into words, which a member does for every upload; false is ErrWord. Its time depends on lengths alone.
func parseWords(field share.Field, words []uint64, packed []byte) bool {
	if field.Bytes() != 4 {
		parsed, err := field.Parse(packed)
		copy(words, parsed)
		clear(parsed)
		return err == nil
	}
	p, outside := field.Modulus(), uint64(0)
	for i := range words {
		v := uint64(binary.BigEndian.Uint32(packed[4*i:]))
		words[i] = v
		outside |= p - 1 - v // its top bit is set if v >= p
	}
	return outside>>63 == 0
}
