package committee

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"tutti/aggregation"
	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/server/api"
)

// Peer is how the aggregation server reaches a node.
type Peer struct {
	Address  string            // host:port
	Identity ed25519.PublicKey // pinned; nil: learnt by Identity, for a first set-up only
	TLS      *tls.Config
	Timeout  time.Duration // of one request; 0: 10 s
}

// Client speaks to one node. Every request is one attempt with a timeout: whoever drives a round decides when to ask
// again. A *Refused is the node's answer; any other error means that there was none.
type Client struct {
	peer Peer
	conn *grpc.ClientConn
	rpc  api.CommitteeClient
}

// ErrIdentity says that another node answers at a peer's address.
var ErrIdentity = errors.New("committee: another node answers at this address")

// Dial prepares a connection; it is made when the first request needs it, and again whenever it breaks.
func Dial(p Peer) (*Client, error) {
	if p.Timeout == 0 {
		p.Timeout = 10 * time.Second
	}
	if p.TLS == nil {
		return nil, fmt.Errorf("committee: %s: TLS settings are needed", p.Address)
	}
	conn, err := grpc.NewClient(p.Address,
		grpc.WithTransportCredentials(credentials.NewTLS(p.TLS)),
		grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(maxMessage), grpc.MaxCallRecvMsgSize(1<<20)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
			MinConnectTimeout: 3 * time.Second,
		}))
	if err != nil {
		return nil, fmt.Errorf("committee: %s: %w", p.Address, err)
	}
	return &Client{peer: p, conn: conn, rpc: api.NewCommitteeClient(conn)}, nil
}

// Address is the node's.
func (c *Client) Address() string { return c.peer.Address }

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

func (c *Client) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.peer.Timeout)
}

func (c *Client) answer(refusal uint32, detail string, err error) error {
	if err != nil {
		return fmt.Errorf("committee node %s: %w", c.peer.Address, err)
	}
	if refusal != 0 {
		return &Refused{Refusal: aggregation.Refusal(min(refusal, 255)), Detail: detail}
	}
	return nil
}

// Identity asks a node for its key and compares it with the pinned one.
func (c *Client) Identity(ctx context.Context) (ed25519.PublicKey, error) {
	key, _, err := c.identify(ctx, "")
	return key, err
}

// LogSize asks a node how much of the task's log it has seen.
func (c *Client) LogSize(ctx context.Context, task string) (uint64, error) {
	_, size, err := c.identify(ctx, task)
	return size, err
}

func (c *Client) identify(ctx context.Context, task string) (ed25519.PublicKey, uint64, error) {
	ctx, cancel := c.within(ctx)
	defer cancel()
	r, err := c.rpc.Identity(ctx, &api.IdentityRequest{Task: task})
	if err := c.answer(0, "", err); err != nil {
		return nil, 0, err
	}
	key := ed25519.PublicKey(r.GetPublicKey())
	if len(key) != ed25519.PublicKeySize || c.peer.Identity != nil && !c.peer.Identity.Equal(key) {
		return nil, 0, fmt.Errorf("%s: %w", c.peer.Address, ErrIdentity)
	}
	return key, r.GetLogSize(), nil
}

// OpenRound asks for the round's key and proves that the plan stands in the log, to a node that has seen what LogSize
// says; the caller verifies the key's signature with the configuration.
func (c *Client) OpenRound(ctx context.Context, p plan.Signed, l ledger.Logged) ([]byte, error) {
	ctx, cancel := c.within(ctx)
	defer cancel()
	r, err := c.rpc.OpenRound(ctx, &api.OpenRoundRequest{Plan: p.Bytes, PlanSignature: p.Signature, Logged: loggedTo(l)})
	return r.GetRoundKey(), c.answer(r.GetRefusal(), r.GetDetail(), err)
}

// Reveal shows the keys of all members, as OpenRound answered them, and asks for the coin that the node's own commits to;
// the caller verifies it with the configuration.
func (c *Client) Reveal(ctx context.Context, id aggregation.RoundID, keys [][]byte) ([]byte, error) {
	ctx, cancel := c.within(ctx)
	defer cancel()
	r, err := c.rpc.Reveal(ctx, &api.RevealRequest{Task: id.Task, Round: id.Round, RoundKeys: keys})
	return r.GetCoin(), c.answer(r.GetRefusal(), r.GetDetail(), err)
}

// BeginRound hands over the configuration.
func (c *Client) BeginRound(ctx context.Context, cfg *aggregation.Config) error {
	ctx, cancel := c.within(ctx)
	defer cancel()
	id := cfg.Round()
	r, err := c.rpc.BeginRound(ctx, &api.BeginRoundRequest{Task: id.Task, Round: id.Round, Shard: id.Shard, Config: cfg.Marshal()})
	return c.answer(r.GetRefusal(), r.GetDetail(), err)
}

// Verdict is what a node says of one header.
type Verdict struct {
	Reason aggregation.Reason
	Check  []uint64 // when accepted: its words of the sharing check
}

// SubmitShares shows a batch of the member's headers and returns a verdict for each.
func (c *Client) SubmitShares(ctx context.Context, id aggregation.RoundID, headers [][]byte) ([]Verdict, error) {
	ctx, cancel := c.within(ctx)
	defer cancel()
	r, err := c.rpc.SubmitShares(ctx, &api.SubmitSharesRequest{Task: id.Task, Round: id.Round, Shard: id.Shard, Headers: headers})
	if err := c.answer(r.GetRefusal(), r.GetDetail(), err); err != nil {
		return nil, err
	}
	if len(r.GetVerdicts()) != len(headers) || len(r.GetChecks()) != len(headers) {
		return nil, fmt.Errorf("committee node %s: %d verdicts with %d checks on %d headers", c.peer.Address, len(r.GetVerdicts()), len(r.GetChecks()), len(headers))
	}
	out := make([]Verdict, len(headers))
	for i, v := range r.GetVerdicts() {
		out[i].Reason = aggregation.Reason(min(v, 255))
		if out[i].Check, err = parseWords(r.GetChecks()[i]); err != nil {
			return nil, fmt.Errorf("committee node %s: %w", c.peer.Address, err)
		}
	}
	return out, nil
}

// SignSet asks for the member's signature on U and verifies it.
func (c *Client) SignSet(ctx context.Context, cfg *aggregation.Config, member uint16, set *aggregation.Set) ([]byte, error) {
	ctx, cancel := c.within(ctx)
	defer cancel()
	id := cfg.Round()
	proposal := &aggregation.Proposal{Cfg: cfg.Digest(), Set: set}
	r, err := c.rpc.SignSet(ctx, &api.SignSetRequest{Task: id.Task, Round: id.Round, Shard: id.Shard, Set: proposal.Marshal()})
	if err := c.answer(r.GetRefusal(), r.GetDetail(), err); err != nil {
		return nil, err
	}
	signature := aggregation.SetSignature{Member: member, SetDigest: set.Digest(cfg.Digest()), Signature: r.GetSignature()}
	if !signature.Verify(cfg) {
		return nil, fmt.Errorf("committee node %s: its signature of the set does not hold", c.peer.Address)
	}
	return r.GetSignature(), nil
}

// SignAbandon asks for the member's word that the round is never opened.
func (c *Client) SignAbandon(ctx context.Context, id aggregation.RoundID) ([]byte, error) {
	ctx, cancel := c.within(ctx)
	defer cancel()
	r, err := c.rpc.SignAbandon(ctx, &api.SignAbandonRequest{Task: id.Task, Round: id.Round, Shard: id.Shard})
	return r.GetSignature(), c.answer(r.GetRefusal(), r.GetDetail(), err)
}

// Release asks for the member's answer to the certificate and verifies it.
func (c *Client) Release(ctx context.Context, cfg *aggregation.Config, certificate *aggregation.Certificate) ([]byte, error) {
	ctx, cancel := c.within(ctx)
	defer cancel()
	id := cfg.Round()
	r, err := c.rpc.Release(ctx, &api.ReleaseRequest{Task: id.Task, Round: id.Round, Shard: id.Shard, Certificate: certificate.Marshal()})
	if err := c.answer(r.GetRefusal(), r.GetDetail(), err); err != nil {
		return nil, err
	}
	a, err := aggregation.ParseAnswer(r.GetAnswer())
	if err != nil || !a.Verify(cfg, certificate.Set.Digest(cfg.Digest())) {
		return nil, fmt.Errorf("committee node %s: its answer does not hold", c.peer.Address)
	}
	return r.GetAnswer(), nil
}
