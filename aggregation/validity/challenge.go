package validity

import (
	"crypto/aes"
	"crypto/cipher"
	"math/bits"

	"tutti/aggregation/share"
)

// stream is AES-256-CTR from a zero counter. Its seeds are hashes, used for nothing else; its words are public.
type stream struct{ ctr cipher.Stream }

func newStream(seed [32]byte) stream {
	block, err := aes.NewCipher(seed[:])
	if err != nil {
		panic("validity: AES refuses a 32-byte key: " + err.Error())
	}
	return stream{cipher.NewCTR(block, make([]byte, aes.BlockSize))}
}

// Read overwrites b with the next bytes.
func (s stream) Read(b []byte) (int, error) {
	clear(b)
	s.ctr.XORKeyStream(b, b)
	return len(b), nil
}

// signs gives the entries of the projections, coordinate by coordinate: groups bytes each. Bit i of byte g is u of projection
// 8g+i in the first half of the bytes, v of projection 8(g-groups/2)+i in the second; r = u - v.
type signs struct {
	stream stream
	buf    []byte
}

const signsAtOnce = 256 // coordinates

func newSigns(first [32]byte) *signs {
	return &signs{stream: newStream(first), buf: make([]byte, signsAtOnce*groups)}
}

// next gives the bytes of the next n <= signsAtOnce coordinates.
func (s *signs) next(n int) []byte {
	b := s.buf[:n*groups]
	s.stream.Read(b)
	return b
}

// project computes <r_t, x>, mod 2^64, for all t: every coordinate is added to the bucket that each byte of its signs names, and
// a projection is the sum of the buckets whose name has its bit ("four Russians" the other way around). Addresses depend on public
// bytes alone.
func project(first [32]byte, x []int64) *[Projections]int64 {
	buckets := new([groups][256]int64)
	defer func() { *buckets = [groups][256]int64{} }()
	s := newSigns(first)
	for len(x) > 0 {
		n := min(len(x), signsAtOnce)
		b := s.next(n)
		for _, v := range x[:n] {
			for g, name := range (*[groups]byte)(b) {
				buckets[g][name] += v
			}
			b = b[groups:]
		}
		x = x[n:]
	}
	l := new([Projections]int64)
	for g := range buckets {
		for name, sum := range buckets[g] {
			for i := range 8 {
				part := sum & -int64(name>>i&1)
				if g < groups/2 {
					l[8*g+i] += part
				} else {
					l[8*(g-groups/2)+i] -= part
				}
			}
		}
	}
	return l
}

// combiner computes r* = Σ_t χ_t·r_t mod q for two χ at once, from tables over the bytes of signs.
type combiner struct {
	q, reciprocal uint64 // floor(2^64/q)
	tables        *[groups][256][2]uint64
}

func newCombiner(f share.Field, chi, other []uint64) *combiner {
	c := &combiner{q: f.Modulus(), tables: new([groups][256][2]uint64)}
	c.reciprocal, _ = bits.Div64(1, 0, c.q)
	for g := range c.tables {
		table := &c.tables[g]
		for name := 1; name < 256; name++ {
			low := bits.TrailingZeros(uint(name))
			at := (8*g + low) % Projections
			for k, v := range [2]uint64{chi[at], other[at]} {
				if g >= groups/2 {
					v = f.Minus(0, v)
				}
				table[name][k] = f.Plus(table[name&(name-1)][k], v)
			}
		}
	}
	return c
}

// fill writes one entry of both r* for every groups bytes of b. Sums of groups/2 entries, each below q < 2^60, fit in 64 bits.
func (c *combiner) fill(r, other []uint64, b []byte) {
	for i := range r {
		name := (*[groups]byte)(b)
		var u0, u1, v0, v1 uint64
		for g := range groups / 2 {
			u, v := &c.tables[g][name[g]], &c.tables[g+groups/2][name[g+groups/2]]
			u0, u1 = u0+u[0], u1+u[1]
			v0, v1 = v0+v[0], v1+v[1]
		}
		r[i] = c.reduce(c.reduce(u0) + c.reduce(v0))
		other[i] = c.reduce(c.reduce(u1) + c.reduce(v1))
		b = b[groups:]
	}
}

func (c *combiner) reduce(v uint64) uint64 {
	hi, _ := bits.Mul64(v, c.reciprocal)
	v -= hi * c.q // below 2q
	if v >= c.q {
		v -= c.q
	}
	return v
}

// coefficients are the second challenge: chi weighs projections, psi bits, one row of each a repetition.
type coefficients struct{ chi, psi [][]uint64 }

func (c *Check) coefficients(second [32]byte) coefficients {
	all := make([]uint64, c.repeat*(Projections+c.Bits()))
	if err := c.field.Draw(newStream(second), all); err != nil {
		panic("validity: a key stream ran dry: " + err.Error())
	}
	var k coefficients
	for range c.repeat {
		k.chi, all = append(k.chi, all[:Projections]), all[Projections:]
	}
	for range c.repeat {
		k.psi, all = append(k.psi, all[:c.Bits()]), all[c.Bits():]
	}
	return k
}
