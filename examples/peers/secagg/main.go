// Command secagg measures our secure aggregation on one core beside what else there is, in one run: pairwise AES-CTR masks, BGV under
// a collective key (lattigo), and Flower's SecAgg+ client and server code from PyPI.
//
//	go run ./examples/peers/secagg -python VENV/bin/python
//	go run ./examples/peers/secagg -scale
//
// See examples/peers/README.md.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"tutti/aggregation"
	"tutti/aggregation/mask"
)

type options struct {
	dims          []int
	devices       int
	peers         []string
	neighbours    []int
	python        string
	script        string
	flowerClients int
	flowerGraphs  []int
	repeats       int
	out           string
	scale         bool
	drop          float64
	variants      []variant
	serve         string
}

const usage = `Secure aggregation on one core: ours, pairwise masks, BGV under a collective key, Flower's SecAgg+.

  go run ./examples/peers/secagg                                  everything, at 2^17 and 2^20 coordinates
  go run ./examples/peers/secagg -dim 2^17 -devices 1000 -peers pairwise,bgv
  go run ./examples/peers/secagg -scale                           10,000 devices for real: 30 % drop, three members go down

Flower comes from PyPI:

  python3 -m venv examples/peers/venv
  examples/peers/venv/bin/pip install -r examples/peers/requirements.txt     # or only: flwr numpy

Flags:
`

var peerNames = []string{"ours", "pairwise", "bgv", "flower"}

func main() {
	o, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "secagg:", err)
		os.Exit(2)
	case o.serve != "":
		err = serveJob(o.serve)
	case o.scale:
		err = o.runScale()
	default:
		err = o.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "secagg:", err)
		os.Exit(1)
	}
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("secagg", flag.ContinueOnError)
	f.Usage = func() { fmt.Fprint(f.Output(), usage); f.PrintDefaults() }
	dims := f.String("dim", "2^17,2^20", "coordinates of a vector; -scale takes the first")
	f.IntVar(&o.devices, "devices", 10000, "devices n of our round, 2 to 16384")
	peers := f.String("peers", strings.Join(peerNames, ","), "who takes part, by commas")
	neighbours := f.String("neighbours", "20,100,746", "numbers of neighbours k of the pairwise masks")
	f.StringVar(&o.python, "python", "examples/peers/venv/bin/python", "a Python with flwr")
	f.StringVar(&o.script, "script", "examples/peers/secagg/flower.py", "what drives Flower's code")
	f.IntVar(&o.flowerClients, "flower-clients", 100, "clients of Flower's rounds, 3 to 100")
	graphs := f.String("flower-neighbours", "20,99", "numbers of neighbours in Flower's graph, even or all others")
	f.IntVar(&o.repeats, "repeats", 5, "how often a client is measured; the best counts")
	f.StringVar(&o.out, "json", "", "file for all figures as JSON")
	f.BoolVar(&o.scale, "scale", false, "instead: a whole round of really sealed uploads, on all cores, with dropouts")
	f.Float64Var(&o.drop, "drop", 0.3, "part of the devices that drop in -scale: before, in the middle of, and after their upload")
	rings := f.String("profile", "standard,paired", "rings of ours: standard, high or paired; -scale takes the first")
	suites := f.String("suite", "mlkem768x25519,x25519", "envelopes of ours; -scale takes the first")
	f.StringVar(&o.serve, "serve", "", "be the server's process; for the program itself")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected %q", f.Arg(0))
	}
	o.peers = strings.Split(*peers, ",")
	for _, p := range o.peers {
		if !slices.Contains(peerNames, p) {
			return o, fmt.Errorf("peer %q: want some of %s", p, strings.Join(peerNames, ","))
		}
	}
	return o, errors.Join(numbers(&o.dims, *dims, 2, 1<<24), numbers(&o.neighbours, *neighbours, 2, 10000),
		numbers(&o.flowerGraphs, *graphs, 2, 99), o.vary(*rings, *suites), o.check())
}

// vary lists every ring with every suite.
func (o *options) vary(rings, suites string) error {
	profiles := map[string]mask.Profile{"standard": mask.Standard, "high": mask.High, "paired": mask.Paired}
	sealers := map[string]aggregation.Suite{"x25519": aggregation.SuiteX25519, "mlkem768x25519": aggregation.SuiteMLKEM768X25519}
	for r := range strings.SplitSeq(rings, ",") {
		for s := range strings.SplitSeq(suites, ",") {
			profile, knownRing := profiles[r]
			suite, knownSuite := sealers[s]
			if !knownRing || !knownSuite {
				return fmt.Errorf("-profile %q -suite %q: want standard, high or paired, and x25519 or mlkem768x25519", r, s)
			}
			o.variants = append(o.variants, variant{profile, suite})
		}
	}
	return nil
}

func (o options) check() error {
	switch {
	case o.devices < 2 || o.devices > maxDevices:
		return fmt.Errorf("-devices %d: want 2 to %d", o.devices, maxDevices)
	case o.flowerClients < 3 || o.flowerClients > 100:
		return fmt.Errorf("-flower-clients %d: want 3 to 100", o.flowerClients)
	case o.repeats < 1:
		return fmt.Errorf("-repeats %d: want at least 1", o.repeats)
	case !(o.drop >= 0 && o.drop < 1):
		return fmt.Errorf("-drop %v: want a part from 0 to below 1", o.drop)
	}
	return nil
}

// numbers reads 131072,2^20.
func numbers(into *[]int, s string, low, high int) error {
	for word := range strings.SplitSeq(s, ",") {
		exponent, power := strings.CutPrefix(strings.TrimSpace(word), "2^")
		n, err := strconv.Atoi(exponent)
		if power {
			n = 1 << min(max(n, 0), 31)
		}
		if err != nil || n < low || n > high {
			return fmt.Errorf("%q: want a number from %d to %d, like 100 or 2^17", word, low, high)
		}
		*into = append(*into, n)
	}
	return nil
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// run measures everything and prints one table per dimension.
func (o options) run() error {
	runtime.GOMAXPROCS(1)
	dir, err := os.MkdirTemp("", "tutti-secagg-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	go func() { // no staged uploads are left behind
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
		<-stop
		os.RemoveAll(dir)
		os.Exit(130)
	}()
	r := &report{Machine: machine(), Devices: o.devices, Versions: map[string]string{}}
	if slices.Contains(o.peers, "flower") { // before the long work
		p, versions, err := startFlower(o.python, o.script)
		if err != nil {
			return err
		}
		p.close()
		r.Versions = versions
	}
	member := map[variant]memberFigures{}
	if slices.Contains(o.peers, "ours") {
		for _, v := range o.variants {
			if member[v], err = memberWork(o.devices, v, say); err != nil {
				return err
			}
			runtime.GC()
		}
	}
	for _, dim := range o.dims {
		c := column{Dim: dim}
		if err := o.measure(dir, &c, member); err != nil {
			return err
		}
		r.Columns = append(r.Columns, c)
	}
	r.print(os.Stdout)
	if o.out == "" {
		return nil
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.out, append(b, '\n'), 0o644)
}

// measure fills one dimension.
func (o options) measure(dir string, c *column, member map[variant]memberFigures) error {
	for _, peer := range o.peers {
		switch peer {
		case "ours":
			for _, v := range o.variants {
				say("%s coordinates: ours, %v, %d uploads", power(c.Dim), v, o.devices)
				f, err := o.ours(dir, c.Dim, v, member[v])
				if err != nil {
					return fmt.Errorf("ours, %v: %w", v, err)
				}
				c.Ours = append(c.Ours, f)
			}
		case "pairwise":
			if err := pairCheck(4096, 24); err != nil {
				return err
			}
			for _, k := range o.neighbours {
				say("%s coordinates: pairwise masks, %d neighbours", power(c.Dim), k)
				f, err := pairwise(c.Dim, k, o.repeats)
				if err != nil {
					return err
				}
				c.Pairwise = append(c.Pairwise, f)
			}
		case "bgv":
			say("%s coordinates: BGV", power(c.Dim))
			f, err := bgvFold(c.Dim, members, o.repeats)
			if err != nil {
				return err
			}
			c.BGV = &f
		case "flower":
			for _, k := range o.flowerGraphs {
				say("%s coordinates: Flower, %d clients, %d neighbours", power(c.Dim), o.flowerClients, k)
				f, err := o.flower(c.Dim, k)
				if err != nil {
					return fmt.Errorf("flower: %w", err)
				}
				c.Flower = append(c.Flower, f)
			}
		}
		runtime.GC()
	}
	return nil
}
