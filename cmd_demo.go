package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"tutti/model/dataset"
	"tutti/privacy/plan"
)

// demoFlags are what a person may ask of the demo.
type demoFlags struct {
	recipe
	data       string
	devices    int
	cohort     int
	out        string
	privacyOff bool
	user       int
	serve      bool
	slow       float64 // share of devices that take slowFor to train
	slowFor    time.Duration
}

func (a *app) demoCommand() *cobra.Command {
	f := demoFlags{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See the whole of it: devices, server, committee, report, on this machine, in a minute",
		Long: `Invents behaviour (or reads yours), starts one aggregation server, five committee nodes and some hundreds of devices that
speak gRPC over TLS on loopback, and trains a recommender with differential privacy and secure aggregation on: two
statistics releases, then model rounds. Shows the quality as it grows, what privacy cost, five recommendations with
their reasons, and writes a report that it verifies.

All nodes run in one place here, which protects nobody from the person who runs the demo.`,
		Example: "  tutti demo\n  tutti demo --serve\n  tutti demo --data ml-latest-small --epsilon 4\n  tutti demo --seed 7 --rounds 8 --json\n  tutti demo --trust central",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.Noise = !f.privacyOff
			return a.demo(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.data, "data", "", "a MovieLens folder or zip instead of invented behaviour")
	flags.IntVar(&f.devices, "devices", 0, "devices (default: 610 with invented behaviour, everybody in --data)")
	flags.IntVar(&f.Rounds, "rounds", 4, "model rounds; -1: as the planner advises")
	flags.IntVar(&f.cohort, "cohort", 0, "devices in a round (default: all)")
	flags.Float64Var(&f.Epsilon, "epsilon", 8, "the privacy budget of the whole task")
	flags.Uint64Var(&f.Seed, "seed", 1, "of data, initial weights and who is asked; never of noise, masks or keys")
	flags.StringVar(&f.Size, "model", sizeSmall, "the Transformer: small (a few thousand numbers over public features) or table (a learned row per item)")
	flags.StringVar(&f.Metrics, "metrics", string(plan.MetricsAuto), "what model rounds measure on the devices: off, basic, groups, or auto")
	flags.StringVar(&f.Clip, "clip", clipFixed, "bound of an update: fixed or adaptive")
	flags.BoolVar(&f.privacyOff, "privacy-off", false, "no noise: shows that the loop learns; the report says so in red and claims nothing")
	flags.StringVar(&f.Trust, "trust", "distributed", "who adds the noise: distributed (every device), central or central-mf (the operator, who then sees sums without noise)")
	flags.IntVar(&f.Apart, "apart", 0, "model rounds from one that a device is in to its next (default with central-mf: as many as the devices allow; else 1)")
	flags.StringVar(&f.Mode, "mode", modeSync, "how model rounds take updates: sync, or buffered (also those of slow devices, from a few versions before the newest, weighted down)")
	flags.IntVar(&f.Stale, "staleness", 0, "versions behind the newest that an update of a buffered round may have started from (default: 4)")
	flags.Float64Var(&f.slow, "slow", 0, "share of devices that take long to train, to compare the modes")
	flags.DurationVar(&f.slowFor, "slow-for", 10*time.Second, "how long those take")
	flags.DurationVar(&f.Collect, "collect", 30*time.Minute, "how long a round takes uploads at most")
	flags.StringVar(&f.out, "out", "demo-out", "folder for the report")
	flags.IntVar(&f.user, "user", 0, "whose recommendations to show, by position")
	flags.BoolVar(&f.serve, "serve", false, "show the operator's dashboard on a local port, from the beginning until Ctrl-C")
	return cmd
}

// demo runs the demo in a temporary place; what stays is the report.
func (a *app) demo(ctx context.Context, f demoFlags) error {
	if err := os.MkdirAll(f.out, 0o755); err != nil {
		return fmt.Errorf("%w (choose another folder with --out)", err)
	}
	dir, err := os.MkdirTemp("", "tutti-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	u := a.newUI()
	defer u.close()
	started := time.Now()
	ds, source, err := f.behaviour()
	if err != nil {
		return err
	}
	show, err := newShow(a, u, f, ds, source)
	if err != nil {
		return err
	}
	defer show.close()
	if err := show.run(ctx, dir); err != nil {
		return err
	}
	u.close()
	show.result.Seconds = time.Since(started).Seconds()
	if err := show.finish(); err != nil || !f.serve {
		return err
	}
	return show.stay(ctx)
}

// behaviour is what the devices of the demo hold, and where it is from.
func (f demoFlags) behaviour() (*dataset.Dataset, string, error) {
	var ds *dataset.Dataset
	source := "invented (seeded generator)"
	if f.data == "" {
		config := dataset.DefaultGenerator()
		config.Seed = f.Seed
		if f.devices > 0 {
			config.Users = f.devices
		}
		generated, err := dataset.Generate(config)
		if err != nil {
			return nil, "", &exitError{exitUsage, err}
		}
		return generated, source, nil
	}
	ds, _, err := loadData(f.data)
	if err != nil {
		return nil, "", err
	}
	if f.devices > len(ds.Users) {
		return nil, "", usageError("--devices %d, and %s has %d people", f.devices, f.data, len(ds.Users))
	}
	if f.devices > 0 {
		ds.Users = ds.Users[:f.devices]
	}
	return ds, filepath.Base(filepath.Clean(f.data)), nil
}
