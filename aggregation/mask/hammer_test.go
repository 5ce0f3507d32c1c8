package mask

import (
	"bytes"
	"testing"

	"tutti/aggregation/internal/hammer"
)

// TestVectorsUnderDamage: a packed vector is refused without a trace, or comes back byte for byte.
func TestVectorsUnderDamage(t *testing.T) {
	for i, p := range foldParams(t) {
		n := p.PackedLen()
		good := [][]byte{make([]byte, n), bytes.Repeat([]byte{255}, n), bytes.Repeat([]byte{0x55}, n)}
		hammer.Strike(t, uint64(i), good, func(b []byte) { tryVector(t, p, b) })
	}
}
