package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"tutti/client"
	"tutti/client/fleet"
	"tutti/client/transport"
	"tutti/model/blend"
	"tutti/model/dataset"
	"tutti/privacy/accounting"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
	"tutti/server"
	"tutti/server/campaign"
	"tutti/server/committee"
	wire "tutti/server/grpc"
	"tutti/server/keys"
)

// The playground is what an app finds at the other end: a server, a committee of five and other people's devices, with
// noise and masks on. All of it in one process protects nobody from whoever runs it; in earnest the server is tutti
// server, each node is a tutti committee that belongs to somebody else, and the devices are your users'.
const (
	others  = 59
	members = 5
	delta   = "1e-06"
)

// tastes are the playground's catalogue: who likes one film of a line likes the others.
var tastes = [][]string{
	{"Deep Orbit", "Deep Orbit II", "The Long Night of Mars", "Signal"},
	{"A Summer in Ghent", "Two Umbrellas", "Letters to No One", "Sunday, Again"},
	{"The Vault", "The Vault Returns", "Nine Minutes", "Cold Safe"},
	{"Ducks!", "Ducks! 2", "The Cat Who Knew", "Grandmother's Bus"},
}

func films() *dataset.Catalogue {
	var items []dataset.Item
	for t, line := range tastes {
		for k, title := range line {
			items = append(items, dataset.Item{ID: int64(10*t + k + 1), Title: title, Year: 1995 + k})
		}
	}
	return dataset.NewCatalogue(items)
}

// closing is what has to end, in the order in which it began.
type closing []func()

func (c *closing) later(end func()) { *c = append(*c, end) }

// now ends everything, the last first.
func (c *closing) now() {
	for _, end := range slices.Backward(*c) {
		end()
	}
	*c = nil
}

// playground starts everything in dir and fills in what the app is told of it.
func playground(ctx context.Context, dir string, t *task) (stop func(), err error) {
	var ends closing
	defer func() {
		if err != nil {
			ends.now()
		}
	}()
	t.catalogue = films()
	split, err := budget(others + 1)
	if err != nil {
		return nil, err
	}
	certs, err := keys.DevCerts(filepath.Join(dir, "certs"), time.Now())
	if err != nil {
		return nil, err
	}
	own, err := server.LoadKeys(filepath.Join(dir, "server"))
	if err != nil {
		return nil, err
	}
	t.policy = plan.Policy{
		Task: "quickstart", Operator: public(own.Operator), Enroller: public(own.Enroller), Population: others + 1,
		MinMembers: 4, MinCorrupt: 1, MinCohort: split.NMin, MinColluder: big.NewRat(1, 20),
		MaxRhoRound: split.Rho, MaxRhoTotal: split.Rho, MinPad: mechanism.MinMeterPad,
	}
	peers, err := nodes(dir, certs, &t.policy, &ends)
	if err != nil {
		return nil, err
	}
	s, err := serve(dir, certs, peers, t, split, &ends)
	if err != nil {
		return nil, err
	}
	tokens, err := s.Tokens(ctx, others+1)
	if err != nil {
		return nil, err
	}
	t.token = tokens[others]
	ctx, cancel := context.WithCancel(ctx)
	ends.later(cancel)
	if err := crowd(ctx, t, tokens[:others]); err != nil {
		return nil, err
	}
	go train(ctx, s, t, split)
	return ends.now, nil
}

// serve starts the server.
func serve(dir string, certs keys.Files, peers []committee.Peer, t *task, split plan.Split, ends *closing) (*server.Server, error) {
	settings, err := keys.ServerTLS(certs)
	if err != nil {
		return nil, err
	}
	const soon = 50 * time.Millisecond
	s, err := server.Open(server.Config{
		Dir: filepath.Join(dir, "server"), Task: t.policy.Task, Purpose: "a first look", Committee: peers, Budget: split.Rho, Delta: delta,
		TLS: settings, Limits: wire.Limits{PerHost: 1e6, PerIdent: 50}, Pace: server.Pace{NoRound: soon, Full: soon, Counted: soon},
	})
	if err != nil {
		return nil, err
	}
	ends.later(func() { s.Close() })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go s.Serve(l) // ends with Close
	t.server, t.ca = l.Addr().String(), certs.CA
	return s, nil
}

func public(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

// budget spends epsilon 8: a fifth on the films' popularity, the rest on what is watched after what.
func budget(people int) (plan.Split, error) {
	rho, err := accounting.RhoForEpsilon(8, 1e-6)
	if err != nil {
		return plan.Split{}, err
	}
	share := func(n int64) *big.Rat { return new(big.Rat).Mul(rho, big.NewRat(n, 10)) }
	split := plan.Split{Goal: people, Delta: delta, Rho: rho, Popularity: share(2), Transitions: share(8), Telemetry: new(big.Rat), Block: len(tastes) * len(tastes[0])}
	split.NMin, split.NMax, split.Colluders = plan.Cohort(people)
	return split, nil
}

// nodes starts the committee.
func nodes(dir string, certs keys.Files, policy *plan.Policy, ends *closing) (peers []committee.Peer, err error) {
	dialling, err := keys.ClientTLS(certs)
	if err != nil {
		return nil, err
	}
	serving, err := keys.MutualTLS(certs)
	if err != nil {
		return nil, err
	}
	for i := range members {
		key, err := committee.Key(nodeDir(dir, i))
		if err != nil {
			return nil, err
		}
		policy.Committee = append(policy.Committee, public(key))
	}
	for i := range members {
		n, err := committee.Open(committee.Config{Dir: nodeDir(dir, i), Operator: policy.Operator, Enroller: policy.Enroller, Roster: policy.Committee, Floor: policy.MinCohort})
		if err != nil {
			return nil, err
		}
		ends.later(func() { n.Close() })
		w, err := committee.NewServer(n, serving)
		if err != nil {
			return nil, err
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		go w.Serve(l) // ends with Stop
		ends.later(w.Stop)
		peers = append(peers, committee.Peer{Address: l.Addr().String(), Identity: policy.Committee[i], TLS: dialling})
	}
	return peers, nil
}

func nodeDir(dir string, i int) string { return filepath.Join(dir, fmt.Sprintf("node%d", i+1)) }

// crowd lets the other people's devices follow the server, each with its own small history.
func crowd(ctx context.Context, t *task, tokens []string) error {
	conn, err := transport.Dial(transport.Config{Address: t.server, CAFile: t.ca})
	if err != nil {
		return err
	}
	shared, err := client.NewShared(client.SharedConfig{Catalogue: t.catalogue})
	if err != nil {
		return err
	}
	var histories [][]int32
	line := len(tastes[0])
	for person := range others {
		taste := int32(person % len(tastes) * line)
		first := int32(person / len(tastes) % line)
		histories = append(histories, []int32{taste + first, taste + (first+1)%int32(line), taste + (first+2)%int32(line)})
	}
	f, err := fleet.New(fleet.Config{Policy: t.policy, Shared: shared, Transport: conn, Histories: histories, Tokens: tokens,
		Cohort: func(plan.Plan) int { return others }})
	if err != nil {
		return err
	}
	go func() {
		defer conn.Close()
		f.Run(ctx)
	}()
	return nil
}

// train runs the two releases and publishes what comes of them.
func train(ctx context.Context, s *server.Server, t *task, split plan.Split) {
	c, err := campaign.New(campaign.Config{
		Server: s, Task: t.policy.Task, Items: t.catalogue.Digest(), Spec: blend.Spec{Items: t.catalogue.Len()}, Split: split, Noise: true,
		Collect: time.Minute, NewEngine: campaign.Engine, Retries: 3,
	})
	if err == nil {
		err = c.Run(ctx)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "playground:", err)
	}
	s.Finish()
}
