package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"tutti/server/operator"
)

func (a *app) statusCommand() *cobra.Command {
	var r reach
	var watch bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how a task does: rounds, budget, quality, committee, versions, log",
		Long: `Asks the server that runs on a data directory, or any server whose address, token and authority are named; where none
runs, it reads the data directory itself. All counts of devices in it are exact, and for the operator alone.

On a terminal --watch draws the picture anew as it changes; in a pipe it prints what happens, line by line.`,
		Example: `  tutti status --dir server-data
  tutti status --dir server-data --watch
  tutti status --address tutti.example.org:7180 --ca ca.pem --token operator.token --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if watch {
				return a.watchStatus(cmd.Context(), r)
			}
			return a.status(cmd.Context(), r)
		},
	}
	r.flags(cmd)
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "go on until Ctrl-C")
	return cmd
}

// flags name the server that an operator's command is about.
func (r *reach) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&r.dir, "dir", "server-data", "the server's data directory")
	f.StringVar(&r.address, "address", "", "operator's address of a running server (default: of the one that runs on --dir)")
	f.StringVar(&r.token, "token", "", "file with a token (default: DIR/"+operatorToken+", or one made with DIR's key)")
	f.StringVar(&r.ca, "ca", "", "authority that signed the server's certificate, PEM (default: as the server on --dir says)")
	f.StringVar(&r.db, "db", "", "the servers' PostgreSQL, where none runs (default: $"+dbSetting+")")
}

func (a *app) status(ctx context.Context, r reach) error {
	s, live, done, err := a.open(ctx, r, false)
	if err != nil {
		return err
	}
	defer done()
	v, err := s.View(ctx)
	if err != nil {
		return err
	}
	if a.json {
		return a.emit(v)
	}
	fmt.Fprint(a.out, picture(v, live, a.width()))
	return nil
}

// width is that of the terminal; 100 where there is none.
func (a *app) width() int {
	if f, is := a.out.(*os.File); is {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return min(w, 140)
		}
	}
	return 100
}

func (a *app) watchStatus(ctx context.Context, r reach) error {
	c, err := r.dial(false)
	if err != nil {
		return fmt.Errorf("%w: --watch wants one that runs", err)
	}
	defer c.Close()
	terminal := false
	if f, is := a.out.(*os.File); is && !a.json {
		terminal = term.IsTerminal(int(f.Fd()))
	}
	var after uint64
	for {
		err := c.Watch(ctx, after, terminal || a.json, func(h *operator.Happening, v *operator.View) error {
			if h != nil {
				after = h.Seq
			}
			return a.show(h, v, terminal)
		})
		if ctx.Err() != nil {
			return nil
		}
		if terminal {
			fmt.Fprintf(a.out, "\n  the connection ended (%v); trying again\n", err)
		} else {
			fmt.Fprintf(a.err, "the connection ended (%v); trying again\n", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(2 * time.Second):
		}
	}
}

// show draws the picture on a terminal, else prints what happens; as JSON lines under --json.
func (a *app) show(h *operator.Happening, v *operator.View, terminal bool) error {
	switch {
	case a.json && v != nil:
		return a.line(map[string]any{"status": v})
	case a.json && h != nil:
		return a.line(map[string]any{"happening": h})
	case terminal && v != nil:
		const clear = "\x1b[H\x1b[2J"
		fmt.Fprint(a.out, clear+picture(v, true, a.width()))
	case !terminal && h != nil && h.Name != operator.RoundMoved:
		fmt.Fprintf(a.out, "%s  %s\n", h.At.Format("2006-01-02 15:04:05"), h.Words)
	}
	return nil
}
