// Command rank measures how long the ten best items of a catalogue take to find, one query at a time on one thread, beside numpy,
// PyTorch and faiss: p50 and p99, and how many of the true ten each search finds.
//
//	go run ./examples/peers/rank -python VENV/bin/python
//
// The vectors are invented: items around a few hundred centres, queries near items, as trained embeddings are.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"tutti/model/kernel"
	"tutti/model/rank"
)

const (
	dim     = 64
	k       = 10
	queries = 400
)

type options struct {
	python, peer, out string
	sizes             []int
	rounds, each      int
}

func main() {
	var o options
	flag.StringVar(&o.python, "python", "examples/peers/venv/bin/python", "a Python with numpy, and what it has of torch and faiss; empty: ours alone")
	flag.StringVar(&o.peer, "peer", "examples/peers/rank/peer.py", "the peers' script")
	flag.StringVar(&o.out, "json", "", "file for all figures as JSON")
	flag.IntVar(&o.rounds, "rounds", 5, "how often everybody takes a turn")
	flag.IntVar(&o.each, "each", 80, "queries of a turn; slow searches get fewer")
	sizes := flag.String("items", "4000,1000000", "sizes of the catalogue")
	flag.Parse()
	for s := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 100 {
			fmt.Fprintf(os.Stderr, "rank: %q is no size of a catalogue, want at least 100\n", s)
			os.Exit(2)
		}
		o.sizes = append(o.sizes, n)
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "rank:", err)
		os.Exit(1)
	}
}

// search is one way to find the best items.
type search struct {
	Items  int       `json:"items"`
	Name   string    `json:"name"`
	Build  float64   `json:"build_seconds"`
	Recall float64   `json:"recall"` // share of the true ten that it finds
	P50    float64   `json:"p50_ms"`
	P99    float64   `json:"p99_ms"`
	times  []float64 // seconds
	ours   func(query int) error
}

func run(o options) error {
	runtime.GOMAXPROCS(1)
	dir, err := os.MkdirTemp("", "tutti-rank-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var all []*search
	versions := map[string]string{"tutti": kernel.Name()}
	for _, n := range o.sizes {
		found, err := o.size(dir, n, versions)
		if err != nil {
			return err
		}
		all = append(all, found...)
	}
	print(all, versions)
	if o.out == "" {
		return nil
	}
	b, err := json.MarshalIndent(map[string]any{"versions": versions, "searches": all}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.out, append(b, '\n'), 0o644)
}

// size measures one catalogue.
func (o options) size(dir string, n int, versions map[string]string) ([]*search, error) {
	vectors, asked := invent(n)
	all, truth, err := ours(vectors, asked)
	if err != nil {
		return nil, err
	}
	var peers *process
	if o.python != "" {
		if peers, err = startPeers(dir, o, vectors, asked, versions); err != nil {
			return nil, err
		}
		defer peers.close()
		built, err := peers.build(n, truth)
		if err != nil {
			return nil, err
		}
		all = append(all, built...)
	}
	at := 0
	for range o.rounds {
		for _, s := range all {
			each := o.each
			if len(s.times) > 0 { // a turn of at most a second
				each = max(5, min(each, int(1/s.times[0])))
			}
			turn := make([]int, each)
			for i := range turn {
				turn[i] = (at + i) % queries
			}
			if err := s.turn(turn, peers); err != nil {
				return nil, fmt.Errorf("%s: %w", s.Name, err)
			}
		}
		at += o.each
	}
	for _, s := range all {
		slices.Sort(s.times)
		s.P50, s.P99 = 1e3*s.times[len(s.times)/2], 1e3*s.times[len(s.times)*99/100]
	}
	return all, nil
}

func (s *search) turn(asked []int, peers *process) error {
	if s.ours == nil {
		got, err := peers.do(map[string]any{"op": "time", "name": s.Name, "queries": asked})
		s.times = append(s.times, got.Times...)
		return err
	}
	for _, q := range asked {
		start := time.Now()
		if err := s.ours(q); err != nil {
			return err
		}
		s.times = append(s.times, time.Since(start).Seconds())
	}
	return nil
}

// ours builds our indices; the truth is what the exact one finds.
func ours(vectors, asked []float32) (all []*search, truth [][]int32, err error) {
	n := len(vectors) / dim
	start := time.Now()
	index, err := rank.NewIndex(vectors, nil, dim)
	if err != nil {
		return nil, nil, err
	}
	add := func(name string, s rank.Searcher) error {
		x := &search{Items: n, Name: name, Build: time.Since(start).Seconds()}
		x.ours = func(q int) error { _, err := s.Top(asked[q*dim:(q+1)*dim], k, nil); return err }
		var found [][]int32
		for q := range queries {
			top, err := s.Top(asked[q*dim:(q+1)*dim], k, nil)
			if err != nil {
				return err
			}
			var items []int32
			for _, r := range top {
				items = append(items, r.Item)
			}
			found = append(found, items)
		}
		if truth == nil {
			truth = found
		}
		x.Recall = recall(found, truth)
		all = append(all, x)
		start = time.Now()
		return nil
	}
	if err := add("ours, float32", index); err != nil {
		return nil, nil, err
	}
	start = time.Now()
	bytes, err := rank.NewInt8(index)
	if err == nil {
		err = add("ours, int8, exact", bytes)
	}
	if err != nil || n < 50000 {
		return all, truth, err
	}
	start = time.Now()
	clusters, err := rank.NewClusters(index, rank.ClusterOptions{Seed: 1})
	if err == nil {
		err = add("ours, clusters", clusters)
	}
	return all, truth, err
}

// recall is the share of the true items that were found, over all queries.
func recall(found, truth [][]int32) float64 {
	hits := 0
	for q := range truth {
		for _, item := range truth[q] {
			if slices.Contains(found[q], item) {
				hits++
			}
		}
	}
	return float64(hits) / float64(len(truth)*k)
}

// invent makes n item vectors around centres of uneven weight, and queries near items.
func invent(n int) (vectors, asked []float32) {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	centres := make([]float32, 300*dim)
	for i := range centres {
		centres[i] = float32(rng.NormFloat64())
	}
	vectors = make([]float32, n*dim)
	for i := range n {
		c := int(300 * math.Pow(rng.Float64(), 2))
		length := float32(0.5 + rng.Float64())
		for j := range dim {
			vectors[i*dim+j] = length * (centres[c*dim+j] + 0.7*float32(rng.NormFloat64()))
		}
	}
	asked = make([]float32, queries*dim)
	for q := range queries {
		item := rng.IntN(n)
		for j := range dim {
			asked[q*dim+j] = vectors[item*dim+j] + 0.5*float32(rng.NormFloat64())
		}
	}
	return vectors, asked
}

func print(all []*search, versions map[string]string) {
	for name, v := range versions {
		fmt.Printf("%s %s\n", name, v)
	}
	t := table.NewWriter()
	t.SetOutputMirror(os.Stdout)
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"items", "search", "p50 ms", "p99 ms", "finds of the true ten", "built in"})
	for i, s := range all {
		if i > 0 && all[i-1].Items != s.Items {
			t.AppendSeparator()
		}
		t.AppendRow(table.Row{s.Items, s.Name, fmt.Sprintf("%.3f", s.P50), fmt.Sprintf("%.3f", s.P99), fmt.Sprintf("%.2f %%", 100*s.Recall), fmt.Sprintf("%.1f s", s.Build)})
	}
	t.Render()
}

// process is the peers' script.
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	names []string
}

type answer struct {
	Error    string            `json:"error"`
	Versions map[string]string `json:"versions"`
	Names    []string          `json:"names"`
	Seconds  float64           `json:"seconds"`
	Found    [][]int32         `json:"found"`
	Times    []float64         `json:"times"`
}

func startPeers(dir string, o options, vectors, asked []float32, versions map[string]string) (*process, error) {
	files := []string{filepath.Join(dir, "vectors"), filepath.Join(dir, "queries")}
	for i, x := range [][]float32{vectors, asked} {
		if err := write(files[i], x); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(o.python, o.peer)
	cmd.Env = append(os.Environ(), "OMP_NUM_THREADS=1", "MKL_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1")
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
		return nil, fmt.Errorf("no Python (%w): see examples/peers/README.md; -python \"\" measures ours alone", err)
	}
	p := &process{cmd: cmd, in: in, out: bufio.NewReaderSize(out, 1<<20)}
	got, err := p.do(map[string]any{"op": "load", "vectors": files[0], "queries": files[1], "dim": dim})
	if err != nil {
		p.close()
		return nil, err
	}
	for name, v := range got.Versions {
		versions[name] = v
	}
	p.names = got.Names
	return p, nil
}

func (p *process) build(items int, truth [][]int32) (all []*search, err error) {
	for _, name := range p.names {
		fmt.Fprintf(os.Stderr, "%d items: building %s\n", items, name)
		got, err := p.do(map[string]any{"op": "build", "name": name, "k": k})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, &search{Items: items, Name: name, Build: got.Seconds, Recall: recall(got.Found, truth)})
	}
	return all, nil
}

func (p *process) do(ask map[string]any) (got answer, err error) {
	line, err := json.Marshal(ask)
	if err != nil {
		return got, err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return got, err
	}
	reply, err := p.out.ReadBytes('\n')
	if err != nil {
		return got, fmt.Errorf("the peers ended: %w", err)
	}
	if err := json.Unmarshal(reply, &got); err != nil {
		return got, err
	}
	if got.Error != "" {
		return got, errors.New(got.Error)
	}
	return got, nil
}

func (p *process) close() {
	p.in.Close()
	p.cmd.Wait()
}

func write(path string, x []float32) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	if err := binary.Write(w, binary.LittleEndian, x); err != nil {
		f.Close()
		return err
	}
	return errors.Join(w.Flush(), f.Close())
}
