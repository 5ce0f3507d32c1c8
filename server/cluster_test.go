package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"tutti/model"
	"tutti/privacy/ledger"
	"tutti/server/api"
	"tutti/server/keys"
	"tutti/server/round"
	"tutti/server/store"
	"tutti/server/store/pgtest"
)

// cluster is several replicas of a server on one PostgreSQL, in one process. Whichever of them leads runs rounds as long as
// fewer than wanted are published. Devices talk to another one at every call.
type cluster struct {
	*world
	members []*member
	wanted  atomic.Int64
	spec    RoundSpec
	next    atomic.Uint64 // of the replicas, for devices

	guard sync.Mutex
	numbs map[round.ID]int // which coordinate is a device's own
}

// member is one replica, which can die and come back with its directory.
type member struct {
	c       *cluster
	cfg     Config
	address string
	conn    *grpc.ClientConn

	mu     sync.Mutex
	server *Server // nil: dead
	ended  sync.WaitGroup
	fault  func(at string) error
}

// clusterLease is short, so that tests are; a machine under load may lose one now and then, which must harm nobody.
const clusterLease = 1500 * time.Millisecond

// newCluster starts replicas whose driver waits for so long for one that says nothing.
func newCluster(t *testing.T, replicas int, patience time.Duration) *cluster {
	t.Helper()
	dsn := pgtest.DSN(t)
	c := &cluster{numbs: map[round.ID]int{}}
	c.world = newWorldOf(t, 5, func(w *world) {
		w.cfg.DB, w.cfg.Lease, w.cfg.Patience, w.cfg.KeepSums = dsn, clusterLease, patience, true
		w.bare = true
	})
	c.spec = c.world.spec(6, 4, 8)
	for i := range replicas {
		m := &member{c: c, cfg: c.cfg}
		m.cfg.Dir = filepath.Join(c.dir, fmt.Sprintf("replica%d", i+1))
		c.copyKeys(c.cfg.Dir, m.cfg.Dir)
		c.members = append(c.members, m)
		m.start()
	}
	t.Cleanup(func() { // before the world's
		for _, m := range c.members {
			m.kill()
			m.conn.Close()
		}
	})
	c.server = c.members[0].server
	c.spare = c.enrol(24)
	c.server = nil
	for _, d := range c.spare {
		d.rpc = api.NewDevicesClient(c)
	}
	return c
}

// copyKeys makes a directory that of another replica.
func (w *world) copyKeys(from, to string) {
	w.t.Helper()
	w.must(os.MkdirAll(filepath.Join(to, "keys"), 0o700))
	for _, name := range []string{"operator.pem", "enroller.pem"} {
		b, err := os.ReadFile(filepath.Join(from, "keys", name))
		w.must(err)
		w.must(os.WriteFile(filepath.Join(to, "keys", name), b, 0o600))
	}
}

func (m *member) start() {
	m.c.t.Helper()
	l, err := listen(m.address)
	m.c.must(err)
	m.address = l.Addr().String()
	if m.conn == nil {
		settings, err := keys.ClientTLS(keys.Files{CA: m.c.files.CA})
		m.c.must(err)
		m.conn, err = grpc.NewClient(m.address, grpc.WithTransportCredentials(credentials.NewTLS(settings)))
		m.c.must(err)
		if m.c.conn == nil {
			m.c.conn = m.conn
		}
	}
	s, err := Open(m.cfg)
	if err != nil {
		l.Close()
	}
	m.c.must(err)
	s.fault = m.trip
	m.mu.Lock()
	m.server = s
	m.mu.Unlock()
	m.ended.Go(func() { s.Serve(l) })
	m.ended.Go(func() {
		if err := s.Lead(context.Background(), func(ctx context.Context) error { return m.c.lead(ctx, s) }); err != nil && !errors.Is(err, ErrClosed) {
			m.c.t.Errorf("leading: %v", err)
		}
	})
}

// kill ends a replica without goodbye: its lease runs out, its devices' streams break, what it staged stays in its files.
func (m *member) kill() {
	s := m.silence()
	if s == nil {
		return
	}
	s.mu.Lock()
	wires := s.wires
	s.wires = nil
	s.mu.Unlock()
	m.mu.Lock()
	m.server = nil
	m.mu.Unlock()
	for _, w := range wires {
		w.Stop()
	}
	s.Close()
	m.ended.Wait()
}

// silence is the moment of death: nothing more is written, and no lease given back.
func (m *member) silence() *Server {
	s := m.alive()
	if s == nil {
		return nil
	}
	s.mu.Lock()
	s.lead = nil
	s.mu.Unlock()
	s.stop()
	return s
}

// trip is the fault of its server.
func (m *member) trip(at string) error {
	m.mu.Lock()
	fault := m.fault
	m.mu.Unlock()
	if fault == nil {
		return nil
	}
	return fault(at)
}

// alive is a replica that is not dead.
func (m *member) alive() *Server {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.server
}

// driver waits for the replica that drives.
func (c *cluster) driver() *member {
	c.t.Helper()
	for range 2000 {
		for _, m := range c.members {
			if s := m.alive(); s != nil && s.Leading() {
				return m
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	c.t.Fatal("nobody leads")
	return nil
}

// lead runs rounds as the campaign does, until enough of them are published.
func (c *cluster) lead(ctx context.Context, s *Server) error {
	for ctx.Err() == nil {
		result, err := s.Resume(ctx)
		if errors.Is(err, ErrNothing) {
			if int64(len(published(s))) >= c.wanted.Load() {
				s.pause(10 * time.Millisecond)
				continue
			}
			result, err = s.RunRound(ctx, c.spec)
		}
		if err == nil {
			blob := fmt.Appendf(nil, "round %d", result.Round)
			_, err = s.Publish(ctx, Publication{Round: result, Version: &model.Version{Popularity: sha256.Sum256(blob)}, Blobs: [][]byte{blob}, Cause: "test"})
		}
		if err != nil && ctx.Err() == nil {
			s.log.Info("a round did not end", "error", err)
			s.pause(20 * time.Millisecond)
		}
	}
	return ctx.Err()
}

// published are the rounds whose sums the log tells of.
func published(s *Server) (out []*ledger.Round) {
	s.Ledger().Records(s.ctx, 0, func(r ledger.Record) error {
		if b, ok := r.Body.(*ledger.Round); ok && b.Outcome == ledger.Published {
			out = append(out, b)
		}
		return nil
	})
	return out
}

// Invoke and NewStream make the cluster one connection, of which every call goes to the next replica.
func (c *cluster) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return c.turn().Invoke(ctx, method, args, reply, opts...)
}

func (c *cluster) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return c.turn().NewStream(ctx, desc, method, opts...)
}

func (c *cluster) turn() *grpc.ClientConn {
	return c.members[c.next.Add(1)%uint64(len(c.members))].conn
}

// play runs one more round with these devices. at is called when the round has some uploads.
func (c *cluster) play(devices []*device, at func()) *ledger.Round {
	c.t.Helper()
	before := int64(0)
	for _, m := range c.members {
		if s := m.alive(); s != nil {
			before = int64(len(published(s)))
		}
	}
	c.wanted.Store(before + 1)
	var all sync.WaitGroup
	for i, d := range devices {
		c.guard.Lock()
		c.numbs[d.id()] = i
		c.guard.Unlock()
		all.Go(func() { c.contribute(d, i, before+1) })
	}
	if at != nil {
		at()
	}
	last := c.until(before + 1)
	all.Wait()
	c.exact(last)
	return last
}

// contribute takes part in rounds until one is published that this device could be in: a round that is abandoned for want of
// the uploads of a replica that died is followed by another.
func (c *cluster) contribute(d *device, i int, until int64) {
	var in uint64
	for began := time.Now(); time.Since(began) < 90*time.Second; {
		if s := c.anyone(); s == nil || int64(len(published(s))) >= until {
			return
		}
		r, err := d.checkIn()
		if err != nil || r.GetOffer() == nil {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		d.offer = r.GetOffer()
		if d.round() == in { // once a round, unless the upload did not arrive
			time.Sleep(20 * time.Millisecond)
			continue
		}
		d.seal(i)
		if d.deliver() != 0 {
			in = d.round()
		}
	}
}

func (c *cluster) anyone() *Server {
	for _, m := range c.members {
		if s := m.alive(); s != nil {
			return s
		}
	}
	return nil
}

// until waits for so many published rounds, as every living replica sees them, and gives the last.
func (c *cluster) until(n int64) *ledger.Round {
	c.t.Helper()
	for range 6000 {
		all := true
		var last *ledger.Round
		for _, m := range c.members {
			if s := m.alive(); s != nil {
				rounds := published(s)
				if all = all && int64(len(rounds)) >= n; all {
					last = rounds[n-1]
				}
			}
		}
		if all && last != nil {
			return last
		}
		time.Sleep(20 * time.Millisecond)
	}
	c.t.Fatalf("%d rounds are never published", n)
	return nil
}

// exact says whether the opened sum of a round is the 0/1 indicator of its certified set, and the log tells of that set.
func (c *cluster) exact(r *ledger.Round) {
	c.t.Helper()
	s := c.anyone()
	row, found, err := s.st.Round(context.Background(), store.Key{Task: r.Task, Round: r.Round})
	if err != nil || !found {
		c.t.Fatalf("round %d: %v", r.Round, err)
	}
	want := make([]int64, c.spec.Mechanism.PaddedDim)
	for _, u := range row.Durable.Set {
		want[c.numbs[u.ID]] = 1
	}
	if digest := sha256.Sum256(SumBytes(want)); digest != r.Aggregate || r.Survived != uint64(len(row.Durable.Set)) || ledger.Participants(idsOf(row.Durable.Set)) != r.Participants {
		c.t.Errorf("round %d: the opened sum is not that of its %d devices", r.Round, len(row.Durable.Set))
	}
	if _, err := s.st.Blob(r.Aggregate); err != nil {
		c.t.Errorf("round %d: the sum was not kept: %v", r.Round, err)
	}
	if len(row.Durable.Set) < 4 {
		c.t.Errorf("round %d: a set of %d", r.Round, len(row.Durable.Set))
	}
}

// once checks that no round and no version is in the log twice.
func (c *cluster) once() {
	c.t.Helper()
	seen := map[string]bool{}
	for _, m := range c.members {
		s := m.alive()
		if s == nil {
			continue
		}
		clear(seen)
		err := s.Ledger().Records(context.Background(), 0, func(r ledger.Record) error {
			what := ""
			switch b := r.Body.(type) {
			case *ledger.Plan:
				what = fmt.Sprint("plan ", b.Round)
			case *ledger.Round:
				what = fmt.Sprint("round ", b.Round)
			case *ledger.Version:
				what = fmt.Sprint("version ", b.Number)
			}
			if what != "" && seen[what] {
				c.t.Errorf("%s is in the log twice", what)
			}
			seen[what] = true
			return nil
		})
		c.must(err)
	}
}
