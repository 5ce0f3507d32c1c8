// Command accounting computes the epsilon of ten thousand rounds with our accountants and with Google's dp-accounting
// (Python, from PyPI), in turns, on one thread, and prints value and time of both.
//
//	go run ./examples/peers/accounting -python VENV/bin/python
//
// The peer is installed by "pip install dp-accounting" in an environment of your own; without it the program prints ours alone.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"tutti/privacy/accounting"
)

// delta is that of every epsilon here.
const delta = 1e-6

// rounds are the compositions that are compared.
func rounds(n int) []composition {
	sampled := func(q, z float64) accounting.Event {
		return accounting.PoissonSampled{Q: q, Event: accounting.Gaussian{Z: z}}
	}
	times := func(e accounting.Event) accounting.Event { return accounting.SelfComposed{Event: e, Count: n} }
	return []composition{
		{"Poisson q .01, Gaussian z 1", times(sampled(0.01, 1)), 0},
		{"Poisson q .001, Gaussian z .8", times(sampled(0.001, 0.8)), 0},
		{"Poisson q .05, Gaussian z 6", times(sampled(0.05, 6)), 0},
		{"Gaussian z 100", times(accounting.Gaussian{Z: 100}), 0},
		{"discrete Gaussian sigma 100", times(accounting.DiscreteGaussian{Sigma: 100, Sensitivity: 1}), 1e-4 * float64(n)},
		{"Laplace b 100", times(accounting.Laplace{B: 100}), 0},
		{"the first and 20 Laplace b 10", accounting.Composed{Events: []accounting.Event{
			times(sampled(0.01, 1)), accounting.SelfComposed{Event: accounting.Laplace{B: 10}, Count: 20}}}, 0},
	}
}

type composition struct {
	name  string
	event accounting.Event
	slack float64 // by which rounding raises their PLD
}

// accountants are ours by the names that the peer knows.
var accountants = []struct {
	name    string
	account accounting.Accountant
}{{"RDP", accounting.EpsilonByRDP}, {"PLD", accounting.EpsilonByPLD}}

// result is what one side found, and its best time.
type result struct {
	Epsilon float64 `json:"epsilon"`
	Seconds float64 `json:"seconds"`
}

func main() {
	python := flag.String("python", "examples/peers/venv/bin/python", "a Python that has dp-accounting")
	n := flag.Int("n", 10_000, "rounds")
	turns := flag.Int("turns", 5, "how often everybody takes a turn")
	folder := flag.String("folder", "examples/peers/accounting", "where this program's script is")
	flag.Parse()
	if err := run(os.Stdout, *python, *folder, *n, *turns); err != nil {
		fmt.Fprintln(os.Stderr, "accounting:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, python, folder string, n, turns int) error {
	runtime.GOMAXPROCS(1)
	google, err := start(python, filepath.Join(folder, "peer.py"))
	if err != nil {
		fmt.Fprintf(out, "the peer is skipped: %v\nto have it: python3 -m venv VENV && VENV/bin/pip install dp-accounting, then -python VENV/bin/python\n", err)
		google = nil
	} else {
		defer google.close()
		fmt.Fprintf(out, "beside %s\n", google.name)
	}
	t := table.NewWriter()
	t.SetOutputMirror(out)
	t.SetStyle(table.StyleLight)
	t.SetTitle("epsilon of %d rounds at delta %g; best of %d turns, one thread", n, delta, turns)
	t.AppendHeader(table.Row{"a round", "by", "ours", "theirs", "ours, ms", "theirs, ms", "times faster"})
	var wrong error
	for _, c := range rounds(n) {
		for _, by := range accountants {
			ours, theirs, err := contest(c.event, by.name, by.account, google, turns)
			if err != nil {
				return fmt.Errorf("%s by %s: %w", c.name, by.name, err)
			}
			row := table.Row{c.name, by.name, fmt.Sprintf("%.6f", ours.Epsilon), "", fmt.Sprintf("%.2f", 1000*ours.Seconds)}
			if google != nil {
				row[3] = fmt.Sprintf("%.6f", theirs.Epsilon)
				row = append(row, fmt.Sprintf("%.2f", 1000*theirs.Seconds), fmt.Sprintf("%.1f", theirs.Seconds/ours.Seconds))
				if !agree(by.name, ours.Epsilon, theirs.Epsilon, c.slack) {
					wrong = errors.Join(wrong, fmt.Errorf("%s by %s: %g is not %g", c.name, by.name, ours.Epsilon, theirs.Epsilon))
				}
			}
			t.AppendRow(row)
		}
	}
	t.Render()
	fmt.Fprintln(out, "By RDP both take the same orders. By PLD both err upwards on a grid of 1e-4; for integers theirs rounds every loss up, ours splits it.")
	return wrong
}

// agree is the tolerance of the reference file: RDP to 1e-6; a PLD not above theirs by more than .1 % and 1e-3, and, since
// theirs is above the truth too, not 1 % and its rounding below it.
func agree(by string, ours, theirs, slack float64) bool {
	if by == "RDP" {
		return math.Abs(ours/theirs-1) <= 1e-6
	}
	return ours <= theirs*(1+1e-3)+1e-3 && ours >= theirs*0.99-slack
}

// contest lets both sides compute in turns; google may be nil.
func contest(e accounting.Event, by string, account accounting.Accountant, google *peer, turns int) (ours, theirs result, err error) {
	ours.Seconds, theirs.Seconds = math.Inf(1), math.Inf(1)
	for range turns {
		start := time.Now()
		eps, err := account(e, delta)
		if err != nil {
			return ours, theirs, err
		}
		ours = result{eps, min(ours.Seconds, time.Since(start).Seconds())}
		if google == nil {
			continue
		}
		got, err := google.ask(e, by)
		if err != nil {
			return ours, theirs, err
		}
		theirs = result{got.Epsilon, min(theirs.Seconds, got.Seconds)}
	}
	return ours, theirs, nil
}

// peer is a process that says its name and then answers each line of JSON with one.
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
	if p.name = strings.TrimSpace(line); err != nil || !strings.HasPrefix(p.name, "dp-accounting ") {
		p.close()
		return nil, fmt.Errorf("%s: %s", name, p.name)
	}
	return p, nil
}

func (p *peer) ask(e accounting.Event, by string) (result, error) {
	event, err := accounting.EncodeEvent(e)
	if err != nil {
		return result{}, err
	}
	if _, err := fmt.Fprintf(p.in, `{"by":%q,"delta":%g,"event":%s}`+"\n", by, delta, event); err != nil {
		return result{}, err
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return result{}, fmt.Errorf("%s ended: %w", p.name, err)
	}
	var r result
	return r, json.Unmarshal(line, &r)
}

func (p *peer) close() {
	p.in.Close()
	p.cmd.Wait()
}
