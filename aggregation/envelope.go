package aggregation

import (
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/binary"
	"fmt"

	"tutti/aggregation/share"
)

// Suite names the HPKE algorithms of a round's envelopes.
type Suite uint8

// SuiteX25519 is DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM (RFC 9180, base mode).
const SuiteX25519 Suite = 1

const (
	maxPublicKeyLen = 2048 // room for MLKEM768X25519 (1216)
	roundSeedLen    = 32   // input keying material of DeriveKeyPair
	shareVersion    = 1    // leads every envelope's plaintext
)

// overhead is the encapsulated key and the AEAD tag, in bytes.
func (s Suite) overhead() int { return 32 + 16 }

func (s Suite) kem() (hpke.KEM, error) {
	if s != SuiteX25519 {
		return nil, fmt.Errorf("%w: suite %d is unknown", ErrConfig, s)
	}
	return hpke.DHKEM(ecdh.X25519()), nil
}

func (s Suite) publicKey(b []byte) (hpke.PublicKey, error) {
	kem, err := s.kem()
	if err != nil {
		return nil, err
	}
	return kem.NewPublicKey(b)
}

// privateKey derives the round's key pair from its seed (RFC 9180, DeriveKeyPair).
func (s Suite) privateKey(seed []byte) (hpke.PrivateKey, error) {
	kem, err := s.kem()
	if err != nil {
		return nil, err
	}
	return kem.DeriveKeyPair(seed)
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

// sealShare encrypts one member's share. HPKE draws its ephemeral key from the standard library's
// own generator: crypto/hpke takes no other.
func sealShare(suite Suite, public []byte, info []byte, words []uint32) ([]byte, error) {
	key, err := suite.publicKey(public)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, 1+4*len(words))
	defer clear(plain)
	plain[0] = shareVersion
	for i, v := range words {
		binary.BigEndian.PutUint32(plain[1+4*i:], v)
	}
	return hpke.Seal(key, hpke.HKDFSHA256(), hpke.AES256GCM(), info, plain)
}

// openShare is the member's end: ReasonEnvelope if it does not open, ReasonShare if its content is not
// n words of the field.
func openShare(key hpke.PrivateKey, info, envelope []byte, n int) ([]uint32, Reason) {
	plain, err := hpke.Open(key, hpke.HKDFSHA256(), hpke.AES256GCM(), info, envelope)
	if err != nil {
		return nil, ReasonEnvelope
	}
	defer clear(plain)
	if len(plain) != 1+4*n || plain[0] != shareVersion {
		return nil, ReasonShare
	}
	words := make([]uint32, n)
	for i := range words {
		words[i] = binary.BigEndian.Uint32(plain[1+4*i:])
		if words[i] >= share.P {
			clear(words)
			return nil, ReasonShare
		}
	}
	return words, Accepted
}
