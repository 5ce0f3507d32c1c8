// Command quality trains the recommender on MovieLens 1M beside PyTorch's SASRec, with the same recipe, protocol and data, one
// run after another, and says how good both get and how long they need.
//
//	go run ./examples/peers/quality -data ../shared/data/ml-1m -python VENV/bin/python
//
// A seed takes about ten minutes of PyTorch on one thread. Runs that -out holds already are not made again.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/jedib0t/go-pretty/v6/table"
)

type options struct {
	data, python, out, tutti, peer string
	seeds, steps, every, threads   int
	recipes                        []string
	goal                           float64
}

func main() {
	var o options
	flag.StringVar(&o.data, "data", "../shared/data/ml-1m", "folder with interactions.txt or ratings.dat")
	flag.StringVar(&o.python, "python", "examples/peers/venv/bin/python", "a Python that has torch; empty: ours alone")
	flag.StringVar(&o.out, "out", "examples/peers/out", "folder for the runs")
	flag.StringVar(&o.tutti, "tutti", "", "a tutti binary (default: built from here)")
	flag.StringVar(&o.peer, "peer", "examples/peers/quality/peer.py", "the peer's script")
	flag.IntVar(&o.seeds, "seeds", 1, "how many seeds")
	flag.IntVar(&o.steps, "steps", 2070, "steps of 128 sequences")
	flag.IntVar(&o.every, "every", 69, "steps between two points of the curve")
	flag.IntVar(&o.threads, "threads", 1, "threads of everybody")
	flag.Float64Var(&o.goal, "goal", 0.15, "NDCG@10 on the validation items, the time to which is measured")
	recipes := flag.String("recipes", "causal", "ours: causal, bidirectional, encdec; the first with the peer's recipe, the others with their own")
	flag.Parse()
	o.recipes = strings.Split(*recipes, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := train(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "quality:", err)
		os.Exit(1)
	}
}

func train(ctx context.Context, o options) error {
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	if o.tutti == "" {
		o.tutti = filepath.Join(o.out, "tutti")
		build := exec.CommandContext(ctx, "go", "build", "-o", o.tutti, "tutti")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("building tutti: %w", err)
		}
	}
	var curves []curve
	var problem error
	for seed := 1; seed <= o.seeds && problem == nil; seed++ {
		for i := -1; i < len(o.recipes) && problem == nil; i++ {
			var c curve
			if i >= 0 {
				c, problem = o.ours(ctx, o.recipes[i], seed)
			} else if o.python != "" {
				c, problem = o.torch(ctx, seed)
			} else {
				continue
			}
			if problem == nil {
				curves = append(curves, c)
			}
		}
	}
	show(curves, o.goal)
	return problem
}

// ours trains with the tutti command: everything is its default but the peer's steps and schedule.
func (o options) ours(ctx context.Context, recipe string, seed int) (curve, error) {
	folder := filepath.Join(o.out, fmt.Sprintf("tutti-%s-%d", recipe, seed))
	if c, err := readOurs(folder, recipe, seed); err == nil {
		if recipe == "causal" {
			err = o.same(c, folder)
		}
		return c, err
	}
	args := []string{"train", "--data", o.data, "--out", folder, "--recipe", recipe, "--seed", strconv.Itoa(seed), "--engine", "fused"}
	for _, set := range []string{"workers=" + strconv.Itoa(o.threads), "validate.users=0", "validate.patience=0"} {
		args = append(args, "--set", set)
	}
	if recipe == "causal" {
		args = append(args, "--steps", strconv.Itoa(o.steps), "--set", "fit.warm_up=0", "--set", fmt.Sprintf("validate.every=%d", o.every))
	}
	if _, err := os.Stat(filepath.Join(folder, "run.json")); err == nil {
		args = []string{"train", "--resume", "--out", folder}
	}
	fmt.Fprintln(os.Stderr, "tutti", strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, o.tutti, args...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(o.threads))
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return curve{}, fmt.Errorf("tutti train: %w", err)
	}
	return readOurs(folder, recipe, seed)
}

// same refuses what an earlier call with other flags has left.
func (o options) same(c curve, path string) error {
	if c.Steps != o.steps {
		return fmt.Errorf("%s is of a run of %d steps, not of %d: choose another -out", path, c.Steps, o.steps)
	}
	return nil
}

func (o options) torch(ctx context.Context, seed int) (curve, error) {
	path := filepath.Join(o.out, fmt.Sprintf("torch-%d.jsonl", seed))
	if c, err := readTorch(path, seed); err == nil {
		return c, o.same(c, path)
	}
	if err := exec.CommandContext(ctx, o.python, "-c", "import torch, numpy").Run(); err != nil {
		return curve{}, fmt.Errorf("%s has no torch (%w): see examples/peers/README.md; -python \"\" measures ours alone", o.python, err)
	}
	out, err := os.Create(path)
	if err != nil {
		return curve{}, err
	}
	defer out.Close()
	args := []string{o.peer, "--data", o.data}
	for name, value := range map[string]int{"seed": seed, "steps": o.steps, "every": o.every, "threads": o.threads} {
		args = append(args, "--"+name, strconv.Itoa(value))
	}
	fmt.Fprintln(os.Stderr, o.python, strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, o.python, args...)
	n := strconv.Itoa(o.threads)
	cmd.Env = append(os.Environ(), "OMP_NUM_THREADS="+n, "MKL_NUM_THREADS="+n, "OPENBLAS_NUM_THREADS="+n, "OMP_WAIT_POLICY=passive",
		"MALLOC_MMAP_MAX_=0", "MALLOC_TRIM_THRESHOLD_=100000000000", "MALLOC_TOP_PAD_=100000000")
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	if err := cmd.Run(); err != nil {
		return curve{}, fmt.Errorf("the peer: %w", err)
	}
	return readTorch(path, seed)
}

// published are figures of the same data and protocol from public sources, in the order of events that each of them used; ours
// is that of interactions.txt, which is arbitrary among equal moments and costs about a tenth.
var published = []table.Row{
	{"SASRec, sampled softmax, HSTU's order", "", 0.2853, 0.1603, "generative-recommenders README"},
	{"HSTU", "", 0.3097, 0.1720, "generative-recommenders README"},
	{"SASRec, binary cross-entropy", "", 0.2500, 0.1341, "antklen/sasrec-bert4rec-recsys23 README"},
	{"BERT4Rec", "", 0.2843, 0.1537, "antklen/sasrec-bert4rec-recsys23 README"},
	{"SASRec+, cross-entropy, L = 200, file order", "", 0.3152, 0.1821, "antklen/sasrec-bert4rec-recsys23 README"},
	{"SASRec softmax, reproduced", "", 0.2929, 0.1684, "blondered/transformer_benchmark README"},
}

func show(curves []curve, goal float64) {
	t := table.NewWriter()
	t.SetOutputMirror(os.Stdout)
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"run", "seed", "HR@10", "NDCG@10", "training", fmt.Sprintf("to %.2f on validation", goal)})
	for _, c := range curves {
		reached := "never"
		if s, ok := c.reached(goal); ok {
			reached = fmt.Sprintf("%.0f s", s)
		}
		t.AppendRow(table.Row{c.Name, c.Seed, fmt.Sprintf("%.4f", c.HR), fmt.Sprintf("%.4f", c.NDCG), fmt.Sprintf("%.0f s", c.Seconds), reached})
	}
	t.AppendSeparator()
	for _, p := range published {
		t.AppendRow(table.Row{p[0], p[1], fmt.Sprintf("%.4f", p[2]), fmt.Sprintf("%.4f", p[3]), p[4], ""})
	}
	t.Render()
	fmt.Println("ml-1m, leave-one-out, full ranking, history masked, test items of all users. Seconds on the clock, training alone.")
	for _, c := range curves {
		fmt.Printf("\n%s, seed %d, validation NDCG@10 by seconds:", c.Name, c.Seed)
		for _, p := range c.Points {
			fmt.Printf(" %.0f:%.4f", p.Seconds, p.NDCG)
		}
	}
	fmt.Println()
}
