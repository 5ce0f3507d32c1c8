package delta

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"
)

// FuzzDecode: whatever comes in, the result is the blob that the delta names, or an error, and no more is allocated than
// the base is long.
func FuzzDecode(f *testing.F) {
	bv, nv := moving(300, 0.001)
	base := blob(bv, "y")
	for _, snap := range []bool{false, true} {
		if snap {
			if _, err := Snap(bv, nv); err != nil {
				f.Fatal(err)
			}
		}
		d, err := Encode(base, blob(nv, "y"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(d)
		f.Add(d[:headerLen])
	}
	f.Fuzz(func(t *testing.T, d []byte) {
		out, err := Decode(d, base, int64(len(base)))
		if err == nil && len(out) != len(base) {
			t.Fatalf("%d bytes from a base of %d", len(out), len(base))
		}
		if h, perr := Parse(d); perr != nil && err == nil || perr == nil && err == nil && h.Length != int64(len(out)) {
			t.Fatal("decoded, and cannot be parsed")
		}
	})
}

// FuzzEncode: every pair of blobs of one length comes back bit by bit, or is not worth a delta.
func FuzzEncode(f *testing.F) {
	f.Add([]byte("abcdefgh"), []byte("12"))
	f.Add(binary.LittleEndian.AppendUint32(nil, math.Float32bits(0.25)), []byte{1, 0, 0, 0x80, 0, 0xff})
	f.Fuzz(func(t *testing.T, unit, change []byte) {
		if len(unit) == 0 || len(unit) > 1<<10 || len(change) > 1<<10 {
			return
		}
		base := bytes.Repeat(unit, 2*headerLen/len(unit)+8)
		result := bytes.Clone(base)
		for i, x := range change {
			result[i%len(result)] ^= x
		}
		d, err := Encode(base, result)
		if errors.Is(err, ErrUseless) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		out, err := Decode(d, base, int64(len(result)))
		if err != nil || !bytes.Equal(out, result) {
			t.Fatalf("%v", err)
		}
	})
}
