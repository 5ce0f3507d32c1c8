package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"tutti/aggregation"
	"tutti/privacy/audit"
)

// maskedCanaries is how many canaries go through the masks: enough to compare every coordinate.
const maskedCanaries = 20

// checkMasked puts the vectors of a small canary run through the secure sum, masks, committee and all, and compares what it
// opens with the integer sum that stands for it in the audit.
func checkMasked(ctx context.Context, u *ui, c auditClaim) error {
	small, err := audit.NewTest(c.test.Rho(), c.test.Delta, maskedCanaries, 1, c.test.Seed)
	if err != nil {
		return err
	}
	params, err := small.Plan.Params(small.Seed)
	if err != nil {
		return err
	}
	devices := maskedCanaries + small.Plan.Honest
	r, err := newMaskedRound(devices, params.PaddedDim, params.InputBound)
	if err != nil {
		return err
	}
	t := u.task("devices through the masks", int64(devices))
	defer t.finish()
	sum, err := audit.FirstSum(small.Plan, small.Seed, func(values []int32, bound int64) error {
		if err := r.add(values, bound); err != nil {
			return err
		}
		t.set(int64(len(r.entries)))
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	opened, err := r.open()
	if err != nil {
		return err
	}
	if !slices.Equal(opened, sum) {
		return errors.New("the secure sum opened something else than the sum of what devices encoded")
	}
	u.say("Masked: %d devices sealed their vectors, a committee of %d with one down opened the sum: all %d coordinates are those of the integer sum.",
		devices, len(r.members), len(sum))
	return nil
}

// maskedRound is one round of the secure sum in one place: server, committee and devices.
type maskedRound struct {
	id       aggregation.RoundID
	pins     aggregation.Pins
	enrolled *aggregation.Enrolled
	keys     []ed25519.PrivateKey // of the devices
	members  []*aggregation.Member
	cfg      *aggregation.Config
	sum      *aggregation.Accumulator
	entries  []aggregation.Entry
}

const (
	maskedMembers = 5
	maskedCorrupt = 1
	maskedDown    = 1
)

func newMaskedRound(devices, dim int, bound int64) (*maskedRound, error) {
	r := &maskedRound{id: aggregation.RoundID{Task: "audit", Round: 1}}
	enroller, roster, err := r.parties(devices)
	if err != nil {
		return nil, err
	}
	r.cfg, err = aggregation.NewConfig(aggregation.ConfigLiteral{
		Round: r.id, Plan: aggregation.Digest{1}, Bases: []aggregation.Digest{{2}}, Enroller: r.pins.Enroller, Roster: roster,
		Population: r.enrolled.Sign(enroller, r.id.Task), Threshold: aggregation.EveryDevice, Groups: 1,
		Params: aggregation.ParamsLiteral{Dim: dim, Bound: bound, NMin: devices, NMax: devices, Members: maskedMembers, Corrupt: maskedCorrupt, Rho: 2},
	})
	if err != nil {
		return nil, err
	}
	for _, m := range r.members {
		if _, err := m.Begin(r.cfg); err != nil {
			return nil, err
		}
	}
	r.sum = aggregation.NewAccumulator(r.cfg)
	return r, nil
}

// parties makes everybody's keys and lets the committee open the round.
func (r *maskedRound) parties(devices int) (ed25519.PrivateKey, []aggregation.MemberKey, error) {
	_, enroller, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	r.pins.Enroller = enroller.Public().(ed25519.PublicKey)
	ids := make([]aggregation.DeviceID, devices)
	for i := range ids {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		ids[i], r.keys = aggregation.IDOf(public), append(r.keys, private)
	}
	if r.enrolled, err = aggregation.NewEnrolled(ids); err != nil {
		return nil, nil, err
	}
	var identities []ed25519.PrivateKey
	for range maskedMembers {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		identities, r.pins.Roster = append(identities, private), append(r.pins.Roster, public)
	}
	roster, err := r.committee(identities, devices)
	return enroller, roster, err
}

func (r *maskedRound) committee(identities []ed25519.PrivateKey, floor int) ([]aggregation.MemberKey, error) {
	var keys []aggregation.RoundKey
	for j, identity := range identities {
		m, err := aggregation.NewMember(aggregation.MemberSetup{Identity: identity, Index: uint16(j + 1), Pins: r.pins, Floor: floor})
		if err != nil {
			return nil, err
		}
		key, _, err := m.OpenRound(rand.Reader, r.id, aggregation.Digest{1}, aggregation.SuiteMLKEM768X25519)
		if err != nil {
			return nil, err
		}
		r.members, keys = append(r.members, m), append(keys, key)
	}
	var roster []aggregation.MemberKey
	for j, m := range r.members {
		coin, _, err := m.Reveal(r.id, keys)
		if err != nil {
			return nil, err
		}
		roster = append(roster, aggregation.MemberKey{Index: uint16(j + 1), Identity: r.pins.Roster[j], Key: keys[j], Coin: coin})
	}
	return roster, nil
}

// add seals one device's vector; server and committee check and take it.
func (r *maskedRound) add(values []int32, bound int64) error {
	device := aggregation.Client{Key: r.keys[len(r.entries)], Pins: r.pins}
	up, err := device.Seal(rand.Reader, r.cfg, aggregation.Digest{2}, values, bound)
	if err != nil {
		return err
	}
	path, _ := r.enrolled.Path(up.Header.ID)
	if err := errors.Join(aggregation.VerifyHeader(r.cfg, up.Header, path), aggregation.VerifyVector(r.cfg, up.Header, up.Vector)); err != nil {
		return err
	}
	for j, m := range r.members {
		header, err := up.Header.ForMember(uint16(j+1), path)
		if err != nil {
			return err
		}
		judge, err := m.Judge(r.id)
		if err != nil {
			return err
		}
		verdicts, _, err := m.Accept(r.id, judge.Open([]*aggregation.MemberHeader{header}))
		if err != nil {
			return err
		}
		if verdicts[0].Reason != aggregation.Accepted {
			return fmt.Errorf("committee member %d refuses a device: %v", j+1, verdicts[0].Reason)
		}
	}
	r.entries = append(r.entries, up.Header.Entry())
	return r.sum.Add(up.Vector)
}

// open lets all members but maskedDown sign the set and release it.
func (r *maskedRound) open() ([]int64, error) {
	set, err := aggregation.NewSet(r.entries)
	if err != nil {
		return nil, err
	}
	up := r.members[:len(r.members)-maskedDown]
	var signatures []aggregation.SetSignature
	for _, m := range up {
		signature, _, err := m.Sign(r.id, &aggregation.Proposal{Cfg: r.cfg.Digest(), Set: set})
		if err != nil {
			return nil, err
		}
		signatures = append(signatures, signature)
	}
	certificate, err := aggregation.Certify(r.cfg, set, signatures)
	if err != nil {
		return nil, err
	}
	var answers []aggregation.Answer
	for _, m := range up {
		answer, _, err := m.Release(r.id, certificate)
		if err != nil {
			return nil, err
		}
		answers = append(answers, *answer)
	}
	opened, wrong, err := aggregation.Unmask(r.cfg, set, r.sum, answers)
	if err == nil && len(wrong) > 0 {
		err = fmt.Errorf("committee members %v answered wrongly", wrong)
	}
	return opened, err
}
