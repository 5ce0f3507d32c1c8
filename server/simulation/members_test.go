package simulation

import (
	"bytes"
	"crypto/ed25519"
	"math/rand/v2"
	"slices"
	"testing"

	"tutti/aggregation"
	"tutti/server/round"
	"tutti/server/store"
)

// committeeOfBoth is a committee of the real members beside one of models, with the same devices.
type committeeOfBoth struct {
	t       *testing.T
	w       *world
	key     store.Key
	cfg     *aggregation.Config
	id      aggregation.RoundID
	real    []*aggregation.Member
	headers []*aggregation.Header
	path    func(aggregation.DeviceID) aggregation.EnrolmentPath
	keys    [2][]aggregation.RoundKey // the list of the round, and another one
}

func edKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func edPublic(n byte) ed25519.PublicKey { return edKey(n).Public().(ed25519.PublicKey) }

func (b *committeeOfBoth) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

const both = 4 // devices

func newBoth(t *testing.T) *committeeOfBoth {
	w := &world{s: Schedule{Seed: 1, Devices: both, Groups: 1, Min: 2, Max: both, Liar: -1}, rng: rand.New(rand.NewPCG(1, 1)), uploads: map[[32]byte]*sealed{}, task: "both"}
	w.check = newChecker(w)
	w.makeDevices()
	for _, d := range w.devices {
		d.bad, d.skew = nil, nil
	}
	b := &committeeOfBoth{t: t, w: w, key: store.Key{Task: "both", Round: 1}, id: aggregation.RoundID{Task: "both", Round: 1}}
	pins := aggregation.Pins{Enroller: edPublic(1)}
	for j := range byte(members) {
		pins.Roster = append(pins.Roster, edPublic(10+j))
	}
	for j := range byte(members) {
		w.members = append(w.members, &member{w: w, index: int(j), rounds: map[uint64]*memberRound{}, groups: map[store.Key]*memberGroup{}})
		m, err := aggregation.NewMember(aggregation.MemberSetup{Identity: edKey(10 + j), Index: uint16(j + 1), Pins: pins, Floor: 2})
		b.must(err)
		key, _, err := m.OpenRound(bytes.NewReader(bytes.Repeat([]byte{20 + j}, 32)), b.id, aggregation.Digest{7}, aggregation.SuiteMLKEM768X25519)
		b.must(err)
		b.real, b.keys[0] = append(b.real, m), append(b.keys[0], key)
	}
	twin, err := aggregation.NewMember(aggregation.MemberSetup{Identity: edKey(14), Index: 5, Pins: pins, Floor: 2})
	b.must(err)
	second, _, err := twin.OpenRound(bytes.NewReader(bytes.Repeat([]byte{99}, 32)), b.id, aggregation.Digest{7}, aggregation.SuiteMLKEM768X25519)
	b.must(err)
	b.keys[1] = append(slices.Clone(b.keys[0][:4]), second)
	b.configure(pins)
	return b
}

// configure begins the round at every real member and seals the devices' uploads.
func (b *committeeOfBoth) configure(pins aggregation.Pins) {
	var roster []aggregation.MemberKey
	for j, m := range b.real {
		coin, _, err := m.Reveal(b.id, b.keys[0])
		b.must(err)
		b.w.members[j].answer(request{Request: round.Request{Member: j, Ask: round.AskReveal}, key: b.key, keys: "0"})
		roster = append(roster, aggregation.MemberKey{Index: uint16(j + 1), Identity: pins.Roster[j], Key: b.keys[0][j], Coin: coin})
	}
	var ids []aggregation.DeviceID
	for i := range byte(both) {
		ids = append(ids, aggregation.IDOf(edPublic(30+i)))
	}
	enrolled, err := aggregation.NewEnrolled(ids)
	b.must(err)
	b.cfg, err = aggregation.NewConfig(aggregation.ConfigLiteral{
		Round: b.id, Plan: aggregation.Digest{7}, Bases: []aggregation.Digest{{8}}, Enroller: pins.Enroller, Roster: roster,
		Population: enrolled.Sign(edKey(1), b.id.Task), Threshold: aggregation.EveryDevice, Groups: 1,
		Params: aggregation.ParamsLiteral{Dim: 4, Bound: 100, NMin: 2, NMax: both, Members: members, Corrupt: 1, Rho: 2},
	})
	b.must(err)
	for _, m := range b.real {
		_, err := m.Begin(b.cfg)
		b.must(err)
	}
	b.path = func(id aggregation.DeviceID) aggregation.EnrolmentPath { p, _ := enrolled.Path(id); return p }
	for i := range byte(both) {
		client := aggregation.Client{Key: edKey(30 + i), Pins: pins}
		up, err := client.Seal(bytes.NewReader(bytes.Repeat([]byte{40 + i}, 112)), b.cfg, aggregation.Digest{8}, []int32{1, 0, 0, 0}, 100)
		b.must(err)
		b.headers = append(b.headers, up.Header)
	}
}

// judge shows both the same uploads, and says whether they accept the same ones.
func (b *committeeOfBoth) judge(j int, which []int) (real, model []bool) {
	q := request{Request: round.Request{Member: j, Ask: round.AskJudge}, key: b.key}
	var hs []*aggregation.MemberHeader
	for _, i := range which {
		h, err := b.headers[i].ForMember(uint16(j+1), b.path(b.headers[i].ID))
		b.must(err)
		hs = append(hs, h)
		d := b.w.devices[i]
		q.IDs, q.headers = append(q.IDs, d.id), append(q.headers, d.seal(1, 0).header)
	}
	real = make([]bool, len(which))
	if judge, err := b.real[j].Judge(b.id); err == nil {
		if verdicts, _, err := b.real[j].Accept(b.id, judge.Open(hs)); err == nil {
			for i, v := range verdicts {
				real[i] = v.Reason == aggregation.Accepted
			}
		}
	}
	return real, b.w.members[j].answer(q).(round.Judged).Accepted
}

func (b *committeeOfBoth) sets(which []int) (*aggregation.Set, []round.Upload) {
	var entries []aggregation.Entry
	var ups []round.Upload
	for _, i := range which {
		entries = append(entries, b.headers[i].Entry())
		d := b.w.devices[i]
		ups = append(ups, round.Upload{ID: d.id, Digest: d.seal(1, 0).digest})
	}
	set, err := aggregation.NewSet(entries)
	b.must(err)
	return set, ups
}

// agrees says whether a model's answer is a refusal exactly if the real member refuses.
func agrees(err error, in round.Input) bool {
	_, refuses := in.(round.Failed)
	return refuses == (err != nil)
}

// TestMembersKeepTheSamePromises asks a real member and its model the same questions, in any order and repeatedly: what one
// refuses the other refuses.
func TestMembersKeepTheSamePromises(t *testing.T) {
	asked := map[string][2]int{} // by question: how often answered, and refused
	for seed := range uint64(25) {
		rng := rand.New(rand.NewPCG(seed, 3))
		b := newBoth(t)
		note := func(what string, err error, in round.Input) {
			n := asked[what]
			n[map[bool]int{true: 1}[err != nil]]++
			if asked[what] = n; !agrees(err, in) {
				t.Fatalf("seed %d, %s: the member says %v, its model %T", seed, what, err, in)
			}
		}
		cut := func() []int {
			return pick(rng, []int{0, 1, 2, 3}, []int{0, 1, 2}, []int{1, 2, 3}, []int{0, 1}, []int{3})
		}
		full, ups := b.sets([]int{0, 1, 2})
		var signatures []aggregation.SetSignature
		for step := range 40 {
			j := rng.IntN(members)
			m, model := b.real[j], b.w.members[j]
			ask := func(a round.Ask, set []round.Upload, certified int, keys string) round.Input {
				b.w.check = newChecker(b.w) // what the server may ask is not the question here
				return model.answer(request{Request: round.Request{Member: j, Ask: a}, key: b.key, set: set, certified: certified, keys: keys})
			}
			switch kind := rng.IntN(12); {
			case step < 8 || kind < 4:
				which := cut()
				if real, model := b.judge(j, which); !slices.Equal(real, model) {
					t.Fatalf("seed %d: of %v member %d accepts %v, its model %v", seed, which, j, real, model)
				}
			case kind < 8:
				which := pick(rng, []int{0, 1, 2}, []int{0, 1, 2}, []int{0, 1, 2}, cut())
				set, entries := b.sets(which)
				s, _, err := m.Sign(b.id, &aggregation.Proposal{Cfg: b.cfg.Digest(), Set: set})
				note("sign", err, ask(round.AskSign, entries, 0, ""))
				if err == nil && len(which) == 3 && which[0] == 0 && !slices.ContainsFunc(signatures, func(x aggregation.SetSignature) bool { return x.Member == s.Member }) {
					signatures = append(signatures, s)
				}
			case kind == 8 && step > 20:
				_, _, err := m.Abandon(b.id)
				note("abandon", err, ask(round.AskAbandon, nil, 0, ""))
			case kind == 9:
				list := rng.IntN(2)
				_, _, err := m.Reveal(b.id, b.keys[list])
				note("reveal", err, ask(round.AskReveal, nil, 0, []string{"0", "1"}[list]))
			case kind >= 10:
				c := &aggregation.Certificate{Cfg: b.cfg.Digest(), Set: full, Signatures: slices.Clone(signatures)}
				slices.SortFunc(c.Signatures, func(x, y aggregation.SetSignature) int { return int(x.Member) - int(y.Member) })
				_, _, err := m.Release(b.id, c)
				note("release", err, ask(round.AskRelease, ups, len(signatures), ""))
			}
		}
	}
	t.Log(asked)
	for _, what := range []string{"sign", "abandon", "reveal", "release"} {
		if n := asked[what]; n[0] < 5 || n[1] < 5 {
			t.Errorf("%s was answered %d times and refused %d times", what, n[0], n[1])
		}
	}
}
