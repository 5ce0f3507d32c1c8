package aggregation

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"tutti/aggregation/mask"
	"tutti/aggregation/share"
)

// The challenge is what Field.Draw gives for the stream, in pieces or not.
func TestChallengeIsDrawn(t *testing.T) {
	for _, p := range []uint64{share.P, 70368744067073, 1<<31 - 19} {
		field, err := share.NewField(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, 3, 1024, 3072, 3073} {
			for try := range byte(20) {
				cfg, digest := Digest{1, try}, Digest{2}
				got, want := make([]uint64, n), make([]uint64, n)
				if err := errors.Join(challenge(cfg, digest, field, got), field.Draw(newKeyStream(hash(labelCheck, cfg[:], digest[:])), want)); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(got, want) {
					t.Fatalf("p = %d, %d words: not Draw's", p, n)
				}
			}
		}
	}
}

// Words are read as Field.Parse reads them, whatever their length.
func TestWordsAreParsed(t *testing.T) {
	for _, p := range []uint64{share.P, 70368744067073, 1<<31 - 19, 4294967291} {
		field, err := share.NewField(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, last := range []uint64{0, 1, p - 1, p, p + 1, 1<<(8*field.Bytes()) - 1} {
			packed := make([]byte, 3*field.Bytes())
			field.Put(packed, []uint64{7, last, p - 1})
			want, err := field.Parse(packed)
			got := make([]uint64, 3)
			if ok := parseWords(field, got, packed); ok != (err == nil) || ok && !slices.Equal(got, want) {
				t.Errorf("p = %d: %d: %v, %v", p, last, ok, err)
			}
		}
	}
}

// checks has the device's header judged by the nodes and returns their check answers; nodes that refuse are left out.
func (w *world) checks(h *Header, nodes []int) []CheckAnswer {
	w.t.Helper()
	var answers []CheckAnswer
	for _, j := range nodes {
		if v := w.show(j, h)[0]; v.Reason == Accepted {
			answers = append(answers, CheckAnswer{Member: uint16(j + 1), Words: v.Check})
		}
	}
	return answers
}

// reshare seals changed words to every member and signs again, as a malicious device does: change gets a copy of the honest words.
func (w *world) reshare(up *Upload, i int, change func(member int, words []uint64)) {
	w.t.Helper()
	for j, n := range w.nodes {
		key := n.member.rounds[w.cfg.Round().Whole()].key
		p := w.cfg.params
		words := make([]uint64, p.AnswerWords()+p.CheckWords())
		_, reason := openShare(key, envelopeInfo(w.cfg.digest, up.Header.ID, up.Header.Nonce, uint16(j+1)), up.Header.Envelopes[j],
			p.shares.Field(), words)
		if reason != Accepted {
			w.t.Fatal(reason)
		}
		change(j+1, words)
		up.Header.Envelopes[j] = w.sealTo(up.Header, uint16(j+1), words)
	}
	resign(up.Header, w.devices[i].Key)
}

// power is x^e in the field.
func power(f share.Field, x uint64, e int) uint64 {
	v := uint64(1)
	for range e {
		v = f.Mul(v, x)
	}
	return v
}

// checkParams is a committee with two answers to spare for one wrong one: m = 5, c = 1, rho = 2.
func checkParams() ParamsLiteral { return testParams(64, 3, 20) }

// Honest devices always pass, whichever members answer, in whatever order, and however often they are asked.
func TestRule10_HonestDevicesPass(t *testing.T) {
	for _, params := range []ParamsLiteral{checkParams(), {Dim: 64, Bound: 1000, NMin: 2, NMax: 20, Members: 9, Corrupt: 2, Rho: 2},
		{Dim: 64, Bound: 1000, NMin: 2, NMax: 20, Members: 16, Corrupt: 5, Rho: 4}, {Dim: 64, Bound: 1000, NMin: 2, NMax: 20, Members: 7, Corrupt: 2, Rho: 3}} {
		w := newWorld(t, params, 6)
		for i, up := range w.sealUnits()[:3] {
			answers := w.checks(up.Header, all(params.Members))
			for n := len(answers); n >= w.cfg.params.CheckNeed(); n-- {
				w.shuffle(answers)
				if wrong, err := CheckShares(w.cfg, up.Header, nil, answers[:n]); err != nil || wrong != nil {
					t.Fatalf("m=%d, device %d, %d answers: %d, %v", params.Members, i, n, wrong, err)
				}
			}
			if _, err := CheckShares(w.cfg, up.Header, nil, answers[:w.cfg.params.CheckNeed()-1]); !errors.Is(err, ErrTooFew) {
				t.Errorf("m=%d, need-1 answers: %v", params.Members, err)
			}
		}
	}
}

func (w *world) shuffle(answers []CheckAnswer) {
	for i := range answers {
		j := int(w.random.Uint64() % uint64(i+1))
		answers[i], answers[j] = answers[j], answers[i]
	}
}

// T3.18: one device with an inconsistent sharing is found before folding, exactly that device, and where the fault sits at a
// single member that pair is named; the sum of the others is exact. A wrong sharing passes with p^-3 < 2^-92.
func TestT3_18_InconsistentSharingIsFoundBeforeFolding(t *testing.T) {
	const liar = 2
	n := 1024
	for _, c := range []struct {
		name   string
		change func(w *world, member int, words []uint64)
		wrong  []uint16
		err    error
	}{
		{"untouched", func(*world, int, []uint64) {}, nil, nil},
		{"random garbage for all", func(w *world, _ int, words []uint64) { w.garbage(words[:n]) }, nil, ErrSharing},
		{"random garbage for one", func(w *world, m int, words []uint64) {
			if m == 4 {
				w.garbage(words)
			}
		}, []uint16{4}, nil},
		{"random garbage for two", func(w *world, m int, words []uint64) {
			if m == 4 || m == 5 {
				w.garbage(words)
			}
		}, nil, ErrSharing},
		{"one wrong word at one member", func(w *world, m int, words []uint64) {
			if m == 2 {
				words[517]++
			}
		}, []uint16{2}, nil},
		{"a wrong blind at one member", func(w *world, m int, words []uint64) {
			if m == 1 {
				words[n+2] ^= 1
			}
		}, []uint16{1}, nil},
		{"a polynomial of degree c+rho in one word", func(w *world, m int, words []uint64) {
			f := w.cfg.params.shares.Field()
			words[31] = f.Plus(words[31], f.Mul(77, power(f, uint64(m), 3)))
		}, nil, ErrSharing},
		{"a blind of degree c+rho", func(w *world, m int, words []uint64) {
			f := w.cfg.params.shares.Field()
			words[n] = f.Plus(words[n], power(f, uint64(m), 3))
		}, nil, ErrSharing},
		{"another key, well shared", func(w *world, m int, words []uint64) { words[0] = 5 }, nil, nil}, // poisoning: not this check's
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, checkParams(), 6)
			ups := w.sealUnits()
			w.reshare(ups[liar], liar, func(m int, words []uint64) {
				c.change(w, m, words)
				for i := range words {
					words[i] %= share.P
				}
			})
			var kept []*Upload
			counted := map[int]bool{}
			for i, up := range ups {
				wrong, err := CheckShares(w.cfg, up.Header, nil, w.checks(up.Header, all(5)))
				switch {
				case i != liar && (err != nil || wrong != nil):
					t.Errorf("device %d is honest: %d, %v", i, wrong, err)
				case i == liar && (!errors.Is(err, c.err) || !slices.Equal(wrong, c.wrong)):
					t.Errorf("device %d: %d, %v; want %d, %v", i, wrong, err, c.wrong, c.err)
				}
				if i != liar {
					kept, counted[i] = append(kept, up), true
				}
			}
			sum, err := w.open(kept, all(5), all(5), all(5))
			if err != nil {
				t.Fatal(err)
			}
			checkIndicator(t, sum, counted)
		})
	}
}

func (w *world) garbage(words []uint64) {
	if err := w.cfg.params.shares.Field().Draw(w.random, words); err != nil {
		w.t.Fatal(err)
	}
}

// e lying members are corrected and named, for every device alike; with e+1 the check does not name an honest one.
func TestRule10_LyingMembersAreNamed(t *testing.T) {
	params := ParamsLiteral{Dim: 64, Bound: 1000, NMin: 2, NMax: 20, Members: 9, Corrupt: 2, Rho: 2} // need 4, two of nine may lie
	w := newWorld(t, params, 3)
	up := w.sealUnits()[0]
	honest := w.checks(up.Header, all(9))
	lies := map[string]func(words []uint64) []uint64{
		"garbage":        func(words []uint64) []uint64 { w.garbage(words); return words },
		"one word":       func(words []uint64) []uint64 { words[2] = (words[2] + 1) % share.P; return words },
		"short":          func(words []uint64) []uint64 { return words[1:] },
		"nothing":        func(words []uint64) []uint64 { return nil },
		"long":           func(words []uint64) []uint64 { return append(words, 1) },
		"out of a field": func(words []uint64) []uint64 { words[0] = share.P; return words },
	}
	for name, lie := range lies {
		told := slices.Clone(honest)
		for _, j := range []int{3, 7} {
			told[j].Words = lie(slices.Clone(told[j].Words))
		}
		w.shuffle(told)
		wrong, err := CheckShares(w.cfg, up.Header, nil, told)
		if err != nil || !slices.Equal(wrong, []uint16{4, 8}) {
			t.Errorf("%s: %d, %v", name, wrong, err)
		}
	}
	told := slices.Clone(honest)
	for _, j := range []int{0, 3, 7} {
		told[j].Words = lies["garbage"](slices.Clone(told[j].Words))
	}
	if wrong, err := CheckShares(w.cfg, up.Header, nil, told); !errors.Is(err, ErrSharing) || wrong != nil {
		t.Errorf("three lies: %d, %v", wrong, err)
	}
	different := slices.Clone(honest) // each lies in another word: together they are as many
	for i, j := range []int{0, 3, 7} {
		different[j].Words = slices.Clone(different[j].Words)
		different[j].Words[i] ^= 1
	}
	if wrong, err := CheckShares(w.cfg, up.Header, nil, different); !errors.Is(err, ErrSharing) || wrong != nil {
		t.Errorf("three lies in three words: %d, %v", wrong, err)
	}
	strangers := append(slices.Clone(honest), CheckAnswer{Member: 0, Words: honest[0].Words}, CheckAnswer{Member: 10, Words: honest[0].Words}, CheckAnswer{Member: 1})
	if wrong, err := CheckShares(w.cfg, up.Header, nil, strangers); err != nil || wrong != nil {
		t.Errorf("answers of nobody, and a second one: %d, %v", wrong, err)
	}
}

// Rule 10: a digest has one challenge for ever. The answers are the same after repetition, in another batch and after a restart,
// and two attempts of a device never both get one.
func TestRule10_OneChallengePerUpload(t *testing.T) {
	w := newWorld(t, checkParams(), 4)
	ups := w.sealUnits()
	first := w.show(0, ups[0].Header)[0]
	if first.Reason != Accepted || len(first.Check) != w.cfg.params.CheckWords() {
		t.Fatal(first)
	}
	held := w.nodes[0].member.rounds[w.cfg.Round()].shards[0].accepted[ups[0].Header.ID].packed
	if w.show(0, ups[0].Header); &held[0] != &w.nodes[0].member.rounds[w.cfg.Round()].shards[0].accepted[ups[0].Header.ID].packed[0] {
		t.Error("a second copy of the share, and the first is never erased")
	}
	judge, err := w.nodes[0].member.Judge(w.cfg.Round())
	if err != nil {
		t.Fatal(err)
	}
	opened := judge.Open([]*MemberHeader{w.cut(ups[0].Header, 0), w.cut(w.seal(0, w.unit(0)).Header, 0)})
	copies := [][]byte{opened[0].packed, opened[1].packed}
	if _, _, err := w.nodes[0].member.Accept(w.cfg.Round(), opened); err != nil || len(held) == 0 || bytes.Equal(held, make([]byte, len(held))) {
		t.Error("the share is lost", err)
	}
	for _, b := range copies {
		if len(b) == 0 || !bytes.Equal(b, make([]byte, len(b))) {
			t.Error("a share that is not kept is not erased")
		}
	}
	for what, again := range map[string]func() []Verdict{
		"again":            func() []Verdict { return w.show(0, ups[0].Header) },
		"in another batch": func() []Verdict { return w.show(0, ups[0].Header, ups[1].Header, ups[2].Header) },
		"after a restart": func() []Verdict {
			w.nodes[0].restart(t)
			return w.show(0, ups[0].Header)
		},
	} {
		if v := again()[0]; v.Reason != Accepted || !slices.Equal(v.Check, first.Check) {
			t.Errorf("%s: %v", what, v)
		}
	}
	for _, v := range w.show(0, w.seal(0, w.unit(0)).Header) {
		if v.Reason != ReasonOtherAttempt || v.Check != nil {
			t.Errorf("a second attempt: %v", v)
		}
	}
	// The challenge depends on the upload, or one device's answers would tell of another's.
	field := w.cfg.params.shares.Field()
	a, b := make([]uint64, 8), make([]uint64, 8)
	if err := errors.Join(challenge(w.cfg.digest, ups[0].Header.Digest(), field, a), challenge(w.cfg.digest, ups[1].Header.Digest(), field, b)); err != nil || slices.Equal(a, b) {
		t.Error("two uploads share a challenge", err)
	}
}

// What a check shows is uniform whatever the key: the server interpolates the answers where the key's words sit, x = -1 and -2,
// over 1,024 sharings of one key. The values' top four bits fill 16 cells evenly: chi^2 with 15 degrees of freedom exceeds 56.5
// with probability 1e-6. Without blinds each value is the same linear form of the key every time.
func TestRule10_ChecksTellNothing(t *testing.T) {
	w := newWorld(t, checkParams(), 1)
	p := w.cfg.params
	field, n := p.shares.Field(), p.AnswerWords()
	chi := make([]uint64, n*p.CheckWords())
	if err := challenge(w.cfg.digest, Digest{1}, field, chi); err != nil {
		t.Fatal(err)
	}
	secret := mask.NewSecret(p.mask, [32]byte{1})
	var cells [16]float64
	const draws = 1024
	for i := range draws {
		var seed [32]byte
		binary.BigEndian.PutUint64(seed[:], uint64(i))
		words, err := splitKey(p, secret, seed)
		if err != nil {
			t.Fatal(err)
		}
		var answers []share.Share
		for j := range p.Need() {
			answers = append(answers, share.Share{X: j + 1, Words: checkWords(field, chi, words[j], n)})
		}
		shown, _, err := p.shares.Combine(p.CheckWords()*p.literal.Rho, answers)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range shown {
			cells[field.Of(v)>>27]++
		}
	}
	expected := float64(draws*p.CheckWords()*p.literal.Rho) / 16
	chi2 := 0.0
	for _, c := range cells {
		chi2 += (c - expected) * (c - expected) / expected
	}
	if chi2 > 56.5 {
		t.Errorf("chi^2 = %.1f", chi2)
	}
}
