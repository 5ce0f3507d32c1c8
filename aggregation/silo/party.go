package silo

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/tuneinsight/lattigo/v5/core/rlwe"
	"github.com/tuneinsight/lattigo/v5/mhe"
)

// Party is one organisation in one round: a state machine without I/O. One goroutine owns it. Every step returns the message to
// send and the records to make durable first; a step asked again in the same words returns the same bytes and no records.
//
//	Announce -> KeyShare -> Join -> Contribute (an organisation may leave it out) -> Decrypt (at most once, ever)
//
// The round's secrets (the seed of the secret key; with t < N the share of the collective key) are erased by Decrypt, or by Close.
type Party struct {
	cfg   *Config
	index int
	key   ed25519.PrivateKey

	seed         []byte // 32 bytes; secret key, HPKE key and Shamir polynomial follow from it
	announcement []byte
	view         Digest // the announcements that the key share answers
	keyShare     []byte

	keys   Digest // the key shares in use; zero before Join
	public *rlwe.PublicKey
	shamir *mhe.ShamirSecretShare // with t < N: this organisation's share of the collective key

	vector       Digest // what was contributed
	contribution []byte

	proposal []byte // what was decrypted
	partial  []byte
	closed   bool
}

// NewParty begins an organisation's part in a round that it has no records of.
func NewParty(cfg *Config, index int, key ed25519.PrivateKey) (*Party, error) {
	if index < 0 || index >= len(cfg.literal.Keys) {
		return nil, fmt.Errorf("%w: there is no organisation %d", ErrConfig, index)
	}
	if len(key) != ed25519.PrivateKeySize || !bytes.Equal(key.Public().(ed25519.PublicKey), cfg.literal.Keys[index]) {
		return nil, fmt.Errorf("%w: the key is not that of organisation %d", ErrConfig, index)
	}
	return &Party{cfg: cfg, index: index, key: slices.Clone(key)}, nil
}

// Index is the organisation's number.
func (p *Party) Index() int { return p.index }

// Keys names the collective key; zero before Join.
func (p *Party) Keys() Digest { return p.keys }

// Announce draws the round's secrets (32 bytes of random) and returns the signed announcement: agreement to the configuration,
// and a fresh key under which the others send shares.
func (p *Party) Announce(random io.Reader) ([]byte, []Record, error) {
	if p.announcement != nil {
		return slices.Clone(p.announcement), nil, nil
	}
	if p.closed {
		return nil, nil, RefuseClosed
	}
	seed := make([]byte, 32)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, nil, fmt.Errorf("silo: randomness: %w", err)
	}
	private, err := envelopeKey(seed)
	if err != nil {
		return nil, nil, err
	}
	b := start(kindAnnounce, p.cfg.digest, p.index, overhead+publicKeyLen)
	p.announcement = sign(append(b, private.PublicKey().Bytes()...), p.key)
	p.seed = seed
	return slices.Clone(p.announcement), []Record{p.record(recordSeed, p.seed), p.record(recordAnnounce, p.announcement)}, nil
}

// KeyShare returns the organisation's part of the collective public key and, with t < N, a sealed share of its secret key for
// every organisation. It wants the announcements of all N: nobody makes a key for a configuration that one has not signed.
func (p *Party) KeyShare(announcements [][]byte) ([]byte, []Record, error) {
	recipients, view, err := p.cfg.parseAnnouncements(announcements)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case p.announcement == nil:
		return nil, nil, RefuseOrder
	case !slices.ContainsFunc(announcements, func(b []byte) bool { return bytes.Equal(b, p.announcement) }):
		return nil, nil, RefuseOtherView
	case p.keyShare != nil && view != p.view:
		return nil, nil, RefuseOtherView
	case p.keyShare != nil:
		return slices.Clone(p.keyShare), nil, nil
	case p.closed:
		return nil, nil, RefuseClosed
	}
	share, err := p.makeKeyShare(recipients, view)
	if err != nil {
		return nil, nil, err
	}
	p.view, p.keyShare = view, share
	return slices.Clone(share), []Record{p.record(recordKeyShare, view[:], share)}, nil
}

// Join takes the key shares of all N and derives the collective public key and, with t < N, this organisation's share of the
// secret one; the own secret key is not needed any more then, and is erased.
func (p *Party) Join(shares [][]byte) ([]Record, error) {
	set, err := p.cfg.parseKeyShares(shares)
	if err != nil {
		return nil, err
	}
	switch {
	case p.keyShare == nil:
		return nil, RefuseOrder
	case p.keys != (Digest{}) && p.keys != set.digest:
		return nil, RefuseOtherKeys
	case p.keys != (Digest{}):
		return nil, nil
	case p.closed:
		return nil, RefuseClosed
	case !bytes.Equal(shares[p.index], p.keyShare): // ours carries our view, and all carry the same
		return nil, RefuseOtherView
	}
	public, err := p.cfg.collect(set)
	if err != nil {
		return nil, err
	}
	var records []Record
	if p.cfg.params.threshold() {
		if p.shamir, err = p.openShares(set); err != nil {
			return nil, err
		}
		p.eraseSeed()
		records = append(records, p.record(recordShamir, p.cfg.params.appendPoly(nil, p.shamir.Q)), p.erased(recordSeed))
	}
	p.public, p.keys = public, set.digest
	return append(records, p.record(recordKeys, p.keys[:], p.cfg.params.appendPoly(nil, public.Value[0].Q))), nil
}

// Contribute encrypts the vector under the collective key. One round takes one vector: the same again gives the same bytes.
func (p *Party) Contribute(vector []int64) ([]byte, []Record, error) {
	l := p.cfg.params.literal
	if len(vector) != l.Length {
		return nil, nil, fmt.Errorf("%w: %d coordinates, not %d", ErrVector, len(vector), l.Length)
	}
	for i, x := range vector {
		if x < -l.Bound || x > l.Bound {
			return nil, nil, fmt.Errorf("%w: coordinate %d is beyond ±%d", ErrVector, i, l.Bound)
		}
	}
	digest := vectorDigest(vector)
	switch {
	case p.contribution != nil && p.vector != digest:
		return nil, nil, RefuseOtherVector
	case p.contribution != nil:
		return slices.Clone(p.contribution), nil, nil
	case p.closed:
		return nil, nil, RefuseClosed
	case p.public == nil:
		return nil, nil, RefuseOrder
	}
	contribution, err := p.encrypt(vector)
	if err != nil {
		return nil, nil, err
	}
	p.vector, p.contribution = digest, contribution
	return slices.Clone(contribution), []Record{p.record(recordContribution, digest[:], contribution)}, nil
}

// Decrypt makes the one partial decryption of the round, after it has checked the proposal against a tally that this organisation
// filled itself, with the contributions it received. The round's secrets are erased with it. random gives 32 bytes.
//
// Refusals: RefuseSecondDecryption and RefuseActiveSet for whatever is not the very proposal already answered.
func (p *Party) Decrypt(random io.Reader, proposal []byte, tally *Tally) ([]byte, []Record, error) {
	asked, err := p.cfg.ParseProposal(proposal)
	if err != nil {
		return nil, nil, err
	}
	if p.partial != nil {
		return p.decryptAgain(proposal, asked)
	}
	if p.closed {
		return nil, nil, RefuseClosed
	}
	if err := p.checkProposal(asked, tally); err != nil {
		return nil, nil, err
	}
	partial, err := p.decrypt(random, asked, tally)
	if err != nil {
		return nil, nil, err
	}
	p.proposal, p.partial = slices.Clone(proposal), partial
	records := append([]Record{p.record(recordPartial, asked.digest[:], p.proposal, p.partial)}, p.erase()...)
	return slices.Clone(partial), records, nil
}

func (p *Party) decryptAgain(proposal []byte, asked *Proposal) ([]byte, []Record, error) {
	if bytes.Equal(proposal, p.proposal) {
		return slices.Clone(p.partial), nil, nil
	}
	before, err := p.cfg.ParseProposal(p.proposal)
	if err == nil && before.Sum == asked.Sum && before.Keys == asked.Keys && slices.Equal(before.Contributions, asked.Contributions) {
		return nil, nil, RefuseActiveSet
	}
	return nil, nil, RefuseSecondDecryption
}

// checkProposal is all that stands between a request and the key.
func (p *Party) checkProposal(asked *Proposal, tally *Tally) error {
	switch {
	case p.public == nil:
		return RefuseOrder
	case tally == nil || tally.cfg.digest != p.cfg.digest:
		return RefuseOtherConfig
	case asked.Keys != p.keys || tally.keys != p.keys:
		return RefuseOtherKeys
	case len(asked.Contributions) < p.cfg.params.literal.Minimum || len(asked.Active) != p.cfg.params.literal.Present:
		return RefuseMinimum
	case !slices.Contains(asked.Active, p.index):
		return RefuseNotActive
	}
	own := slices.IndexFunc(asked.Contributions, func(e Entry) bool { return e.From == p.index })
	if own >= 0 && (p.contribution == nil || asked.Contributions[own].Digest != unsignedDigest(p.contribution)) {
		return RefuseOwnContribution
	}
	if !slices.Equal(asked.Contributions, tally.Entries()) {
		return RefuseContributions
	}
	if asked.Sum != tally.sumDigest() {
		return RefuseSum
	}
	return nil
}

// Close erases the round's secrets without a decryption, and says so durably.
func (p *Party) Close() []Record {
	if p.closed {
		return nil
	}
	return p.erase()
}

// erase forgets the secrets, for good.
func (p *Party) erase() []Record {
	p.eraseSeed()
	if p.shamir != nil {
		for _, c := range p.shamir.Q.Coeffs {
			clear(c)
		}
		p.shamir = nil
	}
	p.closed = true
	return []Record{p.record(recordClosed), p.erased(recordSeed), p.erased(recordShamir)}
}

func (p *Party) eraseSeed() {
	clear(p.seed)
	p.seed = nil
}

var errNoSecret = errors.New("silo: the round's secret is gone")
