package mechanism

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math"
	"math/rand/v2"
	"testing"
)

// testVector returns n reproducible normal values.
func testVector(n int, seed uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, 0))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// seeded returns a reproducible source of bytes: tests that need the same
// noise twice, or a stated false-rejection probability of one fixed draw.
func seeded(seed uint64) io.Reader {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	key = sha256.Sum256(key[:])
	return rand.NewChaCha8(key)
}

func mustDesign(t testing.TB, l Literal) Params {
	t.Helper()
	p, err := Design(l)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustCodec(t testing.TB, p Params) *Codec {
	t.Helper()
	c, err := NewCodec(p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func norm(x []float32) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum)
}

// accumulate encodes x and adds it to sum.
func accumulate(t testing.TB, c *Codec, x Clipped, rand io.Reader, sum []int64) {
	t.Helper()
	e, err := c.Encode(x, rand)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range e.Values() {
		sum[i] += int64(v)
	}
}
