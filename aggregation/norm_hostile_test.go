package aggregation

import (
	"crypto/ed25519"
	"testing"

	"tutti/aggregation/mask"
)

// A device may mask anything within the norm, half units too, under any key: it passes the norm check, and by it alone the sum of
// everybody would not be one of honest masks. The sum is opened all the same, and off by no more than what the device proved.
func TestHalfUnitsWithinTheNormVoidNothing(t *testing.T) {
	w := newWorld(t, normParams(3000), 3)
	ups := w.sealUnits()
	ups[2] = w.sealHalfUnits(2)
	for i, up := range ups {
		if wrong, err := CheckShares(w.cfg, up.Header, up.Vector, w.checks(up.Header, all(9))); err != nil || wrong != nil {
			t.Fatalf("device %d: %d, %v", i, wrong, err)
		}
	}
	sum, err := w.open(ups, all(9), all(9), all(9))
	if err != nil {
		t.Fatal(err)
	}
	for j, v := range sum {
		honest := int64(0)
		if j < 2 {
			honest = 1
		}
		if v < honest || v > honest+1 {
			t.Fatalf("coordinate %d is %d, without the hostile device %d", j, v, honest)
		}
	}
}

// sealHalfUnits is Seal of a vector whose every coordinate is one half.
func (w *world) sealHalfUnits(i int) *Upload {
	w.t.Helper()
	p, device := w.cfg.params, w.devices[i]
	var seeds sealSeeds
	for _, b := range [][]byte{seeds.key[:], seeds.noise[:], seeds.share[:], seeds.nonce[:]} {
		w.random.Read(b)
	}
	secret := mask.NewSecret(p.mask, seeds.key)
	vector := make([]byte, p.VectorLen())
	if err := p.mask.Mask(vector, seedA(w.cfg.digest), secret, seeds.noise, w.constant(0)); err != nil {
		w.t.Fatal(err)
	}
	words := make([]uint64, p.Dim())
	if err := p.mask.Fold(words, vector); err != nil {
		w.t.Fatal(err)
	}
	for j := range words { // Δ·P/(2q) wire units are half a unit of the sum
		words[j] += 1 << (p.mask.Literal().LogP - p.mask.Literal().LogT - 1)
	}
	p.mask.Pack(vector, words)
	public := device.Key.Public().(ed25519.PublicKey)
	h := &Header{Prelude: Prelude{
		ID: IDOf(public), Public: public, Nonce: seeds.nonce, Cfg: w.cfg.digest, Base: Digest{2}, VecHash: HashVector(vector),
	}}
	var err error
	if h.Envelopes, err = sealShares(w.cfg, &h.Prelude, secret, seeds.share, vector); err != nil {
		w.t.Fatal(err)
	}
	up := &Upload{Header: h, Vector: vector}
	w.restate(up)
	resign(h, device.Key)
	return up
}
