package share

import (
	"bytes"
	"errors"
	"testing"

	"tutti/aggregation/internal/hammer"
)

// TestWordsUnderDamage: words of the field come back byte for byte, everything else is refused.
func TestWordsUnderDamage(t *testing.T) {
	for i, m := range moduli {
		f := field(t, m)
		good := make([]byte, 4*f.Bytes())
		f.Put(good, []uint64{0, 1, m - 2, m - 1})
		again := make([]byte, len(good)+64)
		hammer.Strike(t, uint64(i), [][]byte{good}, func(b []byte) {
			words, err := f.Parse(b)
			switch {
			case err != nil && (!errors.Is(err, ErrWord) || words != nil):
				t.Fatalf("%v, %v", words, err)
			case err == nil:
				f.Put(again[:len(b)], words)
				if !bytes.Equal(again[:len(b)], b) {
					t.Fatalf("%x became %x", b, again[:len(b)])
				}
			}
		})
	}
}
