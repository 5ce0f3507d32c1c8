//go:build unix

package server

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tutti/server/api"
	"tutti/server/round"
	"tutti/server/store/pgtest"
)

// TestKillMatrix lets accidents befall real processes, in their own rounds, at every transition of a round: kill -9 of the
// server on SQLite, of the replica that drives on PostgreSQL, of a committee node; every connection to PostgreSQL cut; a full
// disk; a replica stopped for longer than its lease, and continued. Each round's sum must be exact, and nothing lost but
// uploads that a replica had not made part of its partial sum when it died, which their devices are told. Every sixth
// transition, or all of them in the long run (TUTTI_LONG), which prints the table.
func TestKillMatrix(t *testing.T) {
	kill := func(s *stage, pid int) {} // the process at the point kills itself
	for _, c := range []struct {
		name      string
		mode      string
		replicas  int // 0: one server on SQLite
		small     bool
		ownNode   bool
		from      int // first transition that the accident is for
		accident  func(s *stage, pid int)
		mayLose   bool
		processes string
	}{
		{name: "kill -9, server, SQLite", mode: "kill", accident: kill},
		{name: "kill -9, driver of 2, PostgreSQL", mode: "kill", replicas: 2, accident: kill, mayLose: true},
		{name: "kill -9, committee node, SQLite", mode: "wait", ownNode: true, accident: func(s *stage, _ int) { s.node.process().Kill() }},
		{name: "kill -9, committee node, PostgreSQL", mode: "wait", replicas: 2, ownNode: true, accident: func(s *stage, _ int) { s.node.process().Kill() }},
		{name: "connections cut, PostgreSQL", mode: "wait", replicas: 2, accident: (*stage).cut},
		{name: "disk full, SQLite", mode: "wait", small: true, from: 4, accident: (*stage).fill},
		{name: "SIGSTOP beyond the lease, PostgreSQL", mode: "stop", replicas: 2, accident: (*stage).sleep},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, c.replicas, c.small, c.ownNode)
			for i, point := range transitions() {
				if i < c.from || os.Getenv("TUTTI_LONG") == "" && i%6 != 2 {
					continue
				}
				began := time.Now()
				r := s.play(point, c.mode, c.accident)
				t.Logf("%-38s %-28s %d of %d counted, %d lost, %d abandoned, %v", c.name, point, r.counted, r.sent, r.sent-r.counted, r.abandoned, time.Since(began).Round(10*time.Millisecond))
				if r.sent != r.counted && !c.mayLose {
					t.Errorf("%s: %d of %d uploads that the server had taken are not in the sum", point, r.sent-r.counted, r.sent)
				}
			}
		})
	}
}

// transitions are the points at which a round may be interrupted.
func transitions() (points []string) {
	states := []round.State{round.Created, round.Collecting, round.Frozen, round.Certified, round.Released, round.Applied, round.Published}
	for i, from := range states[:len(states)-1] {
		for _, when := range []string{"before", "after"} {
			points = append(points, fmt.Sprintf("%s %v->%v", when, from, states[i+1]))
		}
	}
	return points
}

// stage is where the processes play: servers, or replicas, and perhaps one committee node; the rest is in this process.
type stage struct {
	*world
	orders  string // folder of files by which the processes are told what to do
	servers []*actor
	node    *actor
	ballast string // on the small disk
	dsn     string

	guard sync.Mutex
	sums  map[uint64]summed
}

// summed is a published round as a server process tells of it.
type summed struct {
	round     uint64
	aggregate string
	devices   int
}

func newStage(t *testing.T, replicas int, small, ownNode bool) *stage {
	s := &stage{sums: map[uint64]summed{}}
	if replicas > 0 {
		s.dsn = pgtest.DSN(t)
	}
	s.world = newWorldOf(t, 5, func(w *world) {
		s.orders = filepath.Join(w.dir, "orders")
		w.must(os.Mkdir(s.orders, 0o700))
		w.cfg.DB = s.dsn
		if small {
			s.mountSmall(w)
		}
		if ownNode {
			w.nodes[0].kill()
			s.node = s.cast(actorConfig{Node: &w.nodes[0].cfg, Address: w.nodes[0].address, Files: w.files})
		}
	})
	s.stop()
	c := actorConfig{Dir: s.cfg.Dir, DB: s.dsn, Address: s.address, Files: s.files, Spec: s.spec(4, 3, 6)}
	for _, n := range s.nodes {
		c.Nodes = append(c.Nodes, childNode{n.address, n.key})
	}
	s.servers = append(s.servers, s.cast(c))
	conns := []*turns{{}}
	conns[0].add(s.conn)
	for i := 1; i < replicas; i++ {
		other := c
		other.Dir = filepath.Join(s.dir, fmt.Sprintf("replica%d", i+1))
		s.copyKeys(s.cfg.Dir, other.Dir)
		l, err := listen("")
		s.must(err)
		other.Address = l.Addr().String()
		l.Close()
		s.servers = append(s.servers, s.cast(other))
		conns[0].add(s.dial(other.Address))
	}
	for _, d := range s.spare {
		d.rpc = api.NewDevicesClient(conns[0])
	}
	t.Cleanup(func() {
		for _, a := range append(s.servers, s.node) {
			a.end()
		}
	})
	return s
}

// mountSmall gives the server a disk of a few megabytes.
func (s *stage) mountSmall(w *world) {
	dir := filepath.Join(w.dir, "small")
	w.must(os.Mkdir(dir, 0o700))
	if err := mountTmpfs(dir, "16m"); err != nil {
		w.t.Skipf("no small disk can be mounted: %v", err)
	}
	w.t.Cleanup(func() { unmount(dir) })
	w.copyKeys(w.cfg.Dir, dir)
	w.cfg.Dir, s.ballast = dir, filepath.Join(dir, "ballast")
}

// fill fills the disk for a while.
func (s *stage) fill(int) {
	f, err := os.Create(s.ballast)
	s.must(err)
	block := make([]byte, 64<<10)
	for {
		if _, err := f.Write(block); err != nil {
			if len(block) == 1 {
				break
			}
			block = block[:len(block)/2]
		}
	}
	f.Close()
	time.AfterFunc(time.Second, func() { os.Remove(s.ballast) })
}

// cut ends every connection to the database.
func (s *stage) cut(int) {
	s.must(pgtest.Exec(s.dsn, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = 'tutti'`))
}

// sleep lets a stopped replica go on when its lease is over, and another one drives.
func (s *stage) sleep(pid int) {
	time.Sleep(3 * actorLease)
	s.must(syscall.Kill(pid, syscall.SIGCONT))
}

// result of one round.
type result struct{ sent, counted, abandoned int }

// play runs one round in which an accident happens.
func (s *stage) play(point, mode string, accident func(*stage, int)) result {
	s.t.Helper()
	before := s.published()
	for _, f := range []string{"marker", "go"} {
		os.Remove(filepath.Join(s.orders, f))
	}
	s.order("point", point+"\n"+mode)
	s.order("wanted", fmt.Sprint(before+1))
	sent := make([]map[uint64]bool, 4)
	var all sync.WaitGroup
	for i, d := range s.spare[:4] {
		sent[i] = map[uint64]bool{}
		all.Go(func() { s.contribute(d, i, before+1, sent[i]) })
	}
	accident(s, s.marked(point))
	s.order("go", "")
	last := s.until(before + 1)
	all.Wait()
	return s.judge(last, before, sent)
}

// order writes a file as a whole.
func (s *stage) order(name, text string) {
	path := filepath.Join(s.orders, name)
	s.must(os.WriteFile(path+".new", []byte(text), 0o600))
	s.must(os.Rename(path+".new", path))
}

// marked waits until a process comes to the point, and tells which.
func (s *stage) marked(point string) (pid int) {
	s.t.Helper()
	for range 6000 {
		b, err := os.ReadFile(filepath.Join(s.orders, "marker"))
		if err == nil && bytes.HasSuffix(b, []byte("\n")) {
			fmt.Sscan(string(b), &pid)
			return pid
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatalf("no process comes to %q; they say:\n%s", point, s.said())
	return 0
}

func (s *stage) said() string {
	var b strings.Builder
	for _, a := range s.servers {
		fmt.Fprintf(&b, "%s:\n%s\n", a.cfg.Address, a.said())
	}
	return b.String()
}

func (s *stage) published() int {
	s.guard.Lock()
	defer s.guard.Unlock()
	return len(s.sums)
}

func (s *stage) until(n int) (last summed) {
	s.t.Helper()
	for range 6000 {
		if s.published() >= n {
			s.guard.Lock()
			defer s.guard.Unlock()
			for _, x := range s.sums {
				if x.round > last.round {
					last = x
				}
			}
			return last
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatalf("%d rounds are never published; the processes say:\n%s", n, s.said())
	return last
}

// contribute takes part until enough rounds are published; sent notes for which rounds the server took the upload.
func (s *stage) contribute(d *device, i, until int, sent map[uint64]bool) {
	for began := time.Now(); s.published() < until && time.Since(began) < 90*time.Second; time.Sleep(15 * time.Millisecond) {
		r, err := d.checkIn()
		if err != nil || r.GetOffer() == nil {
			continue
		}
		d.offer = r.GetOffer()
		if number := d.round(); !sent[number] {
			d.seal(i)
			sent[number] = d.deliver() == api.UploadState_UPLOAD_STATE_STAGED
		}
	}
}

// judge compares the sum with what the devices are told of their uploads.
func (s *stage) judge(last summed, before int, sent []map[uint64]bool) (r result) {
	s.t.Helper()
	want := make([]int64, s.spec(4, 3, 6).Mechanism.PaddedDim)
	for i, rounds := range sent {
		state := s.spare[i].receipt(last.round).GetState()
		if rounds[last.round] {
			r.sent++
		}
		switch state {
		case api.UploadState_UPLOAD_STATE_COUNTED:
			want[i] = 1
			r.counted++
		case api.UploadState_UPLOAD_STATE_LATE, api.UploadState_UPLOAD_STATE_UNKNOWN:
		default:
			s.t.Errorf("round %d: a device is told %v", last.round, state)
		}
	}
	if digest := sumDigest(want); digest != last.aggregate || last.devices != r.counted {
		s.t.Errorf("round %d: the sum over %d devices is not that of the %d that are told they were counted", last.round, last.devices, r.counted)
	}
	var newest uint64
	s.guard.Lock()
	for _, x := range s.sums {
		if x.round < last.round {
			newest = max(newest, x.round)
		}
	}
	s.guard.Unlock()
	if r.abandoned = int(last.round - newest - 1); r.abandoned > 0 {
		s.t.Logf("before round %d:\n%s", last.round, s.said())
	}
	return r
}
