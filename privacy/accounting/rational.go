package accounting

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// maxRho bounds the text of a rational; maxExponent that of its decimals.
const (
	maxRho      = 8 << 10
	maxExponent = 400
)

// FormatRho returns the canonical text of a rational, "num/den" in lowest
// terms ("0/1" for nil).
func FormatRho(r *big.Rat) string {
	if r == nil {
		return "0/1"
	}
	return r.String()
}

// ParseRho reads "num/den" or a decimal ("0.25", "1e-3"), not negative, in a
// bounded amount of text and memory.
func ParseRho(s string) (*big.Rat, error) {
	bad := fmt.Errorf("%w: %.40q is not a rational >= 0 of reasonable size", ErrRange, s)
	if len(s) == 0 || len(s) > maxRho {
		return nil, bad
	}
	if num, den, fraction := strings.Cut(s, "/"); fraction {
		n, okN := digits(num)
		d, okD := digits(den)
		if !okN || !okD || d.Sign() == 0 {
			return nil, bad
		}
		return new(big.Rat).SetFrac(n, d), nil
	}
	mantissa, exponent, scientific := strings.Cut(strings.ToLower(s), "e")
	if scientific {
		e, err := strconv.Atoi(exponent)
		if err != nil || e > maxExponent || e < -maxExponent {
			return nil, bad
		}
	}
	whole, part, point := strings.Cut(mantissa, ".")
	if _, ok := digits(whole); !ok || point && strings.Trim(part, "0123456789") != "" || point && part == "" {
		return nil, bad
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil, bad
	}
	return r, nil
}

// digits reads a decimal integer >= 0 without sign or leading zeros.
func digits(s string) (*big.Int, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" || s[0] == '0' && len(s) > 1 {
		return nil, false
	}
	return new(big.Int).SetString(s, 10)
}

// decimal returns the exact value of the shortest decimal that denotes f.
func decimal(f float64) *big.Rat {
	r, ok := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 64))
	if !ok {
		panic("accounting: no decimal for a finite float64")
	}
	return r
}
