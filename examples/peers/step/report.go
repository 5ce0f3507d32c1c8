package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
)

// report is all that was found, and the JSON file.
type report struct {
	Machine     string       `json:"machine"`
	Contestants []contestant `json:"contestants"`
	Rows        []row        `json:"rows"`
	Memory      []footprint  `json:"memory,omitempty"`
	Refused     []string     `json:"refused,omitempty"` // variants that a peer could not run
}

type contestant struct {
	Who     string `json:"who"`
	Version string `json:"version"`
	BLAS    string `json:"blas"`
	ISA     string `json:"isa"`
	NoAVX   bool   `json:"without_avx512,omitempty"`
}

type row struct {
	Batch   string   `json:"batch"`
	Tokens  int      `json:"tokens"`
	Threads int      `json:"threads"`
	Dropout float64  `json:"dropout"`
	NoAVX   bool     `json:"without_avx512,omitempty"`
	Results []result `json:"results"`
	Ratio   float64  `json:"ratio"`           // best peer / direct
	Padded  float64  `json:"ratio_to_padded"` // best padded peer / direct
	Must    float64  `json:"must,omitempty"`  // what is demanded of Padded where ragged, else of Ratio
	Graph   float64  `json:"graph_overhead,omitempty"`
	entries []*entry
}

type result struct {
	Who     string  `json:"who"`
	Variant string  `json:"variant"`
	Shape   string  `json:"shape,omitempty"`
	WallMS  float64 `json:"wall_ms"`
	CPUMS   float64 `json:"cpu_ms"`
	Allocs  float64 `json:"allocs,omitempty"`
	Bytes   float64 `json:"alloc_bytes,omitempty"`
}

// footprint is the peak memory of a fresh process after three steps.
type footprint struct {
	Batch  string  `json:"batch"`
	Who    string  `json:"who"`
	PeakMB float64 `json:"peak_mb"`
}

func (r *report) contestant(who string, h answer, g group) {
	c := contestant{who, h.Version, h.BLAS, h.ISA, g.avx2}
	if !slices.Contains(r.Contestants, c) {
		r.Contestants = append(r.Contestants, c)
		fmt.Fprintf(os.Stderr, "%s: %s, %s, %s\n", c.Who, c.Version, c.BLAS, c.ISA)
	}
	for _, m := range h.Missing {
		r.note(who + ": " + m)
	}
}

func (r *report) refused(who, variant, shape, why string) {
	r.note(fmt.Sprintf("%s: %s, %s: %s", who, variant, shape, why))
}

func (r *report) note(line string) {
	if !slices.Contains(r.Refused, line) {
		r.Refused = append(r.Refused, line)
	}
}

// must is what is demanded of a cell, as a ratio; 1 where nothing else is.
func must(g group, c cell) float64 {
	switch {
	case g.avx2:
		return 1.3
	case c.ragged:
		return 3
	case c.count == 1 || c.length < 200:
		return 1.7
	}
	return 2
}

func isPeer(e *entry) bool { return e.who != direct && e.who != onGraph }

func (r *report) add(g group, c cell, dropout float64, tokens int, entries []*entry) {
	x := row{Batch: c.String(), Tokens: tokens, Threads: g.threads, Dropout: dropout, NoAVX: g.avx2, Must: must(g, c), entries: entries}
	for _, e := range entries {
		x.Results = append(x.Results, result{e.who, e.variant, e.shape, 1e3 * e.best.Wall, 1e3 * e.best.CPU, e.best.Allocs, e.best.Bytes})
	}
	own := entries[0].time(g.threads)
	x.Ratio = fastest(entries, g.threads, isPeer).time(g.threads) / own
	x.Padded = fastest(entries, g.threads, func(e *entry) bool { return isPeer(e) && e.shape == "padded" }).time(g.threads) / own
	if g.threads == 1 {
		x.Graph = entries[1].time(1)/own - 1
	}
	r.Rows = append(r.Rows, x)
	fmt.Fprintf(os.Stderr, "  ours %.2f ms, best peer %.2fx\n", 1e3*own, x.Ratio)
}

func (r *report) print(out io.Writer) {
	fmt.Fprintf(out, "%s, %s\n", machine(), time.Now().Format(time.DateOnly))
	for _, c := range r.Contestants {
		fmt.Fprintf(out, "  %-24s %s, %s, %s%s\n", c.Who, c.Version, c.BLAS, c.ISA, map[bool]string{true: " (AVX-512 forbidden)"}[c.NoAVX])
	}
	fmt.Fprintln(out, "V = 4000, d = 64, 2 blocks, 2 heads, full softmax, Adam. Milliseconds per step, best of many, taken in turns:")
	fmt.Fprintln(out, "processor time on one thread, wall time on more. Ratio: fastest peer / ours.")
	t := table.NewWriter()
	t.SetOutputMirror(out)
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"batch", "threads", "dropout", "ours", "on the graph", "peers", "ratio", "must"})
	for _, x := range r.Rows {
		t.AppendRow(x.cells())
	}
	t.Render()
	for _, m := range r.Memory {
		fmt.Fprintf(out, "peak memory %s, %s: %.0f MB\n", m.Batch, m.Who, m.PeakMB)
	}
	for _, line := range r.Refused {
		fmt.Fprintln(out, "not possible:", line)
	}
}

func (x row) cells() table.Row {
	ms := func(e *entry) string { return fmt.Sprintf("%.2f", 1e3*e.time(x.Threads)) }
	threads, graph := fmt.Sprint(x.Threads), ""
	if x.NoAVX {
		threads += ", AVX2"
	}
	if x.Threads == 1 {
		e := x.entries[1]
		graph = fmt.Sprintf("%s (%+.0f %%, %.0f allocations, %.0f KB)", ms(e), 100*x.Graph, e.best.Allocs, e.best.Bytes/1024)
	}
	var peers []string
	for _, e := range x.entries {
		if isPeer(e) {
			peers = append(peers, strings.TrimSuffix(fmt.Sprintf("%s  %s %s %s", ms(e), strings.TrimPrefix(e.who, "PyTorch "), e.variant, e.shape), " padded"))
		}
	}
	ratio := fmt.Sprintf("%.2f", x.Ratio)
	if x.Padded != x.Ratio {
		ratio += fmt.Sprintf("\n%.2f padded", x.Padded)
	}
	return table.Row{x.Batch, threads, x.Dropout, ms(x.entries[0]), graph, strings.Join(peers, "\n"), ratio, fmt.Sprintf("%.1f", x.Must)}
}

func (r *report) write(path string) error {
	r.Machine = machine()
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// machine names the processor where the system says it.
func machine() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return fmt.Sprintf("%s, %d processors", strings.TrimSpace(strings.TrimLeft(name, "\t :")), runtime.NumCPU())
		}
	}
	return fmt.Sprintf("%s/%s, %d processors", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
}
