package silo

import (
	"math/big"
	"slices"
	"testing"
)

// What a partial decryption adds to c_1·s is the flood, over its whole width: of 2^12 coefficients some lie beyond 2^(f-1)
// (none does with probability 2^-4096), none beyond 2^f and lattigo's small Gaussian.
func TestPartialDecryptionIsFlooded(t *testing.T) {
	w := newWorld(t, Model{Organisations: 3, Corrupt: 1, Minimum: 3, Length: 40, Bound: 1000, Hiding: 40})
	w.makeKeys()
	w.contribute(1, 0, 1, 2)
	tally, p := w.tally(), w.cfg.params
	sk, err := w.parties[0].secretKey()
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := w.parties[0].Decrypt(chacha(1), w.propose(tally, 0, 1, 2), tally)
	if err != nil {
		t.Fatal(err)
	}
	pol, err := p.readPoly(b[headerLen+digestLen : headerLen+digestLen+p.polyLen])
	if err != nil {
		t.Fatal(err)
	}
	ringQ := p.bgv.RingQ()
	ringQ.MulCoeffsMontgomeryThenSub(tally.sum[0][1], sk.Value.Q, pol)
	ringQ.INTT(pol, pol)
	values := make([]*big.Int, p.degree())
	for i := range values {
		values[i] = new(big.Int)
	}
	ringQ.PolyToBigintCentered(pol, 1, values)
	widest := 0
	for _, v := range values {
		widest = max(widest, new(big.Int).Abs(v).BitLen())
	}
	if f := p.literal.FloodBits; widest != f {
		t.Errorf("noise of up to %d bits, the flood has %d", widest, f)
	}
}

// Shares of different organisations have nothing in common: the polynomial's other coefficients are there.
func TestShamirSharesDiffer(t *testing.T) {
	w := newWorld(t, small())
	w.makeKeys()
	if slices.Equal(w.parties[0].shamir.Q.Coeffs[0], w.parties[1].shamir.Q.Coeffs[0]) {
		t.Fatal("two organisations hold the same share")
	}
}
