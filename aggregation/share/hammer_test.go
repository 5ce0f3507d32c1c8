package share

import (
	"testing"

	"tutti/aggregation/internal/hammer"
)

// TestWordsUnderDamage: words of the field come back byte for byte, everything else is refused.
func TestWordsUnderDamage(t *testing.T) {
	for i, m := range moduli {
		f := field(t, m)
		good := make([]byte, 4*f.Bytes())
		f.Put(good, []uint64{0, 1, m - 2, m - 1})
		hammer.Strike(t, uint64(i), [][]byte{good}, func(b []byte) { tryWords(t, f, b) })
	}
}
