package plan

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"tutti/aggregation"
	"tutti/privacy/mechanism"
)

// Bounds of the format, checked before anything is allocated.
const (
	MaxBytes      = 40 << 10 // canonical bytes of a plan
	maxTask       = 64
	maxDecimal    = 32
	maxName       = 32
	maxMechanism  = 4 << 10
	maxCheckpoint = 8 << 10
	maxRational   = 8192
	domain        = "tutti/plan/v3" // of a plan whose updates all start from one version
	domainStale   = "tutti/plan/v4" // with Older behind all other fields
)

// Encode is the plan's canonical form: domain, then the fields of Plan in their order; integers big-endian, byte
// strings behind a uint32 length, decimals and rationals as text. A plan without older bases is of version 3 and ends with
// the deadline, so that programs which know no others can follow it; one with some is of version 4 and ends with them.
func (p Plan) Encode() ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	w := new(writer)
	w.text(p.version())
	w.text(p.Task)
	w.u64(p.Round)
	w.out = append(w.out, byte(p.Kind))
	w.u64(p.BaseNumber)
	for _, d := range []Digest{p.Base, p.Items, p.Block} {
		w.out = append(w.out, d[:]...)
	}
	w.u32(p.Window.Width)
	w.text(p.Window.Decay)
	w.u32(p.Training.Steps)
	w.u32(p.Training.Batch)
	w.u32(p.Training.MaxLen)
	w.text(p.Training.LearningRate)
	w.text(p.Training.Optimizer)
	w.text(string(p.Mechanism.AppendCanonical(nil)))
	w.metrics(p.Metrics)
	w.central(p.Central)
	w.u32(p.Goal)
	w.u32(uint32(len(p.Committee)))
	for _, key := range p.Committee {
		w.out = append(w.out, key...)
	}
	w.u32(p.Corrupt)
	w.u32(p.Packing)
	w.out = append(w.out, p.Enroller...)
	w.u32(p.Population.Size)
	w.out = append(w.out, p.Population.Root[:]...)
	w.out = append(w.out, p.Population.Signature...)
	w.u64(p.Threshold)
	w.u32(p.Groups)
	w.out = append(w.out, byte(p.Suite))
	w.flag(p.CheckNorm)
	w.text(formatRational(p.Budget))
	w.u32(p.Participations)
	w.u32(p.Separation)
	w.text(p.Delta)
	w.text(string(p.Checkpoint))
	w.u64(uint64(p.Deadline))
	w.older(p.Older)
	if len(w.out) > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes", ErrPlan, len(w.out))
	}
	return w.out, nil
}

// Parse reads exactly what Encode writes.
func Parse(data []byte) (Plan, error) {
	if len(data) > MaxBytes {
		return Plan{}, fmt.Errorf("%w: %d bytes", ErrPlan, len(data))
	}
	r := &reader{in: data}
	version := r.text(len(domain))
	if version != domain && version != domainStale {
		return Plan{}, fmt.Errorf("%w: another format or version", ErrPlan)
	}
	var p Plan
	p.Task, p.Round, p.Kind = r.text(maxTask), r.u64(), Kind(r.byte())
	p.BaseNumber, p.Base, p.Items, p.Block = r.u64(), r.digest(), r.digest(), r.digest()
	p.Window = Window{Width: r.u32(), Decay: r.text(maxDecimal)}
	p.Training = Training{Steps: r.u32(), Batch: r.u32(), MaxLen: r.u32(), LearningRate: r.text(maxDecimal), Optimizer: r.text(maxName)}
	params := r.text(maxMechanism)
	p.Metrics, p.Central, p.Goal = r.metrics(), r.central(), r.u32()
	p.Committee = r.keys()
	p.Corrupt, p.Packing, p.Enroller = r.u32(), r.u32(), r.key()
	p.Population = aggregation.Population{Size: r.u32(), Root: r.digest(), Signature: bytes.Clone(r.take(ed25519.SignatureSize))}
	p.Threshold, p.Groups, p.Suite, p.CheckNorm = r.u64(), r.u32(), aggregation.Suite(r.byte()), r.flag()
	p.Budget, p.Participations, p.Separation = r.rational(), r.u32(), r.u32()
	p.Delta = r.text(maxDecimal)
	if c := r.text(maxCheckpoint); c != "" {
		p.Checkpoint = []byte(c)
	}
	p.Deadline = int64(r.u64())
	if version == domainStale {
		p.Older = r.older()
	}
	if r.err == nil && len(r.in) > 0 {
		r.fail("more bytes follow")
	}
	if r.err != nil {
		return Plan{}, r.err
	}
	var err error
	if p.Mechanism, err = mechanism.ParseParams([]byte(params)); err != nil {
		return Plan{}, fmt.Errorf("%w: %w", ErrPlan, err)
	}
	again, err := p.Encode()
	if err != nil {
		return Plan{}, err
	}
	if !bytes.Equal(again, data) {
		return Plan{}, fmt.Errorf("%w: not in canonical form", ErrPlan)
	}
	return p, nil
}

// check holds what every plan must satisfy for its bytes to have one meaning. It does not judge the policy.
func (p Plan) check() error {
	bad := func(what string) error { return fmt.Errorf("%w: %s", ErrPlan, what) }
	if p.Task == "" || len(p.Task) > maxTask || strings.Trim(p.Task, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "" {
		return bad("the task's name")
	}
	if p.Kind < Popularity || p.Kind > Model {
		return bad("the kind of round")
	}
	if (p.Kind == Transitions) != (p.Block != Digest{}) || (p.Kind == Transitions) != (p.Window.Width > 0) {
		return bad("block and window belong to transitions, and only to them")
	}
	if (p.Kind == Model) != (p.Training.Steps > 0) || p.Kind != Model && p.Training != (Training{}) {
		return bad("training belongs to model rounds, and only to them")
	}
	if p.Kind == Transitions && !isDecimal(p.Window.Decay, 1) || p.Kind != Transitions && p.Window.Decay != "" {
		return bad("the window's decay")
	}
	if p.Kind == Model && (!isDecimal(p.Training.LearningRate, math.MaxFloat32) || len(p.Training.Optimizer) > maxName || p.Training.Optimizer == "") {
		return bad("the training's learning rate or optimiser")
	}
	if len(p.Committee) < 1 || len(p.Committee) > aggregation.MaxMembers {
		return bad("the committee's size")
	}
	for _, key := range append(p.Committee[:len(p.Committee):len(p.Committee)], p.Enroller) {
		if len(key) != ed25519.PublicKeySize {
			return bad("a key's length")
		}
	}
	if len(p.Population.Signature) != ed25519.SignatureSize {
		return bad("the signature of the population")
	}
	if err := p.Metrics.check(); err != nil {
		return err
	}
	if err := p.Central.check(p); err != nil {
		return err
	}
	if err := p.checkOlder(); err != nil {
		return err
	}
	if p.Participations == 0 || p.Separation == 0 {
		return bad("participations and separation are at least 1")
	}
	if p.Budget != nil && p.Budget.Sign() <= 0 || len(formatRational(p.Budget)) > maxRational {
		return bad("the budget")
	}
	if !isDecimal(p.Delta, 1) || len(p.Checkpoint) > maxCheckpoint || p.Deadline < 0 {
		return bad("delta, checkpoint or deadline")
	}
	return nil
}

// isDecimal says whether s is the shortest text of a finite number in (0, most].
func isDecimal(s string, most float64) bool {
	x, err := strconv.ParseFloat(s, 64)
	return err == nil && x > 0 && x <= most && FormatDecimal(x) == s
}

// FormatDecimal is how numbers stand in canonical bytes: the shortest decimal that reads back to x.
func FormatDecimal(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

func formatRational(x *big.Rat) string {
	if x == nil {
		return ""
	}
	return x.String()
}

type writer struct{ out []byte }

func (w *writer) u32(v uint32) { w.out = binary.BigEndian.AppendUint32(w.out, v) }
func (w *writer) u64(v uint64) { w.out = binary.BigEndian.AppendUint64(w.out, v) }
func (w *writer) text(s string) {
	w.u32(uint32(len(s)))
	w.out = append(w.out, s...)
}
func (w *writer) flag(v bool) {
	if v {
		w.out = append(w.out, 1)
	} else {
		w.out = append(w.out, 0)
	}
}

type reader struct {
	in  []byte
	err error
}

func (r *reader) fail(why string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrPlan, why)
	}
}

func (r *reader) take(n int) []byte {
	if r.err != nil || len(r.in) < n {
		r.fail("cut short")
		return make([]byte, min(n, maxCheckpoint))
	}
	b := r.in[:n]
	r.in = r.in[n:]
	return b
}

func (r *reader) byte() byte             { return r.take(1)[0] }
func (r *reader) u32() uint32            { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64            { return binary.BigEndian.Uint64(r.take(8)) }
func (r *reader) digest() Digest         { return Digest(r.take(sha256.Size)) }
func (r *reader) key() ed25519.PublicKey { return bytes.Clone(r.take(ed25519.PublicKeySize)) }

func (r *reader) flag() bool {
	b := r.byte()
	if b > 1 {
		r.fail("a flag is neither 0 nor 1")
	}
	return b == 1
}

func (r *reader) text(limit int) string {
	n := r.u32()
	if uint64(n) > uint64(limit) {
		r.fail("a field is too long")
	}
	if r.err != nil {
		return ""
	}
	return string(r.take(int(n)))
}

func (r *reader) keys() []ed25519.PublicKey {
	n := r.u32()
	if n > aggregation.MaxMembers || uint64(n)*ed25519.PublicKeySize > uint64(len(r.in)) {
		r.fail("the committee is larger than the plan")
		return nil
	}
	keys := make([]ed25519.PublicKey, n)
	for i := range keys {
		keys[i] = r.key()
	}
	return keys
}

// rational reads "num/den" and nothing else: big.Rat's own parser takes exponents too, with which a short text asks
// for an enormous number.
func (r *reader) rational() *big.Rat {
	s := r.text(maxRational)
	if s == "" {
		return nil
	}
	x, ok := new(big.Rat), strings.Trim(s, "0123456789/") == "" && !strings.ContainsAny(s, "+-.eE_pPxXbBoO")
	if ok {
		_, ok = x.SetString(s)
	}
	if !ok {
		r.fail("a rational number")
		return nil
	}
	return x
}
