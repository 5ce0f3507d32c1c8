package mask

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrPacking reports a packed vector of the wrong length or with padding that is not zero.
var ErrPacking = errors.New("mask: packed vector")

// A packed vector is a little-endian bit string: word j lies in bits [j·b, (j+1)·b), b = log2 P; the last byte is padded
// with zeros. At b = 40 that is five bytes a word. Eight words always fill b bytes.

// PackedLen is the length of a packed vector in bytes.
func (p *Params) PackedLen() int { return (p.literal.Dim*p.literal.LogP + 7) / 8 }

// PaddingBits is the number of high bits of the last byte that must be zero.
func (p *Params) PaddingBits() uint8 { return uint8(8*p.PackedLen() - p.literal.Dim*p.literal.LogP) }

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

// Pack writes the low log2 P bits of Dim words to dst of PackedLen bytes.
func (p *Params) Pack(dst []byte, words []uint64) {
	pack(dst[:p.PackedLen()], words[:p.literal.Dim], p.literal.LogP)
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
	width := p.literal.LogP
	mask := uint64(1)<<width - 1
	// Groups of eight words start on a byte; each word is one unaligned load, since width + 7 <= 64.
	groups := 0
	for 8*(groups+1) <= len(sums) && groups*width+7*width/8+8 <= len(packed) {
		src := packed[groups*width:]
		dst := sums[8*groups : 8*groups+8 : 8*groups+8]
		for j := range dst {
			w := binary.LittleEndian.Uint64(src[j*width>>3:]) >> (j * width & 7) & mask
			dst[j] += (w ^ flip) - flip
		}
		groups++
	}
	for j := 8 * groups; j < len(sums); j++ {
		var last [8]byte
		copy(last[:], packed[j*width>>3:])
		w := binary.LittleEndian.Uint64(last[:]) >> (j * width & 7) & mask
		sums[j] += (w ^ flip) - flip
	}
	return nil
}
