package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tuneinsight/lattigo/v5/core/rlwe"
	"github.com/tuneinsight/lattigo/v5/mhe"
	"github.com/tuneinsight/lattigo/v5/ring"
	"github.com/tuneinsight/lattigo/v5/schemes/bgv"
	"github.com/tuneinsight/lattigo/v5/utils/sampling"
)

// BGV under a collective key, with lattigo's own schemes/bgv and mhe: m parties make a key together, every device encrypts its
// vector under it, the server adds ciphertexts, every party gives a share of the decryption. No party may be missing (N of N).

// N = 2^13 and 108 bits of Q are far inside the 128-bit bound (218 bits); two moduli are the fewest that hold a 32-bit plaintext modulus,
// the noise of 10^4 sums and flooding of 2^45.
var bgvLiteral = bgv.ParametersLiteral{LogN: 13, LogQ: []int{54, 54}, PlaintextModulus: bgvPlaintext}

const (
	bgvPlaintext = 1073692673 // prime, 1 mod 2^14, > 10^4 · 2^16
	bgvFlooding  = 1 << 45    // sigma; 6 sigma < 2^54
)

type bgvFigures struct {
	Parties        int     `json:"parties"`
	KeySeconds     float64 `json:"key_seconds"` // one party's part of the collective key
	ClientSeconds  float64 `json:"client_seconds"`
	UpBytes        int     `json:"up_bytes"`
	AddSeconds     float64 `json:"server_add_seconds"` // parse and add one upload
	ShareSeconds   float64 `json:"share_seconds"`      // one party's decryption shares
	ShareBytes     int     `json:"share_bytes"`
	DecryptSeconds float64 `json:"server_decrypt_seconds"` // the server's part: combine all shares, decrypt, decode
}

type bgvRound struct {
	params  bgv.Parameters
	keys    []*rlwe.SecretKey
	public  *rlwe.PublicKey
	encoder *bgv.Encoder
	parts   int // ciphertexts of a vector
	dim     int
}

func newBGVRound(dim, parties int, f *bgvFigures) (*bgvRound, error) {
	params, err := bgv.NewParametersFromLiteral(bgvLiteral)
	if err != nil {
		return nil, err
	}
	r := &bgvRound{params: params, encoder: bgv.NewEncoder(params), dim: dim, parts: (dim + params.N() - 1) / params.N()}
	crs, err := sampling.NewKeyedPRNG([]byte("collective key"))
	if err != nil {
		return nil, err
	}
	ckg := mhe.NewPublicKeyGenProtocol(params)
	crp, sum := ckg.SampleCRP(crs), ckg.AllocateShare()
	generator := rlwe.NewKeyGenerator(params)
	for range parties {
		share := ckg.AllocateShare()
		t, err := processor(func() error {
			sk := generator.GenSecretKeyNew()
			ckg.GenShare(sk, crp, &share)
			r.keys = append(r.keys, sk)
			return nil
		})
		if err != nil {
			return nil, err
		}
		f.KeySeconds = least(f.KeySeconds, t)
		ckg.AggregateShares(sum, share, &sum)
	}
	r.public = rlwe.NewPublicKey(params)
	ckg.GenPublicKey(sum, crp, r.public)
	return r, nil
}

// encrypt is a device's upload.
func (r *bgvRound) encrypt(encryptor *rlwe.Encryptor, x []int32) (upload [][]byte, err error) {
	values := make([]int64, len(x))
	for i, v := range x {
		values[i] = int64(v)
	}
	pt := bgv.NewPlaintext(r.params, r.params.MaxLevel())
	ct := bgv.NewCiphertext(r.params, 1, r.params.MaxLevel())
	for part := range slices.Chunk(values, r.params.N()) {
		if err := r.encoder.Encode(part, pt); err != nil {
			return nil, err
		}
		if err := encryptor.Encrypt(pt, ct); err != nil {
			return nil, err
		}
		b, err := ct.MarshalBinary()
		if err != nil {
			return nil, err
		}
		upload = append(upload, b)
	}
	return upload, nil
}

// add parses an upload and folds it.
func (r *bgvRound) add(sum []*rlwe.Ciphertext, eval *bgv.Evaluator, upload [][]byte) error {
	ct := bgv.NewCiphertext(r.params, 1, r.params.MaxLevel())
	for i, b := range upload {
		if err := ct.UnmarshalBinary(b); err != nil {
			return err
		}
		if err := eval.Add(sum[i], ct, sum[i]); err != nil {
			return err
		}
	}
	return nil
}

func bgvFold(dim, parties, repeats int) (f bgvFigures, err error) {
	f.Parties = parties
	r, err := newBGVRound(dim, parties, &f)
	if err != nil {
		return f, err
	}
	encryptor, eval := bgv.NewEncryptor(r.params, r.public), bgv.NewEvaluator(r.params, nil)
	sum := make([]*rlwe.Ciphertext, r.parts)
	for i := range sum {
		sum[i] = bgv.NewCiphertext(r.params, 1, r.params.MaxLevel())
		*sum[i].MetaData = *bgv.NewPlaintext(r.params, r.params.MaxLevel()).MetaData
	}
	plain := make([]int64, dim)
	for i := range max(repeats, 3) {
		x := input(uint64(i), dim)
		var upload [][]byte
		t, err := processor(func() (err error) { upload, err = r.encrypt(encryptor, x); return err })
		if err != nil {
			return f, err
		}
		f.ClientSeconds = least(f.ClientSeconds, t)
		if t, err = processor(func() error { return r.add(sum, eval, upload) }); err != nil {
			return f, err
		}
		f.AddSeconds = least(f.AddSeconds, t)
		addTo(plain, x)
		f.UpBytes = 0
		for _, b := range upload {
			f.UpBytes += len(b)
		}
	}
	return f, r.open(sum, plain, &f)
}

// open decrypts the sum with a share of every party and compares it with the plain one.
func (r *bgvRound) open(sum []*rlwe.Ciphertext, plain []int64, f *bgvFigures) error {
	protocol, err := mhe.NewKeySwitchProtocol(r.params, ring.DiscreteGaussian{Sigma: bgvFlooding, Bound: 6 * bgvFlooding})
	if err != nil {
		return err
	}
	level, zero := r.params.MaxLevel(), rlwe.NewSecretKey(r.params)
	shares := make([][]mhe.KeySwitchShare, len(r.keys))
	for p, sk := range r.keys {
		shares[p] = make([]mhe.KeySwitchShare, len(sum))
		t, err := processor(func() error {
			for i := range sum {
				shares[p][i] = protocol.AllocateShare(level)
				protocol.GenShare(sk, zero, sum[i], &shares[p][i])
			}
			return nil
		})
		if err != nil {
			return err
		}
		f.ShareSeconds = least(f.ShareSeconds, t)
		f.ShareBytes = len(sum) * shares[p][0].BinarySize()
	}
	var got []int64
	f.DecryptSeconds, err = processor(func() (err error) { got, err = r.decrypt(protocol, sum, shares, zero); return err })
	if err != nil {
		return err
	}
	if !slices.Equal(got[:r.dim], plain) {
		return errors.New("BGV: the sum is not the plain one")
	}
	return nil
}

func (r *bgvRound) decrypt(protocol mhe.KeySwitchProtocol, sum []*rlwe.Ciphertext, shares [][]mhe.KeySwitchShare, zero *rlwe.SecretKey) ([]int64, error) {
	decryptor := bgv.NewDecryptor(r.params, zero)
	pt := bgv.NewPlaintext(r.params, r.params.MaxLevel())
	out := make([]int64, len(sum)*r.params.N())
	for i, ct := range sum {
		all := shares[0][i]
		for _, s := range shares[1:] {
			if err := protocol.AggregateShares(all, s[i], &all); err != nil {
				return nil, fmt.Errorf("BGV: %w", err)
			}
		}
		opened := bgv.NewCiphertext(r.params, 1, ct.Level())
		protocol.KeySwitch(ct, all, opened)
		decryptor.Decrypt(opened, pt)
		if err := r.encoder.Decode(pt, out[i*r.params.N():(i+1)*r.params.N()]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
