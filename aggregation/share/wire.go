package share

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
)

// Bytes is the length of an element on the wire, ceil(log2(p)/8).
func (f Field) Bytes() int { return (f.Bits() + 7) / 8 }

// Put writes words, Bytes bytes each, big-endian, to dst, which holds exactly them.
func (f Field) Put(dst []byte, words []uint64) {
	size := f.Bytes()
	dst = dst[:len(words)*size]
	for _, v := range words {
		for i := size - 1; i >= 0; i-- {
			dst[i] = byte(v)
			v >>= 8
		}
		dst = dst[size:]
	}
}

// Parse is the inverse of Put. It refuses (ErrWord) a length that is no multiple of Bytes and a word that is not below p.
// Its time depends on the length alone.
func (f Field) Parse(b []byte) ([]uint64, error) {
	size := f.Bytes()
	if f.p == 0 || len(b)%size != 0 {
		return nil, fmt.Errorf("%w: %d bytes", ErrWord, len(b))
	}
	words := make([]uint64, len(b)/size)
	outside := uint64(0)
	for i := range words {
		v := uint64(0)
		if size == 4 {
			v = uint64(binary.BigEndian.Uint32(b))
		} else {
			for _, c := range b[:size] {
				v = v<<8 | uint64(c)
			}
		}
		b = b[size:]
		words[i] = v
		_, below := bits.Sub64(v, f.p, 0)
		outside |= 1 - below
	}
	if outside != 0 {
		clear(words)
		return nil, fmt.Errorf("%w: not below %d", ErrWord, f.p)
	}
	return words, nil
}

// Draw fills dst with uniform elements by rejection: little-endian words of r, of 32 bits if p is that short and of 64 if
// not, masked to the length of p.
func (f Field) Draw(r io.Reader, dst []uint64) error {
	long := f.Bits() > 32
	size := 4
	if long {
		size = 8
	}
	buf := make([]byte, size*len(dst))
	defer clear(buf)
	for len(dst) > 0 {
		b := buf[:size*len(dst)]
		if _, err := io.ReadFull(r, b); err != nil {
			return fmt.Errorf("share: randomness: %w", err)
		}
		if long {
			dst = dst[f.take64(dst, b):]
		} else {
			dst = dst[f.take32(dst, b):]
		}
	}
	return nil
}

// take64 writes the words of b that are elements, and returns how many they are; take32 does so for short ones. What is rejected
// is no secret, so they may branch on it.
func (f Field) take64(dst []uint64, b []byte) (n int) {
	mask := uint64(1)<<f.Bits() - 1
	for ; len(b) >= 8; b = b[8:] {
		if v := binary.LittleEndian.Uint64(b) & mask; v < f.p {
			dst[n] = v
			n++
		}
	}
	return n
}

func (f Field) take32(dst []uint64, b []byte) (n int) {
	mask := uint32(1)<<f.Bits() - 1
	for ; len(b) >= 4; b = b[4:] {
		if v := uint64(binary.LittleEndian.Uint32(b) & mask); v < f.p {
			dst[n] = v
			n++
		}
	}
	return n
}
