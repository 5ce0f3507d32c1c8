package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// Flower's SecAgg+: flower.py runs the client's and the server's code of package flwr in one process.

// flowerFigures are two whole rounds, one with dropouts.
type flowerFigures struct {
	Clients    int     `json:"clients"`
	Neighbours int     `json:"neighbours"`
	Dropped    int     `json:"dropped"`
	Client     float64 `json:"client_seconds"` // of one client, all four stages, the best of all
	Masking    float64 `json:"client_masking_seconds"`
	UpBytes    int     `json:"up_bytes"`
	Upload     float64 `json:"server_upload_seconds"`  // per upload: collect and add
	Present    float64 `json:"server_present_seconds"` // to remove one client's own mask
	Lost       float64 `json:"server_dropped_seconds"` // per dropped client, beyond that
	Round      float64 `json:"server_round_seconds"`   // of the whole round with dropouts, measured
	Peak       int64   `json:"peak_rss_bytes"`         // clients and server together
	Error      float64 `json:"error"`                  // largest of the mean, in quantisation steps
}

type flowerAnswer struct {
	Problem  string             `json:"error_message"`
	Versions map[string]string  `json:"versions"`
	Client   map[string]float64 `json:"client_seconds"`
	Server   map[string]float64 `json:"server_seconds"`
	Up       map[string]int     `json:"up_bytes"`
	Error    float64            `json:"error"`
	Step     float64            `json:"step"`
	Peak     int64              `json:"peak_bytes"`
}

// process is the script.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startFlower(python, script string) (*process, map[string]string, error) {
	cmd := exec.Command(python, script)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("no Python (%w): see examples/peers/README.md, or leave flower out with -peers pairwise,bgv", err)
	}
	p := &process{cmd: cmd, in: in, out: bufio.NewReaderSize(out, 1<<20)}
	hello, err := p.do(map[string]any{"op": "hello"})
	if err != nil {
		p.close()
		return nil, nil, fmt.Errorf("%w: has this Python flwr? See examples/peers/README.md", err)
	}
	return p, hello.Versions, nil
}

func (p *process) do(ask map[string]any) (got flowerAnswer, err error) {
	line, err := json.Marshal(ask)
	if err != nil {
		return got, err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return got, err
	}
	reply, err := p.out.ReadBytes('\n')
	if err != nil {
		return got, fmt.Errorf("flower.py ended: %w", err)
	}
	if err := json.Unmarshal(reply, &got); err != nil {
		return got, err
	}
	if got.Problem != "" {
		return got, errors.New(got.Problem)
	}
	return got, nil
}

func (p *process) close() {
	p.in.Close()
	p.cmd.Wait()
}

// flower measures a round without and a round with dropouts, in a fresh process, whose memory is then its own.
func (o options) flower(dim, neighbours int) (f flowerFigures, err error) {
	p, _, err := startFlower(o.python, o.script)
	if err != nil {
		return f, err
	}
	defer p.close()
	n := o.flowerClients
	f.Clients, f.Neighbours, f.Dropped = n, min(neighbours, n-1), max(1, n/10)
	var rounds [2]flowerAnswer
	for i, dropped := range []int{0, f.Dropped} {
		rounds[i], err = p.do(map[string]any{"op": "round", "dim": dim, "clients": n, "neighbours": neighbours, "dropped": dropped, "seed": 1})
		if err != nil {
			return f, err
		}
		if rounds[i].Error > 2*rounds[i].Step {
			return f, fmt.Errorf("flower's mean is off by %g, more than two steps of %g", rounds[i].Error, rounds[i].Step)
		}
	}
	full, lossy := rounds[0], rounds[1]
	for stage, t := range full.Client {
		f.Client += t
		f.UpBytes += full.Up[stage]
	}
	f.Masking = full.Client["collect_masked_vectors"]
	f.Upload = full.Server["collect_masked_vectors"] / float64(n)
	f.Present = full.Server["unmask"] / float64(n)
	f.Lost = max(0, lossy.Server["unmask"]-float64(n-f.Dropped)*f.Present) / float64(f.Dropped)
	for _, t := range lossy.Server {
		f.Round += t
	}
	f.Peak, f.Error = max(full.Peak, lossy.Peak), max(full.Error, lossy.Error)/full.Step
	return f, nil
}
