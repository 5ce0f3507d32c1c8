package main

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"math/bits"
)

// Shamir's secret sharing of 32-byte keys over the Mersenne prime 2^61 - 1, for the pairwise masks; 746 neighbours are too many for GF(2^8).

const (
	prime    = 1<<61 - 1
	secret   = 32
	words    = 5 // of 7 bytes and the rest
	wordLen  = 7
	shareLen = 8 * words
)

func mulMod(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return addMod(lo&prime, hi<<3|lo>>61)
}

func addMod(a, b uint64) uint64 {
	s := a + b
	s = s&prime + s>>61
	if s >= prime {
		s -= prime
	}
	return s
}

func invert(a uint64) uint64 { // a^(p-2)
	r := uint64(1)
	for e := uint64(prime - 2); e > 0; e >>= 1 {
		if e&1 == 1 {
			r = mulMod(r, a)
		}
		a = mulMod(a, a)
	}
	return r
}

// split shares key among n points 1..n; any threshold of the shares determine it, fewer tell nothing.
func split(key []byte, n, threshold int) ([][words]uint64, error) {
	poly := make([][words]uint64, threshold)
	random := make([]byte, 8*words*(threshold-1))
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	for w := range words {
		var b [8]byte
		copy(b[:wordLen], key[wordLen*w:])
		poly[0][w] = binary.LittleEndian.Uint64(b[:])
		for i := 1; i < threshold; i++ { // 2^-61 from uniform
			poly[i][w] = binary.LittleEndian.Uint64(random[8*(words*(i-1)+w):]) % prime
		}
	}
	shares := make([][words]uint64, n)
	for j := range shares {
		x := uint64(j + 1)
		for i := threshold - 1; i >= 0; i-- {
			for w := range words {
				shares[j][w] = addMod(mulMod(shares[j][w], x), poly[i][w])
			}
		}
	}
	return shares, nil
}

// combine is the key that at least threshold shares at points determine.
func combine(points []int, shares [][words]uint64) ([]byte, error) {
	var sum [words]uint64
	for i, p := range points {
		num, den := uint64(1), uint64(1)
		for j, o := range points {
			if i != j { // o / (o - p)
				num = mulMod(num, uint64(o))
				den = mulMod(den, addMod(uint64(o), prime-uint64(p)))
			}
		}
		l := mulMod(num, invert(den))
		for w := range words {
			sum[w] = addMod(sum[w], mulMod(l, shares[i][w]))
		}
	}
	key := make([]byte, words*wordLen+1)
	for w, v := range sum {
		if v>>(8*wordLen) != 0 {
			return nil, errors.New("shares of no key")
		}
		binary.LittleEndian.PutUint64(key[wordLen*w:], v) // its eighth byte is zero, and overwritten by the next
	}
	for _, b := range key[secret:] {
		if b != 0 {
			return nil, errors.New("shares of no key")
		}
	}
	return key[:secret], nil
}
