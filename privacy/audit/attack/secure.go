package attack

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"tutti/aggregation"
	"tutti/aggregation/mask"
)

// secureRound is one round of the real secure sum: a committee that has begun, devices that may seal.
type secureRound struct {
	id       aggregation.RoundID
	cfg      *aggregation.Config
	pins     aggregation.Pins
	devices  []ed25519.PrivateKey
	enrolled *aggregation.Enrolled
	members  []*aggregation.Member
	random   io.Reader
}

// committee is the size of the attacks' committees: five members of which one may collude with the server.
const committee, corrupt, packing = 5, 1, 2

// secureParams are the numbers of a round over vectors of dim coordinates within bound, one coordinate to a ring
// coefficient; normBound 0 is a round without the norm check.
func secureParams(dim int, bound int64, nMin, nMax int, normBound int64) aggregation.ParamsLiteral {
	return aggregation.ParamsLiteral{
		Dim: dim, Bound: bound, NMin: nMin, NMax: nMax, Members: committee, Corrupt: corrupt, Rho: packing,
		Profile: mask.Standard, Norm: normBound,
	}
}

// newSecureRound has the committee open a round and begin it. Members refuse rounds of fewer than floor devices.
func newSecureRound(random io.Reader, params aggregation.ParamsLiteral, devices, floor int) (*secureRound, error) {
	r := &secureRound{id: aggregation.RoundID{Task: "attack", Round: 1}, random: random}
	enroller, err := r.key()
	if err != nil {
		return nil, err
	}
	r.pins.Enroller = public(enroller)
	var ids []aggregation.DeviceID
	for range devices {
		k, err := r.key()
		if err != nil {
			return nil, err
		}
		r.devices, ids = append(r.devices, k), append(ids, aggregation.IDOf(public(k)))
	}
	if r.enrolled, err = aggregation.NewEnrolled(ids); err != nil {
		return nil, err
	}
	roster, err := r.convene(params.Members, floor)
	if err != nil {
		return nil, err
	}
	r.cfg, err = aggregation.NewConfig(aggregation.ConfigLiteral{
		Round: r.id, Bases: []aggregation.Digest{{}}, Params: params, Enroller: r.pins.Enroller, Roster: roster,
		Population: r.enrolled.Sign(enroller, r.id.Task), Threshold: aggregation.EveryDevice, Groups: 1,
	})
	if err != nil {
		return nil, err
	}
	for _, m := range r.members {
		if _, err := m.Begin(r.cfg); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *secureRound) key() (ed25519.PrivateKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	_, err := io.ReadFull(r.random, seed)
	return ed25519.NewKeyFromSeed(seed), err
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

// convene makes the members and has them show keys and coins.
func (r *secureRound) convene(members, floor int) ([]aggregation.MemberKey, error) {
	identities := make([]ed25519.PrivateKey, members)
	for j := range identities {
		var err error
		if identities[j], err = r.key(); err != nil {
			return nil, err
		}
		r.pins.Roster = append(r.pins.Roster, public(identities[j]))
	}
	keys := make([]aggregation.RoundKey, members)
	for j := range identities {
		m, err := aggregation.NewMember(aggregation.MemberSetup{Identity: identities[j], Index: uint16(j + 1), Pins: r.pins, Floor: floor})
		if err != nil {
			return nil, err
		}
		if keys[j], _, err = m.OpenRound(r.random, r.id, aggregation.Digest{}, aggregation.SuiteX25519); err != nil {
			return nil, err
		}
		r.members = append(r.members, m)
	}
	roster := make([]aggregation.MemberKey, members)
	for j, m := range r.members {
		coin, _, err := m.Reveal(r.id, keys)
		if err != nil {
			return nil, err
		}
		roster[j] = aggregation.MemberKey{Index: uint16(j + 1), Identity: r.pins.Roster[j], Key: keys[j], Coin: coin}
	}
	return roster, nil
}

// seal is what device i uploads.
func (r *secureRound) seal(i int, x []int32) (*aggregation.Upload, error) {
	client := aggregation.Client{Key: r.devices[i], Pins: r.pins}
	return client.Seal(r.random, r.cfg, aggregation.Digest{}, x, r.cfg.Params().Bound())
}

// accept is the server's way with an upload: header and vector verified, shown to every member, shares (and the norm,
// where the round checks it) judged. An error is why the device is left out.
func (r *secureRound) accept(up *aggregation.Upload) error {
	path, _ := r.enrolled.Path(up.Header.ID)
	if err := aggregation.VerifyHeader(r.cfg, up.Header, path); err != nil {
		return err
	}
	if err := aggregation.VerifyVector(r.cfg, up.Header, up.Vector); err != nil {
		return err
	}
	var answers []aggregation.CheckAnswer
	for j, m := range r.members {
		judge, err := m.Judge(r.id)
		if err != nil {
			return err
		}
		h, err := up.Header.ForMember(uint16(j+1), path)
		if err != nil {
			return err
		}
		verdicts, _, err := m.Accept(r.id, judge.Open([]*aggregation.MemberHeader{h}))
		if err != nil {
			return err
		}
		if verdicts[0].Reason != aggregation.Accepted {
			return fmt.Errorf("member %d: %v", j+1, verdicts[0].Reason)
		}
		answers = append(answers, aggregation.CheckAnswer{Member: uint16(j + 1), Words: verdicts[0].Check})
	}
	_, err := aggregation.CheckShares(r.cfg, up.Header, up.Vector, answers)
	return err
}

// errUnsigned says that no quorum signed the set, so that nothing can be opened.
var errUnsigned = errors.New("attack: no quorum signed the set")

// open folds the uploads, has the committee certify the set and unmasks the sum. signed counts the members that signed.
func (r *secureRound) open(ups []*aggregation.Upload) (opened []int64, signed int, err error) {
	sum := aggregation.NewAccumulator(r.cfg)
	entries := make([]aggregation.Entry, len(ups))
	for i, up := range ups {
		if err := sum.Add(up.Vector); err != nil {
			return nil, 0, err
		}
		entries[i] = up.Header.Entry()
	}
	set, err := aggregation.NewSet(entries)
	if err != nil {
		return nil, 0, err
	}
	var signatures []aggregation.SetSignature
	refused := errUnsigned
	for _, m := range r.members {
		s, _, err := m.Sign(r.id, &aggregation.Proposal{Cfg: r.cfg.Digest(), Set: set})
		if err != nil {
			refused = err
			continue
		}
		signatures = append(signatures, s)
	}
	certificate, err := aggregation.Certify(r.cfg, set, signatures)
	if err != nil {
		return nil, len(signatures), errors.Join(refused, err)
	}
	var answers []aggregation.Answer
	for _, m := range r.members {
		a, _, err := m.Release(r.id, certificate)
		if err != nil {
			return nil, len(signatures), err
		}
		answers = append(answers, *a)
	}
	opened, _, err = aggregation.Unmask(r.cfg, set, sum, answers)
	return opened, len(signatures), err
}

// words are the masked coordinates of an upload as the server sees them, width bits each, the least significant first.
func words(vector []byte, dim, width int) []uint64 {
	out := make([]uint64, dim)
	padded := append(append([]byte(nil), vector...), make([]byte, 16)...)
	for i := range out {
		bit := i * width
		low := binary.LittleEndian.Uint64(padded[bit/8:])
		high := binary.LittleEndian.Uint64(padded[bit/8+8:])
		word := low >> (bit % 8)
		if bit%8 != 0 {
			word |= high << (64 - bit%8)
		}
		out[i] = word & (1<<width - 1)
	}
	return out
}
