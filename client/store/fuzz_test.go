package store

import (
	"bytes"
	"testing"
)

// FuzzDecodeHistory: any bytes give an error, or records that write back to the
// same bytes up to the torn tail.
func FuzzDecodeHistory(f *testing.F) {
	f.Add(encodeHistory(7, [][]byte{[]byte("one"), []byte("three")}))
	f.Add(encodeHistory(0, nil))
	f.Add(append(encodeHistory(0, nil), 0xff, 0xff, 0xff, 0xff))
	f.Fuzz(func(t *testing.T, b []byte) {
		first, records, end, err := decodeHistory(b)
		if err != nil {
			return
		}
		if again := encodeHistory(first, records); !bytes.Equal(again, b[:end]) {
			t.Fatalf("%d records write back to other bytes", len(records))
		}
	})
}
