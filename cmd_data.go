package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"tutti/model/dataset"
)

func (a *app) dataCommand() *cobra.Command {
	data := &cobra.Command{
		Use:     "data",
		Short:   "Make behaviour data, or check what you have",
		Example: "  tutti data generate --out shop-data --seed 7\n  tutti data check shop-data",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	data.AddCommand(a.dataCheckCommand(), a.dataGenerateCommand())
	return data
}

func (a *app) dataCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "check PATH",
		Short:   "Read a data set and say what was dropped, and why",
		Long:    "Reads ml-latest (ratings.csv, movies.csv; a folder or a zip), ml-1m (ratings.dat or interactions.txt) or ml-100k (u.data, u.item, u.user), cleans it as training would, and reports. The same input gives the same report.",
		Example: "  tutti data check ml-latest-small.zip\n  tutti data check ml-1m --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			ds, report, err := loadData(args[0])
			if err != nil {
				return err
			}
			shape := dataset.Statistics(ds)
			if a.json {
				return a.emit(map[string]any{"report": report, "statistics": shape})
			}
			fmt.Fprint(a.out, report)
			a.newUI().print(table.Row{"statistic", "value"}, statisticsRows(shape))
			return nil
		},
	}
}

func (a *app) dataGenerateCommand() *cobra.Command {
	config := dataset.DefaultGenerator()
	out := "generated-data"
	cmd := &cobra.Command{
		Use:     "generate",
		Short:   "Invent behaviour with real structure: tastes, series, popularity, drift, new items, groups",
		Long:    "Writes MovieLens-shaped files. Their statistics were fitted once to ml-latest-small's and are then left alone.",
		Example: "  tutti data generate --out shop-data --users 610 --seed 7",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			ds, err := dataset.Generate(config)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			if err := os.MkdirAll(out, 0o755); err != nil {
				return err
			}
			create := func(name string) (io.WriteCloser, error) { return os.Create(filepath.Join(out, name)) }
			if err := dataset.Write(ds, create); err != nil {
				return fmt.Errorf("%w (is there space left in %s?)", err, out)
			}
			shape := dataset.Statistics(ds)
			if a.json {
				return a.emit(map[string]any{"folder": out, "users": len(ds.Users), "items": ds.Catalogue.Len(), "events": ds.Events(), "statistics": shape})
			}
			fmt.Fprintf(a.out, "%s: %d users, %d items, %d events (invented, seed %d)\n", out, len(ds.Users), ds.Catalogue.Len(), ds.Events(), config.Seed)
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", out, "folder to write to")
	cmd.Flags().IntVar(&config.Users, "users", config.Users, "people")
	cmd.Flags().IntVar(&config.Items, "items", config.Items, "items of the catalogue")
	cmd.Flags().Uint64Var(&config.Seed, "seed", config.Seed, "the same seed gives the same files")
	return cmd
}

// loadData reads a data set from a folder or a zip.
func loadData(path string) (*dataset.Dataset, *dataset.Report, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, fmt.Errorf("no data at %s: give a MovieLens folder or zip (%w)", path, err)
	}
	var fsys fs.FS = os.DirFS(path)
	if !info.IsDir() {
		file, err := os.Open(path)
		if err != nil {
			return nil, nil, err
		}
		defer file.Close()
		if fsys, err = dataset.OpenZip(file, info.Size()); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	ds, report, err := dataset.Load(fsys, dataset.Options{})
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return ds, report, nil
}

func statisticsRows(s dataset.Shape) []table.Row {
	return []table.Row{
		{"users", s.Users}, {"items", s.Items}, {"events", s.Events},
		{"Gini of popularity", fmt.Sprintf("%.3f", s.Gini)},
		{"history length, mean and median", fmt.Sprintf("%.1f, %.1f", s.MeanLength, s.MedianLength)},
		{"repeat rate", fmt.Sprintf("%.3f", s.RepeatRate)},
		{"entropy of transitions (of 1)", fmt.Sprintf("%.3f", s.TransitionEntropy)},
	}
}
