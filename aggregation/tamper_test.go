package aggregation

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"testing"

	"tutti/aggregation/share"
)

// clone copies a header deeply, so that tampering stays with the copy.
func (h *Header) cloneForTest() *Header {
	b, err := h.Marshal()
	if err != nil {
		panic(err)
	}
	again, err := ParseHeader(b)
	if err != nil {
		panic(err)
	}
	return again
}

// resign makes a header's signature hold again, as a malicious device would.
func resign(h *Header, key ed25519.PrivateKey) {
	h.Signature = signDigest(key, labelUpload, h.Digest())
}

// sealTo seals arbitrary words for a member under the header's identity and attempt.
func (w *world) sealTo(h *Header, member uint16, words []uint64) []byte {
	w.t.Helper()
	m := w.cfg.literal.Roster[member-1]
	key, err := m.Key.Suite.publicKey(m.Key.Public)
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := sealShare(key, envelopeInfo(w.cfg.digest, h.ID, h.Nonce, member), w.cfg.params.shares.Field(), words)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// T3.13: what server and member 1 say of every tampered upload. No such upload enters U, and the round of the others goes on.
func TestT3_13_TamperedUploads(t *testing.T) {
	w := newWorld(t, testParams(64, 3, 20), 6)
	ups := w.sealUnits()
	liar := w.devices[0].Key
	stranger := newKey(w.random)
	words := w.cfg.params.AnswerWords() + w.cfg.params.CheckWords()
	otherPlan := w.literal
	otherPlan.Plan = Digest{99}
	otherPlan.Roster = w.foreignRoster(otherPlan.Round, otherPlan.Plan)
	nextRound := w.literal
	nextRound.Round.Round++
	nextRound.Roster = w.foreignRoster(nextRound.Round, nextRound.Plan)

	cases := []struct {
		name           string
		tamper         func(h *Header)
		resigned       bool
		server, member Reason
	}{
		{"untouched", func(h *Header) {}, false, Accepted, Accepted},
		{"envelope flipped, unsigned", func(h *Header) { h.Envelopes[0][40] ^= 1 }, false, ReasonSignature, ReasonSignature},
		{"envelope flipped, re-signed", func(h *Header) { h.Envelopes[0][40] ^= 1 }, true, Accepted, ReasonEnvelope},
		{"envelope truncated", func(h *Header) { h.Envelopes[0] = h.Envelopes[0][:100] }, true, ReasonEnvelopes, ReasonEnvelope},
		{"envelope empty", func(h *Header) { h.Envelopes[0] = nil }, true, ReasonEnvelopes, ReasonEnvelope},
		{"envelope over-long", func(h *Header) { h.Envelopes[0] = append(h.Envelopes[0], 0) }, true, ReasonEnvelopes, ReasonEnvelope},
		{"share over-long", func(h *Header) { h.Envelopes[0] = w.sealTo(h, 1, make([]uint64, words+1)) }, true, ReasonEnvelopes, ReasonShare},
		{"share short", func(h *Header) { h.Envelopes[0] = w.sealTo(h, 1, make([]uint64, words-1)) }, true, ReasonEnvelopes, ReasonShare},
		{"share beyond the field", func(h *Header) {
			bad := make([]uint64, words)
			bad[words-1] = share.P
			h.Envelopes[0] = w.sealTo(h, 1, bad)
		}, true, Accepted, ReasonShare},
		{"envelope of another member", func(h *Header) { h.Envelopes[0] = h.Envelopes[1] }, true, Accepted, ReasonEnvelope},
		{"envelopes swapped", func(h *Header) { h.Envelopes[0], h.Envelopes[1] = h.Envelopes[1], h.Envelopes[0] }, true, Accepted, ReasonEnvelope},
		{"an envelope missing", func(h *Header) { h.Envelopes = h.Envelopes[:4] }, true, ReasonEnvelopes, ReasonEnvelopes},
		{"an envelope too many", func(h *Header) { h.Envelopes = append(h.Envelopes, h.Envelopes[4]) }, true, ReasonEnvelopes, ReasonEnvelopes},
		{"other device's message under own id", func(h *Header) {
			own := h.Prelude
			*h = *ups[1].Header.cloneForTest()
			h.ID, h.Public = own.ID, own.Public
		}, true, Accepted, ReasonEnvelope},
		{"other device's message under own id and nonce", func(h *Header) {
			own := h.Prelude
			*h = *ups[1].Header.cloneForTest()
			h.ID, h.Public, h.Nonce = own.ID, own.Public, own.Nonce
		}, true, Accepted, ReasonEnvelope},
		{"next round", func(h *Header) { *h = *w.sealUnder(0, nextRound).Header }, false, ReasonConfig, ReasonConfig},
		{"same round, other model", func(h *Header) { *h = *w.sealUnder(0, otherPlan).Header }, false, ReasonConfig, ReasonConfig},
		{"cfg relabelled", func(h *Header) {
			*h = *w.sealUnder(0, otherPlan).Header
			h.Cfg = w.cfg.Digest()
		}, true, Accepted, ReasonEnvelope},
		{"base not in the list", func(h *Header) { h.Base = Digest{4} }, true, ReasonBase, ReasonBase},
		{"base exchanged, unsigned", func(h *Header) { h.Base = Digest{3} }, false, ReasonSignature, ReasonSignature},
		{"vector hash exchanged", func(h *Header) { h.VecHash[0]++ }, false, ReasonSignature, ReasonSignature},
		{"nonce exchanged, re-signed", func(h *Header) { h.Nonce[0]++ }, true, Accepted, ReasonEnvelope},
		{"id of another device", func(h *Header) { h.ID = ups[1].Header.ID }, true, ReasonIdentity, ReasonIdentity},
		{"signature missing", func(h *Header) { h.Signature = nil }, false, ReasonSignature, ReasonSignature},
		{"unknown device", func(h *Header) {
			h.Public, h.ID = publicOf(stranger), IDOf(publicOf(stranger))
			h.Signature = signDigest(stranger, labelUpload, h.Digest())
		}, false, ReasonEnrolment, ReasonEnrolment},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := ups[0].Header.cloneForTest()
			c.tamper(h)
			if c.resigned {
				resign(h, liar)
			}
			got := Accepted
			errors.As(w.verify(h), &got)
			if got != c.server {
				t.Errorf("server says %v, want %v", got, c.server)
			}
			// A fresh copy of member 1, so that the cases do not see each other.
			n := &node{setup: w.nodes[0].setup, store: cloneStore(w.nodes[0].store)}
			n.restart(t)
			mh, err := h.ForMember(1, w.path(h.ID))
			if err != nil {
				t.Fatal(err)
			}
			verdicts, records, err := n.judge(w.cfg.Round(), mh)
			if err != nil {
				t.Fatal(err)
			}
			if verdicts[0].Reason != c.member || (len(records) == 0) == (c.member == Accepted) {
				t.Errorf("member says %v with %d records, want %v", verdicts[0].Reason, len(records), c.member)
			}
		})
	}

	sum, err := w.open(ups[1:], all(5), all(5), all(5))
	if err != nil {
		t.Fatal(err)
	}
	checkIndicator(t, sum, indexSet([]int{1, 2, 3, 4, 5}))
}

func cloneStore(store map[string][]byte) map[string][]byte {
	c := map[string][]byte{}
	for k, v := range store {
		c[k] = bytes.Clone(v)
	}
	return c
}

func (w *world) sealUnder(i int, l ConfigLiteral) *Upload {
	w.t.Helper()
	up, err := w.devices[i].Seal(w.random, w.config(l), Digest{2}, w.unit(i), l.Params.Bound)
	if err != nil {
		w.t.Fatal(err)
	}
	return up
}

// T3.13: what only the server's message to a member can break.
func TestT3_13_TamperedMemberHeaders(t *testing.T) {
	w := newWorld(t, testParams(64, 2, 20), 3)
	up := w.seal(0, w.unit(0))
	for name, tamper := range map[string]func(mh *MemberHeader){
		"wrong member index":     func(mh *MemberHeader) { mh.Member = 2 },
		"member index 0":         func(mh *MemberHeader) { mh.Member = 0 },
		"other member's cut":     func(mh *MemberHeader) { *mh = *w.cut(up.Header, 1) },
		"path short":             func(mh *MemberHeader) { mh.Path = mh.Path[1:] },
		"path long":              func(mh *MemberHeader) { mh.Path = append(mh.Path, Digest{}) },
		"path wrong":             func(mh *MemberHeader) { mh.Path[0][0] ^= 1 },
		"envelope exchanged":     func(mh *MemberHeader) { mh.Envelope = w.cut(w.seal(1, w.unit(1)).Header, 0).Envelope },
		"envelope's first bit":   func(mh *MemberHeader) { mh.Envelope[0] ^= 0x80 },
		"root and path replaced": func(mh *MemberHeader) { mh.EnvRoot = envelopeRoot(1, envelopeLeaf(1, mh.Envelope)); mh.Path = nil },
	} {
		mh := w.cut(up.Header, 0)
		tamper(mh)
		verdicts, records, err := w.nodes[0].judge(w.cfg.Round(), mh)
		if err != nil || verdicts[0].Reason != ReasonEnvelopes || records != nil {
			t.Errorf("%s: %v, %v", name, verdicts, err)
		}
	}
	if v := w.show(0, up.Header); v[0].Reason != Accepted {
		t.Errorf("the honest header afterwards: %v", v[0].Reason)
	}
}

// T3.13: two attempts of one device, and one device twice in U.
func TestT3_13_OneAttemptPerDevice(t *testing.T) {
	w := newWorld(t, testParams(64, 2, 20), 3)
	first, second := w.seal(0, w.unit(0)), w.seal(0, w.unit(0))
	if first.Header.Digest() == second.Header.Digest() || bytes.Equal(first.Vector, second.Vector) || first.Header.Nonce == second.Header.Nonce {
		t.Fatal("two attempts share key, noise or nonce")
	}
	verdicts := w.show(0, first.Header, second.Header, first.Header)
	for i, want := range []Reason{Accepted, ReasonOtherAttempt, Accepted} {
		if verdicts[i].Reason != want {
			t.Errorf("header %d: %v, want %v", i, verdicts[i].Reason, want)
		}
	}
	if _, err := NewSet([]Entry{first.Header.Entry(), second.Header.Entry()}); !errors.Is(err, ErrCohort) {
		t.Errorf("one device twice in U: %v", err)
	}
	set := &Set{entries: []Entry{first.Header.Entry(), first.Header.Entry()}}
	if _, err := ParseSet(set.Marshal()); !errors.Is(err, ErrEncoding) {
		t.Errorf("one entry twice on the wire: %v", err)
	}
}

// T3.14: any damage to the stream of a vector is noticed; the sum of the others is exact.
func TestT3_14_VectorStream(t *testing.T) {
	w := newWorld(t, testParams(301, 2, 100), 4) // 301 words leave padding in the last byte
	ups := w.sealUnits()
	h, vector := ups[0].Header, ups[0].Vector
	if w.cfg.params.mask.PaddingBits() == 0 {
		t.Fatal("choose a dimension with padding")
	}
	stream := func(chunks ...[]byte) error {
		v := NewVectorCheck(w.cfg, h)
		for _, c := range chunks {
			if _, err := v.Write(c); err != nil {
				return err
			}
		}
		return v.Close()
	}
	var chunks [][]byte
	for rest := vector; len(rest) > 0; rest = rest[min(100, len(rest)):] {
		chunks = append(chunks, rest[:min(100, len(rest))])
	}
	if err := stream(chunks...); err != nil {
		t.Fatal(err)
	}
	if err := stream(vector[:1], nil, vector[1:]); err != nil {
		t.Fatal(err)
	}
	padded := slices.Clone(vector)
	padded[len(padded)-1] |= 0x80
	bad := map[string][][]byte{
		"flipped":    {append([]byte{vector[0] ^ 1}, vector[1:]...)},
		"padding":    {padded},
		"duplicated": slices.Insert(slices.Clone(chunks), 1, chunks[1]),
		"reordered":  append([][]byte{chunks[1], chunks[0]}, chunks[2:]...),
		"too long":   {vector, {0}},
		"other's":    {ups[1].Vector},
	}
	for i := range chunks {
		bad[fmt.Sprintf("cut at chunk %d", i)] = chunks[:i]
	}
	for name, chunks := range bad {
		if err := stream(chunks...); !errors.Is(err, ReasonVector) {
			t.Errorf("%s: %v", name, err)
		}
	}
	sum, err := w.open(ups[1:], all(5), all(5), all(5))
	if err != nil {
		t.Fatal(err)
	}
	checkIndicator(t, sum, indexSet([]int{1, 2, 3}))
}
