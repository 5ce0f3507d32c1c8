package aggregation

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"
)

// SetSignature is one member's word on one set. A member gives at most one per round (section 3, step 3).
type SetSignature struct {
	Member    uint16 // 1..m
	SetDigest Digest // H(cfg, U)
	Signature []byte // 64 bytes
}

// signedSetDigest binds the round besides cfg, so that a signature names what it settles.
func signedSetDigest(cfg *Config, setDigest Digest) Digest {
	w := newWriter(labelSign, 160)
	cfg.literal.Round.write(w)
	w.raw(cfg.digest[:])
	w.raw(setDigest[:])
	return hash(labelSign, w.b)
}

// Verify reports whether the member of the configuration's roster gave the signature.
func (s *SetSignature) Verify(cfg *Config) bool {
	identity, ok := cfg.identity(s.Member)
	return ok && verifyDigest(identity, labelSign, signedSetDigest(cfg, s.SetDigest), s.Signature)
}

func (c *Config) identity(member uint16) (ed25519.PublicKey, bool) {
	if member < 1 || int(member) > len(c.literal.Roster) {
		return nil, false
	}
	return c.literal.Roster[member-1].Identity, true
}

// Certificate carries U and a quorum of signatures on the same H(cfg, U); signatures ascend by member.
type Certificate struct {
	Cfg        Digest
	Set        *Set
	Signatures []SetSignature
}

// Certify collects signatures into a certificate; it fails with RefuseCertificate below the quorum.
// Signatures that are invalid, repeated or on another set are left out.
func Certify(cfg *Config, set *Set, signatures []SetSignature) (*Certificate, error) {
	want := set.Digest(cfg.digest)
	var good []SetSignature
	for _, s := range signatures {
		if s.SetDigest == want && s.Verify(cfg) && !slices.ContainsFunc(good, func(g SetSignature) bool { return g.Member == s.Member }) {
			good = append(good, s)
		}
	}
	slices.SortFunc(good, func(a, b SetSignature) int { return int(a.Member) - int(b.Member) })
	cert := &Certificate{Cfg: cfg.digest, Set: set, Signatures: good}
	return cert, cert.Verify(cfg)
}

// Verify checks |U| within [NMin, NMax] and a quorum of valid signatures by distinct members, nothing else among them.
func (c *Certificate) Verify(cfg *Config) error {
	if c.Cfg != cfg.digest {
		return RefuseOtherConfig
	}
	if n := c.Set.Len(); n < cfg.params.NMin() || n > cfg.params.NMax() {
		return RefuseSetSize
	}
	if len(c.Signatures) < cfg.params.Quorum() {
		return fmt.Errorf("%w: %d signatures, quorum %d", RefuseCertificate, len(c.Signatures), cfg.params.Quorum())
	}
	want := c.Set.Digest(cfg.digest)
	for i, s := range c.Signatures {
		if i > 0 && c.Signatures[i-1].Member >= s.Member {
			return fmt.Errorf("%w: member %d out of order or twice", RefuseCertificate, s.Member)
		}
		if s.SetDigest != want || !s.Verify(cfg) {
			return fmt.Errorf("%w: signature of member %d", RefuseCertificate, s.Member)
		}
	}
	return nil
}

// Marshal returns the canonical bytes.
func (c *Certificate) Marshal() []byte {
	w := newWriter(labelCert, 256+c.Set.Len()*entryLen)
	w.raw(c.Cfg[:])
	w.bytes(c.Set.Marshal())
	w.u16(uint16(len(c.Signatures)))
	for _, s := range c.Signatures {
		w.u16(s.Member)
		w.raw(s.SetDigest[:])
		w.bytes(s.Signature)
	}
	return w.b
}

// ParseCertificate accepts exactly the bytes that Marshal gives; Verify judges them.
func ParseCertificate(b []byte) (*Certificate, error) {
	r := newReader(labelCert, b)
	c := new(Certificate)
	r.fixed(c.Cfg[:])
	set := r.bytes(MaxSetLen)
	c.Signatures = make([]SetSignature, r.count(uint32(r.u16()), MaxMembers, 2+32+4))
	for i := range c.Signatures {
		s := &c.Signatures[i]
		s.Member = r.u16()
		r.fixed(s.SetDigest[:])
		s.Signature = bytes.Clone(r.bytes(ed25519.SignatureSize))
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	var err error
	c.Set, err = ParseSet(set)
	return c, err
}

// AbandonSignature is one member's word that it will never sign a set in this round (rule 4).
type AbandonSignature struct {
	Member    uint16
	Signature []byte
}

func abandonDigest(id RoundID) Digest {
	w := newWriter(labelAbandon, 96)
	id.write(w)
	return hash(labelAbandon, w.b)
}

// AbandonCertificate frees the budget of the round's devices: a quorum will never open a set.
type AbandonCertificate struct {
	Round      RoundID
	Signatures []AbandonSignature // ascending by member
}

// CertifyAbandon collects abandon signatures; it fails with RefuseCertificate below the quorum.
func CertifyAbandon(cfg *Config, signatures []AbandonSignature) (*AbandonCertificate, error) {
	cert := &AbandonCertificate{Round: cfg.literal.Round}
	sorted := slices.Clone(signatures)
	slices.SortStableFunc(sorted, func(a, b AbandonSignature) int { return int(a.Member) - int(b.Member) })
	for _, s := range sorted {
		identity, ok := cfg.identity(s.Member)
		last := len(cert.Signatures) - 1
		if ok && verifyDigest(identity, labelAbandon, abandonDigest(cert.Round), s.Signature) && (last < 0 || cert.Signatures[last].Member != s.Member) {
			cert.Signatures = append(cert.Signatures, s)
		}
	}
	return cert, cert.Verify(cfg)
}

// Verify checks a quorum of the configuration's roster; a device does so before it takes its charge back.
func (c *AbandonCertificate) Verify(cfg *Config) error {
	if c.Round != cfg.literal.Round {
		return fmt.Errorf("%w: round %v, not %v", RefuseCertificate, c.Round, cfg.literal.Round)
	}
	if len(c.Signatures) < cfg.params.Quorum() {
		return fmt.Errorf("%w: %d signatures, quorum %d", RefuseCertificate, len(c.Signatures), cfg.params.Quorum())
	}
	for i, s := range c.Signatures {
		identity, ok := cfg.identity(s.Member)
		if i > 0 && c.Signatures[i-1].Member >= s.Member {
			return fmt.Errorf("%w: member %d out of order or twice", RefuseCertificate, s.Member)
		}
		if !ok || !verifyDigest(identity, labelAbandon, abandonDigest(c.Round), s.Signature) {
			return fmt.Errorf("%w: signature of member %d", RefuseCertificate, s.Member)
		}
	}
	return nil
}

// Marshal returns the canonical bytes.
func (c *AbandonCertificate) Marshal() []byte {
	w := newWriter(labelAbandon, 128+len(c.Signatures)*80)
	c.Round.write(w)
	w.u16(uint16(len(c.Signatures)))
	for _, s := range c.Signatures {
		w.u16(s.Member)
		w.bytes(s.Signature)
	}
	return w.b
}

// ParseAbandonCertificate accepts exactly the bytes that Marshal gives; Verify judges them.
func ParseAbandonCertificate(b []byte) (*AbandonCertificate, error) {
	r := newReader(labelAbandon, b)
	c := &AbandonCertificate{Round: readRoundID(r)}
	c.Signatures = make([]AbandonSignature, r.count(uint32(r.u16()), MaxMembers, 2+4))
	for i := range c.Signatures {
		c.Signatures[i].Member = r.u16()
		c.Signatures[i].Signature = bytes.Clone(r.bytes(ed25519.SignatureSize))
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	return c, nil
}
