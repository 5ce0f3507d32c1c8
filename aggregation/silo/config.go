package silo

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/tuneinsight/lattigo/v5/mhe"
	"github.com/tuneinsight/lattigo/v5/utils/sampling"
)

// ErrConfig reports a configuration that no round can run under.
var ErrConfig = errors.New("silo: configuration")

const maxTaskLen = 256

// ConfigLiteral is the open form of Config.
type ConfigLiteral struct {
	Task   string              // 1 to 256 bytes
	Round  uint64              // never used twice for one task: every round has fresh keys
	Seed   [32]byte            // agreed coin; the common reference polynomial follows from the configuration's digest
	Params ParamsLiteral       // see Choose
	Keys   []ed25519.PublicKey // the organisations' long-term keys; an organisation's number is its place here
}

// Config is what the organisations agreed on: checked, immutable, in every message by its digest. Each of them signs it with its
// announcement, and shows its part of the key only when it has seen all those signatures.
type Config struct {
	literal ConfigLiteral
	params  *Params
	encoded []byte
	digest  Digest
}

// NewConfig checks and freezes a configuration.
func NewConfig(l ConfigLiteral) (*Config, error) {
	params, err := NewParams(l.Params)
	if err != nil {
		return nil, err
	}
	if len(l.Task) < 1 || len(l.Task) > maxTaskLen {
		return nil, fmt.Errorf("%w: task of %d bytes", ErrConfig, len(l.Task))
	}
	if len(l.Keys) != l.Params.Organisations {
		return nil, fmt.Errorf("%w: %d keys for %d organisations", ErrConfig, len(l.Keys), l.Params.Organisations)
	}
	keys := make([]ed25519.PublicKey, len(l.Keys))
	for i, k := range l.Keys {
		if len(k) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("%w: key %d has %d bytes", ErrConfig, i, len(k))
		}
		if slices.ContainsFunc(keys[:i], func(o ed25519.PublicKey) bool { return bytes.Equal(o, k) }) {
			return nil, fmt.Errorf("%w: key %d is there twice", ErrConfig, i)
		}
		keys[i] = slices.Clone(k)
	}
	l.Keys, l.Params = keys, params.Literal()
	c := &Config{literal: l, params: params}
	c.encoded = c.encode()
	c.digest = hash(labelConfig, c.encoded)
	return c, nil
}

// Params are the numbers of the round.
func (c *Config) Params() *Params { return c.params }

// Digest names the configuration.
func (c *Config) Digest() Digest { return c.digest }

// Bytes is the canonical encoding.
func (c *Config) Bytes() []byte { return slices.Clone(c.encoded) }

func (c *Config) encode() []byte {
	l, p := c.literal, c.literal.Params
	b := []byte{'T', 'S', 1, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(len(l.Task)))
	b = append(b, l.Task...)
	b = binary.BigEndian.AppendUint64(b, l.Round)
	b = append(b, l.Seed[:]...)
	for _, v := range []int{p.Organisations, p.Corrupt, p.Present, p.Minimum, p.Length, p.Hiding, p.LogN, p.FloodBits, len(p.Moduli)} {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	for _, v := range append([]uint64{uint64(p.Bound), p.Plaintext, p.Sigma}, p.Moduli...) {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	for _, k := range l.Keys {
		b = append(b, k...)
	}
	return b
}

// ParseConfig reads the canonical encoding, and nothing else.
func ParseConfig(b []byte) (*Config, error) {
	r := reader{b: b}
	if !bytes.Equal(r.take(4), []byte{'T', 'S', 1, 0}) {
		return nil, fmt.Errorf("%w: not a configuration", ErrEncoding)
	}
	var l ConfigLiteral
	l.Task = string(r.take(int(r.u16())))
	l.Round = r.u64()
	copy(l.Seed[:], r.take(32))
	p, primes := &l.Params, 0
	for _, into := range []*int{&p.Organisations, &p.Corrupt, &p.Present, &p.Minimum, &p.Length, &p.Hiding, &p.LogN, &p.FloodBits, &primes} {
		*into = int(r.u32())
	}
	p.Bound, p.Plaintext, p.Sigma = int64(r.u64()), r.u64(), r.u64()
	if primes > maxPrimes || p.Organisations > MaxOrganisations {
		return nil, fmt.Errorf("%w: %d primes, %d organisations", ErrEncoding, primes, p.Organisations)
	}
	for range primes {
		p.Moduli = append(p.Moduli, r.u64())
	}
	for range p.Organisations {
		l.Keys = append(l.Keys, r.take(ed25519.PublicKeySize))
	}
	if r.short || len(r.b) != 0 {
		return nil, fmt.Errorf("%w: configuration cut or too long", ErrEncoding)
	}
	c, err := NewConfig(l)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(c.encoded, b) {
		return nil, fmt.Errorf("%w: configuration is not canonical", ErrEncoding)
	}
	return c, nil
}

// reader takes bytes apart; once short, it gives zeroes.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.short, r.b = true, nil
		return make([]byte, min(n, 64<<10))
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) u16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }
func (r *reader) u32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }

// commonPolynomial is the uniform polynomial of the key generation. It is a hash of the configuration, so nobody chose it.
func (c *Config) commonPolynomial(ckg mhe.PublicKeyGenProtocol) (mhe.PublicKeyGenCRP, error) {
	key := hash(labelCRS, c.digest[:])
	crs, err := sampling.NewKeyedPRNG(key[:])
	if err != nil {
		return mhe.PublicKeyGenCRP{}, fmt.Errorf("silo: common reference string: %w", err)
	}
	return ckg.SampleCRP(crs), nil
}
