package audit

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/big"

	"tutti/privacy/mechanism"
)

// Plan says what a canary run runs. Everything in it is fixed, and committed
// to, before the first round.
//
// Canaries devices, in batches, each hold one unit vector of norm Clip, all
// orthogonal. A fair coin decides whether a device sends it or zeros, which
// is what zero-out adjacency is about. With each batch take part Honest
// devices with updates that the attacker knows. All go through
// mechanism.Clip, Codec.Encode, an exact integer sum and Codec.DecodeSum, in
// Rounds rounds. The noise is that of the Honest devices alone: the canary
// devices count as the colluders of the plan, whose shares the claim does
// not count either, so the sum carries exactly what is claimed and no more.
type Plan struct {
	Canaries int      // m, in all
	Batch    int      // canaries in one sum; Canaries is a multiple of it
	Honest   int      // devices with noise, a multiple of 4
	Rounds   int      // rounds that each device takes part in
	Clip     float64  // L2 clip
	Rho      *big.Rat // zCDP of one participation
	Silent   []int    // one arm each: how many of the Honest devices forget their noise
}

// Limits of a Plan.
const (
	MaxCanaries = MaxScores
	maxBatch    = 1 << 13
	maxHonest   = 1 << 12
	maxRounds   = 1 << 10
	maxArms     = 16
)

func (p Plan) check() error {
	switch {
	case p.Canaries < 4 || p.Canaries > MaxCanaries || p.Batch < 2 || p.Batch > maxBatch || p.Canaries%p.Batch != 0:
		return outOfRange("%d canaries in batches of %d", p.Canaries, p.Batch)
	case p.Honest < 4 || p.Honest > maxHonest || p.Honest%4 != 0 || p.Rounds < 1 || p.Rounds > maxRounds:
		return outOfRange("%d honest devices, %d rounds", p.Honest, p.Rounds)
	case p.Rho == nil || p.Rho.Sign() <= 0 || !(p.Clip > 0):
		return outOfRange("no rho or no clip")
	case len(p.Silent) == 0 || len(p.Silent) > maxArms:
		return outOfRange("%d arms", len(p.Silent))
	}
	for _, n := range p.Silent {
		if n < 0 || n > p.Honest {
			return outOfRange("%d silent devices of %d", n, p.Honest)
		}
	}
	return nil
}

// Params designs the mechanism of one sum of the plan.
func (p Plan) Params(seed Seed) (mechanism.Params, error) {
	if err := p.check(); err != nil {
		return mechanism.Params{}, err
	}
	l := mechanism.Literal{
		Dim: p.Batch, Clip: p.Clip, Rho: p.Rho, Noise: true,
		NMin: p.Batch + p.Honest, NMax: p.Batch + p.Honest, Colluders: p.Batch,
	}
	if err := read(seed.stream("signs"), l.Signs[:]); err != nil {
		return mechanism.Params{}, err
	}
	return mechanism.Design(l)
}

// silent is the mechanism of a device that forgets its noise: the same grid,
// the same bounds, no share.
func silent(p mechanism.Params) mechanism.Params {
	p.Noise, p.Z, p.Sigma2 = false, 0, mechanism.Rational{Num: 0, Den: 1}
	p.InputBound = p.L2Bound
	return p
}

// Seed is what a canary run follows from: coins, signs and directions, and
// the noise too, because no person's data are in it and anyone shall be able
// to run it again, bit by bit. It is committed to before and revealed after.
type Seed [32]byte

// stream returns the bytes of one purpose: AES-256-CTR under the SHA-256 of
// seed, label and numbers.
func (s Seed) stream(label string, numbers ...int) io.Reader {
	h := sha256.New()
	h.Write([]byte("tutti/audit/stream\x00" + label + "\x00"))
	h.Write(s[:])
	for _, n := range numbers {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
	}
	block, err := aes.NewCipher(h.Sum(nil))
	if err != nil {
		panic("audit: AES-256 refused a 32-byte key: " + err.Error())
	}
	return keystream{cipher.NewCTR(block, make([]byte, aes.BlockSize))}
}

type keystream struct{ ctr cipher.Stream }

// Read fills b; it never fails.
func (k keystream) Read(b []byte) (int, error) {
	clear(b)
	k.ctr.XORKeyStream(b, b)
	return len(b), nil
}

func read(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	return err
}

// bits returns n fair coins of a purpose.
func (s Seed) bits(label string, n int) []bool {
	raw := make([]byte, (n+7)/8)
	if err := read(s.stream(label), raw); err != nil {
		panic("audit: a key stream ended: " + err.Error())
	}
	coins := make([]bool, n)
	for i := range coins {
		coins[i] = raw[i/8]>>(i%8)&1 == 1
	}
	return coins
}

// Coins returns which of n canaries are in.
func (s Seed) Coins(n int) []bool { return s.bits("coins", n) }

// Outcome is what the attacker of a canary run computed from released sums.
type Outcome struct {
	Scores [][]float64 // per arm, per canary: the mean over rounds of <canary, released - known>/clip^2; 1 + noise if in, noise if out
	Meters [][]float64 // per arm, per sum: the z-score of the noise meter
}

// experiment is a canary run under way.
type experiment struct {
	plan   Plan
	seed   Seed
	params mechanism.Params
	noisy  *mechanism.Codec
	quiet  *mechanism.Codec
	known  [][]float32 // updates of the honest devices
	total  []float64   // their sum
	coins  []bool
	minus  []bool
	sum    []int64
	visit  func(values []int32, bound int64) error // nil, or is shown every vector
}

// Run runs the plan. step is told after each of plan.Steps sums; an error of
// it ends the run.
func Run(plan Plan, seed Seed, step func(done int) error) (*Outcome, error) {
	e, err := newExperiment(plan, seed)
	if err != nil {
		return nil, err
	}
	out := &Outcome{Scores: make([][]float64, len(plan.Silent)), Meters: make([][]float64, len(plan.Silent))}
	for arm := range plan.Silent {
		out.Scores[arm] = make([]float64, plan.Canaries)
	}
	done := 0
	for batch := range plan.Canaries / plan.Batch {
		for round := range plan.Rounds {
			if err := e.round(batch, round, out); err != nil {
				return nil, err
			}
			done++
			if err := step(done); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// Steps is how often Run calls step.
func (p Plan) Steps() int { return p.Canaries / max(p.Batch, 1) * p.Rounds }

func newExperiment(plan Plan, seed Seed) (*experiment, error) {
	params, err := plan.Params(seed)
	if err != nil {
		return nil, err
	}
	e := &experiment{
		plan: plan, seed: seed, params: params,
		coins: seed.Coins(plan.Canaries), minus: seed.bits("canaries", plan.Canaries),
		sum: make([]int64, params.PaddedDim),
	}
	if e.noisy, err = mechanism.NewCodec(params); err != nil {
		return nil, err
	}
	if e.quiet, err = mechanism.NewCodec(silent(params)); err != nil {
		return nil, err
	}
	e.known, e.total = make([][]float32, plan.Honest), make([]float64, plan.Batch)
	for i := range e.known {
		e.known[i] = honestUpdate(seed, i, plan)
		for j, v := range e.known[i] {
			e.total[j] += float64(v)
		}
	}
	return e, nil
}

// honestUpdate is a dense update of norm at most the clip.
func honestUpdate(seed Seed, device int, plan Plan) []float32 {
	raw := make([]byte, 2*plan.Batch)
	if err := read(seed.stream("honest", device), raw); err != nil {
		panic("audit: a key stream ended: " + err.Error())
	}
	x := make([]float32, plan.Batch)
	scale := plan.Clip / math.Sqrt(float64(plan.Batch))
	for i := range x {
		x[i] = float32(float64(int16(binary.LittleEndian.Uint16(raw[2*i:]))) / (1 << 15) * scale)
	}
	return x
}

// round runs one round of one batch: the canaries once, then every arm's
// honest devices.
func (e *experiment) round(batch, round int, out *Outcome) error {
	if err := e.canaries(batch, round); err != nil {
		return err
	}
	sum := make([]int64, len(e.sum))
	for arm := range e.plan.Silent {
		copy(sum, e.sum)
		if err := e.honest(batch, round, arm, sum); err != nil {
			return err
		}
		if err := e.judge(sum, arm, batch*e.plan.Batch, out); err != nil {
			return err
		}
	}
	return nil
}

// canaries sets e.sum to the sum of what a batch's canary devices encode.
func (e *experiment) canaries(batch, round int) error {
	clear(e.sum)
	rand := e.seed.stream("canary devices", batch, round)
	first := batch * e.plan.Batch
	update := make([]float32, e.plan.Batch)
	for i := range e.plan.Batch {
		clear(update)
		if e.coins[first+i] {
			update[i] = float32(e.sign(first+i) * e.plan.Clip)
		}
		if err := e.add(e.quiet, update, rand, e.sum); err != nil {
			return err
		}
	}
	return nil
}

// honest adds what an arm's honest devices encode.
func (e *experiment) honest(batch, round, arm int, sum []int64) error {
	rand := e.seed.stream("honest devices", batch, round, arm)
	for i, known := range e.known {
		codec := e.noisy
		if i < e.plan.Silent[arm] {
			codec = e.quiet
		}
		if err := e.add(codec, known, rand, sum); err != nil {
			return err
		}
	}
	return nil
}

// FirstSum encodes the devices of the first sum of the first arm once more,
// shows each vector to visit and returns their integer sum: to put it through
// the secure sum and compare. The values are only lent. The bound is that of
// every value in the plan.
func FirstSum(plan Plan, seed Seed, visit func(values []int32, bound int64) error) ([]int64, error) {
	e, err := newExperiment(plan, seed)
	if err != nil {
		return nil, err
	}
	e.visit = visit
	if err := e.canaries(0, 0); err != nil {
		return nil, err
	}
	return e.sum, e.honest(0, 0, 0, e.sum)
}

// add is what one device does: clip, encode, and its part of the sum.
func (e *experiment) add(codec *mechanism.Codec, update []float32, rand io.Reader, sum []int64) error {
	encoded, err := codec.Encode(mechanism.Clip(update, e.plan.Clip), rand)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	for i, v := range encoded.Values() {
		sum[i] += int64(v)
	}
	if e.visit != nil {
		return e.visit(encoded.Values(), e.params.InputBound)
	}
	return nil
}

func (e *experiment) sign(canary int) float64 {
	if e.minus[canary] {
		return -1
	}
	return 1
}

// judge decodes a sum as the server does and scores its canaries.
func (e *experiment) judge(sum []int64, arm, first int, out *Outcome) error {
	decoded, err := e.noisy.DecodeSum(sum, e.plan.Batch+e.plan.Honest)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	out.Meters[arm] = append(out.Meters[arm], e.meter(decoded.Meter))
	for i, v := range decoded.Values {
		rest := float64(v) - e.total[i]
		out.Scores[arm][first+i] += e.sign(first+i) * rest / (e.plan.Clip * float64(e.plan.Rounds))
	}
	return nil
}

// meter is the reading against the noise of the honest devices alone, where
// DecodeSum expects a share of every device. What canary devices add by
// rounding is below 1e-4 of it.
func (e *experiment) meter(m mechanism.NoiseMeter) float64 {
	expected := float64(e.plan.Honest) * (e.params.Sigma2.Float64() + 1.0/6)
	return (m.MeasuredVar/expected - 1) * math.Sqrt(float64(m.PadCoords)/2)
}
