package silo

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/tuneinsight/lattigo/v5/core/rlwe"
	"github.com/tuneinsight/lattigo/v5/mhe"
	"github.com/tuneinsight/lattigo/v5/ring"
	"github.com/tuneinsight/lattigo/v5/schemes/bgv"
)

// vectorDigest names a vector in the organisation's own records.
func vectorDigest(vector []int64) Digest {
	b := make([]byte, 0, 8*len(vector))
	for _, x := range vector {
		b = binary.BigEndian.AppendUint64(b, uint64(x))
	}
	return hash(labelVector, b)
}

// encrypt turns the vector into ciphertexts of N coordinates each, as coefficients: a sum needs no slots, and saves two NTTs mod t.
func (p *Party) encrypt(vector []int64) ([]byte, error) {
	params, degree := p.cfg.params, p.cfg.params.degree()
	b := start(kindContribution, p.cfg.digest, p.index, params.ContributionLen())
	b = append(b, p.keys[:]...)
	encoder := bgv.NewEncoder(params.bgv)
	encryptor := bgv.NewEncryptor(params.bgv, p.public)
	plain := bgv.NewPlaintext(params.bgv, params.bgv.MaxLevel())
	plain.IsBatched = false
	ct := bgv.NewCiphertext(params.bgv, 1, params.bgv.MaxLevel())
	defer erasePoly(plain.Value)
	for k := range params.Chunks() {
		chunk := vector[k*degree : min(len(vector), (k+1)*degree)]
		if err := encoder.Encode(chunk, plain); err != nil {
			return nil, fmt.Errorf("silo: encoding: %w", err)
		}
		if err := encryptor.Encrypt(plain, ct); err != nil {
			return nil, fmt.Errorf("silo: encryption: %w", err)
		}
		b = params.appendPoly(b, ct.Value[0])
		b = params.appendPoly(b, ct.Value[1])
	}
	return sign(b, p.key), nil
}

// decryptionKey is the additive share that the fixed active set decrypts with: s_i itself when all do, λ_i·S_i otherwise.
func (p *Party) decryptionKey(active []int) (*rlwe.SecretKey, error) {
	if !p.cfg.params.threshold() {
		return p.secretKey()
	}
	if p.shamir == nil {
		return nil, errNoSecret
	}
	var points []mhe.ShamirPublicPoint
	for _, i := range active {
		points = append(points, point(i))
	}
	sk := rlwe.NewSecretKey(p.cfg.params.bgv)
	combiner := mhe.NewCombiner(p.cfg.params.bgv.Parameters, point(p.index), points, len(points))
	if err := combiner.GenAdditiveShare(points, point(p.index), *p.shamir, sk); err != nil {
		return nil, fmt.Errorf("silo: additive share: %w", err)
	}
	return sk, nil
}

// keySwitch is mhe's protocol with the parameters' Gaussian; checkFlood has made sure that lattigo draws it right.
func (p *Params) keySwitch() (mhe.KeySwitchProtocol, error) {
	sigma := float64(p.literal.Sigma)
	return mhe.NewKeySwitchProtocol(p.bgv, ring.DiscreteGaussian{Sigma: sigma, Bound: 6 * sigma})
}

// decrypt is mhe's KeySwitch share to the zero key, c_1·s_i + e, flooded with our own noise.
func (p *Party) decrypt(random io.Reader, asked *Proposal, tally *Tally) ([]byte, error) {
	params, ringQ := p.cfg.params, p.cfg.params.bgv.RingQ()
	src, err := drawSource(random)
	if err != nil {
		return nil, err
	}
	sk, err := p.decryptionKey(asked.Active)
	if err != nil {
		return nil, err
	}
	defer eraseKey(sk)
	cks, err := params.keySwitch()
	if err != nil {
		return nil, fmt.Errorf("silo: key switching: %w", err)
	}
	zero := rlwe.NewSecretKey(params.bgv)
	share := cks.AllocateShare(params.bgv.MaxLevel())
	flood := ringQ.NewPoly()
	defer erasePoly(flood)
	b := start(kindPartial, p.cfg.digest, p.index, params.PartialLen())
	b = append(b, asked.digest[:]...)
	for k := range params.Chunks() {
		cks.GenShare(sk, zero, tally.ciphertext(k), &share)
		src.flood(ringQ, flood, params.literal.FloodBits)
		ringQ.NTT(flood, flood)
		ringQ.Add(share.Value, flood, share.Value)
		b = params.appendPoly(b, share.Value)
	}
	return sign(b, p.key), nil
}
