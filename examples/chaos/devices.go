package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// startDevice starts one person's device: a process with one thread of Go, as many of them share this machine.
func (s *story) startDevice(person int) (err error) {
	s.devices[person-1], err = s.processes.start(fmt.Sprintf("device %d", person), []string{"GOMAXPROCS=1", "GOMEMLIMIT=48MiB"}, func(r io.Reader) {
		for dec := json.NewDecoder(r); ; {
			var said struct {
				Outcome string `json:"outcome"`
				Round   uint64 `json:"round"`
			}
			if dec.Decode(&said) != nil {
				return
			}
			if said.Outcome == "contributed" {
				s.events <- event{person: person, round: said.Round}
			}
		}
	}, "device", "--json", "--dir", s.device(person), "--task", s.path("server", "task.json"), "--server", s.ports[nodes],
		"--ca", s.path("certs", "ca.pem"), "--token", s.tokens[person-1], "--catalogue", s.path("films"), "--history", s.path("films"), "--person", fmt.Sprint(person))
	return err
}

// follow listens to server and devices until the last round is done, starts the devices one after the other, and lets
// every round have its accident.
func (s *story) follow(ctx context.Context) error {
	next := time.NewTicker(stagger)
	defer next.Stop()
	started := 0
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; the server's last words: %s", ctx.Err(), s.server.said())
		case <-next.C:
			if s.server.ended() {
				return fmt.Errorf("the server ended: %s", s.server.said())
			}
			if started < people {
				started++
				if err := s.startDevice(started); err != nil {
					return err
				}
			}
		case e := <-s.events:
			if finished, err := s.hear(e); finished || err != nil {
				return err
			}
		}
	}
}

// hear takes one event in.
func (s *story) hear(e event) (finished bool, err error) {
	var round uint64
	switch {
	case e.person > 0:
		if s.uploads[e.round] == nil {
			s.uploads[e.round] = map[int]bool{}
		}
		s.uploads[e.round][e.person] = true
		if len(s.uploads[e.round]) == early {
			return false, s.accident(e.round)
		}
	case strings.HasPrefix(e.line, "all rounds are run"):
		s.say("server: %s", e.line)
		return true, nil
	case strings.HasPrefix(e.line, "Round"):
		s.say("server: %s", e.line)
		fmt.Sscanf(e.line, "Round %d", &round)
		if strings.Contains(e.line, "certified the set") {
			s.certified[round] = true
		}
		if strings.Contains(e.line, "is done") {
			return false, s.repair(round)
		}
	}
	return false, nil
}

// repair starts again what fell, once a round is done.
func (s *story) repair(round uint64) error {
	switch round {
	case nodeFalls:
		s.say("node %d is started again", nodes)
		return s.startNode(nodes - 1)
	case serverFalls:
		s.say("the %d devices that were killed first are started again", unlucky)
		for p := range s.dead {
			if s.dead[p] != 1 {
				continue
			}
			delete(s.dead, p)
			if err := s.startDevice(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// When what is killed. Each of the first three rounds loses devices besides.
const (
	nodeFalls   = 2 // node 5, which is back for the rounds after it
	serverFalls = 3 // and starts again at once
	otherFalls  = 4 // node 2, so that this round's quorum of four needs node 5
)

// accident kills something in the middle of a round.
func (s *story) accident(round uint64) error {
	if round <= 3 {
		s.killDevices(round)
	}
	switch round {
	case nodeFalls:
		s.nodes[nodes-1].kill()
		s.fell(round, "node 5")
	case otherFalls:
		s.nodes[1].kill()
		s.fell(round, "node 2")
	case serverFalls:
		s.crashed, s.safe = round, map[int]bool{}
		s.server.kill()
		s.fell(round, "the server")
		for p := range s.uploads[round] {
			s.safe[p] = true
		}
		s.say("the server is started again")
		return s.startServer()
	}
	return nil
}

func (s *story) fell(round uint64, what string) {
	when := "in the middle"
	if s.certified[round] {
		when, what = "too late to matter", what+" (late)"
	}
	s.fallen[round] = append(s.fallen[round], what)
	s.say("round %d, %s: %s killed", round, when, what)
}

// killDevices kills devices: half of them with their upload at the server already, half of them before.
func (s *story) killDevices(round uint64) {
	var before, after []int
	for p := 1; p <= people; p++ {
		switch {
		case s.dead[p] > 0 || s.devices[p-1] == nil:
		case s.uploads[round][p]:
			after = append(after, p)
		default:
			before = append(before, p)
		}
	}
	slices.Reverse(before) // of people with longer histories
	before = before[:min(len(before), unlucky/2)]
	chosen := slices.Concat(before, after[:unlucky-len(before)])
	for _, p := range chosen {
		s.devices[p-1].kill()
		s.dead[p] = round
	}
	s.fell(round, fmt.Sprintf("%d devices", len(chosen)))
	s.say("  of these %d had a receipt for their upload", len(chosen)-len(before))
}

// farewell waits until a device that was not killed has heard that the task is over and ended by itself.
func (s *story) farewell(ctx context.Context, person int) error {
	if s.dead[person] > 0 {
		return nil
	}
	d := s.devices[person-1]
	if d == nil {
		return fmt.Errorf("device %d was never started", person)
	}
	select {
	case <-d.done:
	case <-ctx.Done():
		return fmt.Errorf("%w; device %d still runs: %s", ctx.Err(), person, d.said())
	}
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("device %d ended with exit code %d: %s", person, code, d.said())
	}
	return nil
}
