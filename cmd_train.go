package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"tutti/model/run"
)

// trainFlags are what a person may ask of a run; everything else is in the configuration.
type trainFlags struct {
	data, out, recipe, config string
	engine                    string
	epochs                    float64
	steps                     int
	seed                      uint64
	set                       []string
	resume, printConfig       bool
}

func (a *app) trainCommand() *cobra.Command {
	f := trainFlags{}
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Train a recommender in one place, with everybody's behaviour in the clear: the baseline to compare with",
		Long:  trainLong(),
		Example: "  tutti train --out run1\n  tutti train --data ml-latest-small --out run2 --recipe bidirectional --set model.dropout=0.3\n" +
			"  tutti train --out run1 --resume\n  tutti train --recipe encdec --print-config > run.yaml",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.printConfig {
				c, err := f.configure(cmd)
				if err == nil {
					_, err = a.out.Write(c.YAML())
				}
				return err
			}
			return a.train(cmd.Context(), cmd, f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.data, "data", "", "a MovieLens folder or zip (default: the invented behaviour of the demo)")
	flags.StringVar(&f.out, "out", "run", "folder of the run")
	flags.StringVar(&f.recipe, "recipe", "", "causal, bidirectional or encdec (default causal)")
	flags.StringVar(&f.config, "config", "", "YAML file with settings; flags override it")
	flags.Float64Var(&f.epochs, "epochs", 0, "passes over the histories, at most")
	flags.IntVar(&f.steps, "steps", 0, "steps, at most; instead of --epochs")
	flags.Uint64Var(&f.seed, "seed", 0, "of invented data, initial weights and batches (default 1)")
	flags.StringVar(&f.engine, "engine", "", "graph (gorgonia over the fused layers) or fused (the layers alone); equal to the bit (default graph)")
	flags.StringArrayVar(&f.set, "set", nil, "any setting of the configuration, such as model.dim=128; may be repeated")
	flags.BoolVar(&f.resume, "resume", false, "go on where the run in --out stopped, with its own configuration")
	flags.BoolVar(&f.printConfig, "print-config", false, "print the configuration, every setting explained, and end")
	return cmd
}

func trainLong() string {
	var b strings.Builder
	b.WriteString(`Trains on one machine, shows the curves, keeps the best weights by validation and measures them on the test split,
beside popularity and item transitions. Writes a folder with the configuration, the log, weights that any reader of
safetensors opens, and run.html. Ctrl-C saves and ends; --resume goes on to the same weights as without a stop.

Recipes:
`)
	for _, r := range run.Recipes() {
		fmt.Fprintf(&b, "  %-14s %s\n", r.Recipe, r.Best)
	}
	return strings.TrimRight(b.String(), "\n")
}

// configure is the recipe's default, changed by the file, changed by the flags.
func (f trainFlags) configure(cmd *cobra.Command) (run.Config, error) {
	var file []byte
	if f.config != "" {
		var err error
		if file, err = readBounded(f.config, run.MaxConfigBytes); err != nil {
			return run.Config{}, err
		}
	}
	c, err := run.ParseConfig(file, run.Recipe(f.recipe))
	if err != nil {
		if f.config != "" {
			err = fmt.Errorf("%s:%w", f.config, err)
		}
		return c, &exitError{exitUsage, err}
	}
	if cmd.Flags().Changed("steps") && cmd.Flags().Changed("epochs") {
		return c, usageError("--steps and --epochs exclude each other")
	}
	changes := f.set
	for _, flag := range []struct{ flag, name, value string }{
		{"data", "data", f.data}, {"engine", "engine", f.engine}, {"seed", "seed", strconv.FormatUint(f.seed, 10)},
		{"steps", "fit.steps", strconv.Itoa(f.steps)}, {"epochs", "fit.steps", "0"},
		{"epochs", "fit.epochs", strconv.FormatFloat(f.epochs, 'g', -1, 64)},
	} {
		if cmd.Flags().Changed(flag.flag) {
			changes = append(changes, flag.name+"="+flag.value)
		}
	}
	for _, change := range changes {
		name, value, ok := strings.Cut(change, "=")
		if !ok {
			return c, usageError("--set %s: want NAME=VALUE, such as model.dim=128", change)
		}
		if err := c.Set(strings.TrimSpace(name), strings.TrimSpace(value)); err != nil {
			return c, &exitError{exitUsage, err}
		}
	}
	return c, nil
}

func readBounded(path string, most int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, most+1))
}

// train runs or resumes, then measures. Wrong use leaves no folder behind.
func (a *app) train(ctx context.Context, cmd *cobra.Command, f trainFlags) error {
	s, err := a.session(cmd, f)
	if err != nil || s.manifest.Status == run.Finished {
		if err == nil {
			err = s.report()
		}
		return err
	}
	fitter, err := s.fitter()
	if err != nil {
		return err
	}
	unlock, err := lockRun(f.out)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.restore(fitter, f.resume); err != nil {
		return err
	}
	if err := s.fit(ctx, fitter); err != nil {
		return err
	}
	if err := s.finish(); err != nil {
		return err
	}
	return s.report()
}

// session is a new run, or the one that is in the folder. Nothing is written yet.
func (a *app) session(cmd *cobra.Command, f trainFlags) (*session, error) {
	s := &session{app: a, dir: runDir(f.out), folder: f.out}
	exists, err := s.dir.Exists()
	switch {
	case err != nil:
		return nil, err
	case exists && !f.resume:
		return nil, usageError("%s holds a run already: --resume goes on with it, another --out begins another", f.out)
	case !exists && f.resume:
		return nil, usageError("--resume: there is no run in %s", f.out)
	case exists:
		for _, name := range []string{"recipe", "config", "epochs", "steps", "seed", "engine", "set"} {
			if cmd.Flags().Changed(name) {
				return nil, usageError("--resume goes on as %s/%s says: leave out --%s", f.out, run.ConfigName, name)
			}
		}
		if s.manifest, s.config, err = s.dir.Load(); err != nil {
			return nil, err
		}
		if f.data != "" {
			s.config.Data = f.data
		}
	default:
		if s.config, err = f.configure(cmd); err != nil {
			return nil, err
		}
	}
	return s, s.prepare(exists)
}
