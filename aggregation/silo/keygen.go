package silo

import (
	"crypto/ed25519"
	"crypto/hpke"
	"encoding/binary"
	"fmt"

	"github.com/tuneinsight/lattigo/v5/core/rlwe"
	"github.com/tuneinsight/lattigo/v5/mhe"
	"github.com/tuneinsight/lattigo/v5/ring"
	"github.com/tuneinsight/lattigo/v5/ring/ringqp"
)

// Shares travel under X-Wing, so that the whole mode rests on lattices: HPKE of RFC 9180 in base mode.
const (
	publicKeyLen  = 1216
	encapsulation = 1120
	aeadOverhead  = 16
)

func (p *Params) sealedLen() int { return encapsulation + aeadOverhead + p.polyLen }

// What a seed is used for.
const (
	seedSecret   = 1
	seedEnvelope = 2
	seedShamir   = 3
)

func derive(seed []byte, use byte) [32]byte { return hash(labelSeed, []byte{use}, seed) }

func envelopeKey(seed []byte) (hpke.PrivateKey, error) {
	if len(seed) != 32 {
		return nil, errNoSecret
	}
	ikm := derive(seed, seedEnvelope)
	defer clear(ikm[:])
	return hpke.MLKEM768X25519().DeriveKeyPair(ikm[:])
}

// secretKey is the organisation's own RLWE secret, ternary; the caller erases it.
func (p *Party) secretKey() (*rlwe.SecretKey, error) {
	if len(p.seed) != 32 {
		return nil, errNoSecret
	}
	key := derive(p.seed, seedSecret)
	defer clear(key[:])
	sk := rlwe.NewSecretKey(p.cfg.params.bgv)
	newSource(key).ternary(p.cfg.params.bgv.RingQ(), sk)
	return sk, nil
}

func eraseKey(sk *rlwe.SecretKey) { erasePoly(sk.Value.Q) }

func erasePoly(pol ring.Poly) {
	for _, c := range pol.Coeffs {
		clear(c)
	}
}

// envelopeInfo binds a sealed share to configuration, announcements, sender and recipient.
func (c *Config) envelopeInfo(view Digest, from, to int) []byte {
	b := append([]byte(labelEnvelope), c.digest[:]...)
	b = append(b, view[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(from))
	return binary.BigEndian.AppendUint16(b, uint16(to))
}

// parseAnnouncements wants one of each organisation, in their order; it returns their keys and the digest of the list.
func (c *Config) parseAnnouncements(messages [][]byte) ([]hpke.PublicKey, Digest, error) {
	if len(messages) != len(c.literal.Keys) {
		return nil, Digest{}, fmt.Errorf("%w: %d announcements of %d organisations", ErrEncoding, len(messages), len(c.literal.Keys))
	}
	var keys []hpke.PublicKey
	var list []byte
	for i, b := range messages {
		m, err := c.open(kindAnnounce, b)
		if err != nil {
			return nil, Digest{}, err
		}
		if m.from != i {
			return nil, Digest{}, fmt.Errorf("%w: announcement of organisation %d in place %d", ErrEncoding, m.from, i)
		}
		key, err := hpke.MLKEM768X25519().NewPublicKey(m.body)
		if err != nil {
			return nil, Digest{}, fmt.Errorf("%w: key of organisation %d: %w", ErrEncoding, i, err)
		}
		keys, list = append(keys, key), append(list, m.digest[:]...)
	}
	return keys, hash(labelView, c.digest[:], list), nil
}

// makeKeyShare is mhe's PublicKeyGen share b_i = e_i - s_i·a, and for t < N the Shamir shares of s_i at 1..N.
func (p *Party) makeKeyShare(recipients []hpke.PublicKey, view Digest) ([]byte, error) {
	sk, err := p.secretKey()
	if err != nil {
		return nil, err
	}
	defer eraseKey(sk)
	params := p.cfg.params
	ckg := mhe.NewPublicKeyGenProtocol(params.bgv)
	crp, err := p.cfg.commonPolynomial(ckg)
	if err != nil {
		return nil, err
	}
	share := ckg.AllocateShare()
	ckg.GenShare(sk, crp, &share)
	b := start(kindKeyShare, p.cfg.digest, p.index, params.KeyShareLen())
	b = append(b, view[:]...)
	b = params.appendPoly(b, share.Value.Q)
	if params.threshold() {
		if b, err = p.appendSealed(b, sk, recipients, view); err != nil {
			return nil, err
		}
	}
	return sign(b, p.key), nil
}

// appendSealed shares the secret key by a polynomial of degree t-1 (eprint 2022/780). Its coefficients come from our own
// uniform source, not from lattigo's, and lattigo's Thresholdizer evaluates it.
func (p *Party) appendSealed(b []byte, sk *rlwe.SecretKey, recipients []hpke.PublicKey, view Digest) ([]byte, error) {
	params, ringQ := p.cfg.params, p.cfg.params.bgv.RingQ()
	key := derive(p.seed, seedShamir)
	defer clear(key[:])
	src := newSource(key)
	poly := mhe.ShamirPolynomial{Value: make([]ringqp.Poly, params.literal.Present)}
	poly.Value[0] = *sk.Value.CopyNew()
	for i := 1; i < len(poly.Value); i++ {
		poly.Value[i] = params.bgv.RingQP().NewPoly()
		src.uniform(ringQ, poly.Value[i].Q)
	}
	defer func() {
		for _, v := range poly.Value {
			erasePoly(v.Q)
		}
	}()
	thr := mhe.NewThresholdizer(params.bgv)
	share := thr.AllocateThresholdSecretShare()
	defer erasePoly(share.Q)
	for to, recipient := range recipients {
		thr.GenShamirSecretShare(point(to), poly, &share)
		plain := params.appendPoly(make([]byte, 0, params.polyLen), share.Q)
		sealed, err := hpke.Seal(recipient, hpke.HKDFSHA256(), hpke.AES256GCM(), p.cfg.envelopeInfo(view, p.index, to), plain)
		clear(plain)
		if err != nil {
			return nil, fmt.Errorf("silo: sealing a share: %w", err)
		}
		b = append(b, sealed...)
	}
	return b, nil
}

// point is where an organisation's share lies on the polynomial; zero is the secret.
func point(index int) mhe.ShamirPublicPoint { return mhe.ShamirPublicPoint(index + 1) }

// keySet is the parsed list of all key shares.
type keySet struct {
	view   Digest
	digest Digest
	public []ring.Poly
	sealed [][]byte // of every sender: N envelopes, empty when t = N
}

// parseKeyShares wants one of each organisation, in their order, all under one view.
func (c *Config) parseKeyShares(messages [][]byte) (*keySet, error) {
	if len(messages) != len(c.literal.Keys) {
		return nil, fmt.Errorf("%w: %d key shares of %d organisations", ErrEncoding, len(messages), len(c.literal.Keys))
	}
	set := &keySet{}
	var list []byte
	for i, b := range messages {
		m, err := c.open(kindKeyShare, b)
		if err != nil {
			return nil, err
		}
		if m.from != i {
			return nil, fmt.Errorf("%w: key share of organisation %d in place %d", ErrEncoding, m.from, i)
		}
		view := Digest(m.body[:digestLen])
		if i == 0 {
			set.view = view
		} else if view != set.view {
			return nil, RefuseOtherView
		}
		end := digestLen + c.params.polyLen
		pol, err := c.params.readPoly(m.body[digestLen:end])
		if err != nil {
			return nil, err
		}
		set.public, set.sealed = append(set.public, pol), append(set.sealed, m.body[end:])
		list = append(list, m.digest[:]...)
	}
	set.digest = hash(labelKeys, c.digest[:], list)
	return set, nil
}

// KeysDigest checks the key shares of all organisations and names the collective key, for an aggregator's Tally.
func (c *Config) KeysDigest(shares [][]byte) (Digest, error) {
	set, err := c.parseKeyShares(shares)
	if err != nil {
		return Digest{}, err
	}
	return set.digest, nil
}

// collect adds the parts of the public key.
func (c *Config) collect(set *keySet) (*rlwe.PublicKey, error) {
	ckg := mhe.NewPublicKeyGenProtocol(c.params.bgv)
	sum := ckg.AllocateShare()
	for _, pol := range set.public {
		ckg.AggregateShares(sum, mhe.PublicKeyGenShare{Value: ringqp.Poly{Q: pol}}, &sum)
	}
	return c.publicKey(sum.Value.Q)
}

func (c *Config) publicKey(b ring.Poly) (*rlwe.PublicKey, error) {
	ckg := mhe.NewPublicKeyGenProtocol(c.params.bgv)
	crp, err := c.commonPolynomial(ckg)
	if err != nil {
		return nil, err
	}
	public := rlwe.NewPublicKey(c.params.bgv)
	ckg.GenPublicKey(mhe.PublicKeyGenShare{Value: ringqp.Poly{Q: b}}, crp, public)
	return public, nil
}

// openShares opens what every organisation sealed for this one and adds it up: the share of the collective key.
func (p *Party) openShares(set *keySet) (*mhe.ShamirSecretShare, error) {
	private, err := envelopeKey(p.seed)
	if err != nil {
		return nil, err
	}
	params := p.cfg.params
	thr := mhe.NewThresholdizer(params.bgv)
	sum := thr.AllocateThresholdSecretShare()
	n := params.sealedLen()
	for from, sealed := range set.sealed {
		envelope := sealed[p.index*n : (p.index+1)*n]
		plain, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), p.cfg.envelopeInfo(set.view, from, p.index), envelope)
		if err != nil {
			return nil, fmt.Errorf("%w: the share of organisation %d does not open", ErrEncoding, from)
		}
		pol, err := params.readPoly(plain)
		clear(plain)
		if err != nil {
			return nil, err
		}
		err = thr.AggregateShares(sum, mhe.ShamirSecretShare{Poly: ringqp.Poly{Q: pol}}, &sum)
		erasePoly(pol)
		if err != nil {
			return nil, fmt.Errorf("silo: adding shares: %w", err)
		}
	}
	return &sum, nil
}

// unsignedDigest is a message's digest, over all but its signature.
func unsignedDigest(b []byte) Digest { return hash(labelMessage, b[:len(b)-ed25519.SignatureSize]) }
