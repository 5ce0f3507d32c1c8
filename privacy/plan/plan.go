// Package plan is the signed policy of one round, and its enforcement on the device.
//
// A Plan says everything a device must know before it works for a round: what vector to make, how it is clipped and
// noised, how many devices must be in the sum, who the committee is, what it costs and until when. The operator signs
// its canonical bytes. A device holds a Policy of its own and refuses a plan that breaks it, with a reason from a
// closed list. Split plans how a task's budget is spent, before the first round.
//
// The package is pure: keys, time and randomness are arguments.
package plan

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"math/big"

	"tutti/aggregation"
	"tutti/privacy/mechanism"
)

// Digest is a SHA-256 hash.
type Digest = [sha256.Size]byte

// Kind says which vector the devices of a round make.
type Kind uint8

// The kinds of round. The numbers are part of the format.
const (
	Popularity  Kind = 1 + iota // one bounded vector over all items; chooses the block
	Transitions                 // windowed transitions among the items of the block
	Model                       // an update of the model's trainable part
)

// String is the kind's name in logs and reports.
func (k Kind) String() string {
	switch k {
	case Popularity:
		return "popularity"
	case Transitions:
		return "transitions"
	case Model:
		return "model"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Window is how a history becomes transitions.
type Window struct {
	Width uint32 // pairs at most this many events apart
	Decay string // decimal in (0, 1]: weight of a pair per event between
}

// Training is how a device makes a model update.
type Training struct {
	Steps        uint32 // local optimiser steps
	Batch        uint32 // positions or windows per step; 0: the whole sequence
	MaxLen       uint32 // most recent events that are read
	LearningRate string // decimal
	Optimizer    string // "sgd", "adam", "adamw", "rmsprop" or "adagrad"; a device refuses what it does not know
}

// Plan is the policy of one round of a task.
type Plan struct {
	Task  string // 1 to 64 of a-z 0-9 . _ -
	Round uint64
	Kind  Kind

	BaseNumber uint64 // number of the model version the round starts from
	Base       Digest // its digest; zero: none was published yet
	Items      Digest // of the catalogue
	Block      Digest // of the blob of chosen items; transitions only, else zero
	Window     Window // transitions only
	Training   Training

	Mechanism mechanism.Params
	Metrics   *Metrics // nil: none
	Central   *Central // nil: the devices add the noise
	Goal      uint32   // devices wanted; of all groups together; n_min and n_max of one group are in Mechanism

	Committee []ed25519.PublicKey // identity of member i+1 at i
	Corrupt   uint32              // c: members that may collude with the server
	Packing   uint32              // key words in one polynomial (the protocol's own rho)
	Enroller  ed25519.PublicKey   // who vouches for devices

	Population aggregation.Population // who may take part, on the enroller's word: frozen before the round's lot is drawn
	Threshold  uint64                 // of eligibility, see aggregation.ThresholdFor; aggregation.EveryDevice: everyone
	Groups     uint32                 // sums that the round is split into by lot, >= 1; the numbers of Mechanism hold for each
	Suite      aggregation.Suite      // of the envelopes
	CheckNorm  bool                   // uploads longer than Norm are found and left out

	Budget         *big.Rat // rho that a device may spend on the task in all; nil: no bound (noise off)
	Participations uint32   // k: rounds of the task that one device may be in, >= 1
	Separation     uint32   // b: a device that was in round r is in no round before r+b, >= 1
	Delta          string   // decimal, of the claim
	Checkpoint     []byte   // signed note of the log, which holds every earlier round
	Deadline       int64    // unix seconds after which the round takes nothing

	// Older are the versions before the base that an update may start from too, newest first: Older[i] is the digest of
	// version BaseNumber-1-i. Their number is the staleness bound s; none: every update starts from Base. See bases.go.
	Older []Digest
}

// AnyParticipations is the k of a task whose budget alone limits how often a device takes part.
const AnyParticipations = math.MaxUint32

// ErrPlan is behind every refusal to encode, parse or verify a plan.
var ErrPlan = errors.New("not a valid plan")

// Rho is what one participation costs in zCDP, the metrics included; nil when noise is off, for then no finite claim
// exists. Where the noise is central it is the cost towards those who see what is released.
func (p Plan) Rho() *big.Rat {
	rho := p.Mechanism.Rho()
	if p.Central != nil {
		rho = p.Central.Rho()
	}
	if rho == nil || p.Metrics == nil {
		return rho
	}
	more := p.Metrics.Mechanism.Rho()
	if more == nil {
		return nil
	}
	return more.Add(more, rho)
}

// Signed is a plan on its way: canonical bytes and the operator's signature over them.
type Signed struct {
	Bytes     []byte
	Signature []byte
}

// Digest names the plan: SHA-256 of its canonical bytes.
func (s Signed) Digest() Digest { return sha256.Sum256(s.Bytes) }

// signedMessage separates a plan's signature from every other use of the operator's key. Its domain is that of version 3
// for plans of version 4 too: what a plan says begins with its own version.
func signedMessage(plan []byte) []byte {
	return append([]byte("tutti/plan/v3/signature\x00"), plan...)
}

// Sign encodes the plan and signs it with the operator's key. It refuses a plan that no device could check.
func Sign(operator ed25519.PrivateKey, p Plan) (Signed, error) {
	if len(operator) != ed25519.PrivateKeySize {
		return Signed{}, fmt.Errorf("%w: bad operator key", ErrPlan)
	}
	data, err := p.Encode()
	if err != nil {
		return Signed{}, err
	}
	return Signed{data, ed25519.Sign(operator, signedMessage(data))}, nil
}

// Open verifies the operator's signature and reads the plan. Whether the plan may be followed is for Policy.Check.
func Open(s Signed, operator ed25519.PublicKey) (Plan, error) {
	if len(operator) != ed25519.PublicKeySize || len(s.Bytes) > MaxBytes ||
		!ed25519.Verify(operator, signedMessage(s.Bytes), s.Signature) {
		return Plan{}, fmt.Errorf("%w: not signed by the operator", ErrPlan)
	}
	return Parse(s.Bytes)
}

// Aggregation derives the numbers of the secure sum from the plan; they are the same for each of its groups. Server,
// committee and devices all call it, so that none of them can use numbers that the plan does not say.
func Aggregation(p Plan) (*aggregation.Params, error) {
	l := aggregation.ParamsLiteral{
		Dim: p.Dim(), Bound: p.InputBound(), NMin: p.Mechanism.NMin, NMax: p.Mechanism.NMax,
		Members: len(p.Committee), Corrupt: int(p.Corrupt), Rho: int(p.Packing),
	}
	if p.CheckNorm {
		l.Norm = p.Norm()
	}
	return aggregation.NewParams(l)
}
