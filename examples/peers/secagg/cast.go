package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"tutti/aggregation"
	"tutti/aggregation/mask"
)

// The committee of every measurement: m = 9 members, c = 2 of them corrupt, rho = 2; a quorum is 6, four answers determine the sum.
const (
	members = 9
	corrupt = 2
	rho     = 2
)

// variant is one choice of ours: a ring, and what seals the envelopes.
type variant struct {
	profile mask.Profile
	suite   aggregation.Suite
}

func (v variant) String() string {
	name := map[mask.Profile]string{mask.Standard: "standard", mask.High: "high", mask.Paired: "paired"}[v.profile]
	return name + ", " + v.suite.String()
}

// cast is a round that has begun: enrolled devices, a committee, a configuration.
type cast struct {
	cfg      *aggregation.Config
	id       aggregation.RoundID
	base     aggregation.Digest
	pins     aggregation.Pins
	enrolled *aggregation.Enrolled
	members  []*aggregation.Member
}

// signer is the key of something with a name and a number.
func signer(what string, n int) ed25519.PrivateKey {
	seed := sha256.Sum256(binary.LittleEndian.AppendUint64([]byte(what), uint64(n)))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

// newCast begins a round of dim coordinates for devices, through the members' own machines.
func newCast(dim, devices int, v variant) (*cast, error) {
	enroller := signer("enroller", 0)
	c := &cast{id: aggregation.RoundID{Task: "peers", Round: 1}, base: aggregation.Digest{8}, pins: aggregation.Pins{Enroller: public(enroller)}}
	plan := aggregation.Digest{7}
	for j := range members {
		c.pins.Roster = append(c.pins.Roster, public(signer("member", j)))
	}
	ids := make([]aggregation.DeviceID, devices)
	for i := range ids {
		ids[i] = aggregation.IDOf(public(signer("device", i)))
	}
	var err error
	if c.enrolled, err = aggregation.NewEnrolled(ids); err != nil {
		return nil, err
	}
	roster, err := c.openRound(plan, v.suite)
	if err != nil {
		return nil, err
	}
	c.cfg, err = aggregation.NewConfig(aggregation.ConfigLiteral{
		Round: c.id, Plan: plan, Bases: []aggregation.Digest{c.base}, Enroller: c.pins.Enroller, Roster: roster,
		Population: c.enrolled.Sign(enroller, c.id.Task), Threshold: aggregation.EveryDevice, Groups: 1,
		Params: aggregation.ParamsLiteral{Dim: dim, Bound: inputBound, NMin: 2, NMax: maxDevices, Members: members, Corrupt: corrupt, Rho: rho,
			Profile: v.profile},
	})
	if err != nil {
		return nil, err
	}
	for _, m := range c.members {
		if _, err := m.Begin(c.cfg); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// openRound makes the members and lets them agree on their keys and coins of the round.
func (c *cast) openRound(plan aggregation.Digest, suite aggregation.Suite) (roster []aggregation.MemberKey, err error) {
	var keys []aggregation.RoundKey
	for j := range members {
		m, err := aggregation.NewMember(aggregation.MemberSetup{Identity: signer("member", j), Index: uint16(j + 1), Pins: c.pins, Floor: 2})
		if err != nil {
			return nil, err
		}
		key, _, err := m.OpenRound(rand.Reader, c.id, plan, suite)
		if err != nil {
			return nil, err
		}
		c.members, keys = append(c.members, m), append(keys, key)
	}
	for j, m := range c.members {
		coin, _, err := m.Reveal(c.id, keys)
		if err != nil {
			return nil, err
		}
		roster = append(roster, aggregation.MemberKey{Index: uint16(j + 1), Identity: c.pins.Roster[j], Key: keys[j], Coin: coin})
	}
	return roster, nil
}

// seal is what device i sends.
func (c *cast) seal(i int, x []int32) (*aggregation.Upload, error) {
	device := aggregation.Client{Key: signer("device", i), Pins: c.pins}
	return device.Seal(rand.Reader, c.cfg, c.base, x, inputBound)
}

func (c *cast) path(id aggregation.DeviceID) (aggregation.EnrolmentPath, error) {
	path, ok := c.enrolled.Path(id)
	if !ok {
		return path, fmt.Errorf("device %x is not enrolled", id)
	}
	return path, nil
}

// close lets the given members sign the set and release their answers.
func (c *cast) close(set *aggregation.Set, present []int) ([]aggregation.Answer, error) {
	var signatures []aggregation.SetSignature
	for _, j := range present {
		s, _, err := c.members[j].Sign(c.id, &aggregation.Proposal{Cfg: c.cfg.Digest(), Set: set})
		if err != nil {
			return nil, fmt.Errorf("member %d: %w", j+1, err)
		}
		signatures = append(signatures, s)
	}
	certificate, err := aggregation.Certify(c.cfg, set, signatures)
	if err != nil {
		return nil, err
	}
	var answers []aggregation.Answer
	for _, j := range present {
		a, _, err := c.members[j].Release(c.id, certificate)
		if err != nil {
			return nil, fmt.Errorf("member %d: %w", j+1, err)
		}
		answers = append(answers, *a)
	}
	return answers, nil
}

// everyone is all members.
func everyone() (all []int) {
	for j := range members {
		all = append(all, j)
	}
	return all
}
