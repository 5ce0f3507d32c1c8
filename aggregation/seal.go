package aggregation

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"

	"tutti/aggregation/mask"
)

// Errors of Seal: the input is not what the round's parameters say.
var (
	ErrLength = errors.New("aggregation: vector length")
	ErrBound  = errors.New("aggregation: input bound")
	ErrBase   = errors.New("aggregation: base version")
	ErrEnrol  = errors.New("aggregation: enrolment")
	ErrShard  = errors.New("aggregation: shard")
)

// Client is a device's standing in a task: what it needs to seal, and to refuse.
type Client struct {
	Key  ed25519.PrivateKey
	Pins Pins
}

// Seal masks x and shares the mask's key among the committee: everything a device sends in a round (section 3, step 1).
//
// x has Dim coordinates with |x_j| <= bound, and bound must be the round's Bound: Seal refuses anything else
// (ErrLength, ErrBound), a vector beyond the round's norm (ErrNorm), an unlisted base (ErrBase), a roster or enroller other than the pinned ones (ErrRoster), a population
// that the enroller did not sign (ErrPopulation), a round whose lot did not choose the device (ErrEnrol) and the configuration of
// another shard than the device's own (ErrShard). random gives key, noise, share randomness and nonce; all but the nonce are
// erased before Seal returns. Call it once per task and round: two seals of one vector are two contributions.
func (c *Client) Seal(random io.Reader, cfg *Config, base Digest, x []int32, bound int64) (*Upload, error) {
	if err := c.check(cfg, base, x, bound); err != nil {
		return nil, err
	}
	var seeds sealSeeds
	defer func() { seeds = sealSeeds{} }()
	for _, b := range [][]byte{seeds.key[:], seeds.noise[:], seeds.share[:], seeds.nonce[:]} {
		if _, err := io.ReadFull(random, b); err != nil {
			return nil, fmt.Errorf("aggregation: randomness: %w", err)
		}
	}
	return c.seal(&seeds, cfg, base, x)
}

// sealSeeds is all randomness of one seal but HPKE's.
type sealSeeds struct {
	key, noise, share [32]byte
	nonce             [16]byte
}

// seal is the derandomised core of Seal on checked input.
func (c *Client) seal(seeds *sealSeeds, cfg *Config, base Digest, x []int32) (*Upload, error) {
	p := cfg.params
	secret := mask.NewSecret(p.mask, seeds.key)
	defer secret.Erase()
	vector := make([]byte, p.VectorLen())
	if err := p.mask.Mask(vector, seedA(cfg.digest), secret, seeds.noise, x); err != nil {
		return nil, err
	}
	public := c.Key.Public().(ed25519.PublicKey)
	h := &Header{Prelude: Prelude{
		ID: IDOf(public), Public: public, Nonce: seeds.nonce, Cfg: cfg.digest, Base: base, VecHash: HashVector(vector),
	}}
	var err error
	if h.Envelopes, err = sealShares(cfg, &h.Prelude, secret, seeds.share, vector); err != nil {
		return nil, err
	}
	if p.norm != nil {
		s, err := h.state(cfg, h.EnvRoot(), vector)
		if err != nil {
			return nil, err
		}
		h.Alpha = packWords(p.shares.Field(), s.Alpha())
	}
	h.Signature = signDigest(c.Key, labelUpload, h.Digest())
	return &Upload{Header: h, Vector: vector}, nil
}

// seedA gives the public polynomials of a round: other parameters, model or roster, other masks.
func seedA(cfg Digest) [32]byte { return hash(labelSeedA, cfg[:]) }

// sealShares splits the key, adds each member's words of the blinding polynomials (rule 10) and of the norm proof, and seals
// share j to member j.
func sealShares(cfg *Config, h *Prelude, secret *mask.Secret, seed [32]byte, vector []byte) ([][]byte, error) {
	p := cfg.params
	shares, err := splitKey(p, secret, seed)
	if err != nil {
		return nil, err
	}
	if p.norm != nil {
		if err := h.prove(cfg, secret, seed, vector, shares); err != nil {
			return nil, err
		}
	}
	envelopes := make([][]byte, len(shares))
	for j, words := range shares {
		m := cfg.literal.Roster[j]
		key, err := m.Key.Suite.publicKey(m.Key.Public)
		if err != nil {
			return nil, err
		}
		envelopes[j], err = sealShare(key, envelopeInfo(cfg.digest, h.ID, h.Nonce, m.Index), p.shares.Field(), words)
		clear(words)
		if err != nil {
			return nil, fmt.Errorf("aggregation: envelope of member %d: %w", m.Index, err)
		}
	}
	return envelopes, nil
}

// splitKey gives each member AnswerWords words of the key and blindWords words of polynomials that are nothing but random.
func splitKey(p *Params, secret *mask.Secret, seed [32]byte) ([][]uint64, error) {
	scheme := p.shares
	draws := scheme.Draws(p.mask.N())
	random := make([]uint64, draws+p.blindWords()*p.Need())
	defer clear(random)
	if err := scheme.Field().Draw(newKeyStream(seed), random); err != nil {
		return nil, err
	}
	shares, err := scheme.Split(secret.Coefficients(), random[:draws])
	if err != nil {
		return nil, err
	}
	blinds, err := scheme.Blind(random[draws:])
	if err != nil {
		return nil, err
	}
	for j := range shares {
		words := make([]uint64, 0, len(shares[j])+len(blinds[j]))
		words = append(append(words, shares[j]...), blinds[j]...)
		clear(shares[j])
		clear(blinds[j])
		shares[j] = words
	}
	return shares, nil
}

// keyStream is AES-256-CTR from a zero counter as an io.Reader.
type keyStream struct{ ctr cipher.Stream }

func newKeyStream(seed [32]byte) keyStream {
	block, err := aes.NewCipher(seed[:])
	if err != nil {
		panic("aggregation: AES refuses a 32-byte key: " + err.Error())
	}
	return keyStream{cipher.NewCTR(block, make([]byte, aes.BlockSize))}
}

func (s keyStream) Read(b []byte) (int, error) {
	clear(b)
	s.ctr.XORKeyStream(b, b)
	return len(b), nil
}

func (c *Client) check(cfg *Config, base Digest, x []int32, bound int64) error {
	p := cfg.params
	if len(x) != p.Dim() {
		return fmt.Errorf("%w: %d coordinates, the round has %d", ErrLength, len(x), p.Dim())
	}
	if bound != p.Bound() {
		return fmt.Errorf("%w: encoded for %d, the round has %d", ErrBound, bound, p.Bound())
	}
	norm := 0.0
	for _, v := range x {
		if int64(v) > bound || int64(v) < -bound {
			return fmt.Errorf("%w: a coordinate leaves it", ErrBound)
		}
		norm += float64(v) * float64(v)
	}
	if limit := float64(p.literal.Norm); p.norm != nil && norm > limit*limit {
		return fmt.Errorf("%w: the vector's is above %d", ErrNorm, p.literal.Norm)
	}
	if !cfg.AllowsBase(base) {
		return fmt.Errorf("%w: not in the round's list", ErrBase)
	}
	if len(c.Key) != ed25519.PrivateKeySize {
		return fmt.Errorf("%w: device key of %d bytes", ErrEnrol, len(c.Key))
	}
	if err := cfg.Verify(c.Pins); err != nil {
		return err
	}
	id := IDOf(c.Key.Public().(ed25519.PublicKey))
	if !cfg.Eligible(id) {
		return fmt.Errorf("%w: the lot of round %v did not choose this device", ErrEnrol, cfg.literal.Round)
	}
	if shard := cfg.ShardOf(id); shard != cfg.literal.Round.Shard {
		return fmt.Errorf("%w: the device belongs to shard %d, not to %v", ErrShard, shard, cfg.literal.Round)
	}
	return nil
}
