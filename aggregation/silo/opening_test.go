package silo

import (
	"errors"
	"math/big"
	"testing"

	"github.com/tuneinsight/lattigo/v5/ring"
)

// opened runs a round up to the answers of the active set 0, 1, 2.
func opened(t *testing.T) (w *world, tally *Tally, proposal []byte, partials [][]byte) {
	w = newWorld(t, small())
	w.makeKeys()
	w.contribute(1, 0, 1, 2, 3)
	tally = w.tally()
	proposal = w.propose(tally, 0, 1, 2)
	for i := range 3 {
		b, rs, err := w.parties[i].Decrypt(chacha(uint64(i)), proposal, tally)
		partials = append(partials, w.must(i, b, rs, err))
	}
	return w, tally, proposal, partials
}

func TestOpeningNeedsEveryAnswer(t *testing.T) {
	w, tally, proposal, partials := opened(t)
	o, err := NewOpening(tally, proposal)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range partials {
		if _, err := o.Combine(); !errors.Is(err, ErrMissing) {
			t.Fatalf("%d answers: %v", i, err)
		}
		for range 2 { // twice changes nothing
			if err := o.Add(b); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := o.Combine(); err != nil {
		t.Fatal(err)
	}
	// what was opened is what was proposed: a tally that grew is not opened
	if err := tally.Add(w.contributions[0]); err != nil {
		t.Fatal(err)
	}
	tally.entries = tally.entries[:3]
	if _, err := o.Combine(); !errors.Is(err, RefuseContributions) {
		t.Fatalf("changed tally: %v", err)
	}
	if _, err := NewOpening(tally, proposal); !errors.Is(err, RefuseContributions) {
		t.Fatalf("opening of another tally: %v", err)
	}
}

// Fewer than t answers open nothing, whatever the software says: the residue is noise.
func TestTooFewSharesOpenNoise(t *testing.T) {
	_, tally, proposal, partials := opened(t)
	o, err := NewOpening(tally, proposal)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range partials[:2] {
		if err := o.Add(b); err != nil {
			t.Fatal(err)
		}
	}
	o.answered[2] = Digest{1}
	if _, err := o.Combine(); !errors.Is(err, ErrNoise) {
		t.Fatalf("two of three answers: %v", err)
	}
}

func TestWrongAnswerNeverGivesWrongSum(t *testing.T) {
	w, tally, proposal, partials := opened(t)
	forge := func(change func(pol ring.Poly)) []byte {
		p := w.cfg.params
		body := partials[1][headerLen : len(partials[1])-64]
		pol, err := p.readPoly(body[digestLen:])
		if err != nil {
			t.Fatal(err)
		}
		change(pol)
		b := start(kindPartial, w.cfg.digest, 1, 0)
		b = append(b, body[:digestLen]...)
		return sign(p.appendPoly(b, pol), w.signers[1])
	}
	for name, c := range map[string]struct {
		partial []byte
		want    error
	}{
		"one residue":      {forge(func(pol ring.Poly) { pol.Coeffs[0][0] ^= 1 << 20 }), ErrNoise},
		"zero":             {forge(func(pol ring.Poly) { erasePoly(pol) }), ErrNoise},
		"plaintext beyond": {forge(func(pol ring.Poly) { addPlain(w, pol, 5000) }), ErrRange},
		"in the padding":   {forge(func(pol ring.Poly) { addPlainAt(w, pol, 1, 4000) }), ErrRange},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := NewOpening(tally, proposal)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range [][]byte{partials[0], c.partial, partials[2]} {
				if err := o.Add(b); err != nil {
					t.Fatal(err)
				}
			}
			if err := o.Add(partials[1]); !errors.Is(err, ErrSecondPartial) {
				t.Fatalf("second answer of one organisation: %v", err)
			}
			if _, err := o.Combine(); !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
		})
	}
}

// addPlain shifts the opened value of coordinate 0 by x; addPlainAt that of any coordinate.
func addPlain(w *world, pol ring.Poly, x int64) { addPlainAt(w, pol, x, 0) }

func addPlainAt(w *world, pol ring.Poly, x int64, at int) {
	p := w.cfg.params
	ringQ := p.bgv.RingQ()
	add := ringQ.NewPoly()
	for j, q := range p.literal.Moduli {
		add.Coeffs[j][at] = mulMod(ring.ModExp(p.literal.Plaintext%q, q-2, q), uint64(x), q) // x / t
	}
	ringQ.NTT(add, add)
	ringQ.Add(pol, add, pol)
}

// A contribution beyond the bound is noticed when the sum leaves what honest inputs can reach.
func TestSumBeyondTheBound(t *testing.T) {
	w := newWorld(t, small())
	w.makeKeys()
	w.contribute(1, 0, 1, 2)
	w.parties[3].cfg.params.literal.Bound = 8000 // the liar's own software; the configuration is shared, so it is put back at once
	x := make([]int64, 40)
	x[3] = 8000
	b, _, err := w.parties[3].Contribute(x)
	w.cfg.params.literal.Bound = 1000
	if err != nil {
		t.Fatal(err)
	}
	w.contributions = append(w.contributions, b)
	tally := w.tally()
	proposal := w.propose(tally, 0, 1, 2)
	o, err := NewOpening(tally, proposal)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		b, _, err := w.parties[i].Decrypt(chacha(uint64(i)), proposal, tally)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Add(b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := o.Combine(); !errors.Is(err, ErrRange) {
		t.Fatalf("a sum of more than four bounds: %v", err)
	}
}

// A coefficient is taken as the integer nearest zero, and only within Q/16 of it, on both sides.
func TestResidueNearZeroOnly(t *testing.T) {
	w := newWorld(t, small())
	p := w.cfg.params
	d, q, modulus := newDecoder(p), p.literal.product(), new(big.Int).SetUint64(p.literal.Plaintext)
	for _, c := range []struct {
		num, den int64 // x = Q·num/den
		taken    bool
	}{{0, 1, true}, {1, 17, true}, {-1, 17, true}, {1, 15, false}, {-1, 15, false}, {1, 2, false}, {-1, 4, false}, {1, 4, false}, {-1, 1 << 40, true}, {1, 1 << 40, true}} {
		x := new(big.Int).Div(new(big.Int).Mul(q, big.NewInt(c.num)), big.NewInt(c.den))
		for j, prime := range p.literal.Moduli {
			d.scaled.Coeffs[j][5] = new(big.Int).Mod(x, new(big.Int).SetUint64(prime)).Uint64()
		}
		v, taken := d.residue(5)
		if taken != c.taken || taken && v != new(big.Int).Mod(x, modulus).Uint64() {
			t.Errorf("Q·%d/%d: taken %v as %d", c.num, c.den, taken, v)
		}
	}
}

// Whoever is not in the active set cannot take part in the opening, even with an answer to the very proposal.
func TestAnswerFromOutsideTheActiveSet(t *testing.T) {
	w, tally, proposal, partials := opened(t)
	o, err := NewOpening(tally, proposal)
	if err != nil {
		t.Fatal(err)
	}
	b := start(kindPartial, w.cfg.digest, 3, 0)
	b = append(b, partials[0][headerLen:len(partials[0])-64]...)
	if err := o.Add(sign(b, w.signers[3])); !errors.Is(err, RefuseActiveSet) {
		t.Fatalf("organisation 3 of 0, 1, 2: %v", err)
	}
}
