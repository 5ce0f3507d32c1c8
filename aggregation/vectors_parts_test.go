package aggregation

import (
	"errors"
	"testing"

	"tutti/aggregation/mask"
	"tutti/aggregation/share"
)

// populationVectors are trees of several shapes.
func populationVectors(t *testing.T) any {
	enroller := vectorKey("enroller")
	var trees []object
	for _, size := range []int{1, 2, 3, 6, 13} {
		var ids []DeviceID
		for i := range size {
			ids = append(ids, IDOf(publicOf(vectorKey("device "+string(rune('a'+i))))))
		}
		e, err := NewEnrolled(ids)
		if err != nil {
			t.Fatal(err)
		}
		p := e.Sign(enroller, "task-1")
		encoded, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		var sorted []string
		var paths []object
		for i := range size {
			id := e.ID(i)
			sorted = append(sorted, hexed(id[:]))
			path, _ := e.Path(id)
			b, err := path.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			paths = append(paths, object{"id": hexed(id[:]), "path": hexed(b)})
		}
		trees = append(trees, object{"ids": sorted, "root": hexed(p.Root[:]), "encoding": hexed(encoded), "paths": paths})
	}
	return object{"enroller_seed": hexSeed("enroller"), "enroller": hexed(publicOf(enroller)), "task": "task-1", "trees": trees, "bad": badPaths(t)}
}

// badPaths are paths in the tree of 13 that lead nowhere, and encodings that are none.
func badPaths(t *testing.T) any {
	var ids []DeviceID
	for i := range 13 {
		ids = append(ids, IDOf(publicOf(vectorKey("device "+string(rune('a'+i))))))
	}
	e, err := NewEnrolled(ids)
	if err != nil {
		t.Fatal(err)
	}
	p := e.Sign(vectorKey("enroller"), "task-1")
	id, last := e.ID(6), e.ID(12)
	path, _ := e.Path(id)
	good, err := path.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	l := &badList{t: t, good: good, try: func(b []byte) error {
		path, err := ParseEnrolmentPath(b)
		if err == nil && !p.Holds(id, path) {
			err = ReasonEnrolment
		}
		return err
	}}
	l.framing()
	at := len(newWriter(labelPath, 0).b)
	l.at("index of the neighbour", at+3, 7)
	l.at("index outside of the tree", at+3, 13)
	l.at("a sibling changed", at+10, good[at+10]^1)
	l.at("count of siblings beyond the limit", at+4, 33)
	l.at("count of siblings beyond the bytes", at+4, 5)
	other, _ := e.Path(last)
	marshal := func(path EnrolmentPath) []byte {
		b, err := path.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	l.add("another device's path", marshal(other))
	l.add("a sibling too few", marshal(EnrolmentPath{Index: path.Index, Siblings: path.Siblings[:3]}))
	l.add("a sibling too many", marshal(EnrolmentPath{Index: path.Index, Siblings: append(path.Siblings[:4:4], Digest{})}))
	return object{"id": hexed(id[:]), "good": hexed(good), "changes": l.list}
}

// parameterVectors are what section 7 gives, or refuses.
func parameterVectors(t *testing.T) any {
	var good, bad []object
	for _, l := range []ParamsLiteral{
		{Dim: 1, Bound: 1, NMin: 2, NMax: 2, Members: 3, Corrupt: 1, Rho: 1, Profile: mask.Standard},
		{Dim: 1 << 20, Bound: 1<<11 - 1, NMin: 700, NMax: 1000, Members: 9, Corrupt: 2, Rho: 2, Profile: mask.Standard},
		{Dim: 1 << 20, Bound: 1<<15 - 1, NMin: 7000, NMax: 10000, Members: 9, Corrupt: 2, Rho: 2, Profile: mask.Standard},
		{Dim: 1 << 20, Bound: 1<<15 - 1, NMin: 8000, NMax: 1 << 14, Members: 9, Corrupt: 2, Rho: 2, Profile: mask.Standard},
		{Dim: 1 << 20, Bound: 1<<15 - 1, NMin: 8000, NMax: 1 << 16, Members: 66, Corrupt: 20, Rho: 16, Profile: mask.Standard},
		{Dim: 100, Bound: 1<<15 - 1, NMin: 2, NMax: 66254, Members: 9, Corrupt: 2, Rho: 2, Profile: mask.Standard}, // the margin takes one bit more
		{Dim: 1 << 22, Bound: 1<<12 - 1, NMin: 100, NMax: 1 << 20, Members: 16, Corrupt: 5, Rho: 4, Profile: mask.Standard},
		{Dim: 1 << 20, Bound: 1<<15 - 1, NMin: 8000, NMax: 1 << 14, Members: 9, Corrupt: 2, Rho: 2, Profile: mask.High},
		{Dim: 1 << 20, Bound: 1<<15 - 1, NMin: 8000, NMax: 1 << 14, Members: 9, Corrupt: 2, Rho: 2, Profile: mask.Paired},
		{Dim: 1 << 20, Bound: 1<<11 - 1, NMin: 700, NMax: 1000, Members: 9, Corrupt: 2, Rho: 2, Profile: mask.Paired},
		{Dim: 4096, Bound: 1<<15 - 1, NMin: 70, NMax: 1000, Members: 9, Corrupt: 2, Rho: 2, Profile: mask.Standard, Norm: 100000},
		{Dim: 100, Bound: 1000, NMin: 2, NMax: 10, Members: 9, Corrupt: 2, Rho: 2, Profile: mask.Standard, Norm: 20000}, // T follows from the norm
	} {
		p, err := NewParams(l)
		if err != nil {
			t.Fatal(l, err)
		}
		m := p.mask.Literal()
		good = append(good, object{"literal": literalObject(l), "sigma": m.Sigma.Value(), "tail": m.Sigma.Tail(), "log_t": m.LogT, "log_p": m.LogP,
			"q": m.Q, "q2": m.Q2, "n": p.mask.N(), "field": p.shares.Field().Modulus(), "word_bits": p.WordBits(), "vector_len": p.VectorLen(),
			"quorum": p.Quorum(), "need": p.Need(), "key_words": p.AnswerWords(), "blind_words": p.blindWords(), "proof_words": p.proofWords(),
			"check_words": p.CheckWords(), "check_need": p.CheckNeed(),
			"envelope_len": object{"1": p.EnvelopeLen(SuiteX25519), "2": p.EnvelopeLen(SuiteMLKEM768X25519)}})
	}
	ok := ParamsLiteral{Dim: 100, Bound: 1000, NMin: 2, NMax: 100, Members: 9, Corrupt: 2, Rho: 2, Profile: mask.Standard}
	for name, edit := range map[string]func(*ParamsLiteral){
		"no coordinate":                 func(l *ParamsLiteral) { l.Dim = 0 },
		"too many coordinates":          func(l *ParamsLiteral) { l.Dim = 1<<26 + 1 },
		"bound of 0":                    func(l *ParamsLiteral) { l.Bound = 0 },
		"bound of 2^31":                 func(l *ParamsLiteral) { l.Bound = 1 << 31 },
		"sums of one device":            func(l *ParamsLiteral) { l.NMin = 1 },
		"n_max below n_min":             func(l *ParamsLiteral) { l.NMin = 101 },
		"a sum that fits no ring":       func(l *ParamsLiteral) { l.Bound, l.NMax = 1<<31-1, 1<<20 },
		"odd coordinates in pairs":      func(l *ParamsLiteral) { l.Dim, l.Profile = 101, mask.Paired },
		"unknown profile":               func(l *ParamsLiteral) { l.Profile = 4 },
		"nobody corrupt":                func(l *ParamsLiteral) { l.Corrupt = 0 },
		"rho beyond quorum - c":         func(l *ParamsLiteral) { l.Rho = 5 },
		"everybody corrupt":             func(l *ParamsLiteral) { l.Corrupt, l.Rho = 9, 1 },
		"a norm whose check needs more": func(l *ParamsLiteral) { l.Norm, l.Rho = 1000, 4 },
		"1025 members":                  func(l *ParamsLiteral) { l.Members = 1025 },
		"a norm beyond every ring":      func(l *ParamsLiteral) { l.Norm = 1 << 40 },
		"a norm in pairs":               func(l *ParamsLiteral) { l.Norm, l.Profile = 1000, mask.Paired },
		"a norm below 0":                func(l *ParamsLiteral) { l.Norm = -1 },
	} {
		l := ok
		edit(&l)
		_, err := NewParams(l)
		bad = append(bad, object{"name": name, "literal": literalObject(l), "reason": reasonOf(t, err)})
	}
	sortByName(bad)
	return object{"good": good, "bad": bad}
}

func literalObject(l ParamsLiteral) object {
	return object{"d": l.Dim, "bound": l.Bound, "n_min": l.NMin, "n_max": l.NMax, "m": l.Members, "c": l.Corrupt, "rho": l.Rho,
		"profile": l.Profile, "norm": l.Norm}
}

// vectorInput is x_j = (7919·j + offset) mod (2M+1) - M.
func vectorInput(dim int, bound int64, offset int) []int32 {
	x := make([]int32, dim)
	for j := range x {
		x[j] = int32((7919*int64(j)+int64(offset))%(2*bound+1) - bound)
	}
	return x
}

// maskVectors mask two vectors under every profile, and open their sum. Blocks are one and a bit.
func maskVectors(t *testing.T) any {
	var list []object
	for _, c := range []struct {
		profile mask.Profile
		dim     int
		count   int
		bound   int64
	}{{mask.Standard, 2100, 1000, 32767}, {mask.Standard, 3 << 20, 2, 3}, {mask.High, 4099, 1000, 32767}, {mask.Paired, 8290, 1000, 32767}} {
		l, err := mask.Choose(c.profile, c.dim, c.count, c.bound)
		if err != nil {
			t.Fatal(err)
		}
		p, err := mask.NewParams(l)
		if err != nil {
			t.Fatal(err)
		}
		if l.Sigma == mask.Sigma70 { // the sampler's other table
			s := mask.NewSecret(p, seedOf("mask key 0")).Coefficients()
			list = append(list, object{"sigma": 7.0, "d": c.dim, "n_max": c.count, "bound": c.bound, "profile": c.profile, "keys": []object{{
				"seed": hexSeed("mask key 0"), "first": s[:16], "sha256": sumOfWords(s)}}})
			continue
		}
		list = append(list, maskVector(t, p))
	}
	return list
}

func maskVector(t *testing.T, p *mask.Params) object {
	l := p.Literal()
	sums, key := make([]uint64, l.Dim), make([]int64, p.N())
	var devices, keys []object
	for i, name := range []string{"0", "1"} {
		s := mask.NewSecret(p, seedOf("mask key "+name))
		packed := make([]byte, p.PackedLen())
		x := vectorInput(l.Dim, l.Bound, 1000*i)
		if err := errors.Join(p.Mask(packed, seedOf("mask public"), s, seedOf("mask noise "+name), x), p.Fold(sums, packed)); err != nil {
			t.Fatal(err)
		}
		for k, v := range s.Coefficients() {
			key[k] += v
		}
		keys = append(keys, object{"seed": hexSeed("mask key " + name), "first": s.Coefficients()[:16], "sha256": sumOfWords(s.Coefficients())})
		devices = append(devices, object{"noise": hexSeed("mask noise " + name), "input_offset": 1000 * i,
			"packed_first": hexed(packed[:24]), "packed_sha256": sumOfBytes(packed)})
	}
	packed := make([]byte, p.PackedLen())
	p.Pack(packed, sums)
	sum, err := p.Unmask(seedOf("mask public"), key, sums, 2)
	if err != nil {
		t.Fatal(err)
	}
	garbled := append([]int64(nil), key...)
	garbled[0]++
	_, err = p.Unmask(seedOf("mask public"), garbled, sums, 2)
	return object{"profile": l.Profile, "d": l.Dim, "n_max": l.Count, "bound": l.Bound, "sigma": l.Sigma.Value(), "q": l.Q, "q2": l.Q2, "log_t": l.LogT,
		"log_p": l.LogP, "public": hexSeed("mask public"), "keys": keys, "devices": devices, "packed_sum_sha256": sumOfBytes(packed),
		"sum_first": sum[:16], "sum_sha256": sumOfWords(sum), "bad": object{"name": "key_0 + 1", "reason": reasonOf(t, err)}}
}

// shareVectors share, sum, correct and check, over both kinds of field.
func shareVectors(t *testing.T) any {
	var list []object
	for _, modulus := range []uint64{share.P, 70368744067073} {
		field, err := share.NewField(modulus)
		if err != nil {
			t.Fatal(err)
		}
		const m, c, rho = 7, 2, 2
		scheme, err := share.New(field, m, c, rho)
		if err != nil {
			t.Fatal(err)
		}
		secrets := []int64{1, -2, 87, -87, 0}
		random := make([]uint64, scheme.Draws(len(secrets)))
		if err := field.Draw(newKeyStream(seedOf("share")), random); err != nil {
			t.Fatal(err)
		}
		shares, err := scheme.Split(secrets, random)
		if err != nil {
			t.Fatal(err)
		}
		o := object{"p": modulus, "m": m, "c": c, "rho": rho, "secrets": secrets, "seed": hexSeed("share"), "random": random, "shares": shares,
			"encoding_of_member_1": hexed(packWords(field, shares[0]))}
		o["combine"] = combineVectors(t, scheme, len(secrets), shares)
		o["challenge"] = challengeVector(t, field)
		bad := []object{}
		for name, b := range map[string][]byte{"p": packWords(field, []uint64{modulus}), "odd length": make([]byte, field.Bytes()+1)} {
			if _, err := field.Parse(b); !errors.Is(err, share.ErrWord) {
				t.Fatalf("%s: %v", name, err)
			}
			bad = append(bad, object{"name": name, "element": hexed(b), "reason": "bad_share"})
		}
		sortByName(bad)
		o["bad"] = bad
		list = append(list, o)
	}
	return list
}

// combineVectors change answers of members and say who is named.
func combineVectors(t *testing.T, scheme *share.Scheme, n int, shares [][]uint64) (list []object) {
	for _, liars := range [][]int{nil, {3}, {7, 1}} {
		for _, count := range []int{4, 5, 6, 7} {
			var answers []share.Share
			for j := range count {
				words := append([]uint64(nil), shares[j]...)
				for k, liar := range liars {
					if liar == j+1 {
						words[k] = (words[k] + 5) % scheme.Field().Modulus()
					}
				}
				answers = append(answers, share.Share{X: j + 1, Words: words})
			}
			o := object{"members": count, "word_k_plus_5_of_liar_k": liars}
			if secrets, wrong, err := scheme.Combine(n, answers); err != nil {
				o["reason"] = reasonOf(t, err)
			} else {
				o["secrets"], o["wrong"] = secrets, wrong
			}
			list = append(list, o)
		}
	}
	return list
}

// challengeVector is the sharing check of one member, W = 1000 words.
func challengeVector(t *testing.T, field share.Field) object {
	const n = 1000
	k := (checkBits + field.Bits() - 1) / field.Bits()
	cfg, digest := seedOf("check cfg"), seedOf("check digest")
	chi, words := make([]uint64, k*n), make([]uint64, n+k)
	if err := errors.Join(challenge(cfg, digest, field, chi), field.Draw(newKeyStream(seedOf("check words")), words)); err != nil {
		t.Fatal(err)
	}
	return object{"cfg": hexed(cfg[:]), "digest": hexed(digest[:]), "rows": k, "words": n, "first": chi[:8], "sha256": sumOfWords(chi),
		"share_seed": hexSeed("check words"), "check": checkWords(field, chi, words, n)}
}
