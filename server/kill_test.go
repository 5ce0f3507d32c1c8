package server

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tutti/server/committee"
	wire "tutti/server/grpc"
	"tutti/server/keys"
)

// childSetting carries the child's configuration; a test binary that finds it is the child.
const childSetting = "TUTTI_TEST_SERVER"

type childConfig struct {
	Dir, Address string
	Files        keys.Files
	Nodes        []childNode
	Spec         RoundSpec
}

type childNode struct {
	Address  string
	Identity []byte
}

// TestKillNine runs the server as a process of its own and kills it without warning at every stage of one round. The
// devices and the committee never hear that it died; the round that is published is the sum of all of them.
func TestKillNine(t *testing.T) {
	w := newWorld(t, nil)
	devices := []*device{w.device(), w.device(), w.device(), w.device()}
	w.stop()
	defer w.open() // for the clean-up
	setting := childConfig{Dir: w.cfg.Dir, Address: w.address, Files: w.files, Spec: w.spec(4, 4, 6)}
	for _, n := range w.nodes {
		setting.Nodes = append(setting.Nodes, childNode{n.address, n.key})
	}
	encoded, err := json.Marshal(setting)
	w.must(err)

	var uploads sync.WaitGroup
	for i, d := range devices {
		uploads.Go(func() {
			if d.await(); d.offer != nil {
				d.seal(i)
				d.deliver()
			}
		})
	}
	kills := []string{"open:", "uploads in", "closed with", "in the set", "certified", "sum over"}
	deaths := 0
	for n := 0; ; n++ {
		deadly := "never"
		if n < len(kills) {
			deadly = kills[n]
		}
		last, killed := w.child(string(encoded), deadly)
		if killed {
			deaths++
			continue
		}
		digest, ok := strings.CutPrefix(last, "opened ")
		if !ok {
			if n < len(kills) { // it had come further than this point when it was killed
				continue
			}
			t.Fatalf("the last process says %q", last)
		}
		want := make([]int64, setting.Spec.Mechanism.PaddedDim)
		for i := range devices {
			want[i] = 1
		}
		if digest != sumDigest(want) {
			t.Errorf("the opened sum is %s", digest)
		}
		break
	}
	uploads.Wait()
	if deaths < 4 {
		t.Errorf("the server was killed %d times", deaths)
	}
}

// child runs a server process until it ends, or kills it when a line with the deadly words appears.
func (w *world) child(setting, deadly string) (last string, killed bool) {
	w.t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.count=1")
	cmd.Env = append(os.Environ(), childSetting+"="+setting)
	out, err := cmd.StdoutPipe()
	w.must(err)
	cmd.Stderr = os.Stderr
	w.must(cmd.Start())
	timer := time.AfterFunc(60*time.Second, func() { cmd.Process.Kill() })
	defer timer.Stop()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "opened ") || strings.HasPrefix(line, "error ") {
			last = line
		}
		if strings.Contains(line, deadly) {
			killed = true
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	return last, killed
}

// TestChild is the server process of TestKillNine.
func TestChild(t *testing.T) {
	encoded := os.Getenv(childSetting)
	if encoded == "" {
		t.Skip("only a child process runs this")
	}
	var c childConfig
	if err := json.Unmarshal([]byte(encoded), &c); err != nil {
		t.Fatal(err)
	}
	if digest, err := c.serve(); err != nil {
		fmt.Println("error", err)
	} else {
		fmt.Println("opened", digest)
	}
}

func (c childConfig) serve() (string, error) {
	toNodes, err := keys.ClientTLS(c.Files)
	if err != nil {
		return "", err
	}
	serving, err := keys.ServerTLS(c.Files)
	if err != nil {
		return "", err
	}
	cfg := Config{Dir: c.Dir, Task: "test", Asked: 1000, Budget: big.NewRat(1, 1), Delta: "1e-06", TLS: serving, Windows: quickWindows,
		Limits: wire.Limits{PerHost: 1e6, PerIdent: 1e6}, Observer: func(e Event) { fmt.Println(e) }}
	for _, n := range c.Nodes {
		cfg.Committee = append(cfg.Committee, committee.Peer{Address: n.Address, Identity: ed25519.PublicKey(n.Identity), TLS: toNodes})
	}
	s, err := Open(cfg)
	if err != nil {
		return "", err
	}
	defer s.Close()
	l, err := listen(c.Address)
	if err != nil {
		return "", err
	}
	go s.Serve(l)
	r, err := s.Resume(context.Background())
	if errors.Is(err, ErrNothing) {
		r, err = s.RunRound(context.Background(), c.Spec)
	}
	if err != nil {
		return "", err
	}
	if _, err := s.Publish(context.Background(), Publication{Round: r}); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", r.Aggregate), nil
}

func TestOpenAfterKillLeavesNothing(t *testing.T) {
	w := newWorld(t, nil)
	w.stop()
	stray := filepath.Join(w.cfg.Dir, "rounds", "test", "7", "vectors")
	w.must(os.MkdirAll(filepath.Dir(stray), 0o700))
	w.must(os.WriteFile(stray, make([]byte, 1000), 0o600))
	w.open()
	if _, err := os.Stat(stray); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("files of a round that is not open stay: %v", err)
	}
}
