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

// flowerFigures are one whole round with dropouts.
type flowerFigures struct {
	Clients    int                `json:"clients"`
	Neighbours int                `json:"neighbours"`
	Dropped    int                `json:"dropped"`
	Client     float64            `json:"client_seconds"` // of one client, all four stages, each the best of all clients
	Stages     map[string]float64 `json:"client_stage_seconds"`
	UpBytes    int                `json:"up_bytes"`
	Upload     float64            `json:"server_upload_seconds"`  // per upload: collect and add
	Shamir     float64            `json:"server_shamir_seconds"`  // to combine the shares of one key
	Present    float64            `json:"server_present_seconds"` // to remove one client's own mask, shares included
	Lost       float64            `json:"server_dropped_seconds"` // to remove one dropped client's pairwise masks, shares included
	Unmask     float64            `json:"server_unmask_seconds"`  // of this round, measured
	Round      float64            `json:"server_round_seconds"`   // of this round, measured
	Peak       int64              `json:"peak_rss_bytes"`         // clients and server together
	Error      float64            `json:"error"`                  // largest of the mean, in quantisation steps
}

type flowerAnswer struct {
	Problem  string             `json:"error_message"`
	Versions map[string]string  `json:"versions"`
	Client   map[string]float64 `json:"client_seconds"`
	Server   map[string]float64 `json:"server_seconds"`
	Shamir   float64            `json:"shamir_seconds"`
	Combined int                `json:"shamir_calls"`
	Masks    int                `json:"expansions"` // masks that the server removed
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

// flower measures a round in which a tenth drops out after sharing keys, in a fresh process, whose memory is then its own. The server
// combines the shares of one key for every client, and expands one mask for a client that is there, one per neighbour for one that is not.
func (o options) flower(dim, neighbours int) (f flowerFigures, err error) {
	p, _, err := startFlower(o.python, o.script)
	if err != nil {
		return f, err
	}
	defer p.close()
	n := o.flowerClients
	f.Clients, f.Neighbours, f.Dropped = n, min(neighbours, n-1), max(1, n/10)
	got, err := p.do(map[string]any{"op": "round", "dim": dim, "clients": n, "neighbours": neighbours, "dropped": f.Dropped, "seed": 1})
	if err != nil {
		return f, err
	}
	if got.Error > 2*got.Step || got.Combined != n || got.Masks < n {
		return f, fmt.Errorf("flower's mean is off by %g at steps of %g, after %d keys and %d masks", got.Error, got.Step, got.Combined, got.Masks)
	}
	for stage, t := range got.Client {
		f.Client += t
		f.UpBytes += got.Up[stage]
	}
	f.Stages, f.Unmask = got.Client, got.Server["unmask"]
	f.Upload = got.Server["collect_masked_vectors"] / float64(n-f.Dropped)
	f.Shamir = got.Shamir / float64(n)
	mask := (f.Unmask - got.Shamir) / float64(got.Masks)
	f.Present, f.Lost = f.Shamir+mask, f.Shamir+float64(f.Neighbours)*mask
	for _, t := range got.Server {
		f.Round += t
	}
	f.Peak, f.Error = got.Peak, got.Error/got.Step
	return f, nil
}
