package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"tutti/server/keys"
	"tutti/server/operator"
)

func (a *app) taskCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "task",
		Short: "Make a task from a file; pause, resume, stop it; steer its rounds",
		Long: `Makes a task, and steers the one that runs: over the operator's address of its server, or, where none runs, in the data
directory itself. What it does is told to all servers of the task, and holds after a restart.`,
		Example: `  tutti task create --example > task.yaml
  tutti task create -f task.yaml
  tutti task pause --dir server-data`,
	}
	cmd.AddCommand(a.taskCreateCommand(), a.taskTokenCommand(),
		a.steerCommand("pause", "Let the round under way end, and open no other", "paused: the round under way ends, and no other opens until it is resumed",
			func(ctx context.Context, s steered, _ []string) error { return s.Pause(ctx) }),
		a.steerCommand("resume", "Go on after a pause", "running", func(ctx context.Context, s steered, _ []string) error { return s.Resume(ctx) }),
		a.steerCommand("stop", "End the task for good once the round under way has ended", "stopped: when the round under way has ended, devices are told that it is over",
			func(ctx context.Context, s steered, _ []string) error { return s.Stop(ctx) }),
		a.steerCommand("close", "End the collection of the round under way before its deadline; its minimum still holds", "asked to close the collection",
			func(ctx context.Context, s steered, _ []string) error { return s.CloseRound(ctx, 0) }),
		a.steerCommand("abandon", "Abandon the round under way, unless a certificate has charged it already", "asked to abandon the round",
			func(ctx context.Context, s steered, _ []string) error { return s.Abandon(ctx, 0) }),
		a.rollbackCommand(), a.rolloutCommand(),
	)
	return cmd
}

func (a *app) taskCreateCommand() *cobra.Command {
	var file string
	var example bool
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make the keys, the task file and the enrolment tokens of a new task, as a YAML file says",
		Long: `Does what tutti server init does, told by a file: unknown fields, wrong types and impossible values are refused with
their line and column, and nothing is made then. --example prints a file with every field in it.`,
		Example: "  tutti task create --example > task.yaml\n  tutti task create -f task.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if example {
				_, err := fmt.Fprint(a.out, taskExample)
				return err
			}
			if file == "" {
				return usageError("name a file with -f (tutti task create --example prints one)")
			}
			spec, source, err := readTaskSpec(file, cmd.InOrStdin())
			if err != nil {
				return err
			}
			f, s, t, nodes, tokens := spec.arguments()
			return inFile(source, a.initServer(cmd.Context(), f, s, t, nodes, tokens))
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "the task, in YAML; -: standard input")
	cmd.Flags().BoolVar(&example, "example", false, "print a file with every field and what it means")
	return cmd
}

// steerCommand does one thing to a task.
func (a *app) steerCommand(use, short, done string, do func(context.Context, steered, []string) error) *cobra.Command {
	var r reach
	cmd := &cobra.Command{
		Use: use, Short: short, Example: fmt.Sprintf("  tutti task %s --dir server-data", use), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.steer(cmd.Context(), r, done, args, do) },
	}
	r.flags(cmd)
	return cmd
}

func (a *app) steer(ctx context.Context, r reach, done string, args []string, do func(context.Context, steered, []string) error) error {
	s, live, end, err := a.open(ctx, r, true)
	if err != nil {
		return err
	}
	defer end()
	v, err := s.View(ctx)
	if err != nil {
		return err
	}
	if err := do(ctx, s, args); err != nil {
		return fmt.Errorf("task %s: %w", v.Task, err)
	}
	if a.json {
		return a.emit(map[string]any{"task": v.Task, "done": done, "live": live})
	}
	if !live {
		done += " (no server runs now: the next one that starts will do so)"
	}
	fmt.Fprintf(a.out, "task %s: %s\n", v.Task, done)
	return nil
}

func (a *app) rollbackCommand() *cobra.Command {
	var r reach
	var note string
	cmd := &cobra.Command{
		Use:     "rollback VERSION",
		Short:   "Publish the content of an older version as a new one",
		Example: `  tutti task rollback 6 --note "version 7 recommends nothing new" --dir server-data`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return usageError("%q is no version's number", args[0])
			}
			return a.steer(cmd.Context(), r, "version "+args[0]+" is published anew, at once or when the round under way has ended", args, func(ctx context.Context, s steered, _ []string) error {
				_, err := s.Rollback(ctx, number, note)
				return err
			})
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&note, "note", "", "why, in words; everybody who reads the task's versions sees it")
	return cmd
}

func (a *app) rolloutCommand() *cobra.Command {
	var r reach
	var note string
	cmd := &cobra.Command{
		Use:     "rollout VERSION PERCENT",
		Short:   "Let a share of the devices follow a version",
		Example: "  tutti task rollout 7 10 --dir server-data",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return usageError("%q is no version's number", args[0])
			}
			percent, err := strconv.Atoi(args[1])
			if err != nil || percent < 0 || percent > 100 {
				return usageError("%q: want 0 to 100 percent of the devices", args[1])
			}
			return a.steer(cmd.Context(), r, fmt.Sprintf("version %d is offered to %d %% of the devices", number, percent), args, func(ctx context.Context, s steered, _ []string) error {
				return s.Rollout(ctx, number, percent, note)
			})
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&note, "note", "", "why, in words")
	return cmd
}

func (a *app) taskTokenCommand() *cobra.Command {
	var dir, name string
	var write bool
	var valid time.Duration
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make a token for a person or a program that may look at the task, or change it",
		Long: `Signs a token with the operator's key in the data directory. It opens the operator's address of every server of the task:
the dashboard, tutti status --token, and /metrics for Prometheus (authorization: credentials_file). Without --write its
bearer may look, and change nothing. It cannot be taken back before it ends: keep it short, and its file to yourself.`,
		Example: "  tutti task token --dir server-data --name ana --valid 8h --write > ana.token",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if valid <= 0 || valid > 366*24*time.Hour {
				return usageError("--valid %v: want a year at most", valid)
			}
			_, t, err := readSetup(dir)
			if err != nil {
				return err
			}
			key, err := keys.Read(filepath.Join(dir, "keys", "operator.pem"))
			if err != nil {
				return err
			}
			now := time.Now()
			token, err := operator.NewToken(key, t.Task, name, write, now, valid)
			if err != nil {
				return err
			}
			if a.json {
				return a.emit(map[string]any{"task": t.Task, "name": name, "write": write, "expires": now.Add(valid).UTC(), "token": token})
			}
			fmt.Fprintln(a.out, token)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "server-data", "the server's data directory")
	cmd.Flags().StringVar(&name, "name", os.Getenv("USER"), "whose it is; the server's log names it")
	cmd.Flags().BoolVar(&write, "write", false, "may pause, resume, stop, close, abandon, roll back and roll out too")
	cmd.Flags().DurationVar(&valid, "valid", 12*time.Hour, "how long it opens")
	return cmd
}
