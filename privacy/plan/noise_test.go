package plan_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"testing"

	"tutti/aggregation"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
)

// T3.21: every device contributes nothing but its noise share, 30 % of them drop after the noise was sized. What the
// secure sum opens has the variance |U|·sigma_client² within 2 %, which is at least what n_min - t_c honest devices are
// claimed to bring. The variance of 131,072 coordinates deviates by 2 % with probability 3e-7.
func TestT3_21_NoiseOfAnOpenedSum(t *testing.T) {
	const asked, stay = 40, 28
	m, err := mechanism.Design(mechanism.Literal{Dim: 1 << 17, Clip: 1, NMin: stay, NMax: asked + 12, Colluders: 3, Z: 1, Noise: true})
	must(t, err)
	codec, err := mechanism.NewCodec(m)
	must(t, err)
	var p plan.Plan
	p.Mechanism, p.Corrupt, p.Packing, p.Committee = m, 1, 2, make([]ed25519.PublicKey, 5)
	round := newNoiseRound(t, p, asked)
	sum := aggregation.NewAccumulator(round.cfg)
	var entries []aggregation.Entry
	for i := range stay {
		encoded, err := codec.Encode(mechanism.Clip(make([]float32, m.Dim), m.Clip), rand.Reader)
		must(t, err)
		client := aggregation.Client{Key: round.devices[i], Pins: round.pins}
		up, err := client.Seal(rand.Reader, round.cfg, aggregation.Digest{}, encoded.Values(), m.InputBound)
		must(t, err)
		round.show(up)
		must(t, sum.Add(up.Vector))
		entries = append(entries, up.Header.Entry())
	}
	opened := round.open(sum, entries)

	squares := 0.0
	for _, v := range opened {
		squares += float64(v) * float64(v)
	}
	sigma2 := m.Sigma2.Float64()
	variance, sized := squares/float64(len(opened)), float64(m.NMin-m.Colluders)*sigma2
	if want := stay * sigma2; variance < .98*want || variance > 1.02*want {
		t.Errorf("the opened noise has variance %.0f, %d shares of %.0f make %.0f", variance, stay, sigma2, want)
	}
	if variance < sized {
		t.Errorf("the opened noise has variance %.0f, %.0f is claimed", variance, sized)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// noiseRound is a committee that has begun one round.
type noiseRound struct {
	t        *testing.T
	id       aggregation.RoundID
	cfg      *aggregation.Config
	pins     aggregation.Pins
	devices  []ed25519.PrivateKey
	enrolled *aggregation.Enrolled
	members  []*aggregation.Member
}

func newNoiseRound(t *testing.T, p plan.Plan, devices int) *noiseRound {
	t.Helper()
	key := func(n byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, 32)) }
	public := func(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }
	r := &noiseRound{t: t, id: aggregation.RoundID{Task: "noise", Round: 1}, pins: aggregation.Pins{Enroller: public(key(1))}}
	var ids []aggregation.DeviceID
	for i := range devices {
		r.devices = append(r.devices, key(100+byte(i)))
		ids = append(ids, aggregation.IDOf(public(r.devices[i])))
	}
	var err error
	r.enrolled, err = aggregation.NewEnrolled(ids)
	must(t, err)
	for j := range p.Committee {
		r.pins.Roster = append(r.pins.Roster, public(key(10+byte(j))))
	}
	keys := make([]aggregation.RoundKey, len(p.Committee))
	for j := range keys {
		m, err := aggregation.NewMember(aggregation.MemberSetup{Identity: key(10 + byte(j)), Index: uint16(j + 1), Pins: r.pins, Floor: 2})
		must(t, err)
		keys[j], _, err = m.OpenRound(rand.Reader, r.id, aggregation.Digest{}, aggregation.SuiteX25519)
		must(t, err)
		r.members = append(r.members, m)
	}
	roster := make([]aggregation.MemberKey, len(keys))
	for j, m := range r.members {
		coin, _, err := m.Reveal(r.id, keys)
		must(t, err)
		roster[j] = aggregation.MemberKey{Index: uint16(j + 1), Identity: r.pins.Roster[j], Key: keys[j], Coin: coin}
	}
	params, err := plan.Aggregation(p)
	must(t, err)
	r.cfg, err = aggregation.NewConfig(aggregation.ConfigLiteral{
		Round: r.id, Bases: []aggregation.Digest{{}}, Params: params.Literal(), Enroller: r.pins.Enroller, Roster: roster,
		Population: r.enrolled.Sign(key(1), r.id.Task), Threshold: aggregation.EveryDevice, Groups: 1,
	})
	must(t, err)
	for _, m := range r.members {
		_, err := m.Begin(r.cfg)
		must(t, err)
	}
	return r
}

// show has every member accept an upload.
func (r *noiseRound) show(up *aggregation.Upload) {
	r.t.Helper()
	path, _ := r.enrolled.Path(up.Header.ID)
	for j, m := range r.members {
		judge, err := m.Judge(r.id)
		must(r.t, err)
		h, err := up.Header.ForMember(uint16(j+1), path)
		must(r.t, err)
		verdicts, _, err := m.Accept(r.id, judge.Open([]*aggregation.MemberHeader{h}))
		must(r.t, err)
		if verdicts[0].Reason != aggregation.Accepted {
			r.t.Fatal(verdicts[0].Reason)
		}
	}
}

// open certifies the set and unmasks the sum.
func (r *noiseRound) open(sum *aggregation.Accumulator, entries []aggregation.Entry) []int64 {
	r.t.Helper()
	set, err := aggregation.NewSet(entries)
	must(r.t, err)
	var signatures []aggregation.SetSignature
	for _, m := range r.members {
		s, _, err := m.Sign(r.id, &aggregation.Proposal{Cfg: r.cfg.Digest(), Set: set})
		must(r.t, err)
		signatures = append(signatures, s)
	}
	certificate, err := aggregation.Certify(r.cfg, set, signatures)
	must(r.t, err)
	var answers []aggregation.Answer
	for _, m := range r.members {
		a, _, err := m.Release(r.id, certificate)
		must(r.t, err)
		answers = append(answers, *a)
	}
	opened, _, err := aggregation.Unmask(r.cfg, set, sum, answers)
	must(r.t, err)
	return opened
}
