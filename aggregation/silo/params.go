package silo

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"slices"

	"github.com/tuneinsight/lattigo/v5/core/rlwe"
	"github.com/tuneinsight/lattigo/v5/ring"
	"github.com/tuneinsight/lattigo/v5/schemes/bgv"
)

// Errors of Choose and NewParams; every one arises before any key is made. errors.Is tells them apart.
var (
	ErrOrganisations = errors.New("silo: organisations")                                  // N, t, c, n_min do not fit each other
	ErrVector        = errors.New("silo: vector")                                         // length or input bound outside its range
	ErrPlaintext     = errors.New("silo: plaintext modulus")                              // not NTT-friendly, or a sum could leave it
	ErrModulus       = errors.New("silo: ciphertext modulus")                             // not distinct NTT-friendly primes of at most 60 bits
	ErrSecurity      = errors.New("silo: ciphertext modulus too large for 128 bits at N") // see securityTable
	ErrFlood         = errors.New("silo: flooding noise")                                 // too narrow to hide, or too wide for the library
	ErrMargin        = errors.New("silo: noise does not fit the ciphertext modulus")      // the sum would not decode
)

// Limits of a model.
const (
	MinOrganisations = 3
	MaxOrganisations = 20
	MaxLength        = 1 << 22 // coordinates; a contribution is then about 130 MB
	MaxBound         = 1 << 32 // input bound
	MinHiding        = 40      // smallest statistical parameter of the flooding
	MaxHiding        = 80
	DefaultHiding    = 56 // what a model without a wish gets

	keySigma  = rlwe.DefaultNoise // standard deviation of every RLWE error, 3.2
	tail      = 13                // standard deviations that correctness allows for, as in the root package
	slackBits = 4                 // an opened sum occupies at most Q/2^slackBits; what is larger is no sum (ErrNoise)
	maxPrimes = 3
	maxLimb   = 60 // bits of one prime
)

// securityTable is the largest log2 Q for 128 bits of classical security with ternary secrets and sigma 3.2, by log2 N:
// the stricter of HomomorphicEncryption.org's 2018 standard (109, 218, 438) and the 2024 guidelines (eprint 2024/463).
var securityTable = map[int]float64{12: 106, 13: 214, 14: 430}

// Model states a deployment; Choose turns it into numbers.
type Model struct {
	Organisations int   // N in [3, 20], all of which take part in making the key
	Corrupt       int   // c >= 1 organisations that may pool all they see with the aggregator
	Present       int   // t organisations that decrypt; 2t > N+c, so that two sets that decrypt share an honest one; 0 means N
	Minimum       int   // n_min, fewest contributions in a sum, in [c+2, N]: two honest ones at least
	Length        int   // d, coordinates of a vector, in [1, 2^22]
	Bound         int64 // M, bound on |x_j| of one organisation, in [1, 2^32]
	Hiding        int   // κ: a partial decryption is within 2^-κ of one that says nothing of the key; in [40, 80], 0 means 56
}

// ParamsLiteral is the open form of Params; nothing in it is trusted until NewParams accepted it.
type ParamsLiteral struct {
	Model
	LogN      int      // log2 of the ring degree
	Plaintext uint64   // t, the plaintext modulus: a prime ≡ 1 mod 2N with (t-1)/2 > N·M
	Moduli    []uint64 // q_i, primes ≡ 1 mod 2N
	Sigma     uint64   // σ of the Gaussian that mhe.KeySwitch adds; 6σ < min q_i or lattigo corrupts silently
	FloodBits int      // f: every partial decryption carries our own uniform noise from [-2^f, 2^f)
}

// Params are checked and immutable: the numbers of one round.
type Params struct {
	literal ParamsLiteral
	bgv     bgv.Parameters
	widths  []int // bytes of one coefficient modulo q_i
	polyLen int   // bytes of one polynomial
}

// normal fills what a model may leave open and checks it.
func (m Model) normal() (Model, error) {
	if m.Present == 0 {
		m.Present = m.Organisations
	}
	if m.Hiding == 0 {
		m.Hiding = DefaultHiding
	}
	n, c, t := m.Organisations, m.Corrupt, m.Present
	switch {
	case n < MinOrganisations || n > MaxOrganisations:
		return m, fmt.Errorf("%w: %d of them, need %d to %d", ErrOrganisations, n, MinOrganisations, MaxOrganisations)
	case c < 1 || c > n-2:
		return m, fmt.Errorf("%w: %d of %d may collude, need at least 1 and two honest ones", ErrOrganisations, c, n)
	case t > n || 2*t <= n+c:
		return m, fmt.Errorf("%w: %d of %d decrypt while %d may collude: two disjoint groups could open two sums", ErrOrganisations, t, n, c)
	case m.Minimum < c+2 || m.Minimum > n:
		return m, fmt.Errorf("%w: sums over %d, need %d to %d", ErrOrganisations, m.Minimum, c+2, n)
	case m.Length < 1 || m.Length > MaxLength:
		return m, fmt.Errorf("%w: length %d outside [1, %d]", ErrVector, m.Length, MaxLength)
	case m.Bound < 1 || m.Bound > MaxBound:
		return m, fmt.Errorf("%w: bound %d outside [1, %d]", ErrVector, m.Bound, int64(MaxBound))
	case m.Hiding < MinHiding || m.Hiding > MaxHiding:
		return m, fmt.Errorf("%w: 2^-%d outside [2^-%d, 2^-%d]", ErrFlood, m.Hiding, MaxHiding, MinHiding)
	}
	return m, nil
}

// Choose finds the smallest ring that carries the model.
func Choose(m Model) (ParamsLiteral, error) {
	m, err := m.normal()
	if err != nil {
		return ParamsLiteral{}, err
	}
	for logN := 12; logN <= 14; logN++ {
		l := ParamsLiteral{Model: m, LogN: logN, Sigma: 4}
		if l.Plaintext, err = primeAbove(uint64(2*m.Organisations)*uint64(m.Bound)+3, logN); err != nil {
			return ParamsLiteral{}, err
		}
		l.FloodBits = l.needFlood()
		need := int(math.Ceil(l.logNoise())) + slackBits + 1
		for k := 2; k <= maxPrimes && float64(need) <= securityTable[logN]; k++ {
			limb := max((need+k-1)/k+1, bits.Len64(l.Plaintext)+1)
			if limb > maxLimb {
				continue
			}
			if l.Moduli, err = primesBelow(limb, k, logN); err != nil {
				return ParamsLiteral{}, err
			}
			if _, err = NewParams(l); err == nil {
				return l, nil
			}
		}
	}
	return ParamsLiteral{}, fmt.Errorf("%w: no ring up to 2^14 carries this model", ErrSecurity)
}

// NewParams checks every rule and returns the immutable parameters.
func NewParams(l ParamsLiteral) (*Params, error) {
	m, err := l.Model.normal()
	if err != nil {
		return nil, err
	}
	l.Model, l.Moduli = m, slices.Clone(l.Moduli)
	for _, check := range []func(ParamsLiteral) error{checkModuli, checkPlaintext, checkFlood, checkMargin} {
		if err := check(l); err != nil {
			return nil, err
		}
	}
	p := &Params{literal: l}
	p.bgv, err = bgv.NewParametersFromLiteral(bgv.ParametersLiteral{
		LogN: l.LogN, Q: l.Moduli, PlaintextModulus: l.Plaintext, Xs: rlwe.DefaultXs, Xe: rlwe.DefaultXe,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModulus, err)
	}
	for _, q := range l.Moduli {
		width := (bits.Len64(q-1) + 7) / 8
		p.widths = append(p.widths, width)
		p.polyLen += width << l.LogN
	}
	return p, nil
}

func checkModuli(l ParamsLiteral) error {
	limit, known := securityTable[l.LogN]
	if !known {
		return fmt.Errorf("%w: ring degree 2^%d is none of 2^12 to 2^14", ErrModulus, l.LogN)
	}
	if len(l.Moduli) < 2 || len(l.Moduli) > maxPrimes {
		return fmt.Errorf("%w: %d primes, need 2 to %d", ErrModulus, len(l.Moduli), maxPrimes)
	}
	for i, q := range l.Moduli {
		if bits.Len64(q) > maxLimb || !friendly(q, l.LogN) || slices.Contains(l.Moduli[:i], q) {
			return fmt.Errorf("%w: %d", ErrModulus, q)
		}
	}
	if logQ := math.Log2(toFloat(l.product())); logQ > limit {
		return fmt.Errorf("%w: log2 Q = %.1f, limit %.0f at N = 2^%d", ErrSecurity, logQ, limit, l.LogN)
	}
	return nil
}

func checkPlaintext(l ParamsLiteral) error {
	if !friendly(l.Plaintext, l.LogN) {
		return fmt.Errorf("%w: %d is no prime ≡ 1 mod 2N", ErrPlaintext, l.Plaintext)
	}
	if (l.Plaintext-1)/2 <= uint64(l.Organisations)*uint64(l.Bound) {
		return fmt.Errorf("%w: sums up to ±%d leave the centred range of %d", ErrPlaintext, int64(l.Organisations)*l.Bound, l.Plaintext)
	}
	if l.Plaintext >= slices.Min(l.Moduli) {
		return fmt.Errorf("%w: %d is not below every q_i", ErrPlaintext, l.Plaintext)
	}
	return nil
}

// checkFlood holds both ends of the flooding: wide enough to hide the noise of the sum, and, for the part that lattigo
// draws, narrow enough for lattigo, whose sampler does not reduce a sample beyond q_i.
func checkFlood(l ParamsLiteral) error {
	if l.Sigma < 1 || l.Sigma > 1<<maxLimb || 6*l.sigma() >= float64(slices.Min(l.Moduli)) {
		return fmt.Errorf("%w: 6σ = %.4g reaches the smallest prime %d", ErrFlood, 6*l.sigma(), slices.Min(l.Moduli))
	}
	if need := l.needFlood(); l.FloodBits < need || l.FloodBits > maxFloodBits {
		return fmt.Errorf("%w: 2^%d, need 2^%d to hide to 2^-%d (and at most 2^%d)", ErrFlood, l.FloodBits, need, l.Hiding, maxFloodBits)
	}
	return nil
}

func checkMargin(l ParamsLiteral) error {
	if have, need := math.Log2(toFloat(l.product())), l.logNoise()+slackBits; have < need {
		return fmt.Errorf("%w: log2 Q = %.1f, need %.1f", ErrMargin, have, need)
	}
	return nil
}

// sigma is the standard deviation that mhe.NewKeySwitchProtocol makes of Sigma: it adds one fresh error to it.
func (l ParamsLiteral) sigma() float64 { return math.Hypot(float64(l.Sigma), keySigma) }

// sumNoise is the standard deviation of one coefficient's noise in a sum of N ciphertexts under the collective key:
// each carries v·e_pk + e_0 + e_1·s, with v ternary, s a sum of N ternary keys and e_pk a sum of N errors.
func (l ParamsLiteral) sumNoise() float64 {
	n, degree := float64(l.Organisations), math.Exp2(float64(l.LogN))
	return keySigma * math.Sqrt(n*(1+2*n*degree*2/3))
}

// needFlood is the least f: noise from [-2^f, 2^f) hides an offset a up to |a|/2^(f+1) in statistical distance; offsets add
// up over all padded coordinates (the chunks of one sum, each decrypted once), and E|a| <= sumNoise.
func (l ParamsLiteral) needFlood() int {
	padded := float64(l.chunks()) * math.Exp2(float64(l.LogN))
	return l.Hiding + int(math.Ceil(math.Log2(padded*l.sumNoise()))) - 1
}

// logNoise is log2 of the largest |t·noise + sum| that an honest round reaches.
func (l ParamsLiteral) logNoise() float64 {
	noise := tail*l.sumNoise() + float64(l.Present)*(math.Exp2(float64(l.FloodBits))+6*l.sigma())
	return math.Log2(float64(l.Plaintext)*noise + float64(l.Organisations)*float64(l.Bound))
}

func (l ParamsLiteral) chunks() int { return (l.Length + 1<<l.LogN - 1) >> l.LogN }

func (l ParamsLiteral) product() *big.Int {
	q := big.NewInt(1)
	for _, qi := range l.Moduli {
		q.Mul(q, new(big.Int).SetUint64(qi))
	}
	return q
}

func toFloat(x *big.Int) float64 {
	f, _ := new(big.Float).SetInt(x).Float64()
	return f
}

func friendly(p uint64, logN int) bool { return p>>1 != 0 && p&(1<<(logN+1)-1) == 1 && ring.IsPrime(p) }

// primeAbove is the smallest prime ≡ 1 mod 2N that is at least low.
func primeAbove(low uint64, logN int) (uint64, error) {
	step := uint64(2) << logN
	for p := (low+step-2)/step*step + 1; p < 1<<(maxLimb-1); p += step {
		if ring.IsPrime(p) {
			return p, nil
		}
	}
	return 0, fmt.Errorf("%w: none above %d", ErrPlaintext, low)
}

// primesBelow are the k largest primes ≡ 1 mod 2N below 2^limb.
func primesBelow(limb, k, logN int) ([]uint64, error) {
	var primes []uint64
	step := uint64(2) << logN
	for p := uint64(1)<<limb - step + 1; p > 1<<(limb-1); p -= step {
		if ring.IsPrime(p) {
			if primes = append(primes, p); len(primes) == k {
				return primes, nil
			}
		}
	}
	return nil, fmt.Errorf("%w: fewer than %d primes of %d bits", ErrModulus, k, limb)
}

// Literal returns the open form.
func (p *Params) Literal() ParamsLiteral {
	l := p.literal
	l.Moduli = slices.Clone(l.Moduli)
	return l
}

// Chunks is the number of ciphertexts of one vector.
func (p *Params) Chunks() int { return p.literal.chunks() }

// ContributionLen is the exact length of one contribution in bytes.
func (p *Params) ContributionLen() int { return overhead + digestLen + 2*p.Chunks()*p.polyLen }

// PartialLen is the exact length of one partial decryption in bytes.
func (p *Params) PartialLen() int { return overhead + digestLen + p.Chunks()*p.polyLen }

// KeyShareLen is the exact length of one key share in bytes.
func (p *Params) KeyShareLen() int {
	n := overhead + digestLen + p.polyLen
	if p.threshold() {
		n += p.literal.Organisations * p.sealedLen()
	}
	return n
}

// threshold says whether fewer than all decrypt, so that keys are shared out.
func (p *Params) threshold() bool { return p.literal.Present < p.literal.Organisations }

func (p *Params) degree() int { return 1 << p.literal.LogN }
