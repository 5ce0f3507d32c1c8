package server

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/big"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"tutti/aggregation"
	"tutti/server/attest"
	"tutti/server/committee"
	wire "tutti/server/grpc"
	"tutti/server/keys"
	"tutti/server/operator"
	"tutti/server/pace"
	"tutti/server/registry"
	"tutti/server/round"
	"tutti/server/store"
)

// Config is what an operator decides. The zero values of optional fields take the default in brackets.
type Config struct {
	Dir     string // data directory: keys, database, blobs, staged uploads
	DB      string // "postgres://...": the database that replicas share [SQLite in Dir, of this process alone]
	Blobs   string // where versions and other contents are kept, as store.Options has it [Dir; with DB, the database]
	Task    string // 1 to 64 of a-z 0-9 . _ -
	Purpose string // why the task exists, in words; logged once

	Committee  []committee.Peer  // all nodes, each with its pinned identity
	Corrupt    int               // c, nodes that may collude with the server [1]
	Packing    int               // key words in one share polynomial [2]
	Suite      aggregation.Suite // of the envelopes [SuiteMLKEM768X25519: a recording of them opens to no quantum computer]
	Enrolled   int               // fewest devices that are enrolled before a round opens [the round's goal]
	Asked      int               // devices that the lot makes eligible for each that a round wants [DefaultAsked]
	CheckNorm  bool              // have every upload's norm proven: garbage and boosted uploads are found before they are summed
	Groups     int               // sums that a round is split into by lot; the numbers of its mechanism hold for each [1]
	Combine    Combine           // how they become one [their sum]
	MinMembers int               // fewest nodes that a round opens with [the quorum of all: as many may be missing at the opening as later]

	Budget *big.Rat // rho of the whole task; nil: no bound is claimed (noise off)
	Delta  string   // decimal, of the claim

	Participations uint32 // k, rounds of the task that a device may be in at most: logged once, and no plan allows more [any number]
	Separation     uint32 // b, rounds from one to the next that a device may be in at least: logged once, and no plan allows less [1]

	Trust string // who adds the noise, as the task was made: for views, until the first plan says so ["": the devices]

	TLS      *tls.Config     // of the listener; TLS 1.3
	Attestor attest.Attestor // who may enrol a device [whoever has a one-time token]
	Limits   wire.Limits
	Windows  func(collect time.Duration) round.Windows // [round.DefaultWindows]
	Pace     Pace
	Rollout  registry.Policy // of new versions; [everybody gets them at once]
	Lease    time.Duration   // replicas: how long one may be silent before another drives the rounds [5 s]
	Patience time.Duration   // replicas: how long the driver waits for the partial sum of one that says nothing [as long]
	Offline  bool            // for the log, the tokens and the report alone: a round that was under way stays as it is, and none is run
	KeepSums bool            // keep every opened sum as a blob, so that an auditor can recompute decode and optimiser
	Log      hclog.Logger
	Clock    func() time.Time              // [time.Now]
	Random   io.Reader                     // [crypto/rand]
	Trace    *operator.Tracer              // spans for OpenTelemetry [nil: none]
	wrap     func(store.Store) store.Store // tests: a store with faults
	Observer func(Event)                   // told what happens, in order, by one goroutine at a time; must not call back
}

// Pace is how long devices are told to wait before they ask again; the zero value is the design's.
type Pace = pace.Policy

func (c Config) complete() (Config, error) {
	if c.Corrupt == 0 {
		c.Corrupt = 1
	}
	if c.Packing == 0 {
		c.Packing = 2
	}
	if c.Suite == 0 {
		c.Suite = aggregation.SuiteMLKEM768X25519
	}
	if c.Groups == 0 {
		c.Groups = 1
	}
	if c.Asked == 0 {
		c.Asked = DefaultAsked
	}
	if c.MinMembers == 0 {
		c.MinMembers = (len(c.Committee)+c.Corrupt)/2 + 1
	}
	if c.Windows == nil {
		c.Windows = round.DefaultWindows
	}
	if c.Lease == 0 {
		c.Lease = 5 * time.Second
	}
	if c.Patience == 0 {
		c.Patience = c.Lease
	}
	if c.Log == nil {
		c.Log = hclog.NewNullLogger()
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Observer == nil {
		c.Observer = func(Event) {}
	}
	if c.CheckNorm && c.Limits.Header == 0 {
		c.Limits.Header = len(c.Committee)*provenShare + provenStatement
	}
	c.Limits = c.Limits.WithDefaults()
	var err error
	if c.Rollout, err = c.Rollout.Complete(); err != nil {
		return c, fmt.Errorf("server: %w", err)
	}
	return c, c.check()
}

// packing is the configured one, or less where so few members are present that a norm's check wants more answers than their quorum gives.
func (c Config) packing(members int) int {
	rho, quorum := c.Packing, (members+c.Corrupt)/2+1
	for c.CheckNorm && rho > 1 && c.Corrupt+2*rho-1 > quorum {
		rho--
	}
	return rho
}

// What a norm proof adds to an upload's header at most: to each member's envelope some 8,400 field elements of eight bytes, and once four
// rows of them over the larger ring.
const provenShare, provenStatement = 80 << 10, 4 * 4096 * 8

func (c Config) check() error {
	if c.Dir == "" {
		return errors.New("server: a data directory is needed")
	}
	if c.Lease < 100*time.Millisecond || c.Patience < 0 {
		return fmt.Errorf("server: a lease of %v and a patience of %v: want 100 ms or more", c.Lease, c.Patience)
	}
	if c.Task == "" || len(c.Task) > 64 || strings.Trim(c.Task, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "" || strings.Trim(c.Task, ".") == "" {
		return fmt.Errorf("server: the task's name %q is not 1 to 64 of a-z 0-9 . _ -", c.Task)
	}
	if c.Groups < 1 || c.Groups > aggregation.MaxGroups {
		return fmt.Errorf("server: a round cannot be split into %d groups, at most %d", c.Groups, aggregation.MaxGroups)
	}
	if err := c.Combine.Check(c.Groups); err != nil {
		return err
	}
	if c.Asked < 1 {
		return fmt.Errorf("server: %d devices asked for each that is wanted", c.Asked)
	}
	if !c.Suite.Valid() {
		return fmt.Errorf("server: there is no suite %v", c.Suite)
	}
	if c.Budget != nil && c.Budget.Sign() <= 0 {
		return fmt.Errorf("server: a budget of rho %s", c.Budget.RatString())
	}
	if c.MinMembers > len(c.Committee) || c.MinMembers < 1 {
		return fmt.Errorf("server: rounds want %d committee nodes and %d are configured", c.MinMembers, len(c.Committee))
	}
	for i, p := range c.Committee {
		if len(p.Identity) != ed25519.PublicKeySize {
			return fmt.Errorf("server: committee node %s has no pinned identity", p.Address)
		}
		for _, q := range c.Committee[:i] {
			if p.Identity.Equal(q.Identity) {
				return fmt.Errorf("server: committee nodes %s and %s have one identity", q.Address, p.Address)
			}
		}
	}
	return nil
}

// Keys are the server's two keys. Whoever vouches for devices must not be whoever counts them, so they are two, and in
// a deployment the enroller's belongs to somebody else.
type Keys struct{ Operator, Enroller ed25519.PrivateKey }

// LoadKeys reads the keys in a data directory, or makes them (mode 0600) on the first run.
func LoadKeys(dir string) (Keys, error) {
	operator, err := keys.Load(filepath.Join(dir, "keys", "operator.pem"))
	if err != nil {
		return Keys{}, err
	}
	enroller, err := keys.Load(filepath.Join(dir, "keys", "enroller.pem"))
	return Keys{operator, enroller}, err
}

// String redacts.
func (Keys) String() string { return "server.Keys(redacted)" }

// GoString redacts.
func (k Keys) GoString() string { return k.String() }

// Format redacts under every verb.
func (k Keys) Format(s fmt.State, _ rune) { io.WriteString(s, k.String()) }

// MarshalJSON refuses.
func (Keys) MarshalJSON() ([]byte, error) { return nil, errors.New("server: keys are not for JSON") }

// MarshalText refuses.
func (Keys) MarshalText() ([]byte, error) { return nil, errors.New("server: keys are not for text") }
