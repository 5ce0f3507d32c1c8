package server

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func FuzzUnpackHeaders(f *testing.F) {
	f.Add([]byte{}, 2)
	f.Add([]byte{0, 0, 0, 1, 7, 0, 0, 0, 0}, 2)
	f.Add([]byte{255, 255, 255, 255, 7}, 1)
	f.Fuzz(func(t *testing.T, b []byte, members int) {
		if members < 0 || members > 1024 {
			return
		}
		parts, err := unpackHeaders(b, members)
		if err != nil {
			return
		}
		var again []byte
		for _, p := range parts {
			again = append(binary.BigEndian.AppendUint32(again, uint32(len(p))), p...)
		}
		if !bytes.HasPrefix(b, again) {
			t.Errorf("%x reads as %x", b, again)
		}
	})
}
