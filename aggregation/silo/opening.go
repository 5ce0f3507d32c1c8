package silo

import (
	"errors"
	"fmt"
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

// decoder turns an opened ciphertext into centred integers, and checks the noise on the way, which lattigo's does not.
type decoder struct {
	params  *Params
	ct      *rlwe.Ciphertext
	scaled  ring.Poly
	inverse [maxPrimes][maxPrimes]uint64 // inverse[i][j] = q_i^-1 mod q_j
	weight  [maxPrimes + 1]uint64        // weight[j] = q_0···q_(j-1) mod t; the last is Q mod t
}

func newDecoder(p *Params) *decoder {
	d := &decoder{params: p, ct: bgv.NewCiphertext(p.bgv, 1, p.bgv.MaxLevel()), scaled: p.bgv.RingQ().NewPoly()}
	t := p.literal.Plaintext
	d.weight[0] = 1
	for j, q := range p.literal.Moduli {
		for i := range j {
			d.inverse[i][j] = ring.ModExp(p.literal.Moduli[i]%q, q-2, q)
		}
		d.weight[j+1] = mulMod(d.weight[j], q%t, t)
	}
	return d
}

// open returns the N coordinates of one ciphertext. Its phase is x = sum/t + noise mod Q; t·x = sum + t·noise is an integer far
// below Q, and the sum is its residue modulo t.
func (d *decoder) open(cks mhe.KeySwitchProtocol, sum *rlwe.Ciphertext, share mhe.KeySwitchShare) ([]int64, error) {
	ringQ, t := d.params.bgv.RingQ(), d.params.literal.Plaintext
	cks.KeySwitch(sum, share, d.ct)
	ringQ.INTT(d.ct.Value[0], d.ct.Value[0])
	ringQ.MulScalar(d.ct.Value[0], t, d.scaled)
	ringQ.Reduce(d.scaled, d.scaled)
	values := make([]int64, d.params.degree())
	for i := range values {
		v, ok := d.residue(i)
		if !ok {
			return nil, ErrNoise
		}
		if values[i] = int64(v); v > t/2 {
			values[i] -= int64(t)
		}
	}
	return values, nil
}

// residue is coefficient i modulo t, if it lies within about Q/2^slackBits of zero: then its largest mixed-radix digit is at an end of
// its range. Partial decryptions that do not fit each other leave uniform residues, and a ring of 2^12 of those passes by chance
// with probability below 2^-12000.
func (d *decoder) residue(i int) (v uint64, ok bool) {
	moduli, t := d.params.literal.Moduli, d.params.literal.Plaintext
	var digits [maxPrimes]uint64
	for j, q := range moduli {
		x := d.scaled.Coeffs[j][i]
		for k := range j {
			x = mulMod(x+q-digits[k]%q, d.inverse[k][j], q) // (x - digit_k) / q_k
		}
		digits[j] = x
		v = (v + mulMod(x, d.weight[j], t)) % t
	}
	last := len(moduli) - 1
	end := moduli[last]>>slackBits + 1
	if top := digits[last]; top >= moduli[last]-end { // negative
		return (v + t - d.weight[last+1]) % t, true
	} else if top >= end {
		return 0, false
	}
	return v, true
}
