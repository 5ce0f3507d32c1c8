package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// freeAddress is one that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// trial is a task of ten devices in a folder, made by commands.
type trial struct {
	t                  *testing.T
	dir, data, address string
	nodes              []string
	tokens             []string
}

func newTrial(t *testing.T) *trial {
	t.Helper()
	r := &trial{t: t, dir: t.TempDir(), data: people(t, 20), address: freeAddress(t)}
	args := []string{"server", "init", "--dir", r.in("server"), "--catalogue", r.data, "--goal", "10", "--tokens", "12", "--collect", "1m"}
	for i := range 5 {
		r.nodes = append(r.nodes, freeAddress(t))
		key := wants(t, exitDone, "", "committee", "key", "--dir", r.in("node", fmt.Sprint(i)))
		args = append(args, "--node", r.nodes[i]+"="+strings.TrimSpace(key))
	}
	wants(t, exitDone, "task.json", args...)
	wants(t, exitFailed, "exists already", args...)
	wants(t, exitDone, "ca.pem", "dev-certs", "--out", r.in("certs"))
	list, err := os.ReadFile(r.in("server", "tokens.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if r.tokens = strings.Fields(string(list)); len(r.tokens) != 12 {
		t.Fatalf("%d tokens", len(r.tokens))
	}
	return r
}

func (r *trial) in(parts ...string) string {
	return filepath.Join(append([]string{r.dir}, parts...)...)
}

func (r *trial) node(i int, listen string) []string {
	return []string{"committee", "--dir", r.in("node", fmt.Sprint(i)), "--listen", listen, "--task", r.in("server", "task.json"), "--certs", r.in("certs")}
}

func (r *trial) server(listen string) []string {
	return []string{"server", "--dir", r.in("server"), "--catalogue", r.data, "--listen", listen, "--certs", r.in("certs")}
}

func (r *trial) device(i int, more ...string) []string {
	return append([]string{"device", "--dir", r.in("phone", fmt.Sprint(i)), "--task", r.in("server", "task.json"), "--server", r.address,
		"--ca", r.in("certs", "ca.pem"), "--catalogue", r.data}, more...)
}

// ending is how a command line that ran beside others ended.
type ending struct {
	code int
	said string
}

// beside runs a command line until it ends or ctx does.
func beside(ctx context.Context, args ...string) <-chan ending {
	done := make(chan ending, 1)
	go func() {
		var said bytes.Buffer
		code := execute(ctx, args, &said, &said)
		done <- ending{code, said.String()}
	}()
	return done
}

// TestTask runs a task by its commands, as separate parties would: five nodes, a server, ten devices, with noise.
func TestTask(t *testing.T) {
	r := newTrial(t)
	r.refusals()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var nodes []<-chan ending
	for i := range 5 {
		nodes = append(nodes, beside(ctx, r.node(i, r.nodes[i])...))
	}
	server := beside(ctx, r.server(r.address)...)
	r.awaits(r.address)
	var devices []<-chan ending
	for i := range 10 {
		devices = append(devices, beside(ctx, r.device(i, "--token", r.tokens[i], "--history", r.data, "--person", fmt.Sprint(i+1))...))
	}
	for i, d := range devices {
		select {
		case e := <-d:
			if e.code != exitDone || !strings.Contains(e.said, "contributed: ") || !strings.Contains(e.said, "nothing_to_do: ") {
				t.Errorf("device %d: exit code %d, %s", i, e.code, e.said)
			}
		case <-time.After(2 * time.Minute):
			t.Fatalf("device %d still runs", i)
		}
	}
	r.served()
	stop()
	for i, n := range append(nodes, server) {
		if e := <-n; e.code != exitDone {
			t.Errorf("process %d: exit code %d, %s", i, e.code, e.said)
		}
	}
	r.reported()
}

// awaits waits until somebody listens.
func (r *trial) awaits(address string) {
	r.t.Helper()
	for begun := time.Now(); time.Since(begun) < time.Minute; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return
		}
	}
	r.t.Fatalf("nobody listens on %s", address)
}

// refusals are what goes wrong before anything runs.
func (r *trial) refusals() {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	defer taken.Close()
	wants(r.t, exitFailed, "choose another port with --listen", r.server(taken.Addr().String())...)
	wants(r.t, exitFailed, "choose another port with --listen", r.node(0, taken.Addr().String())...)
	wants(r.t, exitFailed, "tutti dev-certs", append(r.server(r.address), "--certs", r.in("nowhere"))...)
	wants(r.t, exitFailed, "tutti server init", "server", "--dir", r.in("nowhere"), "--catalogue", r.data)
	wants(r.t, exitFailed, "tutti server init", "report", "--dir", r.in("nowhere"))
	wants(r.t, exitFailed, "tutti server init", append(r.node(0, r.address), "--task", r.in("nowhere.json"))...)
	wants(r.t, exitFailed, "is not in the roster", append(r.node(0, r.address), "--dir", r.in("stranger"))...)
	other := people(r.t, 5)
	write(r.t, other, "movies.csv", "movieId,title,genres\n1,A (2001),Drama\n2,B (2002),Drama\n")
	for _, args := range [][]string{r.server(r.address), r.device(90), {"recommend", "--dir", r.in("phone90"), "--task", r.in("server", "task.json")}} {
		wants(r.t, exitFailed, "not the list of items of task", append(args, "--catalogue", other)...)
	}
	wants(r.t, exitFailed, "nothing listens at", r.device(91, "--once", "--token", r.tokens[11])...)
	wants(r.t, exitUsage, "has no person 999", r.device(92, "--history", r.data, "--person", "999")...)
	wants(r.t, exitFailed, "holds no PEM certificate", r.device(93, "--ca", r.in("server", "task.json"))...)
	write(r.t, r.dir, "odd.json", `{"task": "task", "extra": 1}`)
	wants(r.t, exitFailed, "odd.json", r.device(94, "--task", r.in("odd.json"))...)
}

// served is what holds while the server serves the model on.
func (r *trial) served() {
	wants(r.t, exitFailed, "another process is using the data directory", r.server(freeAddress(r.t))...)
	wants(r.t, exitFailed, "another process is using the data directory", "report", "--dir", r.in("server"), "--out", r.in("report"))
	wants(r.t, exitRefused, "not enrolled", r.device(95)...)
	wants(r.t, exitRefused, "not enrolled", r.device(95, "--token", "made-up")...)
	wants(r.t, exitRefused, "not enrolled", r.device(95, "--token", r.tokens[0])...)
	wants(r.t, exitDone, "ca.pem", "dev-certs", "--out", r.in("others"))
	wants(r.t, exitFailed, "is not signed by the authority", r.device(95, "--once", "--token", r.tokens[10], "--ca", r.in("others", "ca.pem"))...)
	write(r.t, r.dir, "token", r.tokens[10]+"\n")
	wants(r.t, exitDone, "nothing_to_do", r.device(96, "--once", "--token", "@"+r.in("token"))...) // too late to contribute, in time for the model
	offline := []string{"recommend", "--task", r.in("server", "task.json"), "--catalogue", r.data, "-n", "3", "--dir"}
	for _, phone := range []int{0, 96} {
		out := wants(r.t, exitDone, "", append(offline, r.in("phone", fmt.Sprint(phone)), "--json")...)
		if n := strings.Count(out, `"title"`); n != 3 {
			r.t.Errorf("device %d: %d recommendations: %s", phone, n, out)
		}
	}
	wants(r.t, exitFailed, "this device has no model yet", append(offline, r.in("phone", "97"))...)
}

// reported is what the stopped server's directory gives.
func (r *trial) reported() {
	out := wants(r.t, exitDone, "VERIFIED", "report", "--dir", r.in("server"), "--out", r.in("report"))
	if !strings.Contains(out, "the devices' noise was on in every round") {
		r.t.Errorf("the report does not say that privacy was on: %s", out)
	}
	verifies(r.t, r.in("report"))
	ctx, stop := context.WithTimeout(r.t.Context(), time.Minute)
	defer stop()
	if e := <-beside(ctx, append(r.server(freeAddress(r.t)), "--exit")...); e.code != exitDone || !strings.Contains(e.said, "all rounds are run") || strings.Contains(e.said, "is open") {
		r.t.Errorf("a finished task, started again: exit code %d, %s", e.code, e.said)
	}
}

// TestGroupsOfATask: a task's rounds may be split where devices are many; where they are too few, or too few groups for
// what is to be made of them, init says so and makes nothing.
func TestGroupsOfATask(t *testing.T) {
	data := people(t, 20)
	begin := func(dir string, more ...string) []string {
		args := []string{"server", "init", "--dir", filepath.Join(t.TempDir(), dir), "--catalogue", data}
		for i := range 3 {
			args = append(args, "--node", fmt.Sprintf("127.0.0.1:%d=%064x", 7201+i, i+1))
		}
		return append(args, more...)
	}
	wants(t, exitUsage, "fewer groups", begin("few", "--goal", "20", "--groups", "4")...)
	wants(t, exitUsage, "at least 5 are needed", begin("untrimmed", "--goal", "2000", "--groups", "4", "--combine", "trimmed")...)
	wants(t, exitUsage, "not combined by", begin("unknown", "--goal", "2000", "--groups", "4", "--combine", "best")...)
	wants(t, exitUsage, "groups", begin("none", "--goal", "2000", "--groups", "-1")...)
	args := begin("many", "--goal", "2000", "--tokens", "2400", "--groups", "4", "--combine", "median")
	wants(t, exitDone, "task.json", args...)
	s, _, err := readSetup(args[3])
	if err != nil || s.Recipe.Groups != 4 || s.Recipe.Combine != "median" {
		t.Errorf("the set-up says %d groups, combined by %q, %v", s.Recipe.Groups, s.Recipe.Combine, err)
	}
}

// TestTrustedOperator: an operator without a committee runs the nodes itself, and adds the noise. It is said to the operator
// and in the report, which verifies; a device whose task file says otherwise sends nothing.
func TestTrustedOperator(t *testing.T) {
	r := &trial{t: t, dir: t.TempDir(), data: people(t, 20), address: freeAddress(t)}
	begin := []string{"server", "init", "--dir", r.in("server"), "--catalogue", r.data, "--goal", "10", "--tokens", "12", "--collect", "1m", "--rounds", "1"}
	wants(t, exitUsage, "at least three are needed", begin...)
	wants(t, exitUsage, "want distributed, central or central-mf", append(begin, "--trust", "nobody")...)
	wants(t, exitUsage, "nobody would add noise", append(begin, "--trust", "central", "--privacy-off")...)
	wants(t, exitDone, "it sees sums without noise", append(begin, "--trust", "central-mf")...)
	wants(t, exitDone, "ca.pem", "dev-certs", "--out", r.in("certs"))
	list, err := os.ReadFile(r.in("server", "tokens.txt"))
	if err != nil {
		t.Fatal(err)
	}
	tokens := strings.Fields(string(list))
	task, err := os.ReadFile(r.in("server", "task.json"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, r.dir, "distrust.json", strings.Replace(string(task), `"trust": "central-mf"`, `"trust": ""`, 1))

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	server := beside(ctx, r.server(r.address)...)
	r.awaits(r.address)
	var devices []<-chan ending
	for i := range 10 {
		devices = append(devices, beside(ctx, r.device(i, "--token", tokens[i], "--history", r.data, "--person", fmt.Sprint(i+1))...))
	}
	distrusts := beside(ctx, r.device(11, "--token", tokens[11], "--history", r.data, "--person", "12", "--task", r.in("distrust.json"))...)
	for i, d := range devices {
		select {
		case e := <-d:
			if e.code != exitDone || !strings.Contains(e.said, "contributed: ") {
				t.Errorf("device %d: exit code %d, %s", i, e.code, e.said)
			}
		case <-time.After(2 * time.Minute):
			t.Fatalf("device %d still runs", i)
		}
	}
	if e := <-distrusts; strings.Contains(e.said, "contributed: ") {
		t.Errorf("a device that does not trust the operator: exit code %d, %s", e.code, e.said)
	}
	stop()
	if e := <-server; e.code != exitDone || !strings.Contains(e.said, "TRUSTED OPERATOR in task task: the operator sees sums without noise") {
		t.Errorf("the server: exit code %d, %s", e.code, e.said)
	}
	wants(t, exitDone, "VERIFIED", "report", "--dir", r.in("server"), "--out", r.in("report"))
	wants(t, exitDone, "VERIFIED", "verify", r.in("report", "report.json"))
	page, err := os.ReadFile(r.in("report", "report.html"))
	if err != nil || !strings.Contains(strings.ToLower(string(page)), "without noise") {
		t.Errorf("the report does not say that the operator saw sums without noise: %v", err)
	}
}
