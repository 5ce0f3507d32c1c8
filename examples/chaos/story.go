package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	nodes = 5
	goal  = 24 // devices wanted in a round; at least 17 must be in it
	early = 5  // uploads after which a round's accident happens: it is in the middle then

	unlucky = 4 // devices killed in each of the first three rounds: 30 % of all

	stagger = 40 * time.Millisecond // between the starts of two devices
)

// story is one run: who is alive, and what happened.
type story struct {
	dir       string
	processes *processes
	began     time.Time
	ports     []string // of the nodes, and of the server last
	tokens    []string // one for each device

	server  *process
	nodes   [nodes]*process
	devices [people]*process
	events  chan event

	uploads map[uint64]map[int]bool // by round: people whose device holds a receipt
	fallen  map[uint64][]string     // by round: what was killed
	dead    map[int]uint64          // people whose device is dead: the round that it died in
	safe    map[int]bool            // people with a receipt when the server was killed
	crashed uint64                  // the round in which it was

	certified map[uint64]bool // rounds whose set is fixed: too late for an accident
}

// event is a line of the server, or an upload that a device got a receipt for.
type event struct {
	line   string
	person int
	round  uint64
}

func newStory(dir, binary string) *story {
	return &story{dir: dir, processes: &processes{binary: binary}, began: time.Now(), events: make(chan event, 4096), // more than ever come

		uploads: map[uint64]map[int]bool{}, fallen: map[uint64][]string{}, dead: map[int]uint64{}, certified: map[uint64]bool{}}
}

func (s *story) say(format string, args ...any) {
	fmt.Printf("%6.1f s  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

func (s *story) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

// play runs everything up to the end of the task.
func (s *story) play(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	for i := range nodes {
		if err := s.startNode(i); err != nil {
			return err
		}
	}
	if err := s.startServer(); err != nil {
		return err
	}
	if err := s.follow(ctx); err != nil {
		return err
	}
	for p := 1; p <= people; p++ {
		if err := s.farewell(ctx, p); err != nil {
			return err
		}
	}
	s.server.stop(20 * time.Second)
	for _, n := range s.nodes {
		n.stop(20 * time.Second)
	}
	return nil
}

// prepare makes data, keys, the task file and tokens, all by commands that a person would type.
func (s *story) prepare(ctx context.Context) (err error) {
	if err := writePeople(s.path("films")); err != nil {
		return err
	}
	if s.ports, err = freePorts(nodes + 1); err != nil {
		return err
	}
	if _, _, err := s.processes.run(ctx, "dev-certs", "--out", s.path("certs")); err != nil {
		return err
	}
	args := []string{"server", "init", "--privacy-off", "--dir", s.path("server"), "--catalogue", s.path("films"),
		"--goal", fmt.Sprint(goal), "--tokens", fmt.Sprint(people), "--rounds", "2", "--collect", "2m"}
	for i := range nodes {
		key, _, err := s.processes.run(ctx, "committee", "key", "--dir", s.node(i))
		if err != nil {
			return err
		}
		args = append(args, "--node", s.ports[i]+"="+strings.TrimSpace(key))
	}
	if _, _, err := s.processes.run(ctx, args...); err != nil {
		return err
	}
	list, err := os.ReadFile(s.path("server", "tokens.txt"))
	if err != nil {
		return err
	}
	if s.tokens = strings.Fields(string(list)); len(s.tokens) != people {
		return fmt.Errorf("%d tokens for %d devices", len(s.tokens), people)
	}
	s.say("keys, certificates, task file and %d tokens are made; noise is off, masks are on", people)
	return nil
}

// freePorts finds addresses that nobody listens on.
func freePorts(n int) ([]string, error) {
	var addresses []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}

func (s *story) node(i int) string { return s.path(fmt.Sprintf("node%d", i+1)) }

func (s *story) device(person int) string { return s.path("devices", fmt.Sprint(person)) }

// startNode starts a committee node, and waits until it answers.
func (s *story) startNode(i int) (err error) {
	ready := make(chan struct{}, 1)
	s.nodes[i], err = s.processes.start(fmt.Sprintf("node %d", i+1), nil, func(r io.Reader) {
		lines(r, func(string) {
			select {
			case ready <- struct{}{}:
			default:
			}
		})
	}, "committee", "--dir", s.node(i), "--listen", s.ports[i], "--task", s.path("server", "task.json"), "--certs", s.path("certs"))
	if err != nil {
		return err
	}
	select {
	case <-ready:
		return nil
	case <-s.nodes[i].done:
	case <-time.After(time.Minute):
	}
	return fmt.Errorf("node %d does not answer: %s", i+1, s.nodes[i].said())
}

func (s *story) startServer() (err error) {
	s.server, err = s.processes.start("server", nil, func(r io.Reader) {
		lines(r, func(line string) { s.events <- event{line: line} })
	}, "server", "--keep-sums", "--dir", s.path("server"), "--listen", s.ports[nodes], "--certs", s.path("certs"), "--catalogue", s.path("films"))
	return err
}
