package delta

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

// weights are n normal numbers of a scale, as a blob with a header of text before them and some bytes behind.
func weights(seed uint64, n int, scale float64) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(scale * r.NormFloat64())
	}
	return out
}

func blob(values []float32, tail string) []byte {
	b := []byte(`{"a":{"dtype":"F32"}}   `)
	for _, x := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return append(b, tail...)
}

// moving is a pair as a round makes it: every weight has moved a little.
func moving(n int, by float64) (base, next []float32) {
	base, next = weights(1, n, 0.1), weights(2, n, by)
	for i := range next {
		next[i] += base[i]
	}
	return base, next
}

func roundTrip(t *testing.T, base, result []byte) []byte {
	t.Helper()
	d, err := Encode(base, result)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(d, base, int64(len(result)))
	if err != nil || !bytes.Equal(got, result) {
		t.Fatalf("%v, equal: %v", err, bytes.Equal(got, result))
	}
	again, err := Encode(base, result)
	if err != nil || !bytes.Equal(d, again) {
		t.Fatalf("two encodings differ: %v", err)
	}
	return d
}

func TestBits(t *testing.T) {
	base, next := moving(5000, 0.001)
	for _, tail := range []string{"", "x", "xy", "xyz"} {
		d := roundTrip(t, blob(base, tail), blob(next, tail))
		if h, err := Parse(d); err != nil || h.form != bits || h.Result != sha256.Sum256(blob(next, tail)) {
			t.Fatalf("%+v, %v", h, err)
		}
	}
	special := []float32{0, float32(math.Copysign(0, -1)), float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), math.SmallestNonzeroFloat32, math.MaxFloat32}
	a, b := make([]float32, 0, 700), make([]float32, 0, 700)
	for i := range 490 {
		a, b = append(a, special[i%7]), append(b, special[i/7%7])
	}
	roundTrip(t, blob(a, ""), blob(b, ""))
	roundTrip(t, blob(b, ""), blob(a, ""))
}

// TestSnap: weights that were moved in steps lie close to where they should, and their delta is a fraction of the blob.
func TestSnap(t *testing.T) {
	const n, by = 20000, 0.001
	base, next := moving(n, by)
	snapped := append([]float32(nil), next...)
	step, err := Snap(base, snapped)
	if err != nil {
		t.Fatal(err)
	}
	if step > by/8*1.05 || step < by/17 {
		t.Fatalf("steps of %g for changes of %g", step, by)
	}
	lost := 0.0
	for i := range next {
		if d := math.Abs(float64(next[i] - snapped[i])); d > step/2+1e-7 {
			t.Fatalf("weight %d moved by %g, half a step is %g", i, d, step/2)
		} else {
			lost += d * d
		}
	}
	if lost/n > by*by/700 { // 1/768 and what float32 rounds
		t.Fatalf("lost %g of a power of %g", lost/n, by*by)
	}
	d := roundTrip(t, blob(base, ""), blob(snapped, ""))
	if h, _ := Parse(d); h.form != steps {
		t.Fatal("no common step was found")
	}
	if len(d) > 4*n/4 { // entropy: log2(16 sqrt(2 pi e)) = 6.05 bits at most of 32
		t.Fatalf("%d bytes for %d weights", len(d), n)
	}
	if back, _ := Encode(blob(snapped, ""), blob(snapped, "")); len(back) > 300 {
		t.Errorf("%d bytes for no change", len(back))
	}
}

func TestSnapRefuses(t *testing.T) {
	inf := float32(math.Inf(1))
	for name, c := range map[string][2][]float32{
		"lengths": {{1}, {1, 2}}, "infinite": {{1, 2}, {1, inf}}, "NaN": {{1, 2}, {1, inf - inf}},
	} {
		if _, err := Snap(c[0], c[1]); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	same := []float32{1, 2}
	if step, err := Snap(same, []float32{1, 2}); step != 0 || err != nil {
		t.Errorf("no change: step %g, %v", step, err)
	}
	base, next := make([]float32, 2000), make([]float32, 2000) // one change dwarfs all others
	for i := range next {
		next[i] = 1e-30 * float32(i%7)
	}
	next[3] = 1e9
	step, err := Snap(base, next)
	if err != nil || math.Abs(float64(next[3])-1e9) > step/2 || next[4] != 0 {
		t.Errorf("%g and %g by steps of %g, %v", next[3], next[4], step, err)
	}
	roundTrip(t, blob(base, ""), blob(next, ""))
}

func TestUseless(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	noise := func() []byte {
		b := make([]byte, 4000)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	for name, c := range map[string][2][]byte{
		"lengths": {make([]byte, 4000), make([]byte, 4004)}, "noise": {noise(), noise()}, "nothing": {nil, nil}, "tiny": {make([]byte, 40), make([]byte, 40)},
	} {
		if d, err := Encode(c[0], c[1]); !errors.Is(err, ErrUseless) {
			t.Errorf("%s: %d bytes, %v", name, len(d), err)
		}
	}
}

// TestDecodeRefuses: what a liar sends.
func TestDecodeRefuses(t *testing.T) {
	bv, nv := moving(2000, 0.001)
	base, next := blob(bv, ""), blob(nv, "")
	good, err := Encode(base, next)
	if err != nil {
		t.Fatal(err)
	}
	limit := int64(len(next))
	edit := func(do func(d []byte) []byte) []byte { return do(bytes.Clone(good)) }
	set := func(at int, x byte) []byte { return edit(func(d []byte) []byte { d[at] = x; return d }) }
	other := blob(weights(9, 2000, 1), "")
	for name, c := range map[string]struct {
		delta, base []byte
		limit       int64
		want        error
	}{
		"above the limit":   {good, base, limit - 1, ErrFormat},
		"another base":      {good, other, limit, ErrBase},
		"a shorter base":    {good, base[:len(base)-4], limit, ErrBase},
		"not a delta":       {set(0, 'T'), base, limit, ErrFormat},
		"another format":    {set(8, 2), base, limit, ErrFormat},
		"another form":      {set(9, 2), base, limit, ErrFormat},
		"bits with a step":  {set(11, 1), base, limit, ErrFormat},
		"as steps":          {set(9, 1), base, limit, ErrResult},
		"an absurd step":    {edit(func(d []byte) []byte { d[9], d[10] = 1, 0x70; return d }), base, limit, ErrFormat},
		"an absurd length":  {set(12, 0xff), base, math.MaxInt64, ErrFormat},
		"a huge length":     {set(13, 0x7f), base, math.MaxInt64, ErrBase},
		"the base's digest": {set(20, good[20]^1), base, limit, ErrBase},
		"the result's":      {set(52, good[52]^1), base, limit, ErrResult},
		"cut short":         {good[:len(good)-9], base, limit, ErrFormat},
		"only a header":     {good[:headerLen], base, limit, ErrFormat},
		"half a header":     {good[:headerLen-1], base, limit, ErrFormat},
		"empty":             {nil, base, limit, ErrFormat},
		"more behind it":    {padded(t, base, next), base, limit, ErrFormat},
	} {
		if _, err := Decode(c.delta, c.base, c.limit); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// padded is a delta whose planes go on after their end: a bomb would.
func padded(t *testing.T, base, result []byte) []byte {
	t.Helper()
	h := Header{Base: sha256.Sum256(base), Result: sha256.Sum256(result), Length: int64(len(result))}
	d, err := pack(h.append(nil), make([]uint32, 1<<20), 9)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestZigzagAndPlaces(t *testing.T) {
	before := uint32(0)
	for i, x := range []float32{float32(math.Inf(-1)), -2, -1, -1e-40, float32(math.Copysign(0, -1)), 0, 1e-40, 1, 2, float32(math.Inf(1))} {
		p := place(math.Float32bits(x))
		if i > 0 && p <= before || unplace(p) != math.Float32bits(x) {
			t.Errorf("%g has place %d after %d", x, p, before)
		}
		before = p
	}
	for _, d := range []int32{0, -1, 1, -2, math.MaxInt32, math.MinInt32} {
		if unzigzag(zigzag(d)) != d {
			t.Errorf("%d", d)
		}
	}
	if zigzag(-1) != 1 || zigzag(1) != 2 {
		t.Error("zigzag's order")
	}
}
