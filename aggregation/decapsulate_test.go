package aggregation

import (
	"bytes"
	"crypto/hpke"
	"testing"
)

// What the standard library seals to a round key opens with circl's decapsulation as with its own, and damage is refused.
func TestQuickDecapsulation(t *testing.T) {
	for i := range byte(20) {
		slow, err := hpke.MLKEM768X25519().DeriveKeyPair(bytes.Repeat([]byte{i}, 32))
		if err != nil {
			t.Fatal(err)
		}
		quick, err := quicken(slow)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := hpke.Seal(slow.PublicKey(), hpke.HKDFSHA256(), hpke.AES256GCM(), []byte("info"), []byte("share"))
		if err != nil {
			t.Fatal(err)
		}
		opened, err := hpke.Open(quick, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte("info"), sealed)
		if err != nil || string(opened) != "share" {
			t.Fatalf("%q, %v", opened, err)
		}
		for _, at := range []int{0, 500, 1087, 1088, 1119, len(sealed) - 1} {
			bad := bytes.Clone(sealed)
			bad[at] ^= 1
			if _, err := hpke.Open(quick, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte("info"), bad); err == nil {
				t.Errorf("a flipped bit in byte %d opens", at)
			}
		}
		if _, err := hpke.Open(quick, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte("info"), sealed[:1000]); err == nil {
			t.Error("a short ciphertext opens")
		}
	}
}
