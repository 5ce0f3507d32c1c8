// Command gemm compares our matrix products with OpenBLAS and PyTorch at the shapes of a training step, on one thread, and
// says which share of the processor's multiply-adds each of them reaches.
//
//	go run ./examples/peers/gemm -python VENV/bin/python
//	go run -tags noavx512 ./examples/peers/gemm ...   (ours with AVX2 only)
//
// It needs a C compiler for OpenBLAS and the peak; see examples/peers/README.md.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"tutti/model/kernel"
)

// shape is one product: C (m x n) = A (m x k) B (k x n). Layout NT has B as n x k, TN has A as k x m.
type shape struct {
	M      int    `json:"m"`
	N      int    `json:"n"`
	K      int    `json:"k"`
	Layout string `json:"layout"`
	Where  string `json:"where"`
}

// shapes are the products of a step of the recommender (d = 64, V = 4000) and the squares of textbooks.
var shapes = []shape{
	{50, 64, 64, "NN", "linear, one sequence of 50"},
	{50, 192, 64, "NN", "queries, keys, values of it"},
	{1600, 64, 64, "NN", "linear, 32 x 50"},
	{1600, 192, 64, "NN", "queries, keys, values"},
	{6400, 64, 64, "NN", "linear, 32 x 200"},
	{64, 64, 1600, "TN", "gradient of a weight"},
	{64, 192, 6400, "TN", "gradient of a weight"},
	{200, 200, 32, "NT", "attention: scores"},
	{200, 32, 200, "NN", "attention: values"},
	{50, 4000, 64, "NT", "logits, one sequence"},
	{1600, 4000, 64, "NT", "logits, 32 x 50"},
	{48, 64, 4000, "NN", "loss: gradient of the outputs"},
	{4000, 64, 48, "TN", "loss: gradient of the items"},
	{1024, 1024, 1024, "NN", "square"},
}

// row is what was found for a shape, in GFLOP/s; 0 where a peer is not there.
type row struct {
	shape
	Ours     float64   `json:"ours"`
	OpenBLAS float64   `json:"openblas"`
	Torch    []float64 `json:"torch"`
}

type report struct {
	Kernel   string    `json:"kernel"`
	OpenBLAS string    `json:"openblas"`
	Torch    []string  `json:"torch"`
	Peak512  float64   `json:"peak_avx512"`
	Peak256  float64   `json:"peak_avx2"`
	Rows     []row     `json:"rows"`
	Date     time.Time `json:"date"`
}

func main() {
	var pythons []string
	flag.Func("python", "a Python that has torch; may be given several times",
		func(s string) error { pythons = append(pythons, s); return nil })
	library := flag.String("openblas", "libopenblas.so.0", "the library")
	rounds := flag.Int("rounds", 10, "how often everybody takes a turn")
	turn := flag.Duration("turn", 60*time.Millisecond, "how long a turn is")
	folder := flag.String("folder", "examples/peers/gemm", "where this program's scripts are")
	out := flag.String("json", "", "file for all figures as JSON")
	flag.Parse()
	if len(pythons) == 0 {
		pythons = []string{"examples/peers/venv/bin/python"}
	}
	if err := run(pythons, *library, *folder, *rounds, *turn, *out); err != nil {
		fmt.Fprintln(os.Stderr, "gemm:", err)
		os.Exit(1)
	}
}

func run(pythons []string, library, folder string, rounds int, turn time.Duration, out string) error {
	dir, err := os.MkdirTemp("", "tutti-gemm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	runtime.GOMAXPROCS(1)
	blas, err := startOpenBLAS(dir, folder, library)
	if err != nil {
		return err
	}
	defer blas.close()
	r := report{Kernel: kernel.Name(), OpenBLAS: blas.name, Date: time.Now()}
	var torches []*peer
	for _, python := range pythons {
		p, err := start(python, filepath.Join(folder, "peer.py"))
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s has no torch: %v\n", python, err)
			continue
		}
		defer p.close()
		torches = append(torches, p)
		r.Torch = append(r.Torch, p.name)
	}
	for _, s := range shapes {
		if err := s.check(); err != nil {
			return err
		}
		r.Rows = append(r.Rows, row{shape: s, Torch: make([]float64, len(torches))})
	}
	for range rounds {
		for bits, best := range map[int]*float64{512: &r.Peak512, 256: &r.Peak256} {
			g, err := blas.ask(fmt.Sprintf("peak %d 0 - %f", bits, turn.Seconds()))
			if err != nil {
				return err
			}
			*best = max(*best, g)
		}
		for i := range r.Rows {
			if err := r.Rows[i].round(blas, torches, turn); err != nil {
				return err
			}
		}
	}
	r.print(os.Stdout)
	if out == "" {
		return nil
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(b, '\n'), 0o644)
}

func (r *row) round(blas *peer, torches []*peer, turn time.Duration) error {
	line := fmt.Sprintf("%d %d %d %s %f", r.M, r.N, r.K, r.Layout, turn.Seconds())
	r.Ours = max(r.Ours, r.measure(turn))
	g, err := blas.ask(line)
	if err != nil {
		return err
	}
	r.OpenBLAS = max(r.OpenBLAS, g)
	for i, p := range torches {
		g, err := p.ask(line)
		if err != nil {
			return err
		}
		r.Torch[i] = max(r.Torch[i], g)
	}
	return nil
}

// measure is the best GFLOP/s of our product within a turn.
func (s shape) measure(turn time.Duration) float64 {
	f, _ := s.product(numbers(s.M*s.K, 17), numbers(s.K*s.N, 13))
	repeat, best := 1, math.Inf(1)
	for end := time.Now().Add(turn); time.Now().Before(end); {
		start := time.Now()
		for range repeat {
			f()
		}
		took := time.Since(start)
		if took < 20*time.Microsecond {
			repeat *= 2
			continue
		}
		best = min(best, took.Seconds()/float64(repeat))
	}
	return 2 * float64(s.M) * float64(s.N) * float64(s.K) / best / 1e9
}

// product is the shape as our layers compute it. Without a transposed B nothing is copied. With one, the smaller operand
// is transposed first, which is part of the time: B itself, or A and the whole product, as the loss does with its logits.
// at(i, j) is the product once f has run.
func (s shape) product(a, b []float32) (f func(), at func(i, j int) float32) {
	m, n, k := s.M, s.N, s.K
	c := make([]float32, m*n)
	at = func(i, j int) float32 { return c[i*n+j] }
	switch {
	case s.Layout == "TN":
		return func() { kernel.Gemm(m, n, k, a, 1, m, b, n, c, n, false) }, at
	case s.Layout == "NN":
		return func() { kernel.Gemm(m, n, k, a, k, 1, b, n, c, n, false) }, at
	case n <= m:
		turned := make([]float32, k*n)
		return func() {
			kernel.Transpose(turned, n, b, k, n, k)
			kernel.Gemm(m, n, k, a, k, 1, turned, n, c, n, false)
		}, at
	}
	turned := make([]float32, k*m)
	return func() {
		kernel.Transpose(turned, m, a, k, m, k)
		kernel.Gemm(n, m, k, b, k, 1, turned, m, c, m, false)
	}, func(i, j int) float32 { return c[j*m+i] }
}

// check refuses to measure a product that is wrong: the numbers are sixteenths, so that every sum is exact.
func (s shape) check() error {
	a, b := numbers(s.M*s.K, 17), numbers(s.K*s.N, 13)
	f, at := s.product(a, b)
	f()
	for t := range 1000 {
		i, j := t*7919%s.M, t*104729%s.N
		var want float32
		for p := range s.K {
			x, y := a[i*s.K+p], b[p*s.N+j]
			if s.Layout == "TN" {
				x = a[p*s.M+i]
			}
			if s.Layout == "NT" {
				y = b[j*s.K+p]
			}
			want += x * y
		}
		if got := at(i, j); got != want {
			return fmt.Errorf("%d x %d x %d %s: element %d, %d is %v, want %v", s.M, s.N, s.K, s.Layout, i, j, got, want)
		}
	}
	return nil
}

// numbers are n sixteenths around zero.
func numbers(n, period int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(i%period-period/2) / 16
	}
	return x
}

func (r report) print(out io.Writer) {
	peak := max(r.Peak512, r.Peak256)
	fmt.Fprintf(out, "ours: %s; OpenBLAS: %s; %s\n", r.Kernel, r.OpenBLAS, strings.Join(r.Torch, "; "))
	fmt.Fprintf(out, "peak of one thread: %.0f GFLOP/s with AVX-512, %.0f with AVX2. Everything below in GFLOP/s, best of many.\n", r.Peak512, r.Peak256)
	t := table.NewWriter()
	t.SetOutputMirror(out)
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"m, n, k", "where", "ours", "of the peak", "OpenBLAS", "torch.mm", "ours / best"})
	for _, x := range r.Rows {
		best := x.OpenBLAS
		var torch []string
		for _, g := range x.Torch {
			best = max(best, g)
			torch = append(torch, fmt.Sprintf("%.0f", g))
		}
		t.AppendRow(table.Row{fmt.Sprintf("%d, %d, %d %s", x.M, x.N, x.K, x.Layout), x.Where, fmt.Sprintf("%.0f", x.Ours),
			fmt.Sprintf("%.0f %%", 100*x.Ours/peak), fmt.Sprintf("%.0f", x.OpenBLAS), strings.Join(torch, "  "), fmt.Sprintf("%.2f", x.Ours/best)})
	}
	t.Render()
}

// peer is a process that says its name and then answers each line with a number.
type peer struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
}

func start(name string, args ...string) (*peer, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "OPENBLAS_NUM_THREADS=1", "OMP_NUM_THREADS=1", "MKL_NUM_THREADS=1")
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
		return nil, err
	}
	p := &peer{"", cmd, in, bufio.NewReader(out)}
	line, err := p.out.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("it says nothing: %w", err)
	}
	p.name = strings.TrimSpace(line)
	return p, nil
}

func startOpenBLAS(dir, folder, library string) (*peer, error) {
	program := filepath.Join(dir, "openblas")
	cc := exec.Command("cc", "-O2", "-o", program, filepath.Join(folder, "openblas", "gemm.c"), "-ldl")
	if said, err := cc.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cc: %w\n%s", err, said)
	}
	return start(program, library)
}

func (p *peer) ask(line string) (float64, error) {
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		return 0, err
	}
	reply, err := p.out.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("%s ended: %w", p.name, err)
	}
	return strconv.ParseFloat(strings.TrimSpace(reply), 64)
}

func (p *peer) close() {
	p.in.Close()
	p.cmd.Wait()
}
