package aggregation_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"

	"tutti/aggregation"
)

// key stands for a key from crypto/rand.
func key(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A whole round: five members, three devices, one sum. A shell writes the records that members return before it sends anything.
func Example() {
	enroller := key(1)
	pins := aggregation.Pins{Enroller: public(enroller)}
	for j := range byte(5) {
		pins.Roster = append(pins.Roster, public(key(10+j)))
	}
	id := aggregation.RoundID{Task: "demo", Round: 1}
	plan, base := aggregation.Digest{7}, aggregation.Digest{8}

	// The enroller signs who may take part. The members make their keys of the round, see each other's, and show their coins;
	// the server puts all of it into the configuration; the members begin.
	var ids []aggregation.DeviceID
	for i := range byte(3) {
		ids = append(ids, aggregation.IDOf(public(key(30+i))))
	}
	enrolled := must(aggregation.NewEnrolled(ids))
	var members []*aggregation.Member
	var keys []aggregation.RoundKey
	for j := range pins.Roster {
		m := must(aggregation.NewMember(aggregation.MemberSetup{Identity: key(10 + byte(j)), Index: uint16(j + 1), Pins: pins, Floor: 2}))
		roundKey, _, err := m.OpenRound(bytes.NewReader(bytes.Repeat([]byte{20 + byte(j)}, 32)), id, plan, aggregation.SuiteMLKEM768X25519)
		if err != nil {
			panic(err)
		}
		members = append(members, m)
		keys = append(keys, roundKey)
	}
	var roster []aggregation.MemberKey
	for j, m := range members {
		coin, _, err := m.Reveal(id, keys)
		if err != nil {
			panic(err)
		}
		roster = append(roster, aggregation.MemberKey{Index: uint16(j + 1), Identity: pins.Roster[j], Key: keys[j], Coin: coin})
	}
	cfg := must(aggregation.NewConfig(aggregation.ConfigLiteral{
		Round: id, Plan: plan, Bases: []aggregation.Digest{base}, Enroller: pins.Enroller, Roster: roster,
		Population: enrolled.Sign(enroller, id.Task), Threshold: aggregation.EveryDevice, Groups: 1,
		Params: aggregation.ParamsLiteral{Dim: 4, Bound: 100, NMin: 3, NMax: 10, Members: 5, Corrupt: 1, Rho: 2},
	}))
	for _, m := range members {
		must(m.Begin(cfg))
	}

	// Every device seals once; the server verifies, shows each member its cut of the headers, and adds the vectors.
	sum := aggregation.NewAccumulator(cfg)
	var entries []aggregation.Entry
	for i := range byte(3) {
		device := key(30 + i)
		client := aggregation.Client{Key: device, Pins: pins}
		random := bytes.NewReader(bytes.Repeat([]byte{40 + i}, 112)) // crypto/rand on a device
		up := must(client.Seal(random, cfg, base, []int32{1, int32(i), -100, 0}, 100))
		path, _ := enrolled.Path(up.Header.ID)
		if err := aggregation.VerifyHeader(cfg, up.Header, path); err != nil {
			panic(err)
		}
		if err := aggregation.VerifyVector(cfg, up.Header, up.Vector); err != nil {
			panic(err)
		}
		var checks []aggregation.CheckAnswer
		for j, m := range members {
			judge := must(m.Judge(id)) // its Open may run elsewhere, and on many cores
			opened := judge.Open([]*aggregation.MemberHeader{must(up.Header.ForMember(uint16(j+1), path))})
			verdicts, _, err := m.Accept(id, opened)
			if err != nil || verdicts[0].Reason != aggregation.Accepted {
				panic(fmt.Sprint(verdicts, err))
			}
			checks = append(checks, aggregation.CheckAnswer{Member: uint16(j + 1), Words: verdicts[0].Check})
		}
		if wrong, err := aggregation.CheckShares(cfg, up.Header, nil, checks); err != nil || wrong != nil {
			panic(fmt.Sprint(wrong, err))
		}
		if err := sum.Add(up.Vector); err != nil {
			panic(err)
		}
		entries = append(entries, up.Header.Entry())
	}

	// One set, a quorum of signatures, one release, one sum.
	set := must(aggregation.NewSet(entries))
	var signatures []aggregation.SetSignature
	for _, m := range members[:4] { // the fifth is down
		signature, _, err := m.Sign(id, &aggregation.Proposal{Cfg: cfg.Digest(), Set: set})
		if err != nil {
			panic(err)
		}
		signatures = append(signatures, signature)
	}
	certificate := must(aggregation.Certify(cfg, set, signatures))
	var answers []aggregation.Answer
	for _, m := range members[:4] {
		answer, _, err := m.Release(id, certificate)
		if err != nil {
			panic(err)
		}
		answers = append(answers, *answer)
	}
	fmt.Println(aggregation.Unmask(cfg, set, sum, answers))

	// There is no second one.
	smaller := must(aggregation.NewSet(entries[:2]))
	_, _, err := members[0].Sign(id, &aggregation.Proposal{Cfg: cfg.Digest(), Set: smaller})
	fmt.Println(err)
	// Output:
	// [3 3 -300 0] [] <nil>
	// aggregation: member refuses: other_set
}
