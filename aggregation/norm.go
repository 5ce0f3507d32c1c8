package aggregation

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"

	"tutti/aggregation/mask"
	"tutti/aggregation/share"
	"tutti/aggregation/validity"
)

// ErrNorm reports a vector beyond the round's norm. From Seal it is the device's own input; from CheckShares it is an upload that
// does not prove to be masked and bounded as the round wants it: leave the device out.
var ErrNorm = errors.New("aggregation: norm")

const (
	labelNormFirst  = "tutti/agg/v1/norm/first"
	labelNormSecond = "tutti/agg/v1/norm/second"
	labelNormSalt   = "tutti/agg/v1/norm/salt"
	labelNormProof  = "tutti/agg/v1/norm/proof"
	labelNormAlpha  = "tutti/agg/v1/norm/alpha"

	// maxAlphaLen is that of four rows over a ring of degree 4096, eight bytes a word.
	maxAlphaLen = 4 * 4096 * 8
)

// Statement is the public part of the proof that a masked vector is within the round's norm (package validity): it travels in the
// header, and is empty in rounds without the norm check.
type Statement struct {
	Commits []Digest // Commits[j] binds member j+1's share of the key before the first challenge
	Alpha   []byte   // what the second challenge makes of the vector, packed field elements
}

func (s *Statement) empty() bool { return len(s.Commits) == 0 && len(s.Alpha) == 0 }

// digest is what the upload's digest binds of it.
func (s *Statement) digest() Digest {
	w := newWriter(labelNormAlpha, 64+32*len(s.Commits)+len(s.Alpha))
	w.raw(s.commitsDigest())
	w.bytes(s.Alpha)
	return hash(labelNormAlpha, w.b)
}

func (s *Statement) commitsDigest() []byte {
	w := newWriter(labelNormFirst, 32*len(s.Commits))
	w.u16(uint16(len(s.Commits)))
	for _, d := range s.Commits {
		w.raw(d[:])
	}
	d := hash(labelNormFirst, w.b)
	return d[:]
}

// fits reports whether the statement has the lengths that the parameters ask for.
func (s *Statement) fits(p *Params) bool {
	if p.norm == nil {
		return s.empty()
	}
	return len(s.Commits) == p.Members() && len(s.Alpha) == p.norm.AlphaWords()*p.shares.Field().Bytes()
}

func (s *Statement) write(w *writer) error {
	if len(s.Commits) > MaxMembers || len(s.Alpha) > maxAlphaLen {
		return fmt.Errorf("%w: statement of %d commitments and %d bytes", ErrEncoding, len(s.Commits), len(s.Alpha))
	}
	w.u16(uint16(len(s.Commits)))
	for _, d := range s.Commits {
		w.raw(d[:])
	}
	w.bytes(s.Alpha)
	return nil
}

func readStatement(r *reader) (s Statement) {
	if n := r.count(uint32(r.u16()), MaxMembers, len(Digest{})); n > 0 {
		s.Commits = make([]Digest, n)
	}
	for i := range s.Commits {
		r.fixed(s.Commits[i][:])
	}
	s.Alpha = bytes.Clone(r.bytes(maxAlphaLen))
	if len(s.Alpha) == 0 {
		s.Alpha = nil
	}
	return s
}

// firstChallenge binds vector and key shares: the directions in which the vector is measured follow from it.
func (p *Prelude) firstChallenge() [32]byte {
	return hash(labelNormFirst, p.ID[:], p.Public, p.Nonce[:], p.Cfg[:], p.Base[:], p.VecHash[:], p.Statement.commitsDigest())
}

// secondChallenge binds the shares of the proof, by the envelopes that hold them.
func (p *Prelude) secondChallenge(envRoot Digest) [32]byte {
	first := p.firstChallenge()
	return hash(labelNormSecond, first[:], envRoot[:])
}

// blindWords is the number of blinding polynomials of the sharing check, each one field element in every envelope.
func (p *Params) blindWords() int {
	return (checkBits + p.shares.Field().Bits() - 1) / p.shares.Field().Bits()
}

// proofWords is the number of field elements of the norm proof in every envelope, the commitment's salt before them.
func (p *Params) proofWords() int {
	if p.norm == nil {
		return 0
	}
	return p.norm.SaltWords() + p.norm.Words()
}

// prove commits to the members' shares of the key, and proves the norm of the masked vector: the first half of the device's statement,
// before the envelopes exist. It appends salt and proof to every member's words.
func (h *Prelude) prove(cfg *Config, secret *mask.Secret, seed [32]byte, vector []byte, shares [][]uint64) error {
	p := cfg.params
	n := p.norm.SaltWords()
	salts := make([]uint64, n*len(shares))
	defer clear(salts)
	if err := p.shares.Field().Draw(newKeyStream(hash(labelNormSalt, seed[:])), salts); err != nil {
		return err
	}
	h.Statement.Commits = make([]Digest, len(shares))
	for j, words := range shares {
		h.Statement.Commits[j] = p.norm.Commit(salts[j*n:(j+1)*n], j+1, words[:p.AnswerWords()])
	}
	random := newKeyStream(hash(labelNormProof, seed[:]))
	proof, err := p.norm.Prove(random, seedA(cfg.digest), h.firstChallenge(), secret, vector)
	if errors.Is(err, validity.ErrNorm) {
		return fmt.Errorf("%w: %w", ErrNorm, err)
	}
	if err != nil {
		return err
	}
	for j := range shares {
		words := slices.Concat(shares[j], salts[j*n:(j+1)*n], proof[j])
		clear(shares[j])
		clear(proof[j])
		shares[j] = words
	}
	return nil
}

// state computes the second half: what the challenge that binds the envelopes makes of the vector.
func (h *Prelude) state(cfg *Config, envRoot Digest, vector []byte) (*validity.Statement, error) {
	return cfg.params.norm.State(seedA(cfg.digest), h.firstChallenge(), h.secondChallenge(envRoot), vector)
}

func packWords(field share.Field, words []uint64) []byte {
	b := make([]byte, len(words)*field.Bytes())
	field.Put(b, words)
	return b
}

// answerNorm is a member's part; a Reason if its words are not those that the device committed to.
func answerNorm(p *Params, h *MemberHeader, words []uint64) ([]uint64, Reason) {
	key, rest := words[:p.AnswerWords()], words[p.AnswerWords()+p.blindWords():]
	salt, proof := rest[:p.norm.SaltWords()], rest[p.norm.SaltWords():]
	if h.Commits[h.Member-1] != p.norm.Commit(salt, int(h.Member), key) {
		return nil, ReasonShare
	}
	alpha, err := p.shares.Field().Parse(h.Alpha)
	if err != nil {
		return nil, ReasonEnvelopes
	}
	answer, err := p.norm.Answer(h.secondChallenge(h.EnvRoot), int(h.Member), alpha, key, proof)
	if err != nil {
		panic("aggregation: norm answer: " + err.Error())
	}
	return answer, Accepted
}

// checkNorm is the server's part over the answers of members that the sharing check did not name; it named some others.
func checkNorm(cfg *Config, h *Header, vector []byte, answers []share.Share, named int) (wrong []int, err error) {
	p := cfg.params
	s, err := h.state(cfg, h.EnvRoot(), vector)
	if err != nil {
		return nil, fmt.Errorf("%w: device %v: %w", ErrNorm, h.ID, err)
	}
	if !bytes.Equal(packWords(p.shares.Field(), s.Alpha()), h.Alpha) {
		return nil, fmt.Errorf("%w: device %v signed another statement", ErrNorm, h.ID)
	}
	parts := slices.Clone(answers)
	for i := range parts {
		parts[i].Words = parts[i].Words[p.blindWords():]
	}
	wrong, err = p.norm.Verify(s, parts, named)
	switch {
	case errors.Is(err, validity.ErrTooFew):
		return nil, fmt.Errorf("%w: %w", ErrTooFew, err)
	case err != nil:
		return nil, fmt.Errorf("%w: device %v: %w", ErrNorm, h.ID, err)
	}
	return wrong, nil
}

// checkProvenSum refuses (mask.ErrGarbled) what n proven vectors cannot sum to, as a wrong sum of keys makes of it: a vector that passed
// is of norm √2·B, B/Δ in units of the sum, and rounding adds one at most to a coordinate. Under a wrong key every coordinate is
// uniform in the sum domain T, of norm T·√(d/12): it is found as long as that is more, which says that the domain has room for it.
func (p *Params) checkProvenSum(sum []int64, n int) error {
	ring := p.mask.Literal()
	limit := float64(n)*math.Sqrt2*float64(p.norm.Bound())/float64(ring.Q>>ring.LogT) + math.Sqrt(float64(len(sum)))
	squares := 0.0
	for _, v := range sum {
		squares += float64(v) * float64(v)
	}
	if squares > limit*limit {
		return fmt.Errorf("%w: a norm of %.3g, %d proven vectors reach %.3g", mask.ErrGarbled, math.Sqrt(squares), n, limit)
	}
	return nil
}
