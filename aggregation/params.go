package aggregation

import (
	"errors"
	"fmt"
	"sort"

	"tutti/aggregation/mask"
	"tutti/aggregation/share"
	"tutti/aggregation/validity"
)

// Errors of NewParams. All of them arise before any key is made; errors.Is tells them apart.
// The first group comes from the ring, see package mask.
var (
	ErrDimension = mask.ErrDimension // Dim outside [1, 2^26], or beyond the smoothing bound of rule 5
	ErrOverflow  = mask.ErrOverflow  // NMax·Bound does not fit any sum domain, or a negative norm
	ErrModulus   = mask.ErrModulus   // the modulus needed is beyond the security table, or not NTT-friendly
	ErrMargin    = mask.ErrMargin    // decoding would leave less than 13 standard deviations
	ErrCohort    = errors.New("aggregation: cohort bounds")
	ErrCommittee = errors.New("aggregation: committee")
	ErrKeySum    = errors.New("aggregation: sum of keys would wrap in the share field")
)

// MaxMembers bounds the committee; section 4's largest feasible draw is 819.
const MaxMembers = 1024

// ParamsLiteral is the open form of Params; nothing in it is trusted until NewParams accepted it.
type ParamsLiteral struct {
	Dim     int          // D, padded number of coordinates of a vector, in [1, 2^26]
	Bound   int64        // M, public bound on |x_j| of one device, in [1, 2^31)
	NMin    int          // fewest devices whose sum may be opened, >= 2
	NMax    int          // most devices in one set, >= NMin, <= 2^20
	Members int          // m, size of the committee
	Corrupt int          // c, members that may collude with the server, >= 1
	Rho     int          // ρ, key words packed into one polynomial, in [1, Quorum-Corrupt]
	Profile mask.Profile // 0: the smaller upload of mask.Standard and mask.Paired
	Norm    int64        // bound on the Euclidean norm of one device's vector, noise included; 0: not checked
}

// Params are checked and immutable: the numbers of one round's protocol (section 2, 4 and the binding rules 3, 5).
// T, P and q follow from NMax·Bound by mask.Choose, and with the norm check from the norm too, see chooseRing.
type Params struct {
	literal ParamsLiteral
	mask    *mask.Params
	shares  *share.Scheme
	norm    *validity.Check // nil unless Norm > 0
}

// NewParams checks every rule of sections 2 and 4 and returns the immutable parameters. Where the literal leaves the
// profile open, the one with the smaller upload of those with at least minSecurity bits is taken; the norm check, which
// wants a q of one prime, takes mask.Standard, or mask.High where that would be too small or too weak.
func NewParams(l ParamsLiteral) (*Params, error) {
	switch {
	case l.Profile != 0:
		return newParams(l)
	case l.Norm > 0:
		return newNormParams(l)
	}
	l.Profile = mask.Paired
	paired, pairedErr := newParams(l)
	l.Profile = mask.Standard
	standard, err := newParams(l)
	switch {
	case pairedErr != nil:
		return standard, err
	case err != nil, standard.mask.Security() < minSecurity, paired.uploadLen() < standard.uploadLen():
		return paired, nil
	}
	return standard, nil
}

func newNormParams(l ParamsLiteral) (*Params, error) {
	l.Profile = mask.Standard
	p, err := newParams(l)
	if err != nil && !errors.Is(err, ErrOverflow) || err == nil && p.mask.Security() >= minSecurity {
		return p, err
	}
	l.Profile = mask.High
	high, highErr := newParams(l)
	var one, other *NormError
	if errors.As(err, &one) && errors.As(highErr, &other) && one.Nearest > other.Nearest {
		return nil, err
	}
	return high, highErr
}

// minSecurity is the classical security in bits below which a profile is not taken by itself.
const minSecurity = 128

// uploadLen is the length of an upload but for its header's fields.
func (p *Params) uploadLen() int {
	return p.VectorLen() + p.literal.Members*p.EnvelopeLen(SuiteX25519)
}

func newParams(l ParamsLiteral) (*Params, error) {
	if l.NMin < 2 || l.NMax < l.NMin {
		return nil, fmt.Errorf("%w: need 2 <= NMin <= NMax, have %d and %d", ErrCohort, l.NMin, l.NMax)
	}
	if l.Norm < 0 {
		return nil, fmt.Errorf("%w: a norm of %d", ErrOverflow, l.Norm)
	}
	if err := checkCommittee(l); err != nil {
		return nil, err
	}
	switch {
	case l.Norm == 0:
		return onRing(l, l.Bound)
	case l.Profile == mask.Paired:
		return nil, fmt.Errorf("%w: the norm check wants a q of one prime, profile %d has two", ErrModulus, l.Profile)
	}
	return chooseRing(l)
}

// chooseRing enlarges the sum domain, and P and q with it by the general rule, until q holds 64 of the norm check's bounds B. Since B is
// about 5.7·Δ·Norm and Δ = q/T, that is T >= 362·Norm, however few the devices. Bound stays that of a device's coordinates.
func chooseRing(l ParamsLiteral) (*Params, error) {
	var smaller *Params
	for room := l.Bound; ; room *= 2 {
		p, err := onRing(l, room)
		switch {
		case errors.Is(err, ErrOverflow) && smaller != nil:
			return nil, &NormError{Norm: l.Norm, Nearest: smaller.largestNorm()}
		case err != nil:
			return nil, err
		}
		if p.norm, err = p.normCheck(l.Norm); err == nil {
			return p, nil
		}
		smaller = p
	}
}

func (p *Params) normCheck(norm int64) (*validity.Check, error) {
	return validity.New(validity.Literal{Mask: p.mask, Shares: p.shares, Norm: float64(norm)})
}

// NormError refuses a norm that no sum domain of the profiles holds. It is an ErrOverflow.
type NormError struct {
	Norm    int64
	Nearest int64 // the largest that one holds for as many devices
}

func (e *NormError) Error() string {
	return fmt.Sprintf("aggregation: no ring holds the proof of a norm of %d, the largest is %d", e.Norm, e.Nearest)
}

// Unwrap is ErrOverflow.
func (e *NormError) Unwrap() error { return ErrOverflow }

// largestNorm is the longest norm that the ring's q holds, 0 if none.
func (p *Params) largestNorm() int64 {
	return int64(sort.Search(int(p.mask.Literal().Q), func(norm int) bool {
		_, err := p.normCheck(int64(norm) + 1)
		return err != nil
	}))
}

// onRing puts the parameters, but for the norm check, on the smallest ring for NMax vectors of coordinates up to room >= Bound.
func onRing(l ParamsLiteral, room int64) (*Params, error) {
	chosen, err := mask.Choose(l.Profile, l.Dim, l.NMax, room)
	if err != nil {
		return nil, err
	}
	chosen.Bound = l.Bound
	if err := checkKeySum(l.NMax, chosen.Sigma, shareModulus(l, chosen.Q)); err != nil {
		return nil, err
	}
	m, err := mask.NewParams(chosen)
	if err != nil {
		return nil, err
	}
	field, err := share.NewField(shareModulus(l, chosen.Q))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModulus, err)
	}
	s, err := share.New(field, l.Members, l.Corrupt, l.Rho)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCommittee, err)
	}
	return &Params{literal: l, mask: m, shares: s}, nil
}

// checkBits is the soundness of the sharing check: a sharing of something else passes a challenge with 2^-92.
const checkBits = 92

// checkNeed is c+ρ, the degree of a key's polynomials; the norm check also squares polynomials of degree c and multiplies
// those of the key by weights of degree ρ-1.
func checkNeed(l ParamsLiteral) int {
	if l.Norm == 0 {
		return l.Corrupt + l.Rho
	}
	return max(l.Corrupt+l.Rho, max(2*l.Corrupt, l.Corrupt+2*l.Rho-2)+1)
}

// shareModulus is the field that keys are shared over: the default, or the ring's own prime where the norm check
// evaluates masked vectors under the shares.
func shareModulus(l ParamsLiteral, q uint64) uint64 {
	if l.Norm > 0 {
		return q
	}
	return share.P
}

// checkKeySum demands that the sum of NMax keys lies within ±(p-1)/2, with the sampler's own tail (rule 5).
func checkKeySum(count int, sigma mask.Sigma, p uint64) error {
	if uint64(count)*uint64(sigma.Tail()) > (p-1)/2 {
		return fmt.Errorf("%w: %d devices with |s| <= %d", ErrKeySum, count, sigma.Tail())
	}
	return nil
}

// checkCommittee enforces section 4: quorum = floor((m+c)/2)+1 <= m - 0, and ρ <= quorum - c.
func checkCommittee(l ParamsLiteral) error {
	if l.Members < 1 || l.Members > MaxMembers || l.Corrupt < 1 || l.Corrupt >= l.Members || l.Rho < 1 {
		return fmt.Errorf("%w: m=%d, c=%d, rho=%d", ErrCommittee, l.Members, l.Corrupt, l.Rho)
	}
	quorum := (l.Members+l.Corrupt)/2 + 1
	if quorum > l.Members {
		return fmt.Errorf("%w: a quorum of %d needs more than the %d members", ErrCommittee, quorum, l.Members)
	}
	if l.Rho > quorum-l.Corrupt {
		return fmt.Errorf("%w: rho=%d exceeds quorum %d minus c=%d", ErrCommittee, l.Rho, quorum, l.Corrupt)
	}
	if need := checkNeed(l); need > quorum {
		return fmt.Errorf("%w: a check needs %d answers, a quorum gives %d", ErrCommittee, need, quorum)
	}
	return nil
}

// Literal returns the open form.
func (p *Params) Literal() ParamsLiteral { return p.literal }

// Dim is D, the coordinates of a vector.
func (p *Params) Dim() int { return p.literal.Dim }

// Bound is M, the public bound on one device's |x_j|.
func (p *Params) Bound() int64 { return p.literal.Bound }

// NMin is the fewest devices whose sum may be opened.
func (p *Params) NMin() int { return p.literal.NMin }

// NMax is the most devices in one set.
func (p *Params) NMax() int { return p.literal.NMax }

// Members is m, the size of the committee.
func (p *Params) Members() int { return p.literal.Members }

// Corrupt is c, the members that may collude with the server.
func (p *Params) Corrupt() int { return p.literal.Corrupt }

// Quorum is floor((m+c)/2)+1, the signatures in a certificate: two quorums share an honest member.
func (p *Params) Quorum() int { return (p.literal.Members+p.literal.Corrupt)/2 + 1 }

// Need is c+ρ, the fewest answers that determine the sum of the keys.
func (p *Params) Need() int { return p.literal.Corrupt + p.literal.Rho }

// WordBits is log2 P, the width of one masked coordinate on the wire.
func (p *Params) WordBits() int { return p.mask.WordBits() }

// VectorLen is the exact length of an upload's packed vector in bytes.
func (p *Params) VectorLen() int { return p.mask.PackedLen() }

// AnswerWords is the number of field elements in a member's answer, ceil(N/ρ).
func (p *Params) AnswerWords() int { return p.shares.Words(p.mask.N()) }

// CheckWords is the number of field elements in a member's answer on one device: one for each blinding polynomial, the fewest
// whose bits reach 92, three of the default field; and behind them those of the norm check.
func (p *Params) CheckWords() int {
	if p.norm == nil {
		return p.blindWords()
	}
	return p.blindWords() + p.norm.AnswerWords()
}

// CheckNeed is the fewest answers that decide a check of one device: c+ρ for its sharing, more for its norm.
func (p *Params) CheckNeed() int { return checkNeed(p.literal) }

// EnvelopeLen is the exact length in bytes of one sealed share, blinds included, under the suite.
func (p *Params) EnvelopeLen(s Suite) int {
	return s.overhead() + 1 + p.shares.Field().Bytes()*(p.AnswerWords()+p.blindWords()+p.proofWords())
}

// StatementLen is the exact length in bytes of what a header says of its vector's norm; 0 without the norm check.
func (p *Params) StatementLen() int {
	if p.norm == nil {
		return 0
	}
	return p.Members()*len(Digest{}) + p.norm.AlphaWords()*p.shares.Field().Bytes()
}
