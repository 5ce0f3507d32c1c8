package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"tutti/server/committee"
	"tutti/server/keys"
)

func (a *app) committeeCommand() *cobra.Command {
	var dir, listen, taskPath, certs string
	var floor int
	cmd := &cobra.Command{
		Use:   "committee",
		Short: "Run one committee node: it helps to open sums, each round one, never fewer devices than its floor",
		Long: `A committee node keeps its own keys and promises. Run it as a party that does not run the server: what the server cannot
open alone, it cannot open with fewer than the nodes that a quorum needs.`,
		Example: "  tutti committee key --dir node1\n  tutti committee --dir node1 --listen 127.0.0.1:7201 --task task.json --certs certs",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runCommittee(cmd.Context(), dir, listen, taskPath, certs, floor)
		},
	}
	cmd.PersistentFlags().StringVar(&dir, "dir", "committee-data", "the node's own directory: key and promises")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:7201", "address to answer the server on")
	cmd.Flags().StringVar(&taskPath, "task", "task.json", "the operator's task file")
	cmd.Flags().StringVar(&certs, "certs", "certs", "folder with ca.pem, server.pem, server.key (tutti dev-certs makes one)")
	cmd.Flags().IntVar(&floor, "floor", 0, "fewest devices in a sum that this node ever helps open (default: the task file's)")
	cmd.AddCommand(&cobra.Command{
		Use:     "key",
		Short:   "Print the node's public key, made on the first call; give it to the operator",
		Example: "  tutti committee key --dir node1",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			key, err := committee.Key(dir)
			if err != nil {
				return err
			}
			public := hex.EncodeToString(publicOf(key))
			if a.json {
				return a.emit(map[string]string{"key": public})
			}
			fmt.Fprintln(a.out, public)
			return nil
		},
	})
	return cmd
}

func (a *app) runCommittee(ctx context.Context, dir, listen, taskPath, certs string, floor int) error {
	t, err := readTaskFile(taskPath)
	if err != nil {
		return err
	}
	if floor == 0 {
		floor = t.MinCohort
	}
	node, err := a.openNode(t, dir, floor)
	if err != nil {
		return err
	}
	defer node.Close()
	settings, err := keys.MutualTLS(certFiles(certs))
	if err != nil {
		return fmt.Errorf("%w (tutti dev-certs --out %s makes certificates for a trial)", err, certs)
	}
	server, err := committee.NewServer(node, settings)
	if err != nil {
		return err
	}
	l, err := listenOn(listen)
	if err != nil {
		return err
	}
	t.warn(a.err)
	fmt.Fprintf(a.out, "committee node %x… answers on %s\n", node.PublicKey()[:6], l.Addr())
	return serveUntil(ctx, func() error { return server.Serve(l) }, server.Stop)
}

// openNode opens a node that holds plans to a task file.
func (a *app) openNode(t taskFile, dir string, floor int) (*committee.Node, error) {
	policy, err := t.policy()
	if err != nil {
		return nil, err
	}
	return committee.Open(committee.Config{
		Dir: dir, Operator: policy.Operator, Enroller: policy.Enroller, Roster: policy.Committee, Tasks: []string{t.Task},
		MinMembers: policy.MinMembers, MinCorrupt: policy.MinCorrupt, Floor: floor, AllowNoiseOff: policy.AllowNoiseOff, AllowCentral: policy.AllowCentral,
		MinPopulation: policy.MinPopulation, PostQuantum: policy.PostQuantum,
		Log: a.logger("committee"),
	})
}

// certFiles names the files that dev-certs makes.
func certFiles(dir string) keys.Files {
	return keys.Files{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "server.pem"), Key: filepath.Join(dir, "server.key")}
}

// listenOn listens, and says what to do where the port is taken.
func listenOn(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; is another process there? choose another port with --listen", address, err)
	}
	return l, nil
}

// serveUntil serves until the context ends, then stops.
func serveUntil(ctx context.Context, serve func() error, stop func()) error {
	failed := make(chan error, 1)
	go func() { failed <- serve() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		stop()
		<-failed
		return nil
	}
}

// createFresh refuses to write over what is there.
func createFresh(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%s exists already; remove it first if it is not needed any more", path)
	}
	return f, err
}
