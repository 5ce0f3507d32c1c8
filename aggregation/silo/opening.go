package silo

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/tuneinsight/lattigo/v5/core/rlwe"
	"github.com/tuneinsight/lattigo/v5/mhe"
	"github.com/tuneinsight/lattigo/v5/ring"
	"github.com/tuneinsight/lattigo/v5/schemes/bgv"
)

var (
	// ErrMissing: not every organisation of the active set has answered; nothing can be opened without all of them.
	ErrMissing = errors.New("silo: partial decryptions are missing")
	// ErrNoise: the partial decryptions do not open this sum: one of them, or a contribution, is not what it should be.
	ErrNoise = errors.New("silo: the partial decryptions do not open the sum")
	// ErrRange: what was opened is no sum of so many vectors within the bound: someone contributed beyond it.
	ErrRange = errors.New("silo: sum beyond what the bound allows")
	// ErrSecondPartial: two different partial decryptions of one organisation.
	ErrSecondPartial = errors.New("silo: another partial decryption of the same organisation")
)

// Opening collects the partial decryptions of one proposal. Anyone who has the tally can open.
type Opening struct {
	tally    *Tally
	proposal *Proposal
	answered map[int]Digest
	shares   []mhe.KeySwitchShare // sums by chunk
	cks      mhe.KeySwitchProtocol
}

// NewOpening begins the opening of a proposal made from this tally.
func NewOpening(tally *Tally, proposal []byte) (*Opening, error) {
	p, err := tally.cfg.ParseProposal(proposal)
	if err != nil {
		return nil, err
	}
	if p.Keys != tally.keys || !slices.Equal(p.Contributions, tally.entries) || p.Sum != tally.sumDigest() {
		return nil, RefuseContributions
	}
	if len(p.Active) != tally.cfg.params.literal.Present || len(p.Contributions) < tally.cfg.params.literal.Minimum {
		return nil, RefuseMinimum
	}
	o := &Opening{tally: tally, proposal: p, answered: map[int]Digest{}}
	if o.cks, err = tally.cfg.params.keySwitch(); err != nil {
		return nil, fmt.Errorf("silo: key switching: %w", err)
	}
	for range tally.sum {
		o.shares = append(o.shares, o.cks.AllocateShare(tally.cfg.params.bgv.MaxLevel()))
	}
	return o, nil
}

// Add verifies a partial decryption and adds it. The same one again changes nothing.
func (o *Opening) Add(partial []byte) error {
	cfg := o.tally.cfg
	m, err := cfg.open(kindPartial, partial)
	if err != nil {
		return err
	}
	if Digest(m.body[:digestLen]) != o.proposal.digest || !slices.Contains(o.proposal.Active, m.from) {
		return RefuseActiveSet
	}
	if before, there := o.answered[m.from]; there {
		if before != m.digest {
			return ErrSecondPartial
		}
		return nil
	}
	n, body := cfg.params.polyLen, m.body[digestLen:]
	for k := range o.shares { // all or nothing
		if err := cfg.params.eachWord(body[k*n:(k+1)*n], func(int, int, uint64) {}); err != nil {
			return err
		}
	}
	for k := range o.shares {
		pol, err := cfg.params.readPoly(body[k*n : (k+1)*n])
		if err != nil {
			return err
		}
		if err := o.cks.AggregateShares(o.shares[k], mhe.KeySwitchShare{Value: pol}, &o.shares[k]); err != nil {
			return fmt.Errorf("silo: adding partial decryptions: %w", err)
		}
	}
	o.answered[m.from] = m.digest
	return nil
}

// Combine opens the sum: exact integers, or an error, never something else.
func (o *Opening) Combine() ([]int64, error) {
	for _, i := range o.proposal.Active {
		if _, there := o.answered[i]; !there {
			return nil, fmt.Errorf("%w: organisation %d", ErrMissing, i)
		}
	}
	if !slices.Equal(o.proposal.Contributions, o.tally.entries) {
		return nil, RefuseContributions // the tally grew meanwhile
	}
	p := o.tally.cfg.params
	d := newDecoder(p)
	sum := make([]int64, 0, p.Chunks()*p.degree())
	for k := range o.shares {
		values, err := d.open(o.cks, o.tally.ciphertext(k), o.shares[k])
		if err != nil {
			return nil, err
		}
		sum = append(sum, values...)
	}
	limit := int64(len(o.proposal.Contributions)) * p.literal.Bound
	for i, x := range sum {
		if x < -limit || x > limit || i >= p.literal.Length && x != 0 {
			return nil, fmt.Errorf("%w: coordinate %d", ErrRange, i)
		}
	}
	return sum[:p.literal.Length], nil
}

// decoder turns an opened ciphertext into centred integers.
type decoder struct {
	params  *Params
	encoder *bgv.Encoder
	ct      *rlwe.Ciphertext
	scaled  ring.Poly
	plain   ring.Poly
	inverse [maxPrimes][maxPrimes]uint64 // inverse[i][j] = q_i^-1 mod q_j
}

func newDecoder(p *Params) *decoder {
	d := &decoder{
		params: p, encoder: bgv.NewEncoder(p.bgv), ct: bgv.NewCiphertext(p.bgv, 1, p.bgv.MaxLevel()),
		scaled: p.bgv.RingQ().NewPoly(), plain: p.bgv.RingT().NewPoly(),
	}
	for j, q := range p.literal.Moduli {
		for i := range j {
			d.inverse[i][j] = ring.ModExp(p.literal.Moduli[i]%q, q-2, q)
		}
	}
	return d
}

func (d *decoder) open(cks mhe.KeySwitchProtocol, sum *rlwe.Ciphertext, share mhe.KeySwitchShare) ([]int64, error) {
	ringQ, p := d.params.bgv.RingQ(), d.params
	cks.KeySwitch(sum, share, d.ct)
	ringQ.INTT(d.ct.Value[0], d.ct.Value[0])
	ringQ.MulScalar(d.ct.Value[0], p.literal.Plaintext, d.scaled)
	ringQ.Reduce(d.scaled, d.scaled)
	if !d.small() {
		return nil, ErrNoise
	}
	d.encoder.RingQ2T(p.bgv.MaxLevel(), true, d.ct.Value[0], d.plain)
	values := make([]int64, p.degree())
	half := p.literal.Plaintext / 2
	for i, v := range d.plain.Coeffs[0] {
		if values[i] = int64(v); v > half {
			values[i] -= int64(p.literal.Plaintext)
		}
	}
	return values, nil
}

// small reports whether every coefficient of t·noise + sum is within Q/2^slackBits of zero: its largest mixed-radix digit is at
// the edge of its range. Partial decryptions that do not fit each other leave uniform residues, which fail this at once:
// a ring of 2^12 coefficients passes by chance with probability below 2^-12000.
func (d *decoder) small() bool {
	moduli := d.params.literal.Moduli
	low, high := d.params.tops()
	var digits [maxPrimes]uint64
	for i := range d.params.degree() {
		for j, q := range moduli {
			v := d.scaled.Coeffs[j][i]
			for k := range j {
				// v = (v - digit_k) / q_k mod q_j
				v = mulMod(v+q-digits[k]%q, d.inverse[k][j], q)
			}
			digits[j] = v
		}
		if top := digits[len(moduli)-1]; top >= low && top < high {
			return false
		}
	}
	return true
}

// tops are the limits of the largest mixed-radix digit of an opened sum: below low or from high on.
func (p *Params) tops() (low, high uint64) {
	top := p.literal.Moduli[len(p.literal.Moduli)-1]
	low = uint64(math.Ceil(float64(top) / (1 << slackBits)))
	return low, top - low
}
