//go:build unix

package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"tutti/server/committee"
	wire "tutti/server/grpc"
	"tutti/server/keys"
)

// actor is a process of its own that is started again whenever it dies: a server, a replica or a committee node. It is this
// test binary, which finds its part in the environment.
type actor struct {
	stage *stage
	cfg   actorConfig
	ended chan struct{}

	mu   sync.Mutex
	cmd  *exec.Cmd
	over bool
	out  bytes.Buffer
}

type actorConfig struct {
	Dir, DB, Address, Orders string
	Files                    keys.Files
	Nodes                    []childNode
	Spec                     RoundSpec
	Node                     *committee.Config
}

const actorSetting = "TUTTI_TEST_ACTOR"

// actorLease is the lease of replicas in processes of their own.
const actorLease = time.Second

func (s *stage) cast(c actorConfig) *actor {
	c.Orders = s.orders
	a := &actor{stage: s, cfg: c, ended: make(chan struct{})}
	go a.live()
	return a
}

func (a *actor) live() {
	defer close(a.ended)
	part, err := json.Marshal(a.cfg)
	for err == nil {
		cmd := exec.Command(os.Args[0], "-test.run=^TestActor$", "-test.count=1", "-test.timeout=0")
		cmd.Env = append(os.Environ(), actorSetting+"="+string(part), "GOMAXPROCS=2")
		cmd.Stderr = a
		out, _ := cmd.StdoutPipe()
		a.mu.Lock()
		if a.over {
			a.mu.Unlock()
			return
		}
		a.cmd = cmd
		err = cmd.Start()
		a.mu.Unlock()
		for lines := bufio.NewScanner(out); err == nil && lines.Scan(); {
			fmt.Fprintln(a, lines.Text())
			var x summed
			if n, _ := fmt.Sscanf(lines.Text(), "sum %d %s %d", &x.round, &x.aggregate, &x.devices); n == 3 {
				a.stage.guard.Lock()
				a.stage.sums[x.round] = x
				a.stage.guard.Unlock()
			}
		}
		cmd.Wait()
		time.Sleep(100 * time.Millisecond)
	}
}

// Write keeps what the process says.
func (a *actor) Write(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.out.Write(b)
	if over := a.out.Len() - 8<<10; over > 0 {
		a.out.Next(over)
	}
	return len(b), nil
}

func (a *actor) said() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.out.String()
}

func (a *actor) process() *os.Process {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cmd.Process
}

func (a *actor) end() {
	if a == nil {
		return
	}
	a.mu.Lock()
	a.over = true
	if a.cmd != nil && a.cmd.Process != nil {
		a.cmd.Process.Kill()
	}
	a.mu.Unlock()
	<-a.ended
}

// TestActor is the process of an actor.
func TestActor(t *testing.T) {
	part := os.Getenv(actorSetting)
	if part == "" {
		t.Skip("only a process of TestKillMatrix runs this")
	}
	var c actorConfig
	if err := json.Unmarshal([]byte(part), &c); err != nil {
		t.Fatal(err)
	}
	act := c.serve
	if c.Node != nil {
		act = c.sit
	}
	if err := act(); err != nil {
		fmt.Println("error", err)
	}
}

// sit is a committee node.
func (c actorConfig) sit() error {
	node, err := committee.Open(*c.Node)
	if err != nil {
		return err
	}
	settings, err := keys.MutualTLS(c.Files)
	if err != nil {
		return err
	}
	server, err := committee.NewServer(node, settings)
	if err != nil {
		return err
	}
	l, err := listen(c.Address)
	if err != nil {
		return err
	}
	return server.Serve(l)
}

// serve is a server, which runs rounds until as many are published as the orders say.
func (c actorConfig) serve() error {
	toNodes, err := keys.ClientTLS(c.Files)
	if err != nil {
		return err
	}
	serving, err := keys.ServerTLS(c.Files)
	if err != nil {
		return err
	}
	cfg := Config{Dir: c.Dir, DB: c.DB, Task: "test", Purpose: "tests", Asked: 1000, Budget: big.NewRat(1, 1), Delta: "1e-06", TLS: serving, Windows: quickWindows,
		Limits: wire.Limits{PerHost: 1e6, PerIdent: 1e6}, Lease: actorLease, Patience: time.Second,
		Pace: Pace{NoRound: 20 * time.Millisecond, Full: 20 * time.Millisecond, Counted: 20 * time.Millisecond},
		Log:  hclog.New(&hclog.LoggerOptions{Level: hclog.Warn}), Observer: func(e Event) { fmt.Println(e) }}
	for _, n := range c.Nodes {
		cfg.Committee = append(cfg.Committee, committee.Peer{Address: n.Address, Identity: ed25519.PublicKey(n.Identity), TLS: toNodes, Timeout: 5 * time.Second})
	}
	s, err := Open(cfg)
	if err != nil {
		return err
	}
	defer s.Close()
	s.fault = c.fault
	l, err := listen(c.Address)
	if err != nil {
		return err
	}
	go s.Serve(l)
	go func() {
		for told := 0; ; time.Sleep(20 * time.Millisecond) {
			for all := published(s); told < len(all); told++ {
				r := all[told]
				fmt.Printf("sum %d %x %d\n", r.Round, r.Aggregate, r.Survived)
			}
		}
	}()
	return s.Lead(context.Background(), func(ctx context.Context) error { return c.lead(ctx, s) })
}

func (c actorConfig) lead(ctx context.Context, s *Server) error {
	for ctx.Err() == nil {
		result, err := s.Resume(ctx)
		if errors.Is(err, ErrNothing) {
			b, _ := os.ReadFile(filepath.Join(c.Orders, "wanted"))
			wanted, _ := strconv.Atoi(string(b))
			if len(published(s)) >= wanted {
				s.pause(10 * time.Millisecond)
				continue
			}
			result, err = s.RunRound(ctx, c.Spec)
		}
		if err == nil {
			_, err = s.Publish(ctx, Publication{Round: result})
		}
		if err != nil && ctx.Err() == nil {
			fmt.Println("error", err)
			s.pause(100 * time.Millisecond)
		}
	}
	return ctx.Err()
}

// fault is what the orders say of a point in the round, for the first process that comes there.
func (c actorConfig) fault(at string) error {
	b, err := os.ReadFile(filepath.Join(c.Orders, "point"))
	point, mode, _ := strings.Cut(string(b), "\n")
	if err != nil || at != point {
		return nil
	}
	marker, err := os.OpenFile(filepath.Join(c.Orders, "marker"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil
	}
	fmt.Fprintln(marker, os.Getpid())
	marker.Close()
	switch mode {
	case "kill":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "stop":
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		time.Sleep(50 * time.Millisecond) // it takes a moment
	case "wait":
		for range 2000 {
			if _, err := os.Stat(filepath.Join(c.Orders, "go")); err == nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	return nil
}

// turns is one connection of which every call goes to the next of several servers.
type turns struct {
	next  atomic.Uint64
	conns []*grpc.ClientConn
}

func (c *turns) add(conn *grpc.ClientConn) { c.conns = append(c.conns, conn) }

func (c *turns) turn() *grpc.ClientConn { return c.conns[c.next.Add(1)%uint64(len(c.conns))] }

func (c *turns) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return c.turn().Invoke(ctx, method, args, reply, opts...)
}

func (c *turns) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return c.turn().NewStream(ctx, desc, method, opts...)
}

// dial connects to a server.
func (w *world) dial(address string) *grpc.ClientConn {
	w.t.Helper()
	settings, err := keys.ClientTLS(keys.Files{CA: w.files.CA})
	w.must(err)
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(settings)))
	w.must(err)
	w.t.Cleanup(func() { conn.Close() })
	return conn
}
