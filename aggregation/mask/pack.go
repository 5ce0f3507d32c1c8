package mask

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrPacking reports a packed vector of the wrong length or with padding that is not zero.
var ErrPacking = errors.New("mask: packed vector")

// A packed vector is a little-endian bit string: word j lies in bits [j·b, (j+1)·b), b = log2 P; the last byte is padded
// with zeros. At b = 40 that is five bytes a word. Eight words always fill b bytes. For Paired words 2i and 2i+1 are the lower and
// the upper half of a coefficient, b = log2 P / 2; sums of halves are kept without carries, which 2^20 devices cannot overflow.

// PackedLen is the length of a packed vector in bytes.
func (p *Params) PackedLen() int { return (p.literal.Dim*p.WordBits() + 7) / 8 }

// PaddingBits is the number of high bits of the last byte that must be zero.
func (p *Params) PaddingBits() uint8 { return uint8(8*p.PackedLen() - p.literal.Dim*p.WordBits()) }

// pack writes words, reduced mod P, to dst, which holds exactly their bits.
func pack(dst []byte, words []uint64, width int) {
	mask := uint64(1)<<width - 1
	var acc uint64
	have := 0 // bits in acc, fewer than 32 between words
	for _, w := range words {
		w &= mask
		acc |= w << have
		if have+width < 64 {
			have += width
		} else {
			binary.LittleEndian.PutUint64(dst, acc)
			dst = dst[8:]
			acc = w >> (64 - have)
			have += width - 64
		}
	}
	for ; have > 0; have -= 8 {
		dst[0] = byte(acc)
		dst = dst[1:]
		acc >>= 8
	}
}

// Pack writes Dim words mod P to dst of PackedLen bytes; for Paired it carries from the lower into the upper half of each coefficient.
func (p *Params) Pack(dst []byte, words []uint64) {
	dst, words = dst[:p.PackedLen()], words[:p.literal.Dim]
	if p.pair == nil {
		pack(dst, words, p.WordBits())
		return
	}
	var carried [64]uint64
	for width := p.WordBits(); len(words) > 0; {
		k := copy(carried[:], words)
		for i := 0; i < k; i += 2 {
			carried[i+1] += uint64(int64(carried[i]) >> width)
		}
		n := min(len(dst), len(carried)*width/8)
		pack(dst[:n], carried[:k], width)
		words, dst = words[k:], dst[n:]
	}
}

// Fold adds a packed vector to Dim running sums, mod 2^64 and so mod P. On an error the sums are untouched.
func (p *Params) Fold(sums []uint64, packed []byte) error { return p.fold(sums, packed, 0) }

// Unfold subtracts what Fold added.
func (p *Params) Unfold(sums []uint64, packed []byte) error { return p.fold(sums, packed, ^uint64(0)) }

// fold adds (w ^ flip) - flip: w for flip 0, -w for flip all ones.
func (p *Params) fold(sums []uint64, packed []byte, flip uint64) error {
	if len(sums) != p.literal.Dim || len(packed) != p.PackedLen() {
		return fmt.Errorf("%w: %d bytes for %d coordinates, %d expected", ErrPacking, len(packed), len(sums), p.PackedLen())
	}
	if pad := p.PaddingBits(); packed[len(packed)-1]>>(8-pad) != 0 && pad != 0 {
		return fmt.Errorf("%w: padding is not zero", ErrPacking)
	}
	done := 0
	switch p.WordBits() {
	case 35:
		done = fold35(sums, packed, flip)
	case 40:
		done = fold40(sums, packed, flip)
	default:
		done = foldGroups(sums, packed, p.WordBits(), flip)
	}
	width := p.WordBits()
	mask := uint64(1)<<width - 1
	for j := done; j < len(sums); j++ {
		var last [8]byte
		copy(last[:], packed[j*width>>3:])
		w := binary.LittleEndian.Uint64(last[:]) >> (j * width & 7) & mask
		sums[j] += (w ^ flip) - flip
	}
	return nil
}

// foldGroups folds eight words at a time, as long as loads stay inside packed, and returns how many words it folded.
// Groups start on a byte; each word is one unaligned load, since width + 7 <= 64.
func foldGroups(sums []uint64, packed []byte, width int, flip uint64) (done int) {
	mask := uint64(1)<<width - 1
	var offset, shift [8]int
	for j := range offset {
		offset[j], shift[j] = j*width>>3, j*width&7
	}
	reach := offset[7] + 8
	for done+8 <= len(sums) && reach <= len(packed) {
		src, dst := packed[:reach], (*[8]uint64)(sums[done:])
		for j := range dst {
			w := binary.LittleEndian.Uint64(src[offset[j]:]) >> (shift[j] & 7) & mask
			dst[j] += (w ^ flip) - flip
		}
		packed = packed[width:]
		done += 8
	}
	return done
}

// fold40 is foldGroups for Standard at n = 2^14 and 16-bit inputs: eight words are five loads.
func fold40(sums []uint64, packed []byte, flip uint64) (done int) {
	const mask = 1<<40 - 1
	for done+8 <= len(sums) && len(packed) >= 40 {
		src, dst := (*[40]byte)(packed), (*[8]uint64)(sums[done:])
		a, b := binary.LittleEndian.Uint64(src[0:]), binary.LittleEndian.Uint64(src[8:])
		c, d := binary.LittleEndian.Uint64(src[16:]), binary.LittleEndian.Uint64(src[24:])
		e := binary.LittleEndian.Uint64(src[32:])
		dst[0] += (a&mask ^ flip) - flip
		dst[1] += ((a>>40|b<<24)&mask ^ flip) - flip
		dst[2] += (b>>16&mask ^ flip) - flip
		dst[3] += ((b>>56|c<<8)&mask ^ flip) - flip
		dst[4] += ((c>>32|d<<32)&mask ^ flip) - flip
		dst[5] += (d>>8&mask ^ flip) - flip
		dst[6] += ((d>>48|e<<16)&mask ^ flip) - flip
		dst[7] += (e>>24 ^ flip) - flip
		packed = packed[40:]
		done += 8
	}
	return done
}

// fold35 is foldGroups for Paired at n = 2^14 and 16-bit inputs: eight words are five loads, the last of which overlaps.
func fold35(sums []uint64, packed []byte, flip uint64) (done int) {
	const mask = 1<<35 - 1
	for done+8 <= len(sums) && len(packed) >= 35 {
		src, dst := (*[35]byte)(packed), (*[8]uint64)(sums[done:])
		a, b := binary.LittleEndian.Uint64(src[0:]), binary.LittleEndian.Uint64(src[8:])
		c, d := binary.LittleEndian.Uint64(src[16:]), binary.LittleEndian.Uint64(src[24:])
		e := binary.LittleEndian.Uint64(src[27:])
		dst[0] += (a&mask ^ flip) - flip
		dst[1] += ((a>>35|b<<29)&mask ^ flip) - flip
		dst[2] += (b>>6&mask ^ flip) - flip
		dst[3] += ((b>>41|c<<23)&mask ^ flip) - flip
		dst[4] += (c>>12&mask ^ flip) - flip
		dst[5] += ((c>>47|d<<17)&mask ^ flip) - flip
		dst[6] += (d>>18&mask ^ flip) - flip
		dst[7] += (e>>29 ^ flip) - flip
		packed = packed[35:]
		done += 8
	}
	return done
}
