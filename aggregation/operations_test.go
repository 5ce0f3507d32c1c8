package aggregation

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// stage is what a lying server has in hand against one member: two lists of keys, two configurations of each of two shards, and
// for each shard headers, sets and certificates with the signatures of everybody else.
type stage struct {
	w      *world
	id     RoundID
	lists  [][]RoundKey
	shards []*shardStage
}

// shardStage is one shard of the round split in two; resplit is the shard of the same number of the round split in three.
type shardStage struct {
	cfg, other *Config // other: the same shard from another base version
	headers    []*MemberHeader
	sets       []*Set
	certs      []*Certificate
	resplit    *shardStage
}

func newStage(t *testing.T) *stage {
	w := newCast(t, testParams(16, 2, 10), 14, SuiteX25519, 2, EveryDevice)
	st := &stage{w: w, id: w.cfg.Round(), lists: [][]RoundKey{keysOf(w.literal.Roster), keysOf(w.literal.Roster)}}
	st.lists[1][2] = w.foreignRoster(st.id, w.literal.Plan)[2].Key
	three := w.literal
	three.Groups = 3
	for k := range uint32(2) {
		s := newShardStage(w, w.literal, k)
		s.resplit = newShardStage(w, three, k)
		st.shards = append(st.shards, s)
	}
	return st
}

func newShardStage(w *world, l ConfigLiteral, k uint32) *shardStage {
	l.Round.Shard = k
	s := &shardStage{cfg: w.config(l)}
	l.Bases = []Digest{{77}}
	s.other = w.config(l)
	in := w.in(s.cfg)
	ups := in.sealShard()
	second := in.force(in.deviceOf(ups[0].Header.ID), s.cfg) // another attempt of the first device
	for _, h := range append(headersOf(ups), second) {
		s.headers = append(s.headers, in.cut(h, 0))
	}
	last := ups[len(ups)-1]
	s.sets = []*Set{setOf(w.t, ups), setOf(w.t, ups[1:]), setOf(w.t, ups[:len(ups)-1]), setOf(w.t, []*Upload{{Header: second}, last})}
	for _, set := range s.sets { // a server with a quorum of corrupt members could make these: the member must still keep to one
		s.certs = append(s.certs, &Certificate{Cfg: s.cfg.Digest(), Set: set, Signatures: in.forgeQuorum(set)})
	}
	return s
}

// listsVariable asks for another number of operation lists than a test's own.
const listsVariable = "TUTTI_OPERATION_LISTS"

// operationLists is how many lists a test plays: their seeds count from 0.
func operationLists(t *testing.T, standard uint64) uint64 {
	t.Helper()
	v := os.Getenv(listsVariable)
	if v == "" {
		return standard
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", listsVariable, err)
	}
	return n
}

func (w *world) deviceOf(id DeviceID) int {
	return slices.IndexFunc(w.devices, func(c *Client) bool { return IDOf(publicOf(c.Key)) == id })
}

func headersOf(ups []*Upload) (list []*Header) {
	for _, up := range ups {
		list = append(list, up.Header)
	}
	return list
}

// TestMemberOperationLists drives one member by random lists of operations, restarts among them, and a lying server; whatever
// happens it shows its coin for one list of keys, begins one configuration of a shard, accepts one attempt of a device and answers
// one check on it, signs at most one set of a shard, never a set and an abandonment, answers one set only, helps with the sets of one
// split of the round only, so that no device is in two, and repeats itself byte for byte. A list is its seed: a failing one is
// frozen by adding the seed to the loop.
func TestMemberOperationLists(t *testing.T) {
	st := newStage(t)
	key := recordKey(kindKey, st.id)
	start := map[string][]byte{key: st.w.nodes[0].store[key]} // the round is opened, nothing was shown
	reached := map[string]int{}
	for seed := range operationLists(t, 200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		n := &node{setup: st.w.nodes[0].setup, store: cloneStore(start)}
		n.restart(t)
		promises := map[string][]byte{}
		promise := func(kind string, b []byte) {
			if before, ok := promises[kind]; ok && !bytes.Equal(before, b) {
				t.Fatalf("seed %d: two different %s", seed, kind)
			}
			promises[kind] = bytes.Clone(b)
			reached[strings.Fields(kind)[0]]++
		}
		for range 80 {
			st.operate(t, n, rng, promise)
		}
		for k := range st.shards {
			_, set := promises[fmt.Sprint("set ", k)]
			if _, abandoned := promises[fmt.Sprint("abandonment ", k)]; abandoned && set {
				t.Fatalf("seed %d, shard %d: abandoned, and signed or answered", seed, k)
			}
		}
	}
	for _, kind := range []string{"list", "coin", "configuration", "acceptance", "check", "signature", "set", "answer", "abandonment"} {
		if reached[kind] < 20 {
			t.Errorf("only %d times %s: the lists do not get anywhere", reached[kind], kind)
		}
	}
}

// forgeQuorum signs a set with the identities of members 2 to 5.
func (w *world) forgeQuorum(s *Set) []SetSignature {
	var sigs []SetSignature
	d := s.Digest(w.cfg.Digest())
	for _, n := range w.nodes[1:] {
		sigs = append(sigs, SetSignature{Member: n.setup.Index, SetDigest: d,
			Signature: signDigest(n.setup.Identity, labelSign, signedSetDigest(w.cfg, d))})
	}
	return sigs
}

// operate does one random thing to the node and records what it promised.
func (st *stage) operate(t *testing.T, n *node, rng *rand.Rand, promise func(string, []byte)) {
	k := rng.IntN(len(st.shards))
	s := st.shards[k]
	if rng.IntN(16) == 0 {
		s = s.resplit
	}
	id := s.cfg.Round()
	in := func(kind string) string { return fmt.Sprint(kind, " ", k) }
	var records []Record
	var err error
	set := min(rng.IntN(len(s.sets)), rng.IntN(len(s.sets))) // the first is the likeliest, or no list would get to a release
	switch op := rng.IntN(18); op {
	case 0:
		n.restart(t)
	case 1:
		var sig AbandonSignature
		if rng.IntN(6) == 0 { // rare, or no list would get anywhere
			if sig, records, err = n.member.Abandon(id); err == nil {
				promise(in("abandonment"), sig.Signature)
			}
		}
	case 2, 3:
		var sig SetSignature
		if sig, records, err = n.member.Sign(id, &Proposal{Cfg: s.cfg.Digest(), Set: s.sets[set]}); err == nil {
			promise(in("signature"), append(sig.SetDigest[:], sig.Signature...))
			promise(in("set"), sig.SetDigest[:])
			promise("split", []byte{byte(s.cfg.Groups())})
		}
	case 4, 16, 17:
		var answer *Answer
		if answer, records, err = n.member.Release(id, s.certs[set]); err == nil {
			promise(in("answer"), answer.Marshal())
			promise(in("set"), answer.SetDigest[:])
			promise("split", []byte{byte(s.cfg.Groups())})
		}
	case 5, 6:
		cfg := s.cfg
		if rng.IntN(8) == 0 {
			cfg = s.other
		}
		if records, err = n.member.Begin(cfg); err == nil {
			d := cfg.Digest()
			promise(in("configuration"), d[:])
		}
	case 7:
		list := min(rng.IntN(6), 1) ^ 1 // the second list one time in six
		var coin [32]byte
		if coin, records, err = n.member.Reveal(st.id, st.lists[list]); err == nil {
			promise("coin", coin[:])
			promise("list", []byte{byte(list)})
		}
	case 8:
		var key RoundKey
		if key, records, err = n.member.OpenRound(st.w.random, st.id, st.w.literal.Plan, st.w.suite); err == nil {
			promise("key", append(key.Public, key.Signature...))
		}
	default:
		from := rng.IntN(len(s.headers))
		var verdicts []Verdict
		verdicts, records, err = n.judge(id, s.headers[from:from+rng.IntN(len(s.headers)-from)+1]...)
		for _, v := range verdicts {
			if v.Reason == Accepted {
				in := fmt.Sprint(" of ", v.Entry.ID, " split in ", s.cfg.Groups()) // once its shard is abandoned, the round may be split anew
				promise("acceptance"+in, v.Entry.Digest[:])
				promise("check"+in, fmt.Append(nil, v.Check))
			}
		}
	}
	var refusal Refusal
	if err != nil && !errors.As(err, &refusal) {
		t.Fatalf("not a refusal: %v", err)
	}
	if err != nil && records != nil {
		t.Fatalf("a refusal with records: %v", err)
	}
	n.write(records)
}

// TestRoundOperationLists plays whole rounds by their seeds: device i submits e_i, some devices share garbage with one member or
// with all, one member lies in checks or in its answer, members restart at any time, and the server follows rule 8. The sum is the
// 0/1 indicator of U, and U holds every honest device.
func TestRoundOperationLists(t *testing.T) {
	for seed := range operationLists(t, 25) {
		rng := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t, testParams(16, 2, 20), 12)
		liar := rng.IntN(5)
		pestered := func() { // any member may lose its memory at any time
			if rng.IntN(4) == 0 {
				w.nodes[rng.IntN(5)].restart(t)
			}
		}
		var kept []*Upload
		counted := map[int]bool{}
		for i, up := range w.sealUnits() {
			cheat := rng.IntN(6)
			if cheat < 2 {
				at := rng.IntN(5) + 1
				w.reshare(up, i, func(m int, words []uint64) {
					if cheat == 0 || m == at {
						w.garbage(words)
					}
				})
			}
			pestered()
			answers := w.checks(up.Header, rng.Perm(5))
			if rng.IntN(2) == 0 && cheat >= 2 { // a lie about a cheat may be one too many to name anybody
				at := slices.IndexFunc(answers, func(a CheckAnswer) bool { return int(a.Member) == liar+1 })
				answers[at].Words = slices.Clone(answers[at].Words)
				w.garbage(answers[at].Words)
			}
			wrong, err := CheckShares(w.cfg, up.Header, nil, answers)
			switch {
			case cheat >= 2 && (err != nil || len(wrong) > 1 || len(wrong) == 1 && wrong[0] != uint16(liar+1)):
				t.Fatalf("seed %d: honest device %d: %d, %v", seed, i, wrong, err)
			case cheat < 2 && err == nil && len(wrong) == 0:
				t.Fatalf("seed %d: device %d passes with garbage", seed, i)
			case cheat >= 2:
				kept, counted[i] = append(kept, up), true
			}
		}
		set := setOf(t, kept)
		pestered()
		cert := w.certify(all(5), set)
		pestered()
		for j := range w.nodes {
			if len(w.nodes[j].member.Missing(w.cfg.Round(), set)) > 0 {
				w.acceptAll([]int{j}, kept)
			}
		}
		answers := w.answers(rng.Perm(5), cert)
		at := slices.IndexFunc(answers, func(a Answer) bool { return int(a.Member) == liar+1 })
		w.garbage(answers[at].Words)
		answers[at].sign(w.nodes[liar].setup.Identity)
		sum, wrong, err := Unmask(w.cfg, set, w.sumOf(kept), answers)
		if err != nil || !slices.Equal(wrong, []uint16{uint16(liar + 1)}) {
			t.Fatalf("seed %d: %d named, %v", seed, wrong, err)
		}
		checkIndicator(t, sum, counted)
	}
}
