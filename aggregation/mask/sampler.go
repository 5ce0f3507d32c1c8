package mask

import (
	"encoding/binary"
	"math/bits"
)

// group is how many samples share a word of sign bits.
const group = 64

// groupBytes is the randomness of one group: 128 bits of magnitude for each, one sign bit for each.
const groupBytes = group*16 + 8

// sampler draws from the discrete Gaussian over the integers by inversion: |X| is the number of table entries above a
// uniform 128-bit number. Every sample compares with every entry, so that time and memory access do not depend on it.
type sampler struct {
	stream stream
	wide   [][2]uint64 // entries with a non-zero high word
	narrow [][2]uint64 // the far tail: high words are zero
	buf    []byte
}

// newSampler needs a key that is used for nothing else.
func newSampler(sigma Sigma, key [32]byte) *sampler {
	s := &sampler{stream: newStream(key), wide: table65[:narrow65], narrow: table65[narrow65:]}
	if sigma == Sigma70 {
		s.wide, s.narrow = table70[:narrow70], table70[narrow70:]
	}
	return s
}

// fill overwrites dst, whose length is a multiple of 64, with samples.
func (s *sampler) fill(dst []int64) {
	need := len(dst) / group * groupBytes
	if cap(s.buf) < need {
		clear(s.buf)
		s.buf = make([]byte, need)
	}
	buf := s.buf[:need]
	s.stream.read(buf)
	for len(dst) > 0 {
		s.fillGroup((*[group]int64)(dst), (*[groupBytes]byte)(buf))
		dst, buf = dst[group:], buf[groupBytes:]
	}
}

func (s *sampler) fillGroup(dst *[group]int64, random *[groupBytes]byte) {
	signs := binary.LittleEndian.Uint64(random[16*group:])
	for i := range dst {
		lo := binary.LittleEndian.Uint64(random[16*i:])
		hi := binary.LittleEndian.Uint64(random[16*i+8:])
		magnitude := s.magnitude(hi, lo)
		sign := -int64(signs >> i & 1) // 0 or -1
		dst[i] = (int64(magnitude) ^ sign) - sign
	}
}

// magnitude counts the entries above (hi, lo), without a branch on either.
func (s *sampler) magnitude(hi, lo uint64) uint64 {
	var count, tail, borrow uint64
	for i := range s.wide {
		t := &s.wide[i]
		_, borrow = bits.Sub64(lo, t[1], 0)
		_, borrow = bits.Sub64(hi, t[0], borrow)
		count, _ = bits.Add64(count, 0, borrow)
	}
	for i := range s.narrow {
		_, borrow = bits.Sub64(lo, s.narrow[i][1], 0)
		tail, _ = bits.Add64(tail, 0, borrow)
	}
	_, nonzero := bits.Sub64(0, hi, 0) // 1 if hi > 0
	return count + tail&(nonzero-1)
}

// erase overwrites the randomness drawn last. The cipher's own key schedule is out of reach and left to the collector.
func (s *sampler) erase() { clear(s.buf[:cap(s.buf)]) }
