package aggregation

import (
	"crypto/ed25519"
	"crypto/sha512"
	"math/rand/v2"
	"testing"

	"filippo.io/edwards25519"
)

// claims signs n messages with n keys.
func claims(random *rand.ChaCha8, n int) []claim {
	list := make([]claim, n)
	for i := range list {
		key := newKey(random)
		message := signedMessage(labelUpload, Digest{byte(i)})
		list[i] = claim{publicOf(key), message, ed25519.Sign(key, message)}
	}
	return list
}

// Any number of wrong signatures, anywhere in a batch, is told from the right ones exactly as crypto/ed25519 tells them.
func TestBatchTellsEachSignature(t *testing.T) {
	random := rand.NewChaCha8([32]byte{25, 5, 19})
	rng := rand.New(random)
	damage := []func(c *claim){
		func(c *claim) { c.signature[rng.IntN(64)] ^= 1 << rng.IntN(8) },
		func(c *claim) { c.message[len(c.message)-1-rng.IntN(32)] ^= 1 },
		func(c *claim) { c.public[rng.IntN(32)] ^= 1 },
		func(c *claim) { c.signature = c.signature[:63] },
		func(c *claim) { c.public = c.public[1:] },
		func(c *claim) { clear(c.signature) },
		func(c *claim) { c.signature = nil },
		func(c *claim) { c.signature[63] |= 0xe0 },                     // s beyond the order
		func(c *claim) { c.public = append(c.public[:31:31], 0x7f) },   // most likely no point
		func(c *claim) { copy(c.signature, c.public) },                 // R = A
		func(c *claim) { c.signature = append(c.signature, 0) },        // long
		func(c *claim) { c.message = append([]byte{0}, c.message...) }, // of something else
	}
	for _, n := range []int{0, 1, 2, 3, 63, 64, 65, 130} {
		for _, bad := range []int{0, 1, 2, 5, n} {
			list := claims(random, n)
			for _, i := range rng.Perm(n)[:min(bad, n)] {
				damage[rng.IntN(len(damage))](&list[i])
			}
			for i, got := range verifySignatures(list) {
				c := list[i]
				want := len(c.public) == ed25519.PublicKeySize && len(c.signature) == ed25519.SignatureSize && ed25519.Verify(c.public, c.message, c.signature)
				if got != want {
					t.Fatalf("%d of %d wrong, claim %d: %v, crypto/ed25519 says %v", bad, n, i, got, want)
				}
			}
		}
	}
}

// Two wrong signatures whose errors cancel pass no batch: the weights are not the signer's to choose.
func TestBatchErrorsDoNotCancel(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	one, err := edwards25519.NewScalar().SetCanonicalBytes(append([]byte{1}, make([]byte, 31)...))
	if err != nil {
		t.Fatal(err)
	}
	shift := func(c *claim, by *edwards25519.Scalar) {
		s, err := edwards25519.NewScalar().SetCanonicalBytes(c.signature[32:])
		if err != nil {
			t.Fatal(err)
		}
		copy(c.signature[32:], s.Add(s, by).Bytes())
	}
	for range 20 {
		list := claims(random, 8)
		shift(&list[2], one)
		shift(&list[6], edwards25519.NewScalar().Negate(one))
		for i, good := range verifySignatures(list) {
			if good == (i == 2 || i == 6) {
				t.Fatalf("claim %d: %v", i, good)
			}
		}
	}
}

// A signer who adds a point of small order to R or A gets a signature that crypto/ed25519 refuses or takes by chance of the
// hash; here it holds, alone and in every batch alike, so that no two members differ on it.
func TestBatchIsOfOneMindOnSmallOrder(t *testing.T) {
	random := rand.NewChaCha8([32]byte{2})
	torsion, err := new(edwards25519.Point).SetBytes([]byte{ // of order 8
		0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05})
	if err != nil {
		t.Fatal(err)
	}
	var refused int
	for try := range 12 {
		list := claims(random, 5)
		list[3] = twisted(t, random, torsion)
		for name, batch := range map[string][]claim{"alone": list[3:4], "last": list[:4], "among": list, "beside a wrong one": append(list[:3:3], list[3], claim{list[0].public, list[1].message, list[0].signature})} {
			at := min(3, len(batch)-1)
			if !verifySignatures(batch)[at] {
				t.Errorf("try %d, %s: refused", try, name)
			}
		}
		if !ed25519.Verify(list[3].public, list[3].message, list[3].signature) {
			refused++
		}
	}
	if refused == 0 {
		t.Error("crypto/ed25519 takes them all: the test tests nothing")
	}
}

// twisted signs with R moved by a point of small order.
func twisted(t *testing.T, random *rand.ChaCha8, torsion *edwards25519.Point) claim {
	t.Helper()
	key := newKey(random)
	h := sha512.Sum512(key.Seed())
	a, err := edwards25519.NewScalar().SetBytesWithClamping(h[:32])
	if err != nil {
		t.Fatal(err)
	}
	var nonce [64]byte
	random.Read(nonce[:])
	r, err := edwards25519.NewScalar().SetUniformBytes(nonce[:])
	if err != nil {
		t.Fatal(err)
	}
	c := claim{public: publicOf(key), message: signedMessage(labelUpload, Digest(nonce[:32]))}
	point := new(edwards25519.Point).ScalarBaseMult(r)
	c.signature = point.Add(point, torsion).Bytes()
	k := sha512.Sum512(append(append(append([]byte{}, c.signature...), c.public...), c.message...))
	challenge, err := edwards25519.NewScalar().SetUniformBytes(k[:])
	if err != nil {
		t.Fatal(err)
	}
	c.signature = append(c.signature, edwards25519.NewScalar().MultiplyAdd(challenge, a, r).Bytes()...)
	return c
}
