package kernel

import "fmt"

// Dropout zeroes a share p of x, in [0, 1), and divides the rest by 1-p
// (Srivastava et al. 2014, section 10): dst[i] is x[i]/(1-p) where i is kept and
// 0 otherwise, even for an x[i] that is not a number. dst may be x.
//
// What is kept is a function of key and from+i (modulo 2^32) alone, the same on
// every machine, so that backward asks again and nothing is stored; disjoint
// ranges of one key may be asked in pieces. It is no cryptography.
func Dropout(dst, x []float32, key uint64, from uint32, p float32) {
	sameLength(dst, x)
	if !(p >= 0 && p < 1) {
		panic(fmt.Sprintf("kernel: dropout of %v is not in [0, 1)", p))
	}
	active.dropout(dst, x, newMask(key, from, p))
}

// mask describes the numbers that dropout draws: value i is kept where
// hash(from+i) >= below.
type mask struct {
	from       uint32
	key0, key1 uint32
	below      uint32  // p*2^32
	scale      float32 // 1/(1-p)
}

func newMask(key uint64, from uint32, p float32) mask {
	key = mix64(key)
	return mask{
		from: from, key0: uint32(key), key1: uint32(key >> 32),
		below: uint32(float64(p) * (1 << 32)),
		scale: 1 / (1 - p),
	}
}

// mix64 is the finaliser of SplitMix64 (Steele, Lea & Flood 2014, figure 16),
// after one step: keys that differ in one bit give unrelated words.
func mix64(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Multipliers of the 32-bit hash "lowbias32" (C. Wellons, hash-prospector), a
// bijection whose output bits each depend evenly on all input bits.
const (
	hashMul0 = 0x7feb352d
	hashMul1 = 0x846ca68b
)

// hash draws 32 bits for index i: lowbias32 with one word of the key before its
// first and one between its two rounds.
func (d mask) hash(i uint32) uint32 {
	h := i ^ d.key0
	h = (h ^ h>>16) * hashMul0
	h ^= d.key1
	h = (h ^ h>>15) * hashMul1
	return h ^ h>>16
}

func dropoutPortable(dst, x []float32, d mask) {
	dst = dst[:len(x)]
	for i, v := range x {
		kept := v * d.scale
		if d.hash(d.from+uint32(i)) < d.below {
			kept = 0
		}
		dst[i] = kept
	}
}
