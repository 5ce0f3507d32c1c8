package mask

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"math/bits"
)

// stream is AES-256-CTR from a zero counter: a generator for public values (the seed of A) and secret ones (fresh keys).
type stream struct{ ctr cipher.Stream }

func newStream(key [32]byte) stream {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("mask: AES refuses a 32-byte key: " + err.Error())
	}
	var iv [aes.BlockSize]byte
	return stream{cipher.NewCTR(block, iv[:])}
}

// read overwrites dst with the next bytes.
func (s stream) read(dst []byte) {
	clear(dst)
	s.ctr.XORKeyStream(dst, dst)
}

// expander gives the public polynomials a_0, a_1, ... of a seed, already in NTT and Montgomery form (ExpandA, section 3):
// little-endian 64-bit words of the stream, masked to the length of q, those >= q left out. Paired takes a polynomial mod its first
// and one mod its second prime in turn.
type expander struct {
	stream stream
	buf    []byte
}

func newExpander(p *Params, seed [32]byte) *expander {
	return &expander{stream: newStream(seed), buf: make([]byte, 8*p.n)}
}

// next fills a with the next polynomial, mod q. Values are public, so branches on them are fine.
func (x *expander) next(a []uint64, q uint64) {
	mask := uint64(1)<<bits.Len64(q) - 1
	for i := 0; i < len(a); {
		b := x.buf[:8*min(len(a)-i, len(x.buf)/8)] // no more words than a has room for
		x.stream.read(b)
		for ; len(b) >= 8; b = b[8:] {
			if v := binary.LittleEndian.Uint64(b) & mask; v < q {
				a[i] = v
				i++
			}
		}
	}
}
