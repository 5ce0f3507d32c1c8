package mechanism

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// quiet has the parameters of a noisy plan, but its devices add no noise:
// what is left is padding, rotation and rounding. Only tests can build one.
func quiet(t testing.TB, p Params) *Codec {
	c := mustCodec(t, p)
	c.noise = nil
	return c
}

// Every encoding keeps both bounds, whatever the update was: the norm before
// noise in exact integers, each coordinate after it.
func TestEncodeKeepsItsBounds(t *testing.T) {
	p := mustDesign(t, Literal{Dim: 900, Clip: 1, NMin: 5, NMax: 9, Colluders: 1, Z: 0.7, Noise: true})
	noisy, silent := mustCodec(t, p), quiet(t, p)
	rapid.Check(t, func(t *rapid.T) {
		update := rapid.SliceOfN(rapid.Float32(), 900, 900).Draw(t, "update")
		if rapid.Bool().Draw(t, "one spike") {
			clear(update[1:])
		}
		x := Clip(update, 1)
		e, err := silent.Encode(x, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		square := int64(0)
		for _, y := range e.Values() {
			square += int64(y) * int64(y)
		}
		if square > p.L2Bound*p.L2Bound {
			t.Fatalf("squared norm %d exceeds %d^2", square, p.L2Bound)
		}
		if e, err = noisy.Encode(x, rand.Reader); err != nil {
			t.Fatal(err)
		}
		for _, y := range e.Values() {
			if int64(y) > e.Bound() || int64(y) < -e.Bound() {
				t.Fatalf("%d is beyond %d", y, e.Bound())
			}
		}
	})
}

// With noise off the decoded sum is the sum of the clipped updates, within
// the rounding: at most one grid unit per coordinate and device before the
// inverse rotation, so at most sqrt(block) n after it, and by far less.
func TestDecodeInvertsEncodeWithoutNoise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Literal{
			Dim:  rapid.IntRange(1, 5000).Draw(t, "dim"),
			Clip: rapid.Float64Range(1e-3, 1e3).Draw(t, "clip"),
			Pad:  rapid.IntRange(0, 3000).Draw(t, "pad"),
			NMin: 1, NMax: 20,
		}
		copy(l.Signs[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "signs"))
		p, err := Design(l)
		if err != nil {
			t.Fatal(err)
		}
		c, err := NewCodec(p)
		if err != nil {
			t.Fatal(err)
		}
		n := rapid.IntRange(1, 6).Draw(t, "devices")
		sum, want := make([]int64, p.PaddedDim), make([]float64, p.Dim)
		for i := range n {
			update := testVector(p.Dim, rapid.Uint64().Draw(t, "seed"))
			for j := range update {
				update[j] *= float32(math.Pow(10, float64(i-3))) // from tiny to huge
			}
			x := Clip(update, p.Clip)
			for j, v := range x.data.values {
				want[j] += float64(v)
			}
			e, err := c.Encode(x, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			for j, y := range e.Values() {
				sum[j] += int64(y)
			}
		}
		decoded, err := c.DecodeSum(sum, n)
		if err != nil {
			t.Fatal(err)
		}
		// each coordinate's error is a mean of Block independent roundings,
		// each of variance <= n/4: 8 standard deviations, false rejection
		// below 1e-14 each
		allowed := 8 * math.Sqrt(float64(n)/4) / p.Scale()
		for j, v := range decoded.Values {
			if math.Abs(float64(v)-want[j]) > allowed+1e-6*math.Abs(want[j]) {
				t.Fatalf("coordinate %d is %g, want %g within %g", j, v, want[j], allowed)
			}
		}
		if decoded.Meter != (NoiseMeter{}) {
			t.Fatalf("a noise meter without noise: %+v", decoded.Meter)
		}
	})
}

// With noise the error of every coordinate is Gaussian with the variance
// that NoiseOnSum states.
func TestDecodedSumIsTheSumWithinItsNoise(t *testing.T) {
	const n = 40
	p := mustDesign(t, Literal{Dim: 3000, Clip: 2, NMin: 30, NMax: 60, Colluders: 3, Z: 0.8, Noise: true})
	c := mustCodec(t, p)
	sum, want := make([]int64, p.PaddedDim), make([]float64, p.Dim)
	for i := range n {
		x := Clip(testVector(p.Dim, uint64(i)), p.Clip)
		for j, v := range x.data.values {
			want[j] += float64(v)
		}
		accumulate(t, c, x, seeded(uint64(i)+1000), sum)
	}
	decoded, err := c.DecodeSum(sum, n)
	if err != nil {
		t.Fatal(err)
	}
	noise := p.NoiseOnSum(n)
	square, dot := 0.0, 0.0
	for j, v := range decoded.Values {
		d := float64(v) - want[j]
		square += d * d
		dot += d * want[j]
		if math.Abs(d) > 6*noise { // 3,000 coordinates: false rejection 6e-6
			t.Errorf("coordinate %d is off by %.1f standard deviations", j, d/noise)
		}
	}
	// 5 standard deviations of sqrt(2/3000): false rejection 6e-7
	if ratio := square / float64(p.Dim) / (noise * noise); math.Abs(ratio-1) > 5*math.Sqrt(2.0/3000) {
		t.Errorf("the error has %g of the variance that is stated", ratio)
	}
	if p.NoiseOnSum(n) < p.Z*p.Clip {
		t.Errorf("the noise %g on the sum is below z c = %g", noise, p.Z*p.Clip)
	}
}

// At a scale of 2^13 and more the mean squared error is that of a central
// Gaussian of the same z: the bar is [.97, 1.03].
func TestErrorIsThatOfACentralGaussian(t *testing.T) {
	const n = 12
	for _, z := range []float64{0.5, 1, 3} {
		p := mustDesign(t, Literal{Dim: 1 << 16, Clip: 1, NMin: n, NMax: n, Z: z, Noise: true})
		c := mustCodec(t, p)
		sum, want := make([]int64, p.PaddedDim), make([]float64, p.Dim)
		x := Clip(testVector(p.Dim, 5), 1)
		for i := range n {
			accumulate(t, c, x, seeded(uint64(i)), sum)
		}
		for j, v := range x.data.values {
			want[j] = n * float64(v)
		}
		decoded, err := c.DecodeSum(sum, n)
		if err != nil {
			t.Fatal(err)
		}
		square := 0.0
		for j, v := range decoded.Values {
			square += (float64(v) - want[j]) * (float64(v) - want[j])
		}
		ratio := square / float64(p.Dim) / (z * z)
		t.Logf("z %g, c*s %d: error %.4f of a central Gaussian's", z, p.ClipGrid, ratio)
		// sqrt(2/65536) = 0.0055: the bar is 5 standard deviations away, false rejection 6e-7
		if ratio < 0.97 || ratio > 1.03 {
			t.Errorf("z %g: ratio %g", z, ratio)
		}
	}
}

// NaN, infinities and zeros are sent as noise; nobody can tell from what is
// sent, and the sum is unharmed.
func TestPoisonedUpdatesAreSentAsNoise(t *testing.T) {
	p := mustDesign(t, Literal{Dim: 50, Clip: 1, NMin: 1, NMax: 4})
	c := mustCodec(t, p)
	good := Clip(testVector(50, 1), 1)
	sum := make([]int64, p.PaddedDim)
	accumulate(t, c, good, seeded(1), sum)
	for i, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), 0} {
		update := make([]float32, 50)
		update[7] = bad
		accumulate(t, c, Clip(update, 1), seeded(uint64(i)+2), sum)
	}
	decoded, err := c.DecodeSum(sum, 4)
	if err != nil {
		t.Fatal(err)
	}
	for j, v := range decoded.Values {
		if math.Abs(float64(v-good.data.values[j])) > 1e-5 {
			t.Fatalf("coordinate %d is %g, want %g", j, v, good.data.values[j])
		}
	}
}

func TestEncodeRefusesWhatDoesNotFit(t *testing.T) {
	p := mustDesign(t, Literal{Dim: 50, Clip: 1, NMin: 2, NMax: 4})
	c := mustCodec(t, p)
	for name, x := range map[string]Clipped{
		"empty":      {},
		"too short":  Clip(make([]float32, 49), 1),
		"too long":   Clip(make([]float32, 51), 1),
		"other clip": Clip(make([]float32, 50), 1.5),
	} {
		if e, err := c.Encode(x, rand.Reader); !errors.Is(err, ErrMismatch) || e.Values() != nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
	x := Clip(testVector(50, 1), 1)
	if _, err := c.Encode(x, bytes.NewReader(make([]byte, 47))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("47 bytes of randomness: got %v", err)
	}
	if (Encoded{}).Values() != nil || (Encoded{}).Bound() != 0 {
		t.Error("an empty Encoded holds something")
	}
}

func TestDecodeSumRefusesWhatCannotBe(t *testing.T) {
	p := mustDesign(t, Literal{Dim: 50, Clip: 1, NMin: 2, NMax: 4})
	c := mustCodec(t, p)
	sum := make([]int64, p.PaddedDim)
	for name, try := range map[string]func() error{
		"short":    func() error { _, err := c.DecodeSum(sum[1:], 2); return err },
		"long":     func() error { _, err := c.DecodeSum(append(sum, 0), 2); return err },
		"too few":  func() error { _, err := c.DecodeSum(sum, 1); return err },
		"too many": func() error { _, err := c.DecodeSum(sum, 5); return err },
		"too large": func() error {
			wrong := append([]int64(nil), sum...)
			wrong[3] = -2*p.InputBound - 1
			_, err := c.DecodeSum(wrong, 2)
			return err
		},
	} {
		if err := try(); !errors.Is(err, ErrMismatch) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	sum[3] = 2 * p.InputBound
	if _, err := c.DecodeSum(sum, 2); err != nil {
		t.Errorf("a coordinate at its bound: %v", err)
	}
}

func TestStaleEncodedPanics(t *testing.T) {
	p := mustDesign(t, Literal{Dim: 8, Clip: 1, NMin: 1, NMax: 1})
	c := mustCodec(t, p)
	first, err := c.Encode(Clip(testVector(8, 1), 1), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.Encode(Clip(testVector(8, 2), 1), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	first.Erase() // must not touch the second
	empty := true
	for _, v := range second.Values() {
		empty = empty && v == 0
	}
	if empty {
		t.Error("a stale Erase wiped another device's vector")
	}
	second.Erase()
	for _, v := range second.Values() {
		if v != 0 {
			t.Fatal("values survive Erase")
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a stale Encoded is readable")
		}
	}()
	first.Values()
}

// Two devices, or two forks of one process, that start from the same state
// but draw their own key must differ in every way: same update, other noise.
func TestFreshKeysGiveFreshNoise(t *testing.T) {
	p := mustDesign(t, Literal{Dim: 100, Clip: 1, NMin: 5, NMax: 9, Z: 1, Noise: true})
	a, b := mustCodec(t, p), mustCodec(t, p)
	x := Clip(testVector(100, 1), 1)
	ea, err := a.Encode(x, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	eb, err := b.Encode(x, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	same, dot, square := 0, 0.0, 0.0
	for i, v := range ea.Values() {
		w := eb.Values()[i]
		if v == w {
			same++
		}
		dot += float64(v) * float64(w)
		square += float64(v) * float64(v)
	}
	// sigma is about 2000: two fresh draws agree with probability 1.4e-4 a
	// coordinate, 5 of 33,792 expected, 40 with probability below 1e-20; and
	// their correlation is below 7/sqrt(D) but for a probability of 3e-12
	if same > 40 || math.Abs(dot/square) > 7/math.Sqrt(float64(p.PaddedDim))+0.01 {
		t.Errorf("%d of %d coordinates agree, correlation %g", same, p.PaddedDim, dot/square)
	}
}

func TestEncodeAllocatesNothingThatGrows(t *testing.T) {
	for _, dim := range []int{100, 200000} {
		p := mustDesign(t, Literal{Dim: dim, Clip: 1, NMin: 5, NMax: 9, Z: 1, Noise: true})
		c := mustCodec(t, p)
		x := Clip(testVector(dim, 1), 1)
		// one AES key schedule and one stream, whatever D is
		if allocs := testing.AllocsPerRun(5, func() {
			if _, err := c.Encode(x, rand.Reader); err != nil {
				t.Fatal(err)
			}
		}); allocs > 6 {
			t.Errorf("d=%d: %g allocations", dim, allocs)
		}
	}
}

// What stays in a codec between calls tells nothing of the update.
func TestEncodeWipesItsScratch(t *testing.T) {
	p := mustDesign(t, Literal{Dim: 100, Clip: 1, NMin: 5, NMax: 9, Z: 1, Noise: true})
	c := mustCodec(t, p)
	if _, err := c.Encode(Clip(testVector(100, 1), 1), rand.Reader); err != nil {
		t.Fatal(err)
	}
	for _, v := range c.block {
		if v != 0 {
			t.Fatal("the rotated update stays in memory")
		}
	}
	if !bytes.Equal(c.scratch, make([]byte, len(c.scratch))) {
		t.Fatal("the noise's randomness stays in memory")
	}
}

// Known answers: the bytes of an encoding under known randomness. They pin
// the order of the draws, the expansion of the signs and the sampler.
func TestEncodeKnownAnswer(t *testing.T) {
	l := Literal{Dim: 1000, Clip: 1, NMin: 56, NMax: 104, Colluders: 6, Z: 1, Noise: true}
	for i := range l.Signs {
		l.Signs[i] = byte(i)
	}
	update := make([]float32, l.Dim)
	for i := range update {
		update[i] = float32(i%7-3) / 64
	}
	for _, test := range []struct {
		noise bool
		want  string
	}{
		{true, "[1645 -1586 -3079 2183] 0a5284d75d8243d8"},
		{false, "[-88064 -309248 116736 -71680] 242dbc557c01a1da"},
	} {
		l.Noise = test.noise
		if !l.Noise {
			l.Z = 0
		}
		c := mustCodec(t, mustDesign(t, l))
		e, err := c.Encode(Clip(update, 1), bytes.NewReader(make([]byte, streamSeed)))
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		if err := binary.Write(h, binary.LittleEndian, e.Values()); err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%v %x", e.Values()[:4], h.Sum(nil)[:8])
		if got != test.want {
			t.Errorf("noise %v: %s, want %s", test.noise, got, test.want)
		}
	}
}

func TestSignsAreTheKeyStream(t *testing.T) {
	// AES-256 of a zero block under a zero key begins dc 95 c0 78 (FIPS 197;
	// the GCM specification's H of test case 13)
	if got := expandSigns([32]byte{}, 27); !bytes.Equal(got, []byte{0xdc, 0x95, 0xc0, 0x78}) {
		t.Fatalf("signs %x", got)
	}
}
