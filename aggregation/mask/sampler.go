package mask

import "encoding/binary"

// group is how many samples are drawn together, one in each bit of a word.
const group = 64

// groupBytes is the randomness of one group: 128 planes of magnitude, one of signs.
const groupBytes = 8 * (128 + 1)

// sampler draws from the discrete Gaussian over the integers by inversion: |X| is the number of table entries above a
// uniform 128-bit number. Every sample is compared with every entry, bit by bit and 64 samples at a time (Karmakar et al., IEEE
// TC 2018, use planes of bits alike), so that neither time nor memory access depends on it.
type sampler struct {
	stream  stream
	compare func(n0, n1, n2, n3, n4, n5, n6, n7 *[16]uint64, digit *[8]uint64)
	planes  [8][16]uint64
	digits  [8]uint64 // of |X| in binary, then the sign
	buf     []byte
}

// newSampler needs a key that is used for nothing else.
func newSampler(sigma Sigma, key [32]byte) *sampler {
	s := &sampler{stream: newStream(key), compare: compare65}
	if sigma == Sigma70 {
		s.compare = compare70
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

// fillGroup reads the complements of the 128-bit numbers as planes, lowest bit first, then the signs.
func (s *sampler) fillGroup(dst *[group]int64, random *[groupBytes]byte) {
	for j := range s.planes {
		for b := range s.planes[j] {
			s.planes[j][b] = binary.LittleEndian.Uint64(random[128*j+8*b:])
		}
	}
	p, d := &s.planes, &s.digits
	s.compare(&p[0], &p[1], &p[2], &p[3], &p[4], &p[5], &p[6], &p[7], d)
	// |X| >= k holds for k = 1..|X|, so binary digit j of |X| is the parity of those k that are multiples of 2^j.
	d[5] ^= d[6]
	d[4] ^= d[5]
	d[3] ^= d[4]
	d[2] ^= d[3]
	d[1] ^= d[2]
	d[0] ^= d[1]
	d[7] = binary.LittleEndian.Uint64(random[8*128:])
	for g := range 8 {
		block := d[0]>>(8*g)&255 | d[1]>>(8*g)&255<<8 | d[2]>>(8*g)&255<<16 | d[3]>>(8*g)&255<<24 |
			d[4]>>(8*g)&255<<32 | d[5]>>(8*g)&255<<40 | d[6]>>(8*g)&255<<48 | d[7]>>(8*g)<<56
		block = transpose8(block)
		for i := range 8 {
			v := int64(block >> (8 * i) & 127)
			sign := -int64(block >> (8*i + 7) & 1) // 0 or -1
			dst[8*g+i] = (v ^ sign) - sign
		}
	}
}

// transpose8 transposes an 8x8 matrix of bits, row r in byte r (Warren, Hacker's Delight, 7-3).
func transpose8(x uint64) uint64 {
	t := (x ^ x>>7) & 0x00aa00aa00aa00aa
	x ^= t ^ t<<7
	t = (x ^ x>>14) & 0x0000cccc0000cccc
	x ^= t ^ t<<14
	t = (x ^ x>>28) & 0x00000000f0f0f0f0
	return x ^ t ^ t<<28
}

// erase overwrites the randomness drawn last. The cipher's own key schedule is out of reach and left to the collector.
func (s *sampler) erase() {
	clear(s.buf)
	s.planes = [8][16]uint64{}
	s.digits = [8]uint64{}
}
