package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// memory measures what three steps need at most, in fresh processes, for the sizes that were measured on one thread without
// dropout and have at least 32 sequences. Only where the system tells (Linux).
func (s *stage) memory() error {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		return nil
	}
	g := group{threads: 1}
	for _, x := range s.report.Rows {
		if x.Threads != 1 || x.Dropout != 0 || x.NoAVX || x.Tokens < 6400 {
			continue
		}
		var c cell
		for _, k := range s.cells {
			if k.String() == x.Batch {
				c = k
			}
		}
		w, err := newWorkload(c.count, c.length, c.ragged, 0)
		if err != nil {
			return err
		}
		for _, e := range x.entries {
			mb, err := s.footprint(g, w, e)
			if err != nil {
				return err
			}
			s.report.Memory = append(s.report.Memory, footprint{x.Batch, strings.TrimSpace(e.who + " " + e.shape), mb})
		}
	}
	return nil
}

func (s *stage) footprint(g group, w *workload, e *entry) (mb float64, err error) {
	var p *process
	if !isPeer(e) {
		p, err = s.startOurs(g)
	} else {
		var fresh peer
		fresh, err = s.startPeer(g, e.process.python())
		p = fresh.process
	}
	if err != nil {
		return 0, err
	}
	defer p.close()
	again := entry{process: p, name: e.name, who: e.who, variant: e.variant, shape: e.shape}
	if _, err := again.load(w); err != nil {
		return 0, fmt.Errorf("%s: %w", e.who, err)
	}
	return p.peak()
}

// python is the program of a peer.
func (p *process) python() string { return p.cmd.Path }

// peak is the most memory that a running process has had, in MB (VmHWM of proc(5)).
func (p *process) peak() (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 64)
			return kb / 1024, err
		}
	}
	return 0, fmt.Errorf("no VmHWM of process %d", p.cmd.Process.Pid)
}
