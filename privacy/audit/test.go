package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"

	"tutti/privacy/accounting"
)

// Test is one canary run against one claim.
type Test struct {
	Plan  Plan
	Seed  Seed
	Delta float64 // of the claim
	Alpha float64 // probability that a true claim is refuted, of each gate: .001
}

// GateAlpha is the level at which audits decide.
const GateAlpha = 0.001

// studyAlpha is the level of the literature, reported beside.
const studyAlpha = 0.05

// OneRunLimit is the largest claimed epsilon that one-run auditing gates.
const OneRunLimit = 2.0

// NewTest plans a run against what a total of rho over the given rounds
// claims. The arms are: the mechanism as it is, three of four honest devices
// without noise (half the standard deviation), none with noise, and one of
// sixteen without.
func NewTest(rho *big.Rat, delta float64, canaries, rounds int, seed Seed) (Test, error) {
	if rounds < 1 || rho == nil {
		return Test{}, outOfRange("%d rounds", rounds)
	}
	each := new(big.Rat).Quo(rho, new(big.Rat).SetInt64(int64(rounds)))
	honest := honestFor(each)
	t := Test{Seed: seed, Delta: delta, Alpha: GateAlpha, Plan: Plan{
		Canaries: canaries, Batch: min(canaries, 1000), Honest: honest, Rounds: rounds, Clip: 1,
		Rho: each, Silent: []int{0, honest / 4 * 3, honest, honest / 16},
	}}
	return t, t.check()
}

// honestFor returns how many honest devices share the noise of rho: 48, or
// more where a share would be more than twice the clip.
func honestFor(rho *big.Rat) int {
	f, _ := rho.Float64()
	honest := 48
	for ; 1/(2*f) > 4*float64(honest) && honest < 768; honest *= 4 {
	}
	return honest
}

// The arms of NewTest.
const (
	armValid = iota
	armHalf
	armNone
	armFew
	arms
)

func (t Test) check() error {
	if err := t.Plan.check(); err != nil {
		return err
	}
	if len(t.Plan.Silent) != arms || t.Plan.Silent[armNone] != t.Plan.Honest || t.Plan.Silent[armHalf] != t.Plan.Honest/4*3 {
		return outOfRange("arms %v of %d honest devices", t.Plan.Silent, t.Plan.Honest)
	}
	if !(t.Delta > 0 && t.Delta < 1) || !(t.Alpha > 0 && t.Alpha < 0.5) {
		return outOfRange("delta %g at level %g", t.Delta, t.Alpha)
	}
	return nil
}

// Rho returns the zCDP of all rounds together.
func (t Test) Rho() *big.Rat {
	return new(big.Rat).Mul(t.Plan.Rho, new(big.Rat).SetInt64(int64(t.Plan.Rounds)))
}

// Mu returns sqrt(2 rho): what exact Gaussian noise of that rho is.
func (t Test) Mu() float64 {
	f, _ := t.Rho().Float64()
	return math.Sqrt(2 * f)
}

// Epsilon returns what is claimed: the epsilon at Delta of the zCDP of all
// rounds (arXiv 2004.00010, Proposition 12), as a user is told.
func (t Test) Epsilon() (float64, error) { return accounting.EpsilonFromRho(t.Rho(), t.Delta) }

// inputs are the numbers that are fixed before the run, in their order.
func (t Test) inputs() ([]Value, error) {
	eps, err := t.Epsilon()
	if err != nil {
		return nil, err
	}
	mu := t.Mu()
	exact, err := EpsilonOfMu(mu, t.Delta)
	if err != nil {
		return nil, err
	}
	return []Value{
		{Name: "epsilon", Value: fixed(eps, 4)},
		{Name: "delta", Value: shortest(t.Delta)},
		{Name: "alpha", Value: shortest(t.Alpha)},
		{Name: "rho", Value: t.Rho().RatString()},
		{Name: "mu", Value: fixed(mu, 4)},
		{Name: "epsilon_exact_gaussian", Value: fixed(exact, 4)},
		{Name: "canaries", Value: strconv.Itoa(t.Plan.Canaries)},
		{Name: "batch", Value: strconv.Itoa(t.Plan.Batch)},
		{Name: "honest", Value: strconv.Itoa(t.Plan.Honest)},
		{Name: "rounds", Value: strconv.Itoa(t.Plan.Rounds)},
		{Name: "clip", Value: shortest(t.Plan.Clip)},
		{Name: "silent", Value: join(t.Plan.Silent)},
		{Name: "guessed_per_mille", Value: join(fractions[:])},
	}, nil
}

// Commitment returns the hex SHA-256 over the inputs and the seed: fixed,
// and best published, before the run; the seed is revealed after it.
func (t Test) Commitment() (string, error) {
	inputs, err := t.inputs()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	h.Write([]byte("tutti/audit/commitment/v1\x00"))
	h.Write(t.Seed[:])
	plain, err := json.Marshal(inputs)
	if err != nil {
		return "", err
	}
	h.Write(plain)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// parseTest reads the test back from a section's inputs and seed.
func parseTest(s *Section) (Test, error) {
	var t Test
	seed, err := hex.DecodeString(s.Seed)
	if err != nil || len(seed) != len(t.Seed) {
		return t, malformed("a seed of %.80q", s.Seed)
	}
	copy(t.Seed[:], seed)
	r := reader{s: s}
	t.Delta, t.Alpha, t.Plan.Clip = r.float("delta"), r.float("alpha"), r.float("clip")
	t.Plan.Canaries, t.Plan.Batch = r.number("canaries"), r.number("batch")
	t.Plan.Honest, t.Plan.Rounds = r.number("honest"), r.number("rounds")
	t.Plan.Silent = r.numbers("silent")
	rho := r.rational("rho")
	if r.bad != nil || t.Plan.Rounds < 1 {
		return t, malformed("inputs: %v", r.bad)
	}
	t.Plan.Rho = rho.Quo(rho, new(big.Rat).SetInt64(int64(t.Plan.Rounds)))
	return t, t.check()
}

// reader reads inputs and keeps the first failure.
type reader struct {
	s   *Section
	bad error
}

func (r *reader) text(name string) string {
	v, ok := r.s.Input(name)
	if !ok && r.bad == nil {
		r.bad = malformed("no input %s", name)
	}
	return v
}

func (r *reader) note(name string, ok bool) {
	if !ok && r.bad == nil {
		r.bad = malformed("the input %s", name)
	}
}

func (r *reader) float(name string) float64 {
	v, err := strconv.ParseFloat(r.text(name), 64)
	r.note(name, err == nil && !math.IsNaN(v) && !math.IsInf(v, 0))
	return v
}

func (r *reader) number(name string) int {
	v, err := strconv.Atoi(r.text(name))
	r.note(name, err == nil && v >= 0)
	return v
}

func (r *reader) numbers(name string) []int {
	fields := strings.Fields(r.text(name))
	out := make([]int, 0, len(fields))
	for _, f := range fields {
		v, err := strconv.Atoi(f)
		r.note(name, err == nil)
		out = append(out, v)
	}
	return out
}

// maxRationalText bounds the digits of a fraction in a section.
const maxRationalText = 200

func (r *reader) rational(name string) *big.Rat {
	text := r.text(name)
	out := new(big.Rat)
	num, den, fraction := strings.Cut(text, "/")
	plain := len(text) <= maxRationalText && num != "" && strings.Trim(num+den, "0123456789") == "" && (!fraction || strings.Trim(den, "0") != "")
	if plain {
		_, plain = out.SetString(text)
	}
	r.note(name, plain && out.Sign() > 0)
	return out
}

func join(numbers []int) string {
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, " ")
}

// fixed is a decimal with so many places.
func fixed(x float64, places int) string { return strconv.FormatFloat(x, 'f', places, 64) }

// shortest is the shortest decimal that denotes x, without an exponent.
func shortest(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// scorePlaces is how precisely scores are written, and computed with: a
// canary that is in has 1, so noise of 0.05 and more keeps three digits.
const scorePlaces = 3

func writeScores(x []float64, places int) []string {
	out := make([]string, len(x))
	for i, v := range x {
		out[i] = fixed(v, places)
	}
	return out
}

func readScores(text []string) ([]float64, error) {
	out := make([]float64, len(text))
	for i, s := range text {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(v) || math.Abs(v) > 1e9 {
			return nil, malformed("the score %.40q", s)
		}
		out[i] = v
	}
	return out, nil
}
