package aggregation

import (
	"crypto/ed25519"
	"crypto/sha512"
	"io"

	"filippo.io/edwards25519"
)

const labelBatch = "tutti/agg/v1/batch"

// claim is one device's signature over one message.
type claim struct {
	public             ed25519.PublicKey
	message, signature []byte
}

// batchSize keeps the tables of a batch, two points of 1.3 kB a signature, in the second-level cache.
const batchSize = 64

// verifySignatures reports for each claim whether its Ed25519 signature holds, a whole batch by one equation
// (Bernstein, Duif, Lange, Schwabe, Yang, 2012): 8·(Σ z_i·s_i·B - Σ z_i·R_i - Σ z_i·k_i·A_i) = 0. A batch that fails is halved.
//
// The rule is ZIP 215's, with the cofactor and any encoding of a point, since only that gives a signature the same answer
// in every batch. It takes all that crypto/ed25519 takes and, from a key's own holder who wants it so, signatures that
// crypto/ed25519 refuses; nobody else can make either kind. The server asks crypto/ed25519 (VerifyHeader), so what an honest
// server stages no member refuses here, and what it refuses never reaches a member. The signature's bytes are in no digest.
func verifySignatures(claims []claim) []bool {
	good := make([]bool, len(claims))
	points := make([]signaturePoints, 0, min(batchSize, len(claims)))
	at := make([]int, 0, cap(points))
	for i, c := range claims {
		if p, ok := decodeSignature(c); ok {
			points, at = append(points, p), append(at, i)
		}
		if len(points) == batchSize || i == len(claims)-1 {
			for k, ok := range settleBatch(points) {
				good[at[k]] = ok
			}
			points, at = points[:0], at[:0]
		}
	}
	return good
}

// signaturePoints is a claim as the equation needs it; transcript is what the random weights are drawn from.
type signaturePoints struct {
	r, a       *edwards25519.Point
	s, k       *edwards25519.Scalar
	transcript [64]byte
}

func decodeSignature(c claim) (p signaturePoints, ok bool) {
	if len(c.public) != ed25519.PublicKeySize || len(c.signature) != ed25519.SignatureSize {
		return p, false
	}
	var err error
	if p.a, err = new(edwards25519.Point).SetBytes(c.public); err != nil {
		return p, false
	}
	if p.r, err = new(edwards25519.Point).SetBytes(c.signature[:32]); err != nil {
		return p, false
	}
	if p.s, err = edwards25519.NewScalar().SetCanonicalBytes(c.signature[32:]); err != nil {
		return p, false
	}
	h := sha512.New()
	h.Write(c.signature[:32])
	h.Write(c.public)
	h.Write(c.message)
	h.Sum(p.transcript[:0])
	if p.k, err = edwards25519.NewScalar().SetUniformBytes(p.transcript[:]); err != nil {
		return p, false
	}
	return p, true
}

// settleBatch answers for each of the signatures.
func settleBatch(batch []signaturePoints) []bool {
	good := make([]bool, len(batch))
	if len(batch) == 0 {
		return good
	}
	if holds(batch) {
		for i := range good {
			good[i] = true
		}
		return good
	}
	if len(batch) > 1 {
		half := len(batch) / 2
		copy(good, settleBatch(batch[:half]))
		copy(good[half:], settleBatch(batch[half:]))
	}
	return good
}

// holds is the equation. The weights z, of 128 bits, follow from everything that they weigh, so that no choice of signatures
// can aim at them; a wrong batch passes with 2^-128.
func holds(batch []signaturePoints) bool {
	w := newWriter(labelBatch, 96*len(batch))
	for i := range batch {
		w.raw(batch[i].transcript[:])
		w.raw(batch[i].s.Bytes())
	}
	weights := newKeyStream(hash(labelBatch, w.b))
	points := make([]*edwards25519.Point, 0, 2*len(batch)+1)
	scalars := make([]*edwards25519.Scalar, 0, 2*len(batch)+1)
	sum := edwards25519.NewScalar()
	var b [32]byte
	for i := range batch {
		p := &batch[i]
		if _, err := io.ReadFull(weights, b[:16]); err != nil {
			panic("aggregation: a key stream ran dry: " + err.Error())
		}
		z, err := edwards25519.NewScalar().SetCanonicalBytes(b[:])
		if err != nil {
			panic("aggregation: a number of 128 bits is no scalar: " + err.Error())
		}
		sum.MultiplyAdd(z, p.s, sum)
		points = append(points, p.r, p.a)
		scalars = append(scalars, z, edwards25519.NewScalar().Multiply(z, p.k))
	}
	points = append(points, edwards25519.NewGeneratorPoint())
	scalars = append(scalars, sum.Negate(sum))
	v := new(edwards25519.Point).VarTimeMultiScalarMult(scalars, points)
	return v.MultByCofactor(v).Equal(edwards25519.NewIdentityPoint()) == 1
}
