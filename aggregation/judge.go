package aggregation

import (
	"crypto/hpke"
)

// Judge is what a member needs to judge headers of one shard, and no state that changes: several goroutines may share one.
// It does all the expensive work; what it opened goes to Member.Accept, which alone decides what is kept.
type Judge struct {
	cfg    *Config
	key    hpke.PrivateKey // nil when the shard is over
	member uint16
}

// Opened is one header that a Judge has judged, with the share that it held. It has no text form.
type Opened struct {
	cfg    Digest
	member uint16
	entry  Entry
	reason Reason
	packed []byte // the share and, in place of the blinds, the check words; nil unless Accepted
}

// Entry names the upload.
func (o *Opened) Entry() Entry { return o.entry }

// Judge takes a snapshot for judging headers of the shard; it is good until the round is released or abandoned.
// Refusals: RefusePast, RefuseNoRound, RefuseAbandoned.
func (m *Member) Judge(id RoundID) (*Judge, error) {
	r, s, err := m.begun(id)
	if err != nil {
		return nil, err
	}
	j := &Judge{cfg: s.cfg, member: m.setup.Index}
	if s.answer == nil {
		j.key = r.key
	}
	return j, nil
}

// Open judges a batch of headers, one result each, in order: Merkle paths, eligibility and shard, signatures (all of a batch at
// once, see verifySignatures), envelopes, range of the share, and the answer to the check of rule 10.
func (j *Judge) Open(batch []*MemberHeader) []Opened {
	opened := make([]Opened, len(batch))
	claims := make([]claim, 0, len(batch))
	at := make([]int, 0, len(batch))
	for i, h := range batch {
		o := &opened[i]
		*o = Opened{cfg: j.cfg.digest, member: j.member, entry: Entry{ID: h.ID, Digest: h.Digest()}}
		if o.reason = j.place(h); o.reason == Accepted {
			claims = append(claims, claim{h.Public, signedMessage(labelUpload, o.entry.Digest), h.Signature})
			at = append(at, i)
		}
	}
	good := 0
	for k, ok := range verifySignatures(claims) {
		if !ok {
			opened[at[k]].reason = ReasonSignature
		} else {
			good++
		}
	}
	j.openAll(opened, batch, good)
	return opened
}

// place checks all that needs neither the device's key nor the member's.
func (j *Judge) place(h *MemberHeader) Reason {
	members := j.cfg.params.Members()
	switch {
	case j.key == nil:
		return ReasonClosed
	case h.Member != j.member || !merkleVerify(h.EnvRoot, envelopeLeaf(h.Member, h.Envelope), int(h.Member)-1, members, h.Path):
		return ReasonEnvelopes
	}
	return checkPrelude(j.cfg, &h.Prelude, h.Enrolment)
}

// openAll opens the envelopes of the good headers into one piece of memory, and answers the checks.
func (j *Judge) openAll(opened []Opened, batch []*MemberHeader, good int) {
	p := j.cfg.params
	size := (p.AnswerWords() + p.CheckWords()) * p.shares.Field().Bytes()
	slab := make([]byte, good*size)
	chi := make([]uint64, p.AnswerWords()*p.blindWords())
	words := make([]uint64, p.AnswerWords()+p.blindWords()+p.proofWords())
	defer clear(words)
	for i, h := range batch {
		if o := &opened[i]; o.reason == Accepted {
			if o.reason = j.open(o, h, slab[:size:size], chi, words); o.reason == Accepted {
				slab = slab[size:]
			}
		}
	}
}

// open keeps the share in into, and behind it the answers to the checks in place of what was shared for them; chi and words are scratch.
func (j *Judge) open(o *Opened, h *MemberHeader, into []byte, chi, words []uint64) Reason {
	p := j.cfg.params
	field, n, k := p.shares.Field(), p.AnswerWords(), p.blindWords()
	packed, reason := openShare(j.key, envelopeInfo(o.cfg, h.ID, h.Nonce, h.Member), h.Envelope, field, words)
	if reason != Accepted {
		return reason
	}
	defer clear(packed)
	if err := challenge(o.cfg, o.entry.Digest, field, chi); err != nil {
		panic("aggregation: a key stream ran dry: " + err.Error())
	}
	check := checkWords(field, chi, words[:n+k], n)
	if p.norm != nil {
		answer, reason := answerNorm(p, h, words)
		if reason != Accepted {
			return reason
		}
		check = append(check, answer...)
	}
	o.packed = into
	copy(into, packed[:n*field.Bytes()])
	field.Put(into[n*field.Bytes():], check)
	return Accepted
}
