// Package committee is a node of the committee, and the aggregation server's side of talking to one.
//
// A Node is a shell around aggregation.Member: it checks the operator's signed plan against its own policy, holds every
// (task, round) to one plan, derives the parameters from that plan, and writes each effect of the machine durably
// before it answers. It keeps an Ed25519 key of its own (mode 0600) and a SQLite file of its own. What it promises
// holds against the server: one set per round, never below its own floor, never with less noise than its policy allows.
package committee

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"

	"github.com/hashicorp/go-hclog"

	"tutti/aggregation"
	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/server/keys"
	"tutti/server/store"
)

// Config is what the party that runs a node decides. Its keys come from people, never from the server.
type Config struct {
	Dir      string              // key and database; made if missing
	Operator ed25519.PublicKey   // signs plans
	Enroller ed25519.PublicKey   // vouches for devices
	Roster   []ed25519.PublicKey // nodes that may sit on a committee with this one, this one included

	Tasks         []string // tasks served; none: any of the operator's
	MinMembers    int      // smallest committee that this node sits on; 0: a quorum of Roster with one corrupt node
	MinCorrupt    int      // fewest corrupt members that a plan must bear; 0: 1
	Floor         int      // fewest devices in a sum that this node ever helps open; 0: 2
	MinPopulation int      // fewest devices that the enroller must have vouched for before a round; 0: Floor
	PostQuantum   bool     // refuse rounds whose envelopes a quantum computer could open later
	AllowNoiseOff bool     // tests and comparisons: open sums without noise
	AllowCentral  bool     // the operator is trusted to add the noise: open sums without, for it
	Random        io.Reader
	Log           hclog.Logger
}

// keep is how many rounds of a task a node goes on repeating its answers for.
const keep = 64

// Key loads the node's identity from its directory, or makes it.
func Key(dir string) (ed25519.PrivateKey, error) {
	return keys.Load(filepath.Join(dir, "identity.pem"))
}

// Node is one member of committees. Its methods are safe for concurrent use.
type Node struct {
	cfg Config
	key ed25519.PrivateKey
	db  *store.DB
	log hclog.Logger

	mu      sync.Mutex
	members map[plan.Digest]*aggregation.Member // by digest of the committee that they sit on
	rounds  map[roundKey]boundRound
	horizon map[string]uint64
	logs    map[string]ledger.Witness // by task
}

type roundKey struct {
	task  string
	round uint64
}

// boundRound is the one plan that a node follows in a round.
type boundRound struct {
	plan      plan.Plan
	digest    plan.Digest
	committee plan.Digest
}

// Open starts a node from its directory, with everything that it promised before.
func Open(cfg Config) (*Node, error) {
	if cfg.Log == nil {
		cfg.Log = hclog.NewNullLogger()
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	key, err := Key(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("committee: %w", store.Explain(cfg.Dir, err))
	}
	if cfg, err = cfg.complete(key.Public().(ed25519.PublicKey)); err != nil {
		return nil, err
	}
	db, err := store.OpenDB(filepath.Join(cfg.Dir, "node.db"), schema...)
	if err != nil {
		return nil, fmt.Errorf("committee: %w", err)
	}
	n := &Node{cfg: cfg, key: key, db: db, log: cfg.Log}
	if err := n.restore(context.Background()); err != nil {
		db.Close()
		return nil, fmt.Errorf("committee: %w", err)
	}
	return n, nil
}

func (c Config) complete(own ed25519.PublicKey) (Config, error) {
	if c.MinCorrupt == 0 {
		c.MinCorrupt = 1
	}
	if c.MinMembers == 0 {
		c.MinMembers = (len(c.Roster)+c.MinCorrupt)/2 + 1
	}
	if c.Floor == 0 {
		c.Floor = 2
	}
	if c.MinPopulation == 0 {
		c.MinPopulation = c.Floor
	}
	switch {
	case len(c.Operator) != ed25519.PublicKeySize || len(c.Enroller) != ed25519.PublicKeySize:
		return c, errors.New("committee: the operator's and the enroller's public keys are needed")
	case c.Operator.Equal(c.Enroller):
		return c, errors.New("committee: operator and enroller are one key: nobody but the server would vouch for devices")
	case !slices.ContainsFunc(c.Roster, func(k ed25519.PublicKey) bool { return own.Equal(k) }):
		return c, fmt.Errorf("committee: this node's key %x... is not in the roster", own[:6])
	case c.Floor < 2:
		return c, fmt.Errorf("committee: a floor of %d opens single devices", c.Floor)
	}
	return c, nil
}

// PublicKey is the node's identity.
func (n *Node) PublicKey() ed25519.PublicKey { return n.key.Public().(ed25519.PublicKey) }

// Close ends the node after the request under way. Secrets of open rounds stay in its database.
func (n *Node) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.db.Close()
}

// member is the machine for a committee, made on first use.
func (n *Node) member(committee plan.Digest, roster []ed25519.PublicKey) (*aggregation.Member, error) {
	if m := n.members[committee]; m != nil {
		return m, nil
	}
	m, err := n.restoreMember(context.Background(), committee, roster)
	if err == nil {
		n.members[committee] = m
	}
	return m, err
}

func (n *Node) setup(roster []ed25519.PublicKey) aggregation.MemberSetup {
	own := slices.IndexFunc(roster, func(k ed25519.PublicKey) bool { return n.PublicKey().Equal(k) })
	return aggregation.MemberSetup{
		Identity: n.key, Index: uint16(own + 1), Floor: n.cfg.Floor,
		Pins: aggregation.Pins{Enroller: n.cfg.Enroller, Roster: roster},
	}
}

func committeeDigest(roster []ed25519.PublicKey) plan.Digest {
	h := sha256.New()
	h.Write([]byte("tutti/committee/v1"))
	for _, k := range roster {
		h.Write(k)
	}
	var d plan.Digest
	h.Sum(d[:0])
	return d
}

// check is the node's policy on a plan; the error is a Refusal with its detail.
func (n *Node) check(p plan.Plan) error {
	c := n.cfg
	refuse := func(r aggregation.Refusal, format string, args ...any) error {
		return &Refused{Refusal: r, Detail: fmt.Sprintf(format, args...)}
	}
	switch {
	case len(c.Tasks) > 0 && !slices.Contains(c.Tasks, p.Task):
		return refuse(aggregation.RefusePlan, "this node does not serve task %s", p.Task)
	case !p.Enroller.Equal(c.Enroller):
		return refuse(aggregation.RefusePins, "another enroller vouches for the devices")
	case len(p.Committee) < c.MinMembers || int(p.Corrupt) < c.MinCorrupt:
		return refuse(aggregation.RefusePins, "%d members that bear %d corrupt ones, this node wants %d and %d", len(p.Committee), p.Corrupt, c.MinMembers, c.MinCorrupt)
	case p.Mechanism.NMin < c.Floor:
		return refuse(aggregation.RefuseFloor, "sums over %d devices, this node's floor is %d", p.Mechanism.NMin, c.Floor)
	case !p.Population.Verify(c.Enroller, p.Task):
		return refuse(aggregation.RefusePins, "the enroller did not sign the population")
	case int64(p.Population.Size) < int64(c.MinPopulation):
		return refuse(aggregation.RefuseFloor, "a population of %d devices, this node wants %d", p.Population.Size, c.MinPopulation)
	case !p.Suite.Valid() || c.PostQuantum && p.Suite != aggregation.SuiteMLKEM768X25519:
		return refuse(aggregation.RefusePlan, "this node makes no keys of suite %v", p.Suite)
	case !p.Mechanism.Noise && p.Central == nil && !c.AllowNoiseOff:
		return refuse(aggregation.RefusePlan, "the plan adds no noise")
	case p.Central != nil && !c.AllowCentral:
		return refuse(aggregation.RefusePlan, "the plan leaves the noise to the operator")
	}
	own := 0
	for i, k := range p.Committee {
		if slices.ContainsFunc(p.Committee[:i], func(o ed25519.PublicKey) bool { return k.Equal(o) }) {
			return refuse(aggregation.RefusePins, "member %d stands twice", i+1)
		}
		if !slices.ContainsFunc(c.Roster, func(o ed25519.PublicKey) bool { return k.Equal(o) }) {
			return refuse(aggregation.RefusePins, "member %d is unknown to this node", i+1)
		}
		if n.PublicKey().Equal(k) {
			own++
		}
	}
	if own != 1 {
		return refuse(aggregation.RefusePins, "this node is not on the committee")
	}
	if err := p.Mechanism.Validate(); err != nil {
		return refuse(aggregation.RefusePlan, "the plan's noise does not hold together: %v", err)
	}
	if _, err := plan.Aggregation(p); err != nil {
		return refuse(aggregation.RefusePlan, "the plan's secure sum does not hold together: %v", err)
	}
	return nil
}

// Refused is a node's refusal with what it says beyond its kind.
type Refused struct {
	Refusal aggregation.Refusal
	Detail  string
}

func (r *Refused) Error() string {
	if r.Detail == "" {
		return r.Refusal.Error()
	}
	return r.Refusal.Error() + ": " + r.Detail
}

func (r *Refused) Unwrap() error { return r.Refusal }
