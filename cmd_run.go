package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"tutti/server/operator"
)

func (a *app) runCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "run",
		Short:   "Take the numbers of a task's rounds to other tools",
		Example: "  tutti run export --dir server-data --tensorboard runs/films",
	}
	cmd.AddCommand(a.runExportCommand())
	return cmd
}

func (a *app) runExportCommand() *cobra.Command {
	var r reach
	var board, lines string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the rounds as TensorBoard event files, or as JSON lines",
		Long: `Asks the server that runs, or reads its data directory where none runs, and writes what is known of the rounds that have
ended, of the newest 200: devices counted, epsilon spent, what the devices measured (with the ends of its interval), noise meter, time per
phase. The step of every number is its round. The counts are exact, and for the operator alone.`,
		Example: `  tutti run export --dir server-data --tensorboard runs/films && tensorboard --logdir runs
  tutti run export --dir server-data --jsonl -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (board == "") == (lines == "") {
				return usageError("want one of --tensorboard DIR and --jsonl FILE")
			}
			return a.export(cmd.Context(), r, board, lines)
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&board, "tensorboard", "", "folder for an event file that TensorBoard reads")
	cmd.Flags().StringVar(&lines, "jsonl", "", "file for one JSON object a round, oldest first; -: standard output")
	return cmd
}

func (a *app) export(ctx context.Context, r reach, board, lines string) error {
	s, _, done, err := a.open(ctx, r, false)
	if err != nil {
		return err
	}
	defer done()
	v, err := s.View(ctx)
	if err != nil {
		return err
	}
	if lines == "-" {
		return writeLines(a.out, v)
	}
	path, write := lines, writeLines
	if board != "" {
		if err := os.MkdirAll(board, 0o755); err != nil {
			return err
		}
		path, write = filepath.Join(board, eventFileName(v)), writeEvents
	}
	if err := toFile(path, func(w io.Writer) error { return write(w, v) }); err != nil {
		return err
	}
	if a.json {
		return a.emit(map[string]any{"task": v.Task, "rounds": len(v.Rounds), "file": path})
	}
	fmt.Fprintf(a.out, "%d rounds of task %s: %s\n", len(v.Rounds), v.Task, path)
	return nil
}

// toFile replaces a file with what write writes.
func toFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	b := bufio.NewWriter(f)
	err = write(b)
	if err == nil {
		err = b.Flush()
	}
	if err == nil {
		err = f.Chmod(0o600) // exact counts are the operator's
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// exported is one round of the JSON lines.
type exported struct {
	operator.Round
	Spent operator.Cost `json:"spent"` // when the round had ended, in all
}

// oldestFirst lists the rounds that have ended with what was spent by then.
func oldestFirst(v *operator.View) []exported {
	var out []exported
	for _, r := range slices.Backward(v.Rounds) {
		out = append(out, exported{r, spentBy(v, r)})
	}
	return out
}

// spentBy is what was spent when a round had ended.
func spentBy(v *operator.View, r operator.Round) operator.Cost {
	var spent operator.Cost
	for _, h := range v.Budget.History {
		if h.Round == r.Number {
			return h.Spent
		}
		if h.At.After(r.Ended) {
			break
		}
		spent = h.Spent
	}
	return spent
}

func writeLines(w io.Writer, v *operator.View) error {
	enc := json.NewEncoder(w)
	for _, r := range oldestFirst(v) {
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	return nil
}
