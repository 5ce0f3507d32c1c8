package aggregation

import (
	"bytes"
	"slices"
	"testing"

	"tutti/aggregation/mask"
)

// uploadVectors are the three devices' uploads, from their seeds to the signed header, and what members and server refuse.
func (c *vectorCast) uploadVectors(t *testing.T) any {
	var list []object
	for i, up := range c.up {
		list = append(list, c.uploadObject(t, i, up))
	}
	header, err := c.up[0].Header.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return object{"uploads": list, "header_of_upload_0": hexed(header), "bad_headers": c.badHeaders(t, header), "member_header": c.memberHeaders(t),
		"bad_vectors_of_upload_0": c.badPackings(t)}
}

func (c *vectorCast) uploadObject(t *testing.T, i int, up *sealedVector) object {
	h := up.Header
	s := vectorSeeds(up.name)
	var envelopes []object
	for j, words := range up.words {
		plain := append([]byte{shareVersion}, packWords(c.cfg.params.shares.Field(), words)...)
		info := envelopeInfo(c.cfg.digest, h.ID, h.Nonce, uint16(j+1))
		envelopes = append(envelopes, object{"ephemeral": hexSeed(up.name + " to " + memberName(j)), "info": hexed(info), "plaintext_sha256": sumOfBytes(plain),
			"envelope_sha256": sumOfBytes(h.Envelopes[j])})
	}
	header, err := h.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	root, digest := h.EnvRoot(), h.Digest()
	return object{"device_seed": hexSeed(up.name), "id": hexed(h.ID[:]), "public": hexed(h.Public), "key_seed": hexed(s.key[:]), "noise_seed": hexed(s.noise[:]),
		"share_seed": hexed(s.share[:]), "nonce": hexed(s.nonce[:]), "base": hexed(h.Base[:]), "input_offset": 100 * i, "vector": hexed(up.Vector),
		"vector_hash": hexed(h.VecHash[:]), "envelopes": envelopes, "envelope_root": hexed(root[:]), "digest": hexed(digest[:]),
		"signature": hexed(h.Signature), "header_sha256": sumOfBytes(header)}
}

// badHeaders are refused by the server.
func (c *vectorCast) badHeaders(t *testing.T, good []byte) any {
	l := &badList{t: t, good: good, try: func(b []byte) error {
		h, err := ParseHeader(b)
		if err == nil {
			path, _ := c.enrolled.Path(h.ID)
			err = VerifyHeader(c.cfg, h, path)
		}
		return err
	}}
	l.framing()
	l.prelude(labelHeader)
	count := len(good) - 7*(4+c.cfg.params.EnvelopeLen(SuiteX25519)) - 2
	l.at("six envelopes announced", count+1, 6)
	l.at("1025 envelopes announced", count, 4, 1)
	l.at("an envelope beyond its limit", count+2, 0, 2, 0, 1)
	l.at("an envelope changed", count+100, good[count+100]^1)
	edit := func(name string, f func(h *Header)) {
		h, err := ParseHeader(good)
		if err != nil {
			t.Fatal(err)
		}
		f(h)
		resign(h, c.up[0].client.Key)
		b, err := h.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		l.add(name, b)
	}
	edit("an envelope too few, signed", func(h *Header) { h.Envelopes = h.Envelopes[:6] })
	edit("an envelope a byte short, signed", func(h *Header) { h.Envelopes[6] = h.Envelopes[6][1:] })
	edit("a statement without a norm check, signed", func(h *Header) { h.Commits = make([]Digest, 7) })
	return l.list
}

// prelude changes what header and member header start with.
func (l *badList) prelude(label string) {
	l.t.Helper()
	at := len(newWriter(label, 0).b)
	l.at("another id", at, l.good[at]^1)
	l.at("another public key", at+16, l.good[at+16]^1)
	l.at("another nonce", at+48, l.good[at+48]^1)
	l.at("another cfg", at+64, l.good[at+64]^1)
	l.at("an unlisted base", at+96, l.good[at+96]^1)
	l.at("another vector hash", at+128, l.good[at+128]^1)
	l.at("the signature changed", at+166, l.good[at+166]^1)
}

// memberHeaders are what member 2 is shown of upload 0, and its verdicts on what it should not be.
func (c *vectorCast) memberHeaders(t *testing.T) any {
	up := c.up[0]
	path, _ := c.enrolled.Path(up.Header.ID)
	cut := func(h *Header, j uint16, path EnrolmentPath) []byte {
		mh, err := h.ForMember(j, path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := mh.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	judge, err := c.nodes[1].member.Judge(c.literal.Round)
	if err != nil {
		t.Fatal(err)
	}
	l := &badList{t: t, good: cut(up.Header, 2, path), try: func(b []byte) error {
		mh, err := ParseMemberHeader(b)
		if err != nil {
			return err
		}
		if r := judge.Open([]*MemberHeader{mh})[0].reason; r != Accepted {
			return r
		}
		return nil
	}}
	l.framing()
	l.prelude(labelMember)
	l.add("cut for member 3", cut(up.Header, 3, path))
	l.add("the zero path", cut(up.Header, 2, EnrolmentPath{}))
	other, _ := c.enrolled.Path(c.up[1].Header.ID)
	l.add("another device's path", cut(up.Header, 2, other))
	root := len(l.good) - (1 + 3*32) - (4 + c.cfg.params.EnvelopeLen(SuiteX25519)) - 2 - 32
	l.at("another envelope root", root, l.good[root]^1)
	l.at("member 3 named", root+33, 3)
	l.at("a sibling of the envelope changed", len(l.good)-1, l.good[len(l.good)-1]^1)
	sealed := func(name string, words []uint64) {
		h := *up.Header
		h.Envelopes = slices.Clone(h.Envelopes)
		h.Envelopes[1] = sealTheSame(t, c.cfg, &h, 1, up.name, words)
		resign(&h, up.client.Key)
		l.add(name, cut(&h, 2, path))
	}
	words := slices.Clone(up.words[1])
	words[5] = c.cfg.params.shares.Field().Modulus()
	sealed("an element of p, signed", words)
	sealed("a word too few, signed", up.words[1][1:])
	h := *up.Header
	h.Envelopes = slices.Clone(h.Envelopes)
	h.Envelopes[1] = up.Header.Envelopes[2]
	resign(&h, up.client.Key)
	l.add("the envelope of member 3, signed", cut(&h, 2, path))
	for _, stranger := range []struct {
		name string
		want func(DeviceID) bool
	}{{"a device that the lot left out", func(id DeviceID) bool { return !c.cfg.Eligible(id) }},
		{"a device of the other shard", func(id DeviceID) bool { return c.cfg.Eligible(id) && c.cfg.ShardOf(id) == 1 }}} {
		at := slices.IndexFunc(c.enrolled.ids, stranger.want)
		if at < 0 {
			t.Fatal(stranger.name)
		}
		client := &Client{Key: vectorKey(c.names[c.enrolled.ID(at)]), Pins: c.pins}
		other := sealVector(t, c.cfg, client, c.names[c.enrolled.ID(at)], vectorInput(100, 1000, 0))
		path, _ := c.enrolled.Path(other.Header.ID)
		b := cut(other.Header, 2, path)
		mh, err := ParseMemberHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		l.list = append(l.list, object{"name": stranger.name, "encoding": hexed(b), "reason": judge.Open([]*MemberHeader{mh})[0].reason.Label()})
	}
	return object{"member": 2, "good": hexed(l.good), "bad": l.list}
}

// badPackings are vectors that the server does not stage.
func (c *vectorCast) badPackings(t *testing.T) any {
	h := c.up[0].Header
	l := &badList{t: t, good: c.up[0].Vector, try: func(b []byte) error { return VerifyVector(c.cfg, h, b) }}
	l.add("truncated", l.good[:len(l.good)-1])
	l.add("trailing byte", append(bytes.Clone(l.good), 0))
	l.at("a bit changed", 3, l.good[3]^1)
	return object{"changes": l.list, "padding": c.badPadding(t)}
}

// badPadding is a vector of 3 coordinates of 25 bits whose last bit is set, under a hash that names it.
func (c *vectorCast) badPadding(t *testing.T) any {
	l := c.literal
	l.Params.Dim, l.Params.NMin, l.Params.NMax = 3, 2, 6
	l.Params.Bound = 1 << 16
	cfg, err := NewConfig(l)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.params.mask.PaddingBits() == 0 {
		t.Fatal("no padding")
	}
	vector := make([]byte, cfg.params.VectorLen())
	vector[len(vector)-1] = 0x80
	return object{"word_bits": cfg.params.WordBits(), "d": 3, "vector": hexed(vector),
		"reason": reasonOf(t, VerifyVector(cfg, &Header{Prelude: Prelude{VecHash: HashVector(vector)}}, vector))}
}

// roundVectors take the three uploads to their sum.
func (c *vectorCast) roundVectors(t *testing.T) any {
	id := c.literal.Round
	checks := make([][]CheckAnswer, len(c.up))
	for j, n := range c.nodes {
		var batch []*MemberHeader
		for _, up := range c.up {
			path, _ := c.enrolled.Path(up.Header.ID)
			mh, err := up.Header.ForMember(uint16(j+1), path)
			if err != nil {
				t.Fatal(err)
			}
			batch = append(batch, mh)
		}
		verdicts, _, err := n.judge(id, batch...)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range verdicts {
			if v.Reason != Accepted {
				t.Fatal(v.Reason)
			}
			checks[i] = append(checks[i], CheckAnswer{Member: uint16(j + 1), Words: v.Check})
		}
	}
	set, acc := setOf(t, []*Upload{c.up[0].Upload, c.up[1].Upload, c.up[2].Upload}), NewAccumulator(c.cfg)
	var words []any
	for i, up := range c.up {
		if wrong, err := CheckShares(c.cfg, up.Header, nil, checks[i]); err != nil || wrong != nil {
			t.Fatal(wrong, err)
		}
		words = append(words, checks[i])
		if err := acc.Add(up.Vector); err != nil {
			t.Fatal(err)
		}
	}
	out := object{"check_words": words, "set": hexed(set.Marshal()), "partial": hexed(acc.Marshal())}
	digest := set.Digest(c.cfg.digest)
	out["set_digest"] = hexed(digest[:])
	proposal := &Proposal{Cfg: c.cfg.digest, Set: set}
	out["proposal"] = hexed(proposal.Marshal())
	var sigs []SetSignature
	for _, n := range c.nodes[:5] {
		sig, _, err := n.member.Sign(id, proposal)
		if err != nil {
			t.Fatal(err)
		}
		sigs = append(sigs, sig)
	}
	cert, err := Certify(c.cfg, set, sigs)
	if err != nil {
		t.Fatal(err)
	}
	out["certificate"] = hexed(cert.Marshal())
	out["bad_certificates"] = c.badCertificates(t, cert)
	out["answers"], out["sums"] = c.answerVectors(t, set, cert, acc)
	out["abandon"] = c.abandonVectors(t)
	return out
}

// badCertificates are shown to member 7, which signed nothing.
func (c *vectorCast) badCertificates(t *testing.T, cert *Certificate) any {
	l := &badList{t: t, good: cert.Marshal(), try: func(b []byte) error {
		parsed, err := ParseCertificate(b)
		if err == nil {
			_, _, err = c.nodes[6].member.Release(c.literal.Round, parsed)
		}
		return err
	}}
	l.framing()
	edit := func(name string, f func(*Certificate)) {
		bad := &Certificate{Cfg: cert.Cfg, Set: cert.Set, Signatures: slices.Clone(cert.Signatures)}
		f(bad)
		l.add(name, bad.Marshal())
	}
	edit("another cfg", func(b *Certificate) { b.Cfg[0] ^= 1 })
	edit("a signature too few", func(b *Certificate) { b.Signatures = b.Signatures[:4] })
	edit("a member twice", func(b *Certificate) { b.Signatures[1] = b.Signatures[0] })
	edit("members out of order", func(b *Certificate) { b.Signatures[0], b.Signatures[1] = b.Signatures[1], b.Signatures[0] })
	edit("member 8 of 7", func(b *Certificate) { b.Signatures[4].Member = 8 })
	edit("a signature by another member", func(b *Certificate) { b.Signatures[4].Member = 6 })
	edit("a set without a device, signatures on the whole one", func(b *Certificate) { b.Set = &Set{entries: b.Set.entries[1:]} })
	edit("a set of one", func(b *Certificate) { b.Set = &Set{entries: b.Set.entries[2:]} })
	edit("ids out of order", func(b *Certificate) {
		e := slices.Clone(b.Set.entries)
		e[0], e[1] = e[1], e[0]
		b.Set = &Set{entries: e}
	})
	edit("a device twice", func(b *Certificate) {
		e := slices.Clone(b.Set.entries)
		e[1].ID = e[0].ID
		b.Set = &Set{entries: e}
	})
	return l.list
}

// answerVectors are the members' answers, all signed, and sums from several of them.
func (c *vectorCast) answerVectors(t *testing.T, set *Set, cert *Certificate, acc *Accumulator) (answers, sums any) {
	var list []object
	var all []Answer
	for j, n := range c.nodes {
		a, _, err := n.member.Release(c.literal.Round, cert)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, *a)
		list = append(list, object{"member": j + 1, "words_sha256": sumOfWords(a.Words), "first": a.Words[:4], "encoding_sha256": sumOfBytes(a.Marshal()),
			"signature": hexed(a.Signature)})
	}
	var opened []object
	open := func(name string, answers ...Answer) {
		o := object{"name": name}
		sum, wrong, err := Unmask(c.cfg, set, acc, answers)
		if err != nil {
			o["reason"] = reasonOf(t, err)
		} else {
			o["sum"], o["wrong"] = sum, wrong
		}
		opened = append(opened, o)
	}
	lie := func(j int) Answer {
		a := all[j].clone()
		a.Words[0] = (a.Words[0] + 1) % c.cfg.params.shares.Field().Modulus()
		a.sign(c.nodes[j].setup.Identity)
		return *a
	}
	forged := *all[6].clone()
	forged.Words[0] ^= 1
	open("all seven", all...)
	open("members 1 to 4", all[:4]...)
	open("members 1 to 3", all[:3]...)
	open("members 1 to 3, and 3 again", append(slices.Clone(all[:3]), all[2])...)
	open("member 2 adds 1 to its first word, seven answers", append(slices.Clone(all[2:]), all[0], lie(1))...)
	open("member 2 adds 1 to its first word, five answers", append(slices.Clone(all[2:5]), all[0], lie(1))...)
	open("member 7's words changed without its signature, seven answers", append(slices.Clone(all[:6]), forged)...)
	return list, opened
}

// abandonVectors are by a committee that abandons the same round instead.
func (c *vectorCast) abandonVectors(t *testing.T) any {
	id := c.literal.Round
	var sigs []AbandonSignature
	for _, n := range c.nodes[:5] {
		m, err := NewMember(n.setup)
		if err != nil {
			t.Fatal(err)
		}
		sig, _, err := m.Abandon(id)
		if err != nil {
			t.Fatal(err)
		}
		sigs = append(sigs, sig)
	}
	cert, err := CertifyAbandon(c.cfg, sigs)
	if err != nil {
		t.Fatal(err)
	}
	l := &badList{t: t, good: cert.Marshal(), try: func(b []byte) error {
		parsed, err := ParseAbandonCertificate(b)
		if err == nil {
			err = parsed.Verify(c.cfg)
		}
		return err
	}}
	l.framing()
	edit := func(name string, f func(*AbandonCertificate)) {
		bad := &AbandonCertificate{Round: cert.Round, Signatures: slices.Clone(cert.Signatures)}
		f(bad)
		l.add(name, bad.Marshal())
	}
	edit("another shard", func(b *AbandonCertificate) { b.Round.Shard = 1 })
	edit("a signature too few", func(b *AbandonCertificate) { b.Signatures = b.Signatures[1:] })
	edit("a member twice", func(b *AbandonCertificate) { b.Signatures[0] = b.Signatures[1] })
	edit("a signature by another member", func(b *AbandonCertificate) { b.Signatures[4].Member = 6 })
	return object{"certificate": hexed(l.good), "bad": l.list}
}

// normVectors prove the norm of one vector under the same committee.
func normVectors(t *testing.T) any {
	c := newVectorCast(t)
	l := c.literal
	l.Params.Rho, l.Params.Norm, l.Params.Bound = 2, 20000, 1<<20
	cfg, err := NewConfig(l)
	if err != nil {
		t.Fatal(err)
	}
	p := cfg.params
	up := sealVector(t, cfg, c.up[0].client, c.up[0].name, vectorInput(100, 1000, 0))
	h := up.Header
	first, second := h.firstChallenge(), h.secondChallenge(h.EnvRoot())
	header, err := h.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	alpha, err := p.shares.Field().Parse(h.Alpha)
	if err != nil {
		t.Fatal(err)
	}
	var members []object
	for j, words := range up.words {
		n, k := p.AnswerWords(), p.blindWords()
		answer, err := p.norm.Answer(second, j+1, alpha, words[:n], words[n+k+p.norm.SaltWords():])
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, object{"commit": hexed(h.Commits[j][:]), "words": len(words), "words_sha256": sumOfWords(words), "answer": answer,
			"envelope_sha256": sumOfBytes(h.Envelopes[j])})
	}
	digest, cfgDigest := h.Digest(), cfg.Digest()
	m := p.mask.Literal()
	return object{"config": hexed(cfg.Marshal()), "cfg": hexed(cfgDigest[:]), "q": m.Q, "log_t": m.LogT, "log_p": m.LogP, "bound": p.norm.Bound(),
		"bits": p.norm.Bits(), "input_bound": 1000, "vector": hexed(up.Vector), "first": hexed(first[:]), "second": hexed(second[:]),
		"alpha_sha256": sumOfBytes(h.Alpha), "digest": hexed(digest[:]), "header_sha256": sumOfBytes(header), "members": members,
		"profile": mask.Standard, "device_seed": hexSeed(up.name)}
}
