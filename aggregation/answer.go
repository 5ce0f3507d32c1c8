package aggregation

import (
	"crypto/ed25519"
	"fmt"
)

// Answer is a member's one release: the sum of its shares over U, signed so that a wrong one has a name.
type Answer struct {
	Cfg       Digest
	SetDigest Digest
	Member    uint16   // 1..m
	Words     []uint64 // Params.AnswerWords field elements
	Signature []byte   // 64 bytes

	width int // bytes of a word on the wire, Field.Bytes
}

func newAnswer(cfg *Config, set Digest, member uint16, words []uint64) *Answer {
	return &Answer{Cfg: cfg.digest, SetDigest: set, Member: member, Words: words, width: cfg.params.shares.Field().Bytes()}
}

func (a *Answer) body() *writer {
	w := newWriter(labelAnswer, 160+a.width*len(a.Words))
	w.raw(a.Cfg[:])
	w.raw(a.SetDigest[:])
	w.u16(a.Member)
	w.u8(uint8(a.width))
	w.u32(uint32(len(a.Words)))
	for _, v := range a.Words {
		for i := a.width - 1; i >= 0; i-- {
			w.u8(uint8(v >> (8 * i)))
		}
	}
	return w
}

func (a *Answer) sign(key ed25519.PrivateKey) {
	a.Signature = signDigest(key, labelAnswer, hash(labelAnswer, a.body().b))
}

// Verify reports whether the answer is well formed, for this set, and signed by its member.
func (a *Answer) Verify(cfg *Config, setDigest Digest) bool {
	identity, ok := cfg.identity(a.Member)
	field := cfg.params.shares.Field()
	if !ok || a.Cfg != cfg.digest || a.SetDigest != setDigest || len(a.Words) != cfg.params.AnswerWords() || a.width != field.Bytes() {
		return false
	}
	for _, v := range a.Words {
		if v >= field.Modulus() {
			return false
		}
	}
	return verifyDigest(identity, labelAnswer, hash(labelAnswer, a.body().b), a.Signature)
}

// maxAnswerWords is N of the high profile with rho = 1.
const maxAnswerWords = 4096

// Marshal returns the canonical bytes.
func (a *Answer) Marshal() []byte {
	w := a.body()
	w.bytes(a.Signature)
	return w.b
}

// ParseAnswer accepts exactly the bytes that Marshal gives; Verify judges them.
func ParseAnswer(b []byte) (*Answer, error) {
	r := newReader(labelAnswer, b)
	a := new(Answer)
	r.fixed(a.Cfg[:])
	r.fixed(a.SetDigest[:])
	a.Member = r.u16()
	if a.width = int(r.u8()); r.err == nil && (a.width < 1 || a.width > 8) {
		r.fail("words of %d bytes", a.width)
	}
	a.Words = make([]uint64, r.count(r.u32(), maxAnswerWords, a.width))
	for i := range a.Words {
		for _, c := range r.raw(a.width) {
			a.Words[i] = a.Words[i]<<8 | uint64(c)
		}
	}
	a.Signature = append([]byte{}, r.bytes(ed25519.SignatureSize)...)
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	return a, nil
}
