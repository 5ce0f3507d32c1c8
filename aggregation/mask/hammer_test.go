package mask

import (
	"bytes"
	"slices"
	"testing"

	"tutti/aggregation/internal/hammer"
)

// TestVectorsUnderDamage: a packed vector is refused without a trace, or comes back byte for byte.
func TestVectorsUnderDamage(t *testing.T) {
	for i, p := range []*Params{params(t, Standard, 1, 2, 1), params(t, Paired, 8, 1<<14, 1<<15-1), params(t, Paired, 4, 3, 1)} {
		n := p.PackedLen()
		good := [][]byte{make([]byte, n), bytes.Repeat([]byte{255}, n), bytes.Repeat([]byte{0x55}, n)}
		sums, again := make([]uint64, p.literal.Dim), make([]byte, n)
		hammer.Strike(t, uint64(i), good, func(b []byte) {
			clear(sums)
			err := p.Fold(sums, b)
			if err == nil {
				p.Pack(again, sums)
			}
			if err == nil && !bytes.Equal(again, b) || err != nil && slices.Max(sums) > 0 {
				t.Fatalf("%x comes back as %x (%v)", b, again, err)
			}
		})
	}
}
