package aggregation

import (
	"crypto/ed25519"
	"fmt"

	"tutti/aggregation/share"
)

// Answer is a member's one release: the sum of its shares over U, signed so that a wrong one has a name.
type Answer struct {
	Cfg       Digest
	SetDigest Digest
	Member    uint16   // 1..m
	Words     []uint32 // Params.AnswerWords field elements
	Signature []byte   // 64 bytes
}

func (a *Answer) body() *writer {
	w := newWriter(labelAnswer, 160+4*len(a.Words))
	w.raw(a.Cfg[:])
	w.raw(a.SetDigest[:])
	w.u16(a.Member)
	w.u32(uint32(len(a.Words)))
	for _, v := range a.Words {
		w.u32(v)
	}
	return w
}

func (a *Answer) sign(key ed25519.PrivateKey) {
	a.Signature = signDigest(key, labelAnswer, hash(labelAnswer, a.body().b))
}

// Verify reports whether the answer is well formed, for this set, and signed by its member.
func (a *Answer) Verify(cfg *Config, setDigest Digest) bool {
	identity, ok := cfg.identity(a.Member)
	if !ok || a.Cfg != cfg.digest || a.SetDigest != setDigest || len(a.Words) != cfg.params.AnswerWords() {
		return false
	}
	for _, v := range a.Words {
		if v >= share.P {
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
	a.Words = make([]uint32, r.count(r.u32(), maxAnswerWords, 4))
	for i := range a.Words {
		a.Words[i] = r.u32()
	}
	a.Signature = append([]byte{}, r.bytes(ed25519.SignatureSize)...)
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	return a, nil
}
