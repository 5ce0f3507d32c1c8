package aggregation

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/mlkem"
	"crypto/sha3"
	"errors"
	"fmt"

	"github.com/cloudflare/circl/kem/mlkem/mlkem768"
)

// quickDecapsulator is the ML-KEM-768 half of a member's round key with circl's decapsulation, which takes a fifth to an eighth of the
// standard library's time; a member decapsulates once for every device. Keys and ciphertexts are the same.
type quickDecapsulator struct {
	public *mlkem.EncapsulationKey768
	secret *mlkem768.PrivateKey
}

func (d quickDecapsulator) Encapsulator() crypto.Encapsulator { return d.public }

func (d quickDecapsulator) Decapsulate(ciphertext []byte) ([]byte, error) {
	if len(ciphertext) != mlkem768.CiphertextSize {
		return nil, errors.New("aggregation: ciphertext length")
	}
	shared := make([]byte, mlkem768.SharedKeySize)
	d.secret.DecapsulateTo(shared, ciphertext)
	return shared, nil
}

// quicken returns the same X-Wing key with a quickDecapsulator in it. The key's 32 bytes expand by SHAKE256 to the seeds of
// its halves (draft-ietf-hpke-pq, section 4).
func quicken(key hpke.PrivateKey) (hpke.PrivateKey, error) {
	seed, err := key.Bytes()
	if err != nil {
		return nil, fmt.Errorf("aggregation: round key: %w", err)
	}
	expanded := sha3.SumSHAKE256(seed, mlkem.SeedSize+32)
	defer clear(expanded)
	standard, err := mlkem.NewDecapsulationKey768(expanded[:mlkem.SeedSize])
	if err != nil {
		return nil, fmt.Errorf("aggregation: round key: %w", err)
	}
	x25519, err := ecdh.X25519().NewPrivateKey(expanded[mlkem.SeedSize:])
	if err != nil {
		return nil, fmt.Errorf("aggregation: round key: %w", err)
	}
	_, secret := mlkem768.NewKeyFromSeed(expanded[:mlkem.SeedSize])
	quick, err := hpke.NewHybridPrivateKey(quickDecapsulator{standard.EncapsulationKey(), secret}, x25519)
	if err != nil {
		return nil, fmt.Errorf("aggregation: round key: %w", err)
	}
	if !bytes.Equal(quick.PublicKey().Bytes(), key.PublicKey().Bytes()) {
		return nil, errors.New("aggregation: round key: the halves do not make the whole")
	}
	return quick, nil
}
