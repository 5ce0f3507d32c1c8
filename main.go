// Command tutti is the whole of Tutti in one binary: the demo, the aggregation server, a committee node, a device, and
// the auditor's verify. One cmd_*.go beside this file holds each verb; this is the only package that knows both the
// client and the server.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
)

// Exit codes of every command.
const (
	exitDone       = 0
	exitFailed     = 1
	exitUsage      = 2
	exitRefused    = 3 // for privacy: a plan, a budget or a policy forbids it
	exitIncomplete = 4 // verify could not check everything
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// exitError carries the exit code that belongs to an error.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

func refusedError(err error) error { return &exitError{exitRefused, err} }

// app is what the commands share: where they write, and how.
type app struct {
	out, err io.Writer
	json     bool
	logLevel string
	running  bool // a command has started: what fails from here on is not wrong use
}

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, args []string, out, err io.Writer) int {
	a := &app{out: out, err: err}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(err)
	return a.report(ctx, root.ExecuteContext(ctx))
}

// report says what went wrong, once, and picks the exit code.
func (a *app) report(ctx context.Context, failure error) int {
	if failure == nil {
		return exitDone
	}
	code := exitFailed
	var exit *exitError
	switch {
	case errors.As(failure, &exit):
		code = exit.code
	case !a.running:
		code = exitUsage
	}
	if ctx.Err() != nil && errors.Is(failure, context.Canceled) {
		fmt.Fprintln(a.err, "tutti: stopped; nothing is lost, the same command goes on where it can")
		return code
	}
	fmt.Fprintln(a.err, "tutti:", failure)
	if code == exitUsage {
		fmt.Fprintln(a.err, "       (tutti --help lists the commands, tutti COMMAND --help shows an example)")
	}
	return code
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "tutti",
		Short: "Train a recommender without collecting anyone's behaviour",
		Long: `Tutti trains a Transformer recommender on devices. What leaves a device is clipped, noised and masked; the server can
open only the sum; what every opened sum costs is charged to a budget and logged; anyone can verify the report.

Exit codes: 0 done, 1 failed, 2 wrong use, 3 refused for privacy, 4 incomplete (verify could not check everything).`,
		Example:       "  tutti demo\n  tutti verify demo-out/report.json",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if hclog.LevelFromString(a.logLevel) == hclog.NoLevel {
				return fmt.Errorf("--log-level %q: want trace, debug, info, warn, error or off", a.logLevel)
			}
			a.running = true
			return nil
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print one JSON document on standard output; progress goes to standard error")
	root.PersistentFlags().StringVar(&a.logLevel, "log-level", "warn", "what to log on standard error: trace, debug, info, warn, error, off")
	root.AddCommand(a.commands()...)
	return root
}

// logger logs to standard error, as JSON lines under --json.
func (a *app) logger(name string) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{
		Name: name, Level: hclog.LevelFromString(a.logLevel), Output: a.err, JSONFormat: a.json,
	})
}
