package mask

import (
	"math/big"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tuneinsight/lattigo/v5/core/rlwe"
	"github.com/tuneinsight/lattigo/v5/ring"
)

// Oracle 8a for Paired: lattigo's Encryptor and Decryptor under the same two primes, keys, seed and messages. The public polynomial
// is the same word for word, and so are the decoded sums.
func TestT1_8a_LattigoOracleOfPairs(t *testing.T) {
	t.Parallel()
	p := params(t, Paired, 8192, 1<<14, 1<<15-1)
	theirs, err := rlwe.NewParametersFromLiteral(rlwe.ParametersLiteral{
		LogN: 12, Q: []uint64{p.literal.Q, p.literal.Q2}, NTTFlag: true,
		Xs: ring.DiscreteGaussian{Sigma: 6.5, Bound: 87}, Xe: ring.DiscreteGaussian{Sigma: 6.5, Bound: 87},
	})
	if err != nil {
		t.Fatal(err)
	}
	public := [32]byte{9}
	for _, n := range []int{1, 2, 1000} {
		rng := rand.New(rand.NewPCG(88, uint64(n)))
		x := make([][]int32, n)
		for i := range x {
			x[i] = make([]int32, p.literal.Dim)
			for j := range x[i] {
				x[i][j] = int32(rng.IntN(1<<16-1) - 1<<15 + 1)
			}
		}
		key, sums, want := cohort(t, p, n, func(i, j int) int32 { return x[i][j] })
		sum, keySum := rlwe.NewCiphertext(theirs, 1), rlwe.NewSecretKey(theirs)
		for i := range n {
			sk, ct := rlwe.NewSecretKey(theirs), rlwe.NewCiphertext(theirs, 1)
			for j, h := range p.pair.halves {
				own := sk.Value.Q.Coeffs[j]
				lift(own, NewSecret(p, seedOf(1, uint64(i))).Coefficients(), h.q)
				h.ring.NTT(own, own)
				h.ring.Neg(own, own) // they compute -a·sk; the Montgomery convention is ours
			}
			if err := rlwe.NewEncryptor(theirs, sk).WithPRNG(reversed{newStream(public)}).Encrypt(p.pairPlaintext(theirs, x[i]), ct); err != nil {
				t.Fatal(err)
			}
			theirs.RingQ().Add(sum.Value[0], ct.Value[0], sum.Value[0])
			theirs.RingQ().Add(keySum.Value.Q, sk.Value.Q, keySum.Value.Q)
			sum.Value[1].Copy(ct.Value[1]) // one public polynomial for all
		}
		ours, err := p.Unmask(public, key, sums, n)
		if err != nil {
			t.Fatal(err)
		}
		plain := rlwe.NewDecryptor(theirs, keySum).DecryptNew(sum)
		if decoded := p.pairDecode(theirs, plain); !slices.Equal(decoded, ours) || !slices.Equal(decoded, want) {
			t.Fatalf("n = %d: lattigo and we differ", n)
		}
		expand, block := newExpander(p, public), make([]uint64, p.n)
		for j, h := range p.pair.halves {
			if expand.next(block, h.q); !slices.Equal(block, sum.Value[1].Coeffs[j]) {
				t.Fatalf("the public polynomials mod q_%d differ", j)
			}
		}
	}
}

// pairPlaintext is Δ·(x_2i + T·x_(2i+1)) under both primes.
func (p *Params) pairPlaintext(theirs rlwe.Parameters, x []int32) *rlwe.Plaintext {
	pt := rlwe.NewPlaintext(theirs)
	for i := range p.n {
		m := int64(x[2*i]) + int64(x[2*i+1])<<p.literal.LogT
		for j, h := range p.pair.halves {
			q := int64(h.q)
			hi, lo := bits.Mul64(uint64((m%q+q)%q), p.delta%h.q)
			_, pt.Value.Coeffs[j][i] = bits.Div64(hi, lo, h.q)
		}
	}
	theirs.RingQ().NTT(pt.Value, pt.Value)
	return pt
}

// pairDecode is round(c/Δ) in two digits, for centred coefficients c.
func (p *Params) pairDecode(theirs rlwe.Parameters, pt *rlwe.Plaintext) []int64 {
	theirs.RingQ().INTT(pt.Value, pt.Value)
	coefficients := make([]*big.Int, p.n)
	for i := range coefficients {
		coefficients[i] = new(big.Int)
	}
	theirs.RingQ().PolyToBigintCentered(pt.Value, 1, coefficients)
	out := make([]int64, 0, 2*p.n)
	delta := new(big.Int).SetUint64(p.delta)
	for _, c := range coefficients {
		c.Lsh(c, 1).Add(c, delta).Div(c, new(big.Int).Lsh(delta, 1)) // Euclidean, so it rounds
		m := c.Int64()
		half := int64(1) << (p.literal.LogT - 1)
		low := (m+half)&(2*half-1) - half
		out = append(out, low, (m-low)>>p.literal.LogT)
	}
	return out
}
