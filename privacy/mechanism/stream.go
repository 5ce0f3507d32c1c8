package mechanism

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"io"
)

// streamSeed is the number of bytes that key one stream: an AES-256 key and
// an initial counter block.
const streamSeed = 32 + aes.BlockSize

// keystream yields the key stream of AES-256-CTR: zeros, encrypted.
type keystream struct {
	ctr cipher.Stream
}

// newStream keys a stream with streamSeed bytes read from rand, which at the
// edge is crypto/rand. Every Encode takes a fresh key, so that a cloned
// process repeats no noise.
func newStream(rand io.Reader) (keystream, error) {
	var seed [streamSeed]byte
	defer clear(seed[:])
	if _, err := io.ReadFull(rand, seed[:]); err != nil {
		return keystream{}, fmt.Errorf("mechanism: no randomness: %w", err)
	}
	return seededStream(seed), nil
}

// seededStream is the derandomised core of newStream.
func seededStream(seed [streamSeed]byte) keystream {
	block, err := aes.NewCipher(seed[:32])
	if err != nil {
		panic("mechanism: AES-256 refused a 32-byte key: " + err.Error())
	}
	return keystream{ctr: cipher.NewCTR(block, seed[32:])}
}

// fill overwrites b with key stream.
func (s keystream) fill(b []byte) {
	clear(b)
	s.ctr.XORKeyStream(b, b)
}

// uint64 takes eight bytes of key stream, for the rare draws outside a fill.
func (s keystream) uint64() uint64 {
	var b [8]byte
	s.ctr.XORKeyStream(b[:], b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// expandSigns returns n public signs, one bit each, least significant bit
// first (1 means minus): the key stream of AES-256-CTR under the public seed
// with a counter that starts at zero.
func expandSigns(seed [32]byte, n int) []byte {
	var keyed [streamSeed]byte
	copy(keyed[:], seed[:])
	signs := make([]byte, (n+7)/8)
	seededStream(keyed).fill(signs)
	return signs
}
