package share

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Moduli of every kind: the default, the rings' (46, 52 and 60 bits), the largest below 2^61 and 2^31, and tiny ones.
var moduli = []uint64{P, 70368744067073, 4503599627366401, 1152921504606830593, 1<<61 - 1, 2147483629, 101, 13, 3}

func field(t testing.TB, p uint64) Field {
	t.Helper()
	f, err := NewField(p)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFieldEdges(t *testing.T) {
	for _, p := range moduli {
		f := field(t, p)
		edges := []uint64{0, 1, 2 % p, p / 2, p/2 + 1, p - 2, p - 1}
		for _, a := range edges {
			for _, b := range edges {
				checkArithmetic(t, f, a, b)
			}
			if a != 0 && f.Mul(a, f.Inverse(a)) != 1 {
				t.Errorf("mod %d: inverse of %d", p, a)
			}
			if c := f.Centre(a); f.Of(c) != a || c > int64(p/2) || c < -int64(p/2) {
				t.Errorf("mod %d: %d centred is %d", p, a, c)
			}
		}
	}
	for _, v := range []uint64{P, 2 * P, 2*P + 1, P * P, 1<<62 - 1, 1<<63 - 1} {
		if reduce31(v) != v%P {
			t.Errorf("reduce31(%d) = %d", v, reduce31(v))
		}
	}
}

func checkArithmetic(t interface{ Errorf(string, ...any) }, f Field, a, b uint64) {
	p := new(big.Int).SetUint64(f.Modulus())
	x, y := new(big.Int).SetUint64(a), new(big.Int).SetUint64(b)
	want := func(z *big.Int) uint64 { return z.Mod(z, p).Uint64() }
	if got := f.Mul(a, b); got != want(new(big.Int).Mul(x, y)) {
		t.Errorf("mod %v: %d·%d = %d", p, a, b, got)
	}
	if got := f.Plus(a, b); got != want(new(big.Int).Add(x, y)) {
		t.Errorf("mod %v: %d+%d = %d", p, a, b, got)
	}
	if got := f.Minus(a, b); got != want(new(big.Int).Sub(x, y)) {
		t.Errorf("mod %v: %d-%d = %d", p, a, b, got)
	}
	sum := []uint64{a}
	if f.Add(sum, []uint64{b}); sum[0] != f.Plus(a, b) {
		t.Errorf("mod %v: Add gives %d", p, sum[0])
	}
}

func TestFieldEqualsBigIntegers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, err := NewField(rapid.SampledFrom(moduli).Draw(t, "p"))
		if err != nil {
			t.Fatal(err)
		}
		element := rapid.Uint64Max(f.p - 1)
		checkArithmetic(t, f, element.Draw(t, "a"), element.Draw(t, "b"))
		a := rapid.SliceOf(element).Draw(t, "as")
		b := rapid.SliceOfN(element, len(a), len(a)).Draw(t, "bs")
		want := new(big.Int)
		for i := range a {
			want.Add(want, new(big.Int).Mul(new(big.Int).SetUint64(a[i]), new(big.Int).SetUint64(b[i])))
		}
		if got := f.Dot(a, b); got != want.Mod(want, new(big.Int).SetUint64(f.p)).Uint64() {
			t.Fatalf("dot mod %d: %d, want %v", f.p, got, want)
		}
	})
}

// Thousands of the largest terms: no sum on the way overflows.
func TestDotOfLargestTerms(t *testing.T) {
	for _, p := range moduli {
		f := field(t, p)
		a := slices.Repeat([]uint64{p - 1}, 5000)
		if got, want := f.Dot(a, a), 5000%p; got != want {
			t.Errorf("mod %d: %d, want %d", p, got, want)
		}
	}
}

func TestNoField(t *testing.T) {
	for _, p := range []uint64{0, 1, 2, 4, 561, 3215031751, 1<<31 + 1, 70368744067073 + 2, 1 << 60, 2305843009213693967, 1<<64 - 59} {
		if f, err := NewField(p); !errors.Is(err, ErrScheme) {
			t.Errorf("%d: %v, %v", p, f, err)
		}
	}
	if _, err := New(Field{}, 3, 1, 1); !errors.Is(err, ErrScheme) {
		t.Errorf("scheme over no field: %v", err)
	}
	if _, err := New(field(t, 13), 9, 2, 2); !errors.Is(err, ErrScheme) { // 9 members and 4 nodes need 14 elements with zero
		t.Errorf("scheme over too small a field: %v", err)
	}
	if _, err := (Field{}).Parse(nil); !errors.Is(err, ErrWord) {
		t.Errorf("parse in no field: %v", err)
	}
}

func TestDraw(t *testing.T) {
	var b []byte
	for _, v := range []uint32{P, 1<<32 - 1, 5, 1 << 31, P - 1} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	dst := make([]uint64, 3)
	if err := Default().Draw(bytes.NewReader(b[:8]), dst[:1]); err == nil {
		t.Errorf("two words that are no element made %d", dst[0])
	}
	if err := Default().Draw(bytes.NewReader(b), dst); err != nil || !slices.Equal(dst, []uint64{5, 0, P - 1}) {
		t.Errorf("%v, %v", dst, err)
	}
	f := field(t, 70368744067073)
	b = b[:0]
	for _, v := range []uint64{1<<46 - 1, f.p, 1<<46 | 7, f.p - 1, 1<<64 - 1<<46} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	if err := f.Draw(bytes.NewReader(b), dst); err != nil || !slices.Equal(dst, []uint64{7, f.p - 1, 0}) {
		t.Errorf("%v, %v", dst, err)
	}
}

func TestPutParse(t *testing.T) {
	for p, want := range map[uint64]int{P: 4, 70368744067073: 6, 4503599627366401: 7, 1152921504606830593: 8, 101: 1} {
		f := field(t, p)
		words := []uint64{0, 1, p - 1, p / 3}
		b := make([]byte, len(words)*want)
		f.Put(b, words)
		if got, err := f.Parse(b); err != nil || !slices.Equal(got, words) {
			t.Errorf("mod %d: %v, %v", p, got, err)
		}
		if f.Bytes() != want || b[2*want-1] != 1 {
			t.Errorf("mod %d: %d bytes, %x", p, f.Bytes(), b)
		}
		b[len(b)-1], b = 0, b[:len(b)-want]
		f.Put(b[len(b)-want:], []uint64{p - 1})
		b[len(b)-1]++ // p itself: the moduli are odd
		if _, err := f.Parse(b); !errors.Is(err, ErrWord) {
			t.Errorf("mod %d: %d was taken: %v", p, p, err)
		}
		if _, err := f.Parse(b[1:]); want > 1 && !errors.Is(err, ErrWord) {
			t.Errorf("mod %d: half a word was taken: %v", p, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 127, 255, 255, 255}, uint8(0))
	f.Add(bytes.Repeat([]byte{15, 255}, 16), uint8(3))
	f.Fuzz(func(t *testing.T, b []byte, which uint8) { tryWords(t, field(t, moduli[int(which)%len(moduli)]), b) })
}

// tryWords demands of any bytes that they are refused as a whole, or come back byte for byte.
func tryWords(t testing.TB, field Field, b []byte) {
	words, err := field.Parse(b)
	if err != nil {
		if !errors.Is(err, ErrWord) || words != nil {
			t.Fatalf("%v, %v", words, err)
		}
		return
	}
	again := make([]byte, len(b))
	field.Put(again, words)
	if !bytes.Equal(again, b) {
		t.Fatalf("%x became %x", b, again)
	}
}

func BenchmarkMul(b *testing.B) {
	for _, p := range moduli[:2] {
		f, v := field(b, p), uint64(12345)
		b.Run(f.name(), func(b *testing.B) {
			for b.Loop() {
				v = f.Mul(v, v)
			}
		})
		sink = v
	}
}

var sink uint64
