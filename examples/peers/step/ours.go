package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime"
	"time"

	"tutti/model/graph"
	"tutti/model/kernel"
	"tutti/model/optim"
	"tutti/model/seqrec"
)

// Our variants: the fused layers called directly, and the same layers as operations of a gorgonia graph.
const (
	direct  = "direct"
	onGraph = "graph"
)

// loaded is one prepared variant of a workload.
type loaded struct {
	engine seqrec.Engine
	params []float32
	grad   []float32
	batch  []seqrec.Sequence
	adam   optim.Optimizer
	rate   float64
}

func load(a ask, threads int) (*loaded, error) {
	w := a.Work
	cfg := seqrec.Config{Items: w.Items, Dim: w.Dim, Blocks: w.Blocks, Heads: w.Heads, Hidden: w.Hidden, MaxLen: w.MaxLen, Dropout: w.Dropout}
	m, err := seqrec.New(cfg, nil)
	if err != nil {
		return nil, err
	}
	adam, err := optim.New("adam")
	if err != nil {
		return nil, err
	}
	l := &loaded{params: floatsOf(w.Params), batch: w.batch(), adam: adam, rate: w.Rate}
	l.grad = make([]float32, len(l.params))
	switch {
	case a.Variant == onGraph:
		l.engine, err = graph.NewEngine(m)
	case threads > 1:
		l.engine = seqrec.NewParallelEngine(m, threads)
	default:
		l.engine = seqrec.NewEngine(m)
	}
	return l, err
}

// step is one training step: loss, gradient, Adam. Other seeds drop other values.
func (l *loaded) step() (float64, error) {
	loss, _, err := l.engine.LossGrad(l.params, l.batch, l.grad)
	if err != nil {
		return 0, err
	}
	l.adam.Step(l.params, l.grad, l.rate)
	for i := range l.batch {
		l.batch[i].Seed += uint64(len(l.batch))
	}
	return loss, nil
}

func (l *loaded) steps(n int) (a answer) {
	a.Wall, a.CPU = math.Inf(1), math.Inf(1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range n {
		wall, cpu := time.Now(), processorTime()
		loss, err := l.step()
		a.CPU = min(a.CPU, (processorTime() - cpu).Seconds())
		a.Wall = min(a.Wall, time.Since(wall).Seconds())
		if err != nil {
			return answer{Error: err.Error()}
		}
		if i < 10 {
			a.Losses = append(a.Losses, loss)
		}
	}
	runtime.ReadMemStats(&after)
	a.Allocs = float64(after.Mallocs-before.Mallocs) / float64(n)
	a.Bytes = float64(after.TotalAlloc-before.TotalAlloc) / float64(n)
	return a
}

// worker serves commands from in until it ends.
func worker(threads int, in io.Reader, out io.Writer) error {
	runtime.GOMAXPROCS(threads)
	known := map[string]*loaded{}
	lines := bufio.NewReaderSize(in, 1<<20)
	encode := json.NewEncoder(out)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var a ask
		if err := json.Unmarshal(line, &a); err != nil {
			return err
		}
		if err := encode.Encode(serve(a, known, threads)); err != nil {
			return err
		}
	}
}

func serve(a ask, known map[string]*loaded, threads int) answer {
	switch a.Op {
	case "hello":
		return answer{Version: "tutti, " + runtime.Version(), BLAS: "kernels of our own", ISA: kernel.Name()}
	case "load":
		l, err := load(a, threads)
		if err != nil {
			return answer{Error: err.Error()}
		}
		loss, _, err := l.engine.LossGrad(l.params, l.batch, nil)
		if err != nil {
			return answer{Error: err.Error()}
		}
		known[a.Name] = l
		return answer{Loss: loss}
	case "steps":
		if l := known[a.Name]; l != nil {
			return l.steps(a.N)
		}
	case "forget":
		clear(known)
		runtime.GC()
		return answer{}
	}
	return answer{Error: fmt.Sprintf("%s %q", a.Op, a.Name)}
}
