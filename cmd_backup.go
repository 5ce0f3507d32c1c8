package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"tutti/server"
	"tutti/server/keys"
	"tutti/server/store"
)

// stateAt is where a server keeps its state.
type stateAt struct{ dir, db, blobs string }

func (p *stateAt) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.dir, "dir", "server-data", "the server's data directory")
	cmd.Flags().StringVar(&p.db, "db", "", "PostgreSQL that servers of one task share, postgres://... (default: $"+dbSetting+", or SQLite in the data directory)")
	cmd.Flags().StringVar(&p.blobs, "blobs", "", "where models are kept: dir:PATH, db: or s3://BUCKET/PREFIX?endpoint=... (default: $"+blobsSetting+", or beside the database)")
}

func (p *stateAt) options() store.Options {
	return store.Options{Dir: p.dir, DB: cmp.Or(p.db, os.Getenv(dbSetting)), Blobs: cmp.Or(p.blobs, os.Getenv(blobsSetting))}
}

// askFor is how long a server may take to see that a backup is wanted.
const askFor = 10 * time.Second

func (a *app) backupCommand() *cobra.Command {
	var p stateAt
	var to string
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Back a server's state up, while it runs or not",
		Long: `Writes everything that a server must not lose into a new directory, as of one moment: rounds, budget, log, versions,
enrolments, models, staged uploads, keys. A server that runs on the data directory makes the backup itself, so --to is a
path on its machine; its rounds go on meanwhile. With --db the backup is of the whole database, and --dir is the data
directory of any of the servers, whose keys and staged uploads it takes along.

A backup is as secret as the data directory: the operator's private key is in it.

A server that is restored goes on from the backup. What happened since is lost to it, and devices that have seen more of
the log than it knows will not talk to it: restore the newest backup, and only where the original is gone.

Exit codes: 0 written, 1 failed (nothing is left behind), 2 wrong use.`,
		Example: "  tutti backup --dir server-data --to backup-2026-11-24\n  tutti backup --dir replica1 --db postgres://tutti@db/tutti --to backup-2026-11-24 --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" {
				return usageError("--to is needed: the new directory for the backup")
			}
			m, err := backup(cmd.Context(), p.options(), to)
			if err != nil {
				return err
			}
			if a.json {
				return a.emit(m)
			}
			fmt.Fprintf(a.out, "%s holds %d log records, %d models and statistics, %d other files, as of %s\n", to, m.Records, m.Blobs, m.Files, m.Created.Format(time.RFC3339))
			fmt.Fprintf(a.out, "keep it as secret as the data directory; tutti restore --from %s --dir NEW makes a server of it\n", to)
			return nil
		},
	}
	p.flags(cmd)
	cmd.Flags().StringVar(&to, "to", "", "directory to make; it must not be there yet")
	return cmd
}

// backup makes a backup here, or has the server make it that is using the data directory.
func backup(ctx context.Context, o store.Options, to string) (store.Manifest, error) {
	if err := isServerDir(o); err != nil {
		return store.Manifest{}, err
	}
	s, err := store.Open(ctx, o)
	if errors.Is(err, store.ErrInUse) {
		return store.AskBackup(ctx, o.Dir, to, askFor)
	}
	if err != nil {
		return store.Manifest{}, err
	}
	m, err := s.Backup(ctx, to)
	return m, errors.Join(err, s.Close())
}

// isServerDir keeps a slip in --dir from making a new, empty server.
func isServerDir(o store.Options) error {
	if o.DB != "" {
		return nil
	}
	if _, err := os.Stat(filepath.Join(o.Dir, "tutti.db")); err != nil {
		return usageError("%s is no data directory of a server (%v): name it with --dir, or the database with --db", o.Dir, err)
	}
	return nil
}

func (a *app) restoreCommand() *cobra.Command {
	var p stateAt
	var from string
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Make a server's state from a backup",
		Long: `Makes a data directory, or with --db the contents of a PostgreSQL schema, from what tutti backup wrote, whichever of the two
was backed up. The place must be empty; nothing is written over. Every blob and the rows are checked against their digests.

A server that is restored goes on from the backup, whose log may be shorter than the one that was lost. Devices and committee
nodes that have seen more of the log than the backup holds will refuse this server: restore the newest backup. A round that
was collecting goes on with the uploads whose files are in the backup, and what other servers had added up by then.

Exit codes: 0 restored, 1 failed (remove what is in the new place before the next try), 2 wrong use.`,
		Example: "  tutti restore --from backup-2026-11-24 --dir server-data\n  tutti restore --from backup-2026-11-24 --dir replica1 --db postgres://tutti@db/tutti",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if from == "" {
				return usageError("--from is needed: the directory that tutti backup wrote")
			}
			m, err := store.Restore(cmd.Context(), from, p.options())
			if err != nil {
				return err
			}
			if a.json {
				return a.emit(m)
			}
			fmt.Fprintf(a.out, "%s holds the server of %s: %d log records, %d models and statistics\n", p.dir, m.Created.Format(time.RFC3339), m.Records, m.Blobs)
			fmt.Fprintf(a.out, "its log has %d records: devices and committee nodes that have seen more than these will refuse this server\n", m.Records)
			fmt.Fprintf(a.out, "tutti fsck --dir %s checks it; make sure that the original runs nowhere before tutti server does\n", p.dir)
			return nil
		},
	}
	p.flags(cmd)
	cmd.Flags().StringVar(&from, "from", "", "the backup")
	return cmd
}

func (a *app) fsckCommand() *cobra.Command {
	var p stateAt
	var operator string
	var repair bool
	cmd := &cobra.Command{
		Use:   "fsck",
		Short: "Check everything that a stopped server keeps",
		Long: `Reads all of a server's state and says what is not as it must be: log records that do not decode or chain, rounds whose state
contradicts their uploads, the budget or the log, versions whose digest or signature is wrong, models that are missing or
damaged. It changes nothing. Orphans (models that nothing names, files of rounds that have ended) do no harm;
--repair removes them, and nothing else: what is damaged comes back from a backup only.

Stop all servers of the database before --repair: a model that one of them just wrote is not named by anything yet. Give every
deployment a bucket prefix or directory of blobs of its own: to --repair, the models of another one are orphans.

Versions' signatures are checked with --operator, or with the key in the data directory.

Exit codes: 0 sound, 1 not sound, or it cannot be read, 2 wrong use.`,
		Example: "  tutti fsck --dir server-data\n  tutti fsck --dir server-data --repair --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			check := store.Check{Options: p.options(), Repair: repair}
			if err := isServerDir(check.Options); err != nil {
				return err
			}
			key, err := operatorOf(p.dir, operator)
			if err != nil {
				return err
			}
			if key != nil {
				check.Signature = signedBy(key)
			}
			found, err := store.Fsck(cmd.Context(), check)
			if errors.Is(err, store.ErrInUse) {
				err = fmt.Errorf("%w; tutti backup works while the server runs, and the backup can be restored elsewhere and checked there", err)
			}
			if err != nil {
				return err
			}
			return a.showFindings(found)
		},
	}
	p.flags(cmd)
	cmd.Flags().StringVar(&operator, "operator", "", "the operator's Ed25519 key in hex (default: the one in the data directory)")
	cmd.Flags().BoolVar(&repair, "repair", false, "remove orphans; stop all servers first, and share --blobs with no other deployment")
	return cmd
}

// operatorOf is the key that versions are signed with; nil if it is not here.
func operatorOf(dir, flag string) (ed25519.PublicKey, error) {
	if flag != "" {
		key, err := parseKey("--operator", flag)
		if err != nil {
			return nil, &exitError{exitUsage, err}
		}
		return key, nil
	}
	path := filepath.Join(dir, "keys", "operator.pem")
	if _, err := os.Stat(path); err != nil {
		return nil, nil // it is somewhere else
	}
	key, err := keys.Load(path)
	if err != nil {
		return nil, err
	}
	return key.Public().(ed25519.PublicKey), nil
}

func signedBy(key ed25519.PublicKey) func(string, store.SignedVersion) error {
	return func(_ string, v store.SignedVersion) error {
		if !ed25519.Verify(key, server.VersionMessage(v.Version), v.Signature) {
			return errors.New("its signature is not the operator's")
		}
		return nil
	}
}

func (a *app) showFindings(f store.Findings) error {
	if a.json {
		if err := a.emit(f); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(a.out, "%d log records, %d rounds, %d uploads, %d versions, %d models and statistics read\n", f.Records, f.Rounds, f.Uploads, f.Versions, f.Blobs)
		if !f.Signed && f.Versions > 0 {
			fmt.Fprintln(a.out, "signatures were not checked: name the operator's key with --operator")
		}
		for _, p := range f.Problems {
			fmt.Fprintf(a.out, "%s: %s\n", p.Where, p.What)
		}
		for _, o := range f.Orphans {
			fmt.Fprintln(a.out, "orphan:", o)
		}
		switch {
		case f.Removed > 0:
			fmt.Fprintf(a.out, "%d orphans removed\n", f.Removed)
		case len(f.Orphans) > 0:
			fmt.Fprintf(a.out, "%d orphans do no harm; --repair removes them\n", len(f.Orphans))
		}
		if len(f.Problems) == 0 {
			fmt.Fprintln(a.out, "SOUND")
		}
	}
	if n := len(f.Problems); n > 0 {
		return failedError(fmt.Errorf("%d problems: restore the newest backup (tutti restore) that tutti fsck finds sound", n))
	}
	return nil
}
