package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// process is one running tutti.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and its output is read

	mu     sync.Mutex
	output bytes.Buffer // the end of it, for a post-mortem
}

// keptOutput is how much of a process's output is kept.
const keptOutput = 16 << 10

// processes starts them, and ends all of them.
type processes struct {
	binary string

	mu  sync.Mutex
	all []*process
}

// start runs tutti with args. What it writes to standard output goes through read, if there is one.
func (ps *processes) start(name string, env []string, read func(io.Reader), args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(ps.binary, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = p
	var out *os.File
	if read == nil {
		p.cmd.Stdout = p
	} else {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		p.cmd.Stdout, out = w, r
		defer w.Close() // the child has its own
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	ps.all = append(ps.all, p)
	go func() {
		defer close(p.done)
		if read != nil {
			read(io.TeeReader(out, p))
			io.Copy(io.Discard, out)
			out.Close()
		}
		p.cmd.Wait()
	}()
	return p, nil
}

// Write keeps the end of the output.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.output.Write(b)
	if over := p.output.Len() - keptOutput; over > 0 {
		p.output.Next(over)
	}
	return len(b), nil
}

// said is the end of what the process wrote.
func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.TrimSpace(p.output.String())
}

// kill ends a process at once: SIGKILL, no goodbye. It returns when the process is gone.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// ended says whether the process is gone.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop asks a process to end, and kills it where it does not, or cannot be asked.
func (p *process) stop(patience time.Duration) {
	if p.cmd.Process.Signal(os.Interrupt) == nil {
		select {
		case <-p.done:
			return
		case <-time.After(patience):
		}
	}
	p.kill()
}

// killAll leaves nothing running.
func (ps *processes) killAll() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.all {
		p.cmd.Process.Kill()
	}
	for _, p := range ps.all {
		<-p.done
	}
}

// run runs tutti to its end and returns what it printed on standard output, and its exit code.
func (ps *processes) run(ctx context.Context, args ...string) (string, int, error) {
	cmd := exec.CommandContext(ctx, ps.binary, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return string(out), exit.ExitCode(), fmt.Errorf("tutti %s: %s", args[0], strings.TrimSpace(stderr.String()))
	}
	if err != nil {
		return string(out), -1, fmt.Errorf("tutti %s: %w", args[0], err)
	}
	return string(out), 0, nil
}

// lines calls each with every line of r.
func lines(r io.Reader, each func(string)) {
	scan := bufio.NewScanner(r)
	for scan.Scan() {
		each(scan.Text())
	}
}
