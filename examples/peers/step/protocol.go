package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"

	"tutti/model/seqrec"
)

// A contestant is a process that reads commands, one JSON object a line, and answers each with one: ours is this program
// with -worker, a peer is peer.py. So every one of them has its own heap, its own threads and its own environment.

// ask is a command.
type ask struct {
	Op   string `json:"op"` // hello, load, steps, forget
	Name string `json:"name,omitempty"`
	N    int    `json:"n,omitempty"` // steps
	// load
	Work    *workload `json:"work,omitempty"`
	Variant string    `json:"variant,omitempty"`
	Shape   string    `json:"shape,omitempty"`
}

// workload is one training problem: weights and a batch. Weights are little-endian float32.
type workload struct {
	Items     int       `json:"items"`
	Dim       int       `json:"dim"`
	Blocks    int       `json:"blocks"`
	Heads     int       `json:"heads"`
	Hidden    int       `json:"hidden"`
	MaxLen    int       `json:"max_len"`
	Dropout   float64   `json:"dropout"`
	Rate      float64   `json:"rate"`
	Params    []byte    `json:"params"`
	Layout    [][2]any  `json:"layout"` // name and shape of each tensor
	Sequences [][]int32 `json:"sequences"`
	Targets   [][]int32 `json:"targets"`
}

// answer is what comes back; each command fills its own fields.
type answer struct {
	Error string `json:"error,omitempty"`

	Version   string   `json:"version,omitempty"` // hello
	BLAS      string   `json:"blas,omitempty"`
	ISA       string   `json:"isa,omitempty"`
	Attention []string `json:"attention,omitempty"`
	LossKinds []string `json:"loss_kinds,omitempty"`
	Adam      []string `json:"adam,omitempty"`
	Shapes    []string `json:"shapes,omitempty"`
	Compile   bool     `json:"compile,omitempty"`
	Missing   []string `json:"missing,omitempty"` // what this peer cannot do on a CPU, in its own words

	Loss float64 `json:"loss,omitempty"` // load: without dropout, on the given weights

	Wall   float64   `json:"wall,omitempty"` // steps: seconds of the fastest
	CPU    float64   `json:"cpu,omitempty"`  // seconds of processor time of the cheapest, all threads
	Losses []float64 `json:"losses,omitempty"`
	Allocs float64   `json:"allocs,omitempty"` // ours: per step
	Bytes  float64   `json:"bytes,omitempty"`  // ours: allocated per step
}

type process struct {
	label string
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
}

// start runs a contestant with some variables added to the environment.
func start(label string, env []string, name string, args ...string) (*process, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", label, err)
	}
	return &process{label, cmd, in, bufio.NewReaderSize(out, 1<<20)}, nil
}

// do sends a command and waits. A refusal comes back in the answer, a process that died as an error.
func (p *process) do(a ask) (answer, error) {
	line, err := json.Marshal(a)
	if err != nil {
		return answer{}, err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return answer{}, fmt.Errorf("%s: %w", p.label, err)
	}
	reply, err := p.out.ReadBytes('\n')
	if err != nil {
		return answer{}, fmt.Errorf("%s ended: %w", p.label, err)
	}
	var got answer
	if err := json.Unmarshal(reply, &got); err != nil {
		return answer{}, fmt.Errorf("%s: %q: %w", p.label, reply, err)
	}
	return got, nil
}

// must is do for what no contestant may refuse.
func (p *process) must(a ask) (answer, error) {
	got, err := p.do(a)
	if err == nil && got.Error != "" {
		err = errors.New(p.label + ": " + got.Error)
	}
	return got, err
}

func (p *process) close() {
	p.in.Close()
	p.cmd.Wait()
}

// newWorkload is a random problem: count sequences of the given length, or of random lengths from 50 to it.
func newWorkload(count, length int, ragged bool, dropout float64) (*workload, error) {
	cfg := seqrec.DefaultConfig(4000)
	cfg.MaxLen = length
	m, err := seqrec.New(cfg, nil)
	if err != nil {
		return nil, err
	}
	w := &workload{
		Items: cfg.Items, Dim: cfg.Dim, Blocks: cfg.Blocks, Heads: cfg.Heads, Hidden: cfg.Hidden, MaxLen: length,
		Dropout: dropout, Rate: 1e-3, Params: bytesOf(m.Init(1).Values()),
	}
	for _, t := range m.Layout().Tensors() {
		w.Layout = append(w.Layout, [2]any{t.Name, t.Shape})
	}
	rng := rand.New(rand.NewPCG(1, uint64(count*length)))
	for range count {
		n := length
		if ragged {
			n = 50 + rng.IntN(length-49)
		}
		history := make([]int32, n+1)
		for i := range history {
			history[i] = int32(rng.IntN(cfg.Items))
		}
		w.Sequences, w.Targets = append(w.Sequences, history[:n]), append(w.Targets, history[1:])
	}
	return w, nil
}

func (w *workload) tokens() (n int) {
	for _, s := range w.Sequences {
		n += len(s)
	}
	return n
}

// batch is the workload as ours reads it.
func (w *workload) batch() []seqrec.Sequence {
	out := make([]seqrec.Sequence, len(w.Sequences))
	for i := range out {
		out[i] = seqrec.Sequence{Items: w.Sequences[i], Targets: w.Targets[i], Seed: uint64(i)}
	}
	return out
}

func bytesOf(x []float32) []byte {
	out := make([]byte, 0, 4*len(x))
	for _, v := range x {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return out
}

func floatsOf(b []byte) []float32 {
	out := make([]float32, 0, len(b)/4)
	for c := range slices.Chunk(b, 4) {
		out = append(out, math.Float32frombits(binary.LittleEndian.Uint32(c)))
	}
	return out
}
