// Package hammer feeds decoders with damaged messages, fast: millions of inputs a minute in one process, where the Go
// fuzzer, which steers by coverage, manages thousands a second. The two complement each other.
package hammer

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// Executions is how many inputs each decoder gets: few by default, as many as TUTTI_EXECUTIONS says otherwise.
func Executions() int {
	if n, err := strconv.Atoi(os.Getenv("TUTTI_EXECUTIONS")); err == nil && n > 0 {
		return n
	}
	return 5_000
}

// Strike calls try with damaged copies of good, which try must not keep. The damage is drawn from seed: flipped bits,
// overwritten bytes and words, cuts, insertions, repetitions and pieces of other good messages, up to four at once.
func Strike(t testing.TB, seed uint64, good [][]byte, try func([]byte)) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	var b []byte
	for range Executions() {
		b = append(b[:0], good[r.IntN(len(good))]...)
		for range 1 + r.IntN(4) {
			b = damage(r, b, good)
		}
		try(b)
	}
}

// edges are the values at which lengths and counts go wrong.
var edges = []byte{0, 1, 2, 0x7f, 0x80, 0xfe, 0xff}

func damage(r *rand.Rand, b []byte, good [][]byte) []byte {
	if len(b) == 0 {
		return append(b, byte(r.Uint32()))
	}
	// Headers come first in every message, so half of the damage goes to the first bytes.
	at := r.IntN(len(b))
	if r.IntN(2) == 0 {
		at = r.IntN(min(len(b), 160))
	}
	n := min(1+r.IntN(8), len(b)-at)
	switch r.IntN(7) {
	case 0:
		b[at] ^= 1 << r.IntN(8)
	case 1:
		b[at] = edges[r.IntN(len(edges))]
	case 2:
		for i := range n {
			b[at+i] = byte(r.Uint32())
		}
	case 3:
		b = b[:at]
	case 4: // n bytes twice
		b = append(b, b[len(b)-n:]...)
		copy(b[at+n:], b[at:len(b)-n])
	case 5: // n bytes less
		b = append(b[:at], b[at+n:]...)
	default:
		other := good[r.IntN(len(good))]
		if len(other) > 0 {
			from := r.IntN(len(other))
			copy(b[at:], other[from:min(len(other), from+8*n)])
		}
	}
	return b
}
