package client

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"tutti/aggregation"
	"tutti/model"
	"tutti/privacy/ledger"
	"tutti/privacy/plan"
)

// The decisions of a device, as pure steps: what it remembers and what came in
// give a refusal or a piece of work. Time is an argument; nothing is saved or
// sent here.

// refusal is why a device does not do what it was asked.
type refusal struct {
	reason Reason
	policy plan.Reason
	err    error
}

func (r *refusal) Error() string {
	label := r.reason.String()
	if r.reason == ReasonPolicy {
		label += "/" + r.policy.String()
	}
	if r.err == nil {
		return "refused (" + label + ")"
	}
	return "refused (" + label + "): " + r.err.Error()
}

func (r *refusal) Unwrap() error { return r.err }

func (r *refusal) outcome(round uint64) Outcome {
	o := Outcome{Kind: Refused, Round: round, Reason: r.reason, Policy: r.policy, Err: r.err,
		Sentence: r.reason.Sentence(), RetryAfter: r.reason.RetryAfter()}
	if r.reason == ReasonPolicy {
		o.Sentence, o.RetryAfter = r.policy.Sentence(), policyRetry(r.policy)
	}
	return o
}

func policyRetry(r plan.Reason) time.Duration {
	if r.Retry() == plan.RetryRound {
		return retrySoon
	}
	return retryDays
}

func refuse(r Reason, err error) *refusal { return &refusal{reason: r, err: err} }

func refusePlan(err error) *refusal {
	var broken *plan.Refusal
	if errors.As(err, &broken) {
		return &refusal{reason: ReasonPolicy, policy: broken.Reason, err: err}
	}
	return &refusal{reason: ReasonPolicy, policy: plan.ReasonOperator, err: err}
}

// opened is an offer whose signatures hold and whose parts fit together. It
// says nothing yet about whether the device may follow it.
type opened struct {
	plan       plan.Plan
	signed     plan.Signed
	config     *aggregation.Config
	configured []byte // canonical bytes of config
}

// openOffer verifies the plan's signature and that the configuration is the one
// which the plan describes: its digest, its round, its committee and enroller,
// its population and lot, its numbers, its base. The result depends on the
// arguments alone: whether the lot chose this device is for invited.
func openOffer(policy plan.Policy, o *Offer) (*opened, *refusal) {
	signed := plan.Signed{Bytes: o.Plan, Signature: o.PlanSignature}
	pl, err := policy.Open(signed)
	if err != nil {
		return nil, refusePlan(err)
	}
	cfg, err := aggregation.ParseConfig(o.Config)
	if err != nil {
		return nil, refuse(ReasonConfig, err)
	}
	if err := matches(cfg, signed, pl); err != nil {
		return nil, refuse(ReasonConfig, err)
	}
	return &opened{plan: pl, signed: signed, config: cfg, configured: o.Config}, nil
}

func matches(cfg *aggregation.Config, signed plan.Signed, pl plan.Plan) error {
	if cfg.Plan() != signed.Digest() {
		return errors.New("it names another plan")
	}
	if want := (aggregation.RoundID{Task: pl.Task, Round: pl.Round}); cfg.Round().Whole() != want {
		return fmt.Errorf("it is of round %v", cfg.Round())
	}
	if err := sameLot(cfg, pl); err != nil {
		return err
	}
	params, err := plan.Aggregation(pl)
	if err != nil {
		return err
	}
	if cfg.Params().Literal() != params.Literal() {
		return errors.New("its numbers are not those of the plan")
	}
	if !slices.Equal(cfg.Literal().Bases, pl.Bases()) {
		return errors.New("its base versions are not those of the plan")
	}
	if !bytes.Equal(cfg.Literal().Enroller, pl.Enroller) {
		return errors.New("its enroller is not that of the plan")
	}
	return cfg.VerifyRoster(pl.Committee)
}

// sameLot compares who may take part, and how it is drawn. That the committee's
// coins open what its members signed, the configuration's parser has checked;
// that the enroller signed the population, the policy checks on the plan.
func sameLot(cfg *aggregation.Config, pl plan.Plan) error {
	people := cfg.Population()
	switch {
	case people.Size != pl.Population.Size || people.Root != pl.Population.Root || !bytes.Equal(people.Signature, pl.Population.Signature):
		return errors.New("its population is not that of the plan")
	case cfg.Threshold() != pl.Threshold:
		return errors.New("its threshold is not that of the plan")
	case cfg.Groups() != pl.Groups:
		return errors.New("its groups are not those of the plan")
	case cfg.Suite() != pl.Suite:
		return errors.New("its envelopes are not those of the plan")
	}
	return nil
}

// invited says whether the round's lot, which neither server nor device can
// choose, admits the device to this part of the round.
func invited(cfg *aggregation.Config, id aggregation.DeviceID) *refusal {
	if !cfg.Eligible(id) {
		return refuse(ReasonNotEligible, nil)
	}
	if shard := cfg.ShardOf(id); shard != cfg.Round().Shard {
		return refuse(ReasonShard, fmt.Errorf("the device belongs to group %d, and was shown that of group %d", shard, cfg.Round().Shard))
	}
	return nil
}

// follow decides on an offer. It updates what the device remembers of the log
// and of what was offered, also when it refuses; the caller saves that. taken
// means that this device has already sealed for the round. check is the policy's
// verdict.
func (s *state) follow(operator ed25519.PublicKey, check verdict, o *opened, l ledger.Logged, now int64, items model.Digest) (taken bool, r *refusal) {
	pl := o.plan
	if s.sealed && pl.Task == s.task && pl.Round == s.lastRound {
		return true, nil
	}
	found := s.witness(operator, o, l)
	st := plan.State{Now: now, Seen: s.clock(now), Spent: s.spent, Sealed: s.sealed, LastRound: s.lastRound, Rounds: s.rounds, Stream: s.stream.id, StreamFirst: s.stream.first, Log: found}
	if v := s.newest(); v != nil {
		st.BaseNumber, st.Base = v.number, v.digest
	}
	st.Known = s.known()
	if err := check(o, st); err != nil {
		return false, refusePlan(err)
	}
	if model.Digest(pl.Items) != items {
		return false, refuse(ReasonModel, fmt.Errorf("the round is about catalogue %x", pl.Items[:4]))
	}
	s.offered, s.delta = describe(o), pl.Delta
	return false, invited(o.config, aggregation.IDOf(s.key().Public().(ed25519.PublicKey)))
}

// known are the versions that the device has accepted, and those that they name as
// their parents.
func (s *state) known() []plan.Known {
	var known []plan.Known
	for _, a := range s.versions {
		known = append(known, plan.Known{Number: a.number, Digest: a.digest})
		if v, err := model.ParseVersion(a.version); err == nil && v.Number > 1 {
			known = append(known, plan.Known{Number: v.Number - 1, Digest: v.Parent})
		}
	}
	return known
}

// verdict is plan.Policy.Check for one policy.
type verdict func(o *opened, st plan.State) error

// describe says what the plan would have the device send.
func describe(o *opened) offered {
	m := o.plan.Mechanism
	p := o.config.Params()
	envelopes := p.Members() * p.EnvelopeLen(o.config.Suite())
	numbers := m.Dim
	if o.plan.Metrics != nil {
		numbers += o.plan.Metrics.Mechanism.Dim
	}
	return offered{kind: o.plan.Kind, numbers: uint32(numbers), padded: uint32(o.plan.Dim()),
		bytes: uint64(p.VectorLen() + envelopes + p.StatementLen() + headerBytes), rho: o.plan.Rho(), cohort: uint32(m.NMin), central: o.plan.Central != nil}
}

// headerBytes is about what an upload's header has besides its envelopes: id,
// key, nonce, three digests, signature.
const headerBytes = 16 + 32 + 16 + 3*32 + 64

// judge decides on a version that the server calls the newest: nil if the
// device has it already, the version if it may be fetched, or a refusal.
func (s *state) judge(operator ed25519.PublicKey, sv *SignedVersion, items model.Digest) (*model.Version, *refusal) {
	if len(operator) != ed25519.PublicKeySize || !ed25519.Verify(operator, VersionMessage(sv.Version), sv.Signature) {
		return nil, refuse(ReasonVersionSignature, nil)
	}
	v, err := model.ParseVersion(sv.Version)
	if err != nil {
		return nil, refuse(ReasonVersionMalformed, err)
	}
	if have := s.newest(); have != nil {
		switch {
		case v.Number == have.number && v.Digest() == have.digest:
			return nil, nil
		case v.Number == have.number:
			return nil, refuse(ReasonVersionForked, fmt.Errorf("two versions %d: %v and %v", v.Number, have.digest, v.Digest()))
		case v.Number < have.number:
			return nil, refuse(ReasonVersionRolledBack, fmt.Errorf("version %d after %d", v.Number, have.number))
		case v.Number == have.number+1 && v.Parent != have.digest:
			return nil, refuse(ReasonVersionForked, fmt.Errorf("version %d does not follow from the one on this device", v.Number))
		}
	}
	if v.Items != items {
		return nil, refuse(ReasonModel, fmt.Errorf("version %d is about catalogue %v", v.Number, v.Items))
	}
	return &v, nil
}

// settled books what the server says of an upload: done says that the charge
// needs no more asking. A refund needs a certificate that verifies; that the
// device is in a sum needs a proof, which over says is overdue.
func (s *state) settled(operator ed25519.PublicKey, round uint64, r Receipt, over bool) (done bool, err error) {
	c := s.charge(round)
	if c == nil {
		return true, nil
	}
	if c.phase >= counted && r.State != UploadCounted && r.State != UploadAbandoned { // it said otherwise before: what it says now takes nothing back
		r = Receipt{State: UploadCounted}
	}
	switch r.State {
	case UploadStaged:
		c.phase = staged
		return false, nil
	case UploadCounted:
		return s.prove(operator, c, r, over)
	case UploadAbandoned:
		if err := verifyAbandon(c.config, r.Abandoned); err != nil {
			c.phase = max(c.phase, staged)
			return false, err
		}
		if c.phase >= counted {
			s.counted--
		}
		s.refund(round)
		return true, nil
	case UploadLate, UploadRejected:
	default: // the server knows nothing of it yet, or speaks of a state that we do not know
		return false, nil
	}
	s.close(round)
	return true, nil
}

// verifyAbandon checks that a quorum of the round's committee will never open a
// sum of it.
func verifyAbandon(config, certificate []byte) error {
	cfg, err := aggregation.ParseConfig(config)
	if err != nil {
		return fmt.Errorf("client: the round's configuration: %w", err)
	}
	cert, err := aggregation.ParseAbandonCertificate(certificate)
	if err != nil {
		return fmt.Errorf("client: the certificate of abandonment: %w", err)
	}
	if err := cert.Verify(cfg); err != nil {
		return fmt.Errorf("client: the certificate of abandonment: %w", err)
	}
	return nil
}
