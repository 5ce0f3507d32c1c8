package committee

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"runtime"
	"slices"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tutti/aggregation"
	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/server/api"
)

type ed25519Key = ed25519.PublicKey

// maxBatch is the most headers that a node judges in one request.
const maxBatch = 64

// service answers the Committee service of server/api for a Node.
type service struct {
	api.UnimplementedCommitteeServer
	n *Node
}

// Identity names the node, and says how much of a task's log it has seen.
func (s service) Identity(_ context.Context, r *api.IdentityRequest) (*api.IdentityResponse, error) {
	s.n.mu.Lock()
	defer s.n.mu.Unlock()
	return &api.IdentityResponse{PublicKey: s.n.PublicKey(), LogSize: s.n.logs[r.GetTask()].Last.Size}, nil
}

// OpenRound checks the signed plan against the node's policy, binds the round to it, and makes the round's key.
func (s service) OpenRound(ctx context.Context, r *api.OpenRoundRequest) (*api.OpenRoundResponse, error) {
	n := s.n
	n.mu.Lock()
	defer n.mu.Unlock()
	key, err := n.openRound(ctx, plan.Signed{Bytes: r.GetPlan(), Signature: r.GetPlanSignature()}, loggedOf(r.GetLogged()))
	if refusal, detail, err := split(err); err != nil {
		return nil, err
	} else if refusal != 0 {
		n.refused("open", refusal, detail)
		return &api.OpenRoundResponse{Refusal: refusal, Detail: detail}, nil
	}
	return &api.OpenRoundResponse{RoundKey: marshalKey(key)}, nil
}

func (n *Node) openRound(ctx context.Context, signed plan.Signed, logged ledger.Logged) (aggregation.RoundKey, error) {
	p, err := plan.Open(signed, n.cfg.Operator)
	if err != nil {
		return aggregation.RoundKey{}, &Refused{aggregation.RefusePlan, "the plan is not the operator's"}
	}
	k := roundKey{p.Task, p.Round}
	bound, known := n.rounds[k]
	switch {
	case known && bound.digest != signed.Digest():
		return aggregation.RoundKey{}, &Refused{aggregation.RefusePlan, "the round follows another plan here"}
	case p.Round < n.horizon[p.Task]:
		return aggregation.RoundKey{}, &Refused{aggregation.RefusePast, ""}
	}
	if err := n.check(p); err != nil {
		return aggregation.RoundKey{}, err
	}
	if err := n.witness(ctx, p, signed, logged); err != nil {
		return aggregation.RoundKey{}, err
	}
	if err := n.advance(ctx, p.Task, p.Round); err != nil {
		return aggregation.RoundKey{}, err
	}
	b := bind(p, signed.Bytes)
	m, err := n.member(b.committee, p.Committee)
	if err != nil {
		return aggregation.RoundKey{}, err
	}
	key, records, err := m.OpenRound(n.cfg.Random, aggregation.RoundID{Task: p.Task, Round: p.Round}, b.digest, p.Suite)
	if err != nil {
		return aggregation.RoundKey{}, err
	}
	if known {
		return key, n.save(ctx, b.committee, records, nil)
	}
	err = n.save(ctx, b.committee, records, func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO rounds VALUES (?, ?, ?)`, p.Task, int64(p.Round), signed.Bytes)
		return err
	})
	if err == nil {
		n.rounds[k] = b
		n.log.Info("opened a round", "task", p.Task, "round", p.Round, "kind", p.Kind.String(), "members", len(p.Committee),
			"n_min", p.Mechanism.NMin, "population", p.Population.Size, "groups", p.Groups, "suite", p.Suite.String())
	}
	return key, err
}

// shardOf is what names a shard of a round in every request.
type shardOf interface {
	GetTask() string
	GetRound() uint64
	GetShard() uint32
}

func (n *Node) of(r shardOf) (*aggregation.Member, boundRound, aggregation.RoundID, error) {
	return n.at(r.GetTask(), r.GetRound(), r.GetShard())
}

// at finds the machine of a round that was opened here.
func (n *Node) at(task string, round uint64, shard uint32) (*aggregation.Member, boundRound, aggregation.RoundID, error) {
	id := aggregation.RoundID{Task: task, Round: round, Shard: shard}
	b, known := n.rounds[roundKey{task, round}]
	if !known {
		if round < n.horizon[task] {
			return nil, b, id, &Refused{aggregation.RefusePast, ""}
		}
		return nil, b, id, &Refused{aggregation.RefuseNoRound, ""}
	}
	m, err := n.member(b.committee, b.plan.Committee)
	return m, b, id, err
}

// Reveal binds the node to one list of round keys and answers its coin.
func (s service) Reveal(ctx context.Context, r *api.RevealRequest) (*api.RevealResponse, error) {
	if len(r.GetRoundKeys()) > aggregation.MaxMembers {
		return nil, status.Errorf(codes.InvalidArgument, "%d round keys", len(r.GetRoundKeys()))
	}
	keys := make([]aggregation.RoundKey, len(r.GetRoundKeys()))
	for i, b := range r.GetRoundKeys() {
		k, err := ParseKey(b)
		if err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
		keys[i] = k
	}
	n := s.n
	n.mu.Lock()
	defer n.mu.Unlock()
	coin, err := n.reveal(ctx, r, keys)
	if refusal, detail, err := split(err); err != nil {
		return nil, err
	} else if refusal != 0 {
		n.refused("reveal", refusal, detail)
		return &api.RevealResponse{Refusal: refusal, Detail: detail}, nil
	}
	return &api.RevealResponse{Coin: coin[:]}, nil
}

func (n *Node) reveal(ctx context.Context, r *api.RevealRequest, keys []aggregation.RoundKey) ([32]byte, error) {
	m, b, id, err := n.at(r.GetTask(), r.GetRound(), 0)
	if err != nil {
		return [32]byte{}, err
	}
	coin, records, err := m.Reveal(id, keys)
	if err != nil {
		return [32]byte{}, err
	}
	return coin, n.save(ctx, b.committee, records, nil)
}

// BeginRound fixes the configuration, which must be the one that the plan describes.
func (s service) BeginRound(ctx context.Context, r *api.BeginRoundRequest) (*api.BeginRoundResponse, error) {
	n := s.n
	n.mu.Lock()
	defer n.mu.Unlock()
	refusal, detail, err := split(n.beginRound(ctx, r))
	n.refused("begin", refusal, detail)
	return &api.BeginRoundResponse{Refusal: refusal, Detail: detail}, err
}

func (n *Node) beginRound(ctx context.Context, r *api.BeginRoundRequest) error {
	m, b, id, err := n.of(r)
	if err != nil {
		return err
	}
	cfg, err := aggregation.ParseConfig(r.GetConfig())
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	if err := fits(cfg, b, id); err != nil {
		return err
	}
	records, err := m.Begin(cfg)
	if err != nil {
		return err
	}
	return n.save(ctx, b.committee, records, nil)
}

// fits says whether a configuration is the one that the bound plan describes.
func fits(cfg *aggregation.Config, b boundRound, id aggregation.RoundID) error {
	want, err := plan.Aggregation(b.plan)
	if err != nil {
		return &Refused{aggregation.RefusePlan, err.Error()}
	}
	l := cfg.Literal()
	switch {
	case cfg.Round() != id:
		return &Refused{aggregation.RefuseNoRound, "the configuration is of " + cfg.Round().String()}
	case cfg.Plan() != b.digest || l.Params != want.Literal() || !bytes.Equal(l.Enroller, b.plan.Enroller):
		return &Refused{aggregation.RefusePlan, "the configuration is not what the plan says"}
	case l.Population.Size != b.plan.Population.Size || l.Population.Root != b.plan.Population.Root || l.Threshold != b.plan.Threshold || l.Groups != b.plan.Groups:
		return &Refused{aggregation.RefusePlan, "the configuration draws from other devices than the plan"}
	case !slices.Equal(l.Bases, b.plan.Bases()):
		return &Refused{aggregation.RefusePlan, "the configuration takes other base versions than the plan"}
	}
	return nil
}

// SubmitShares judges a batch of headers.
func (s service) SubmitShares(ctx context.Context, r *api.SubmitSharesRequest) (*api.SubmitSharesResponse, error) {
	if len(r.GetHeaders()) > maxBatch {
		return nil, status.Errorf(codes.InvalidArgument, "%d headers in one batch, at most %d", len(r.GetHeaders()), maxBatch)
	}
	batch := make([]*aggregation.MemberHeader, len(r.GetHeaders()))
	for i, b := range r.GetHeaders() {
		h, err := aggregation.ParseMemberHeader(b)
		if err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
		batch[i] = h
	}
	n := s.n
	verdicts, err := n.judge(ctx, r, batch)
	if refusal, detail, err := split(err); err != nil {
		return nil, err
	} else if refusal != 0 {
		n.refused("judge", refusal, detail)
		return &api.SubmitSharesResponse{Refusal: refusal, Detail: detail}, nil
	}
	out := &api.SubmitSharesResponse{Verdicts: make([]uint32, len(verdicts)), Checks: make([][]byte, len(verdicts))}
	for i, v := range verdicts {
		out.Verdicts[i], out.Checks[i] = uint32(v.Reason), marshalWords(v.Check)
	}
	return out, nil
}

// judge opens a batch on all cores without holding the node, then settles it in one step. What happens to the round
// meanwhile, Accept notices: it knows the configuration that the batch was opened under.
func (n *Node) judge(ctx context.Context, r shardOf, batch []*aggregation.MemberHeader) ([]aggregation.Verdict, error) {
	judge, err := n.judgeOf(r)
	if err != nil {
		return nil, err
	}
	opened := openAll(judge, batch)
	n.mu.Lock()
	defer n.mu.Unlock()
	m, b, id, err := n.of(r)
	if err != nil {
		return nil, err
	}
	verdicts, records, err := m.Accept(id, opened)
	if err != nil {
		return nil, err
	}
	return verdicts, n.save(ctx, b.committee, records, nil)
}

func (n *Node) judgeOf(r shardOf) (*aggregation.Judge, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m, _, id, err := n.of(r)
	if err != nil {
		return nil, err
	}
	return m.Judge(id)
}

// leastTogether is how many headers a core opens together at the least: signatures are cheaper by the dozen.
const leastTogether = 16

// openAll spreads a batch over the cores.
func openAll(judge *aggregation.Judge, batch []*aggregation.MemberHeader) []aggregation.Opened {
	parts := max(1, min(runtime.GOMAXPROCS(0), len(batch)/leastTogether))
	opened := make([]aggregation.Opened, len(batch))
	var wg sync.WaitGroup
	for i := range parts {
		from, to := i*len(batch)/parts, (i+1)*len(batch)/parts
		wg.Go(func() { copy(opened[from:to], judge.Open(batch[from:to])) })
	}
	wg.Wait()
	return opened
}

// SignSet signs one set per round and shard, ever.
func (s service) SignSet(ctx context.Context, r *api.SignSetRequest) (*api.SignSetResponse, error) {
	proposal, err := aggregation.ParseProposal(r.GetSet())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	n := s.n
	n.mu.Lock()
	defer n.mu.Unlock()
	m, b, id, err := n.of(r)
	var signature aggregation.SetSignature
	var records []aggregation.Record
	if err == nil {
		signature, records, err = m.Sign(id, proposal)
	}
	if err == nil {
		err = n.save(ctx, b.committee, records, nil)
	}
	if refusal, detail, err := split(err); err != nil {
		return nil, err
	} else if refusal != 0 {
		n.refused("sign", refusal, detail)
		return &api.SignSetResponse{Refusal: refusal, Detail: detail}, nil
	}
	return &api.SignSetResponse{Signature: signature.Signature}, nil
}

// SignAbandon gives the node's word that it will never sign a set in the round.
func (s service) SignAbandon(ctx context.Context, r *api.SignAbandonRequest) (*api.SignAbandonResponse, error) {
	n := s.n
	n.mu.Lock()
	defer n.mu.Unlock()
	m, b, id, err := n.of(r)
	var signature aggregation.AbandonSignature
	var records []aggregation.Record
	if err == nil {
		signature, records, err = m.Abandon(id)
	}
	if err == nil {
		err = n.save(ctx, b.committee, records, nil)
	}
	if refusal, detail, err := split(err); err != nil {
		return nil, err
	} else if refusal != 0 {
		n.refused("abandon", refusal, detail)
		return &api.SignAbandonResponse{Refusal: refusal, Detail: detail}, nil
	}
	return &api.SignAbandonResponse{Signature: signature.Signature}, nil
}

// Release answers the sum of the node's shares over the certified set.
func (s service) Release(ctx context.Context, r *api.ReleaseRequest) (*api.ReleaseResponse, error) {
	certificate, err := aggregation.ParseCertificate(r.GetCertificate())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	n := s.n
	n.mu.Lock()
	defer n.mu.Unlock()
	m, b, id, err := n.of(r)
	var answer *aggregation.Answer
	var records []aggregation.Record
	if err == nil {
		answer, records, err = m.Release(id, certificate)
	}
	if err == nil {
		err = n.save(ctx, b.committee, records, nil)
	}
	if refusal, detail, err := split(err); err != nil {
		return nil, err
	} else if refusal != 0 {
		n.refused("release", refusal, detail)
		return &api.ReleaseResponse{Refusal: refusal, Detail: detail}, nil
	}
	return &api.ReleaseResponse{Answer: answer.Marshal()}, nil
}

// refused notes a refusal in the node's own log, which belongs to another party than the server's.
func (n *Node) refused(what string, refusal uint32, detail string) {
	if refusal != 0 {
		n.log.Warn("refused", "request", what, "reason", aggregation.Refusal(refusal).String(), "detail", detail)
	}
}

// split tells a refusal, which is an answer, from a failure, which is a gRPC error.
func split(err error) (refusal uint32, detail string, failure error) {
	if err == nil {
		return 0, "", nil
	}
	var refused *Refused
	if errors.As(err, &refused) {
		return uint32(refused.Refusal), refused.Detail, nil
	}
	var r aggregation.Refusal
	if errors.As(err, &r) {
		return uint32(r), "", nil
	}
	if _, ok := status.FromError(err); ok {
		return 0, "", err
	}
	return 0, "", status.Error(codes.Internal, err.Error())
}
