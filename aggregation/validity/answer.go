package validity

import (
	"errors"
	"fmt"
	"slices"

	"tutti/aggregation/share"
)

// Answer is a member's part, AnswerWords field elements: the values at x = member (1..m) of K polynomials of each kind,
//
//	H = blind + Σ_w α_w(X)·f_w(X) + ℓ(X)·Σ_t χ_t Σ_i W_i·g_{t,i}(X)      degree c+2ρ-2
//	Q = blind + Σ_{t,i} ψ_{t,i}·(g_{t,i}(X)² - g_{t,i}(X))                 degree 2c
//	R = blind + Σ_{t,i} ψ_{t,i}·g_{t,i}(X)                                  degree c
//
// key holds the member's words of the f, proof its words of the g and of the blinds. The member has verified that the
// device signed alpha, and that it committed to the key. Answering two different alpha under one proof gives a linear function
// of the key away.
func (c *Check) Answer(second [32]byte, member int, alpha, key, proof []uint64) ([]uint64, error) {
	if err := errors.Join(c.checkLength("alpha", len(alpha), c.AlphaWords()), c.checkLength("key", len(key), c.KeyWords()),
		c.checkLength("proof", len(proof), c.Words())); err != nil {
		return nil, err
	}
	if member < 1 || member > c.key.Members() {
		return nil, fmt.Errorf("%w: member %d", ErrLength, member)
	}
	f, coefficients := c.field, c.coefficients(second)
	g, blinds := proof[:c.Bits()], proof[c.Bits():]
	squares := make([]uint64, len(g))
	defer clear(squares)
	for i, v := range g {
		squares[i] = f.Minus(f.Mul(v, v), v)
	}
	sums := make([]uint64, Projections) // Σ_i W_i g_{t,i}
	defer clear(sums)
	for t := range sums {
		sums[t] = f.Dot(c.weights, g[t*len(c.weights):])
	}
	row := c.rows[member-1]
	answer := slices.Clone(blinds)
	for k := range c.repeat {
		h := f.Mul(row[0], f.Dot(coefficients.chi[k], sums))
		for _, weight := range row {
			h = f.Plus(h, f.Mul(weight, f.Dot(alpha[:len(key)], key)))
			alpha = alpha[len(key):]
		}
		psi := coefficients.psi[k]
		answer[k] = f.Plus(answer[k], h)
		answer[c.repeat+k] = f.Plus(answer[c.repeat+k], f.Dot(psi, squares))
		answer[2*c.repeat+k] = f.Plus(answer[2*c.repeat+k], f.Dot(psi, g))
	}
	return answer, nil
}

// Verify is the server's part. named is how many answers besides were found wrong already, by the sharing check. Of all n = len(answers)+named
// at most floor((n-Need)/2) may be wrong, the named ones included; those are corrected and wrong names their members, ascending. A named answer
// counts against the others because a device whose friends among the members lie would otherwise spend the allowance of both checks.
// ErrProof: there are more, or the polynomials do not have the values that they have for a vector within the norm; the device is left out.
// ErrTooFew: fewer than Need answers. Every element of an answer must be below q (ErrLength).
func (c *Check) Verify(s *Statement, answers []share.Share, named int) (wrong []int, err error) {
	if len(answers) < c.Need() {
		return nil, fmt.Errorf("%w: %d of %d", ErrTooFew, len(answers), c.Need())
	}
	good, err := c.wellFormed(answers)
	if err != nil {
		return nil, err
	}
	budget := (len(answers)+named-c.Need())/2 - named // below zero where the sharing check corrected more: then none is left
	for word := 0; word < c.AnswerWords(); word++ {
		poly, bad, err := c.decode(good, word)
		if err != nil || len(wrong)+len(bad) > max(budget, 0) {
			return nil, fmt.Errorf("%w: answers lie on no polynomial of degree %d", ErrProof, c.degree(word))
		}
		if !c.holds(s, word, poly) {
			return nil, fmt.Errorf("%w: %s", ErrProof, [3]string{"projections", "bits", ""}[word/c.repeat])
		}
		for _, at := range slices.Backward(bad) {
			wrong = append(wrong, good[at].X)
			good = slices.Delete(good, at, at+1)
		}
	}
	slices.Sort(wrong)
	return wrong, nil
}

func (c *Check) wellFormed(answers []share.Share) ([]share.Share, error) {
	seen := make([]bool, c.key.Members()+1)
	for _, a := range answers {
		outside := func(v uint64) bool { return v >= c.q }
		if a.X < 1 || a.X > c.key.Members() || seen[a.X] || len(a.Words) != c.AnswerWords() || slices.ContainsFunc(a.Words, outside) {
			return nil, fmt.Errorf("%w: answer of member %d", ErrLength, a.X)
		}
		seen[a.X] = true
	}
	return slices.Clone(answers), nil
}

func (c *Check) degree(word int) int {
	return [3]int{c.c + 2*c.rho - 2, 2 * c.c, c.c}[word/c.repeat]
}

func (c *Check) decode(answers []share.Share, word int) (share.Poly, []int, error) {
	points, values := make([]uint64, len(answers)), make([]uint64, len(answers))
	for i, a := range answers {
		points[i], values[i] = uint64(a.X), a.Words[word]
	}
	return c.field.Decode(points, values, c.degree(word))
}

// holds compares the sum of H over the slots with the statement, and Q(-1) with zero; R may be anything of its degree.
func (c *Check) holds(s *Statement, word int, poly share.Poly) bool {
	switch word / c.repeat {
	case 0:
		sum := uint64(0)
		for _, x := range c.slots {
			sum = c.field.Plus(sum, c.field.Eval(poly, x))
		}
		return sum == s.target[word]
	case 1:
		return c.field.Eval(poly, c.slots[0]) == 0
	}
	return true
}
