package aggregation

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"tutti/aggregation/share"
)

const labelCheck = "tutti/agg/v1/check"

// ErrSharing reports a device whose envelopes hold no sharing: the values that the members answered lie on no polynomials of
// degree below c+ρ, whoever of them lied within the correcting distance. The device alone is left out.
var ErrSharing = errors.New("aggregation: the device's shares are no sharing")

// CheckAnswer is one member's check words for one device: the Check of its verdict.
type CheckAnswer struct {
	Member uint16
	Words  []uint64 // Params.CheckWords field elements
}

// challenge draws chi, blindWords rows of AnswerWords field elements, into dst: H(cfg, digest_i) expanded by AES-256-CTR.
//
// Section 6 draws it from the set, and binding rule 10 from a batch. It is drawn from the upload here: a digest fixes the
// envelopes, hence all that chi is to test, and has one challenge for ever, so that no order of requests, no restart and no
// second batch can make a member answer two. A device that looks for a challenge which forgives its shares does so offline,
// and blindWords is chosen for that: each try passes with p^-blindWords <= 2^-92.
//
// It is Field.Draw of that stream, taken in one piece as long as no word has to be drawn again: a member does it for every upload.
func challenge(cfg Digest, digest Digest, field share.Field, dst []uint64) error {
	seed := hash(labelCheck, cfg[:], digest[:])
	if field.Bits() != 31 {
		return field.Draw(newKeyStream(seed), dst)
	}
	var piece [4096]byte
	stream := newKeyStream(seed)
	for rest := dst; len(rest) > 0; {
		b := piece[:min(4*len(rest), len(piece))]
		if _, err := stream.Read(b); err != nil {
			return err
		}
		for i := range len(b) / 4 {
			v := uint64(binary.LittleEndian.Uint32(b[4*i:]) & (1<<31 - 1))
			if rest[i] = v; v >= field.Modulus() {
				return field.Draw(newKeyStream(seed), dst)
			}
		}
		rest = rest[len(b)/4:]
	}
	return nil
}

// checkWords are a member's answers: word b is blind_b + Σ_w chi_{b,w}·share_w. For an honest device each is the member's value
// of a uniformly random polynomial, for the blinds are, and tells nothing about the key.
// words are the member's share of the key and behind it of the blinds; chi is as challenge draws it.
func checkWords(field share.Field, chi, words []uint64, n int) []uint64 {
	key, blinds := words[:n], words[n:]
	check := make([]uint64, len(blinds))
	for b, blind := range blinds {
		check[b] = field.Plus(blind, field.Dot(chi[b*n:(b+1)*n], key))
	}
	return check
}

// CheckShares is the server's judgement of one upload, before it folds it (rule 10): do the members' answers lie on polynomials
// of degree below c+ρ? Up to e answers among c+ρ+2e may be wrong; they are corrected and wrong names their members, ascending:
// with that pair of device and member something is amiss, be it the device's share or the member's answer, and the server goes
// on as if that member had refused that device. Answers that are no CheckWords field elements are wrong too, and count for nothing.
//
// A check speaks for the members that it heard, and for nobody else: exactly CheckNeed answers always agree, and a device may have
// shared garbage with every other member. The server releases with members heard in the last check of each upload of U only.
//
// ErrSharing: more are wrong than can be corrected, so the device shared no key (or more members lie than the committee was
// chosen for); leave it out. ErrTooFew: fewer than CheckNeed answers.
//
// In rounds with a norm the same answers show whether the vector keeps it: ErrNorm if not. vector is the upload's, whole and
// verified; only the check of the norm looks at it, without that it may be nil.
func CheckShares(cfg *Config, h *Header, vector []byte, answers []CheckAnswer) (wrong []uint16, err error) {
	p := cfg.params
	shares, wrong := p.checkShares(answers)
	if len(shares) < p.CheckNeed() {
		return wrong, fmt.Errorf("%w: %d checks of device %v, %d needed", ErrTooFew, len(shares), h.ID, p.CheckNeed())
	}
	blinds := slices.Clone(shares)
	for i := range blinds {
		blinds[i].Words = blinds[i].Words[:p.blindWords()]
	}
	_, liars, err := p.shares.Combine(p.blindWords()*p.literal.Rho, blinds) // as many words as that many secrets have
	if errors.Is(err, share.ErrInconsistent) {
		return nil, fmt.Errorf("%w: device %v: %w", ErrSharing, h.ID, err)
	}
	if err != nil {
		return nil, err
	}
	if p.norm != nil {
		named := func(s share.Share) bool { return slices.Contains(liars, s.X) }
		more, err := checkNorm(cfg, h, vector, slices.DeleteFunc(shares, named), len(liars))
		if err != nil {
			return nil, err
		}
		liars = append(liars, more...)
	}
	for _, x := range liars {
		wrong = append(wrong, uint16(x))
	}
	slices.Sort(wrong)
	return wrong, nil
}

// checkShares keeps the first well-formed answer of every member, and names who sent something else.
func (p *Params) checkShares(answers []CheckAnswer) (shares []share.Share, malformed []uint16) {
	seen := make([]bool, p.Members()+1)
	for _, a := range answers {
		if a.Member < 1 || int(a.Member) > p.Members() || seen[a.Member] {
			continue
		}
		seen[a.Member] = true
		outside := func(v uint64) bool { return v >= p.shares.Field().Modulus() }
		if len(a.Words) != p.CheckWords() || slices.ContainsFunc(a.Words, outside) {
			malformed = append(malformed, a.Member)
			continue
		}
		shares = append(shares, share.Share{X: int(a.Member), Words: a.Words})
	}
	return shares, malformed
}
