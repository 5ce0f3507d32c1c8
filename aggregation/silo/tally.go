package silo

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/tuneinsight/lattigo/v5/core/rlwe"
	"github.com/tuneinsight/lattigo/v5/ring"
	"github.com/tuneinsight/lattigo/v5/schemes/bgv"
)

// Entry is one contribution in a sum.
type Entry struct {
	From   int
	Digest Digest
}

// Tally adds contributions up as they come and remembers which they were. The aggregator has one to propose from, and every
// organisation that decrypts fills one of its own: that is how it knows what the ciphertext is a sum of. It holds one sum of
// ciphertexts, however many contributions there are.
type Tally struct {
	cfg     *Config
	keys    Digest
	entries []Entry // ascending
	sum     [][2]ring.Poly
	named   Digest // of sum, zero when not computed
}

// NewTally begins an empty sum of contributions under the collective key of that name (Party.Keys, Config.KeysDigest).
func NewTally(cfg *Config, keys Digest) *Tally {
	t := &Tally{cfg: cfg, keys: keys, sum: make([][2]ring.Poly, cfg.params.Chunks())}
	for k := range t.sum {
		t.sum[k] = [2]ring.Poly{cfg.params.bgv.RingQ().NewPoly(), cfg.params.bgv.RingQ().NewPoly()}
	}
	return t
}

// Add verifies a contribution and adds it. The same one again changes nothing; another one of the same organisation is refused.
func (t *Tally) Add(contribution []byte) error {
	m, err := t.cfg.open(kindContribution, contribution)
	if err != nil {
		return err
	}
	if Digest(m.body[:digestLen]) != t.keys {
		return RefuseOtherKeys
	}
	at, there := slices.BinarySearchFunc(t.entries, m.from, func(e Entry, from int) int { return cmp.Compare(e.From, from) })
	if there {
		if t.entries[at].Digest != m.digest {
			return RefuseSecondContributions
		}
		return nil
	}
	if err := t.each(m.body[digestLen:], func(ring.Poly, int, int, uint64) {}); err != nil {
		return err // nothing was added yet
	}
	moduli := t.cfg.params.literal.Moduli
	_ = t.each(m.body[digestLen:], func(pol ring.Poly, j, i int, v uint64) {
		pol.Coeffs[j][i] = ring.CRed(pol.Coeffs[j][i]+v, moduli[j])
	})
	t.entries = slices.Insert(t.entries, at, Entry{From: m.from, Digest: m.digest})
	t.named = Digest{}
	return nil
}

// each walks the words of a contribution beside the polynomials of the sum.
func (t *Tally) each(body []byte, f func(pol ring.Poly, j, i int, v uint64)) error {
	n := t.cfg.params.polyLen
	for k := range 2 * len(t.sum) {
		pol := t.sum[k/2][k%2]
		if err := t.cfg.params.eachWord(body[k*n:(k+1)*n], func(j, i int, v uint64) { f(pol, j, i, v) }); err != nil {
			return err
		}
	}
	return nil
}

// Entries lists what was added, in the order of the organisations.
func (t *Tally) Entries() []Entry { return slices.Clone(t.entries) }

// sumDigest names the sum's ciphertexts.
func (t *Tally) sumDigest() Digest {
	if t.named != (Digest{}) {
		return t.named
	}
	h := sha256.New()
	h.Write([]byte(labelSum))
	b := make([]byte, 0, t.cfg.params.polyLen)
	for _, ct := range t.sum {
		h.Write(t.cfg.params.appendPoly(b, ct[0]))
		h.Write(t.cfg.params.appendPoly(b, ct[1]))
	}
	h.Sum(t.named[:0])
	return t.named
}

// ciphertext is chunk k of the sum, for lattigo.
func (t *Tally) ciphertext(k int) *rlwe.Ciphertext {
	p := t.cfg.params.bgv
	ct := &rlwe.Ciphertext{Element: rlwe.Element[ring.Poly]{Value: t.sum[k][:], MetaData: bgv.NewPlaintext(p, p.MaxLevel()).MetaData.CopyNew()}}
	ct.IsBatched = false
	return ct
}

// Propose asks exactly those organisations to decrypt the sum of all that was added.
func (t *Tally) Propose(active []int) ([]byte, error) {
	l := t.cfg.params.literal
	active = slices.Sorted(slices.Values(active))
	if len(t.entries) < l.Minimum || len(active) != l.Present {
		return nil, RefuseMinimum
	}
	p := &Proposal{Keys: t.keys, Contributions: t.Entries(), Active: active, Sum: t.sumDigest()}
	b := p.encode(t.cfg.digest)
	if _, err := t.cfg.ParseProposal(b); err != nil {
		return nil, err
	}
	return b, nil
}

// Proposal names one sum and who decrypts it. It carries no signature: an organisation believes none of it.
type Proposal struct {
	Keys          Digest
	Contributions []Entry // ascending
	Active        []int   // ascending
	Sum           Digest
	digest        Digest
}

func (p *Proposal) encode(cfg Digest) []byte {
	b := start(kindProposal, cfg, 0, 512)
	b = append(b, p.Keys[:]...)
	b = append(b, p.Sum[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.Contributions)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.Active)))
	for _, e := range p.Contributions {
		b = binary.BigEndian.AppendUint16(b, uint16(e.From))
		b = append(b, e.Digest[:]...)
	}
	for _, i := range p.Active {
		b = binary.BigEndian.AppendUint16(b, uint16(i))
	}
	return b
}

// ParseProposal reads the canonical encoding of a proposal under this configuration: both lists strictly ascending.
func (c *Config) ParseProposal(b []byte) (*Proposal, error) {
	const fixed = headerLen + 2*digestLen + 4
	if len(b) < fixed || b[0] != 'T' || b[1] != 'S' || b[2] != 1 || b[3] != byte(kindProposal) || b[headerLen-2] != 0 || b[headerLen-1] != 0 {
		return nil, fmt.Errorf("%w: not a proposal", ErrEncoding)
	}
	if Digest(b[4:4+digestLen]) != c.digest {
		return nil, RefuseOtherConfig
	}
	r := reader{b: b[headerLen:]}
	p := &Proposal{Keys: Digest(r.take(digestLen)), Sum: Digest(r.take(digestLen))}
	entries, active := int(r.u16()), int(r.u16())
	n := len(c.literal.Keys)
	if entries > n || active > n || len(r.b) != entries*(2+digestLen)+active*2 {
		return nil, fmt.Errorf("%w: proposal of %d bytes names %d contributions and %d organisations", ErrEncoding, len(b), entries, active)
	}
	for last := -1; entries > 0; entries-- {
		e := Entry{From: int(r.u16()), Digest: Digest(r.take(digestLen))}
		if e.From <= last || e.From >= n {
			return nil, fmt.Errorf("%w: contributions not ascending", ErrEncoding)
		}
		p.Contributions, last = append(p.Contributions, e), e.From
	}
	for last := -1; active > 0; active-- {
		i := int(r.u16())
		if i <= last || i >= n {
			return nil, fmt.Errorf("%w: organisations not ascending", ErrEncoding)
		}
		p.Active, last = append(p.Active, i), i
	}
	p.digest = hash(labelProposal, b)
	return p, nil
}
