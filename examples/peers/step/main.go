// Command step compares one training step of the recommender with PyTorch: the same model, weights and batch, in processes
// that take turns, so that whatever else the machine does hits everybody. Every figure is the best of many steps.
//
//	go run ./examples/peers/step -python VENV/bin/python -python /usr/bin/python3
//
// measures with every Python given that can import torch. See examples/peers/README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// plan is what the command line asks for.
type plan struct {
	pythons   []string
	cells     []cell
	threads   []int
	dropouts  []float64
	rounds    int
	avx2      bool
	compile   bool
	plainMKL  bool
	peer, out string // the peer's script; where the JSON goes
}

// cell is one size of batch.
type cell struct {
	count, length int
	ragged        bool // lengths from 50 to length
}

func (c cell) String() string {
	if c.ragged {
		return fmt.Sprintf("%d x U[50,%d]", c.count, c.length)
	}
	return fmt.Sprintf("%d x %d", c.count, c.length)
}

func main() {
	isWorker := flag.Int("worker", 0, "be the contestant with this many threads; for the program itself")
	p, err := parse()
	if *isWorker > 0 {
		err = worker(*isWorker, os.Stdin, os.Stdout)
	} else if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = run(ctx, p)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "step:", err)
		os.Exit(1)
	}
}

func parse() (p plan, err error) {
	flag.Func("python", "a Python that has torch; may be given several times (default: venv/bin/python beside the script, /usr/bin/python3)",
		func(s string) error { p.pythons = append(p.pythons, s); return nil })
	cells := flag.String("cells", "1x50,1x200,32x50,32x200,128x50,128x200,128xU200", "batches: sequences x length; U200: lengths from 50 to 200")
	threads := flag.String("threads", "1,2", "numbers of threads")
	dropouts := flag.String("dropout", "0,0.2", "parts of the values that are dropped")
	flag.IntVar(&p.rounds, "rounds", 5, "how often the contestants take turns")
	flag.BoolVar(&p.avx2, "avx2", true, "also everybody without AVX-512, at 32x50 and 32x200")
	flag.BoolVar(&p.compile, "compile", true, "also try torch.compile, for single sequences")
	flag.BoolVar(&p.plainMKL, "plain-mkl", false, "on AMD, leave MKL on the slow path that it chooses there")
	flag.StringVar(&p.peer, "peer", "examples/peers/step/peer.py", "the peer's script")
	flag.StringVar(&p.out, "json", "", "file for all figures as JSON")
	flag.Parse()
	if len(p.pythons) == 0 {
		p.pythons = []string{"examples/peers/venv/bin/python", "/usr/bin/python3"}
	}
	for s := range strings.SplitSeq(*cells, ",") {
		count, length, found := strings.Cut(s, "x")
		length, ragged := strings.CutPrefix(length, "U")
		c := cell{ragged: ragged}
		var e1, e2 error
		c.count, e1 = strconv.Atoi(count)
		c.length, e2 = strconv.Atoi(length)
		if !found || e1 != nil || e2 != nil || c.count < 1 || c.length < 1 || ragged && c.length < 50 {
			return p, fmt.Errorf("batch %q: want something like 32x50 or 128xU200", s)
		}
		p.cells = append(p.cells, c)
	}
	for s := range strings.SplitSeq(*threads, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return p, fmt.Errorf("threads %q", s)
		}
		p.threads = append(p.threads, n)
	}
	for s := range strings.SplitSeq(*dropouts, ",") {
		d, err := strconv.ParseFloat(s, 64)
		if err != nil || d < 0 || d >= 1 {
			return p, fmt.Errorf("dropout %q", s)
		}
		p.dropouts = append(p.dropouts, d)
	}
	if p.rounds < 1 {
		return p, errors.New("at least one round")
	}
	return p, nil
}

// run measures everything and prints what it found, also when it was interrupted.
func run(ctx context.Context, p plan) error {
	s, err := newStage(p)
	if err != nil {
		return err
	}
	defer s.close()
	var problem error
	for _, g := range groups(p) {
		if problem = s.group(ctx, g); problem != nil {
			break
		}
	}
	if problem == nil {
		problem = s.memory()
	}
	s.report.print(os.Stdout)
	if p.out != "" {
		problem = errors.Join(problem, s.report.write(p.out))
	}
	return problem
}

// group is what runs with the same processes.
type group struct {
	threads  int
	avx2     bool // everybody without AVX-512
	cells    []cell
	dropouts []float64
}

func groups(p plan) (all []group) {
	for _, n := range p.threads {
		all = append(all, group{threads: n, cells: p.cells, dropouts: p.dropouts})
	}
	if !p.avx2 {
		return all
	}
	forced := group{threads: 1, avx2: true, dropouts: []float64{0}}
	for _, c := range p.cells {
		if c.count == 32 {
			forced.cells = append(forced.cells, c)
		}
	}
	return append(all, forced)
}
