package silo

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"

	"github.com/tuneinsight/lattigo/v5/core/rlwe"
	"github.com/tuneinsight/lattigo/v5/ring"
)

// maxFloodBits: one coefficient of the flood is drawn from 128 bits.
const maxFloodBits = 126

// source is AES-256-CTR under a key of 32 bytes; it never fails.
type source struct {
	stream cipher.Stream
	buffer [4096]byte
	used   int
}

func newSource(key [32]byte) *source {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // 32 bytes are a key
	}
	s := &source{stream: cipher.NewCTR(block, make([]byte, aes.BlockSize))}
	s.used = len(s.buffer)
	return s
}

// drawSource keys a source from the caller's randomness.
func drawSource(random io.Reader) (*source, error) {
	var key [32]byte
	defer clear(key[:])
	if _, err := io.ReadFull(random, key[:]); err != nil {
		return nil, fmt.Errorf("silo: randomness: %w", err)
	}
	return newSource(key), nil
}

func (s *source) uint64() uint64 {
	if s.used == len(s.buffer) {
		clear(s.buffer[:])
		s.stream.XORKeyStream(s.buffer[:], s.buffer[:])
		s.used = 0
	}
	v := binary.LittleEndian.Uint64(s.buffer[s.used:])
	clear(s.buffer[s.used : s.used+8])
	s.used += 8
	return v
}

// ternary fills sk with independent uniform values of {-1, 0, 1}, in NTT and Montgomery form as rlwe keeps keys.
func (s *source) ternary(r *ring.Ring, sk *rlwe.SecretKey) {
	var word uint64
	left := 0
	for i := range r.N() {
		trit := uint64(3)
		for trit == 3 {
			if left == 0 {
				word, left = s.uint64(), 32
			}
			trit, word, left = word&3, word>>2, left-1
		}
		for j, sub := range r.SubRings {
			// 0 -> 0, 1 -> 1, 2 -> q-1, without a branch on the secret
			sk.Value.Q.Coeffs[j][i] = trit&1 + (-(trit >> 1))&(sub.Modulus-1)
		}
	}
	r.NTT(sk.Value.Q, sk.Value.Q)
	r.MForm(sk.Value.Q, sk.Value.Q)
}

// uniform fills pol with independent uniform residues, by rejection.
func (s *source) uniform(r *ring.Ring, pol ring.Poly) {
	for j, sub := range r.SubRings {
		mask := uint64(1)<<bits.Len64(sub.Modulus-1) - 1
		for i := range pol.Coeffs[j] {
			v := s.uint64() & mask
			for v >= sub.Modulus {
				v = s.uint64() & mask
			}
			pol.Coeffs[j][i] = v
		}
	}
}

// flood fills pol with the residues of independent uniform integers of [-2^f, 2^f), reduced modulo every prime.
func (s *source) flood(r *ring.Ring, pol ring.Poly, f int) {
	offset := make([]uint64, len(r.SubRings)) // 2^f mod q_i
	for j, sub := range r.SubRings {
		hi, lo := shift(f)
		offset[j] = bits.Rem64(hi%sub.Modulus, lo, sub.Modulus)
	}
	maskHi, maskLo := shift(f + 1)
	maskLo, borrow := bits.Sub64(maskLo, 1, 0)
	maskHi -= borrow
	for i := range r.N() {
		lo, hi := s.uint64()&maskLo, s.uint64()&maskHi
		for j, sub := range r.SubRings {
			v := bits.Rem64(hi, lo, sub.Modulus) + sub.Modulus - offset[j]
			if v >= sub.Modulus {
				v -= sub.Modulus
			}
			pol.Coeffs[j][i] = v
		}
	}
}

// shift is 2^n as two words, n < 128.
func shift(n int) (hi, lo uint64) {
	if n >= 64 {
		return 1 << (n - 64), 0
	}
	return 0, 1 << n
}

// mulMod is x·y mod q.
func mulMod(x, y, q uint64) uint64 {
	hi, lo := bits.Mul64(x%q, y)
	return bits.Rem64(hi, lo, q)
}
