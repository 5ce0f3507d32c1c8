package aggregation

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"tutti/aggregation/mask"
	"tutti/aggregation/share"
)

func TestRoundOfUnitVectors(t *testing.T) {
	w := newWorld(t, testParams(4096, 2, 40), 20)
	sum, err := w.open(w.sealUnits(), all(5), all(5), all(5))
	if err != nil {
		t.Fatal(err)
	}
	checkIndicator(t, sum, indexSet(all(20)))
}

// Every byte of an upload is what the known answers of package mask pin: the vector is Mask's under the round's seed of A,
// and the shares in the envelopes give back the key.
func TestSealIsMaskAndShares(t *testing.T) {
	w := newWorld(t, testParams(2100, 2, 40), 1)
	seeds := sealSeeds{key: Digest{1}, noise: Digest{2}, share: Digest{3}, nonce: [16]byte{4}}
	x := w.unit(0)
	up, err := w.devices[0].seal(&seeds, w.cfg, Digest{2}, x)
	if err != nil {
		t.Fatal(err)
	}
	p := w.cfg.params
	secret := mask.NewSecret(p.mask, seeds.key)
	want := make([]byte, p.VectorLen())
	if err := p.mask.Mask(want, seedA(w.cfg.Digest()), secret, seeds.noise, x); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(up.Vector, want) || up.Header.Nonce != seeds.nonce || up.Header.VecHash != HashVector(want) {
		t.Error("the vector is not Mask's, or not the one announced")
	}
	var shares []share.Share
	for j, n := range w.nodes {
		key := n.member.rounds[w.cfg.Round()].key
		words := make([]uint64, p.AnswerWords()+p.CheckWords())
		_, reason := openShare(key, envelopeInfo(w.cfg.Digest(), up.Header.ID, up.Header.Nonce, uint16(j+1)), up.Header.Envelopes[j],
			p.shares.Field(), words)
		if reason != Accepted {
			t.Fatal(reason)
		}
		shares = append(shares, share.Share{X: j + 1, Words: words[:p.AnswerWords()]})
	}
	key, _, err := p.shares.Combine(p.mask.N(), shares)
	if err != nil || !slices.Equal(key, secret.Coefficients()) {
		t.Errorf("the shares are not those of the key: %v", err)
	}
}

// T3.17: a wrong member answer is noticed as long as one answer is to spare, and corrected and named with two; without a spare
// the garbled sum is.
func TestT3_17_WrongAnswer(t *testing.T) {
	w := newWorld(t, testParams(256, 2, 20), 5)
	ups := w.sealUnits()
	w.acceptAll(all(5), ups)
	set := setOf(t, ups)
	answers := w.answers(all(5), w.certify(all(5), set))
	acc := w.sumOf(ups)
	lie := func(a Answer, j int) Answer {
		a.Words = slices.Clone(a.Words)
		a.Words[3] = (a.Words[3] + 1) % share.P
		a.sign(w.nodes[j].setup.Identity)
		return a
	}
	if sum, _, err := Unmask(w.cfg, set, acc, []Answer{lie(answers[0], 0), answers[1], answers[2], answers[3]}); !errors.Is(err, ErrInconsistent) || sum != nil {
		t.Errorf("one lie, one spare: %v", err)
	}
	if sum, _, err := Unmask(w.cfg, set, acc, []Answer{lie(answers[0], 0), answers[1], answers[2], lie(answers[3], 3), answers[4]}); !errors.Is(err, ErrGarbled) || sum != nil {
		t.Errorf("two lies that lie on a polynomial through two others, two spare: %v", err)
	}
	if sum, _, err := Unmask(w.cfg, set, acc, []Answer{lie(answers[0], 0), answers[1], answers[2]}); !errors.Is(err, ErrGarbled) || sum != nil {
		t.Errorf("one lie, none to spare: %v", err)
	}
	for liar := range 5 {
		told := slices.Clone(answers)
		told[liar] = lie(told[liar], liar)
		slices.Reverse(told)
		sum, wrong, err := Unmask(w.cfg, set, acc, told)
		if err != nil || !slices.Equal(wrong, []uint16{uint16(liar + 1)}) {
			t.Fatalf("one lie, two spare: %d named, %v", wrong, err)
		}
		checkIndicator(t, sum, indexSet(all(5)))
	}
	unsigned := answers[0]
	unsigned.Words = slices.Clone(unsigned.Words)
	unsigned.Words[0]++
	twice := []Answer{unsigned, answers[1], answers[1], answers[2]}
	if _, _, err := Unmask(w.cfg, set, acc, twice); !errors.Is(err, ErrTooFew) {
		t.Errorf("an unsigned lie and a repetition are no answers: %v", err)
	}
	sum, wrong, err := Unmask(w.cfg, set, acc, []Answer{unsigned, answers[1], answers[2], answers[4]})
	if err != nil || wrong != nil {
		t.Fatal(wrong, err)
	}
	checkIndicator(t, sum, indexSet(all(5)))
}

// A device that shares a key other than its mask's, or sends a vector that was never masked, voids the sum; it never falsifies it.
func TestGarbageUnderWellFormedSharesVoidsTheSum(t *testing.T) {
	w := newWorld(t, testParams(4096, 2, 20), 4)
	for name, vector := range map[string]func(honest []byte) []byte{
		"random":       func(h []byte) []byte { b := make([]byte, len(h)); w.random.Read(b); return b },
		"zero":         func(h []byte) []byte { return make([]byte, len(h)) },
		"never masked": func(h []byte) []byte { b := make([]byte, len(h)); b[2] = 1; return b },
	} {
		ups := w.sealUnits()
		garbage := ups[0]
		garbage.Vector = vector(garbage.Vector)
		garbage.Header.VecHash = HashVector(garbage.Vector)
		resign(garbage.Header, w.devices[0].Key)
		fresh := newWorld(t, w.literal.Params, 4) // same keys, so the same configuration
		sum, err := fresh.open(ups, all(5), all(5), all(5))
		if !errors.Is(err, ErrGarbled) || sum != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnmaskRefuses(t *testing.T) {
	w := newWorld(t, testParams(64, 3, 20), 5)
	ups := w.sealUnits()
	w.acceptAll(all(5), ups)
	set := setOf(t, ups)
	answers := w.answers(all(5), w.certify(all(5), set))
	acc := w.sumOf(ups)
	next := w.literal
	next.Round.Round++
	next.Roster = w.foreignRoster(next.Round, next.Plan)
	for name, c := range map[string]struct {
		cfg     *Config
		set     *Set
		sum     *Accumulator
		answers []Answer
		want    error
	}{
		"need - 1 answers":        {w.cfg, set, acc, answers[:2], ErrTooFew},
		"answers for another set": {w.cfg, setOf(t, ups[:4]), w.sumOf(ups[:4]), answers, ErrTooFew},
		"sum of another set":      {w.cfg, set, w.sumOf(ups[:4]), answers, ErrConfig},
		"sum of another round":    {w.cfg, set, NewAccumulator(w.config(next)), answers, ErrConfig},
		"set below NMin":          {w.cfg, setOf(t, ups[:2]), w.sumOf(ups[:2]), answers, ErrCohort},
		"sum with one exchanged":  {w.cfg, set, w.sumOf([]*Upload{ups[0], ups[1], ups[2], ups[3], ups[3]}), answers, ErrGarbled},
	} {
		if sum, _, err := Unmask(c.cfg, c.set, c.sum, c.answers); !errors.Is(err, c.want) || sum != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// T3.19: 30 % of the devices drop before, in and after their upload, a third of the members at every step, and the sum is the
// indicator of U whenever quorum and need are met: m = 16, c = 5, rho = 4, quorum 11, need 9.
func TestT3_19_Dropouts(t *testing.T) {
	params := testParams(512, 10, 60)
	params.Members, params.Corrupt, params.Rho = 16, 5, 4
	const quorum, need = 11, 9
	rng := rand.New(rand.NewPCG(3, 19))
	pick := func(from []int, n int) []int {
		list := slices.Clone(from)
		rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		return list[:n]
	}
	for _, c := range []struct {
		name                   string
		accept, signs, answers int
		certified, opened      bool
	}{
		{"nobody down", 16, 16, 16, true, true},
		{"5 members down before the shares", 11, 11, 11, true, true},
		{"5 down at the signatures", 16, 11, 16, true, true},
		{"5 down after signing", 16, 16, 11, true, true},
		{"5 down, then 2 more", 11, 11, 9, true, true},
		{"exactly quorum, exactly need", quorum, quorum, need, true, true},
		{"quorum - 1", quorum, quorum - 1, need, false, false},
		{"need - 1", quorum, quorum, need - 1, true, false},
	} {
		w := newWorld(t, params, 24)
		counted, ups := dropDevices(w, rng)
		accept := pick(all(16), c.accept)
		w.acceptAll(accept, ups)
		set := setOf(t, ups)
		var sigs []SetSignature
		for _, j := range pick(accept, c.signs) {
			sig, err := w.sign(j, set)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			sigs = append(sigs, sig)
		}
		cert, err := Certify(w.cfg, set, sigs)
		if (err == nil) != c.certified {
			t.Errorf("%s: certificate: %v", c.name, err)
		}
		if err != nil {
			continue
		}
		sum, _, err := Unmask(w.cfg, set, w.sumOf(ups), w.answers(pick(accept, c.answers), cert))
		if (err == nil) != c.opened {
			t.Errorf("%s: unmask: %v", c.name, err)
		}
		if err == nil {
			checkIndicator(t, sum, counted)
		}
	}
}

// dropDevices lets 30 % of the devices drop: before the upload, in the middle of the vector, and after it but before the members
// saw them; it returns who is left and their uploads.
func dropDevices(w *world, rng *rand.Rand) (map[int]bool, []*Upload) {
	counted := map[int]bool{}
	var ups []*Upload
	for i := range w.devices {
		fate := 3
		if rng.IntN(10) < 3 {
			fate = rng.IntN(3)
		}
		if fate == 0 {
			continue
		}
		up := w.seal(i, w.unit(i))
		if fate == 1 {
			check := NewVectorCheck(w.cfg, up.Header)
			if _, err := check.Write(up.Vector[:len(up.Vector)/2]); err != nil || check.Close() == nil {
				w.t.Errorf("half a vector passes (%v)", err)
			}
			continue
		}
		if fate == 2 {
			continue
		}
		counted[i] = true
		ups = append(ups, up)
	}
	return counted, ups
}

// Rule 8: partial sums are exact under any order of adding, taking out, merging, storing and loading.
func TestRule8_PartialSumsAreExact(t *testing.T) {
	w := newWorld(t, testParams(301, 2, 100), 8)
	ups := w.sealUnits()
	direct := w.sumOf(ups[2:])
	left, right := w.sumOf(ups[:5]), w.sumOf(ups[5:])
	for _, up := range ups[:2] {
		if err := left.Sub(up.Vector); err != nil {
			t.Fatal(err)
		}
	}
	reload := func(a *Accumulator) *Accumulator {
		again, err := ParseAccumulator(w.cfg, a.Marshal())
		if err != nil {
			t.Fatal(err)
		}
		return again
	}
	total := reload(left)
	if err := total.Merge(reload(right)); err != nil {
		t.Fatal(err)
	}
	if total.Count() != 6 || !bytes.Equal(total.Marshal(), direct.Marshal()) {
		t.Error("the merged partial sums are not the direct sum")
	}
	next := w.literal
	next.Round.Round++
	next.Roster = w.foreignRoster(next.Round, next.Plan)
	if err := total.Merge(NewAccumulator(w.config(next))); !errors.Is(err, ErrConfig) {
		t.Errorf("merging another round: %v", err)
	}
	if _, err := ParseAccumulator(w.config(next), total.Marshal()); !errors.Is(err, ErrEncoding) {
		t.Errorf("loading another round: %v", err)
	}
	if err := total.Add(ups[0].Vector[1:]); !errors.Is(err, ErrVector) || total.Count() != 6 {
		t.Errorf("a short vector: %v", err)
	}
	if err := NewAccumulator(w.cfg).Sub(ups[0].Vector); !errors.Is(err, ErrCohort) {
		t.Errorf("taking out of nothing: %v", err)
	}
	full := NewAccumulator(w.cfg)
	for range 100 {
		if err := full.Add(ups[0].Vector); err != nil {
			t.Fatal(err)
		}
	}
	if err := full.Add(ups[0].Vector); !errors.Is(err, ErrCohort) { // T3.20: n_max + 1
		t.Errorf("n_max + 1: %v", err)
	}
	if err := full.Merge(direct); !errors.Is(err, ErrCohort) {
		t.Errorf("n_max + 6: %v", err)
	}
}

// Inputs at both ends of the bound, n_max devices, through the whole protocol.
func TestT3_20_FullRoundAtTheBound(t *testing.T) {
	params := testParams(16, 2, 8)
	params.Bound = 1<<26 - 1 // 8 devices: 2^29 - 8
	w := newWorld(t, params, 8)
	var ups []*Upload
	for i := range 8 {
		x := make([]int32, 16)
		for j := range x {
			x[j] = int32(params.Bound) * int32(1-2*(j%2))
		}
		ups = append(ups, w.seal(i, x))
	}
	sum, err := w.open(ups, all(5), all(5), all(5))
	if err != nil {
		t.Fatal(err)
	}
	for j, v := range sum {
		if v != 8*params.Bound*int64(1-2*(j%2)) {
			t.Fatalf("coordinate %d: %d", j, v)
		}
	}
}

// Nothing that holds a secret prints or encodes it.
func TestSecretsHaveNoText(t *testing.T) {
	w := newWorld(t, testParams(8, 2, 4), 1)
	n := w.nodes[0]
	key := n.store[recordKey(kindKey, w.cfg.Round())]
	record := Record{Key: recordKey(kindKey, w.cfg.Round()), Value: key}
	for _, v := range []any{*w.devices[0], w.devices[0], n.setup, n.member, record, &record, []Record{record}} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
			text := fmt.Sprintf(format, v)
			for _, secret := range [][]byte{key, w.devices[0].Key, n.setup.Identity} {
				if bytes.Contains([]byte(text), secret[len(secret)-8:]) || bytes.Contains([]byte(text), fmt.Appendf(nil, "%x", secret[len(secret)-8:])) ||
					bytes.Contains([]byte(text), fmt.Appendf(nil, "%d", secret[len(secret)-4:])[1:]) {
					t.Errorf("%T as %s shows a secret: %.80s", v, format, text)
				}
			}
		}
		if b, err := marshalJSON(v); err == nil {
			t.Errorf("%T as JSON: %s", v, b)
		}
		if err := encodeGob(v); err == nil {
			t.Errorf("%T as gob", v)
		}
	}
}
