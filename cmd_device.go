package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tutti/client"
	"tutti/client/history"
	"tutti/client/store"
	"tutti/client/transport"
	"tutti/model/dataset"
	atomicfile "tutti/server/store"
)

// deviceFlags say whose device it is.
type deviceFlags struct {
	dir, task, catalogue string
	server, ca, token    string
	history              string
	person               int64
	once                 bool

	participations, separation uint32
	receipts                   string

	attestation, cert, certKey string
}

func (f *deviceFlags) identity(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.dir, "dir", "device-data", "the device's own directory; its key is in it, mode 0600")
	cmd.Flags().StringVar(&f.task, "task", "task.json", "the operator's task file: the keys and limits that the device holds plans to")
	cmd.Flags().StringVar(&f.catalogue, "catalogue", "", "folder with the list of items")
}

func (a *app) deviceCommand() *cobra.Command {
	var f deviceFlags
	cmd := &cobra.Command{
		Use:   "device",
		Short: "Be one device: keep a history, take part in rounds, fetch models",
		Long: `Runs the SDK that apps embed, as a process. The history stays in the device's directory, sealed; what is sent is clipped,
noised and masked, and only if the plan stands in the operator's log and keeps the limits of the task file and your own.
Ends when the task is finished. With --json it prints JSON lines, one document for every question to the server. Where the operator is trusted (task.json says so) it adds the noise, not the device.`,
		Example: "  tutti device --dir phone1 --task task.json --server 127.0.0.1:7100 --ca certs/ca.pem --token … --catalogue movies --history shop-data --person 17\n  tutti device --dir phone1 --task task.json --ca certs/ca.pem --catalogue movies --max-participations 5 --min-separation 2 --receipts receipts",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runDevice(cmd.Context(), f) },
	}
	f.identity(cmd)
	cmd.Flags().StringVar(&f.server, "server", "127.0.0.1:7100", "address of the aggregation server")
	cmd.Flags().StringVar(&f.ca, "ca", "", "PEM file of the authority that signed the server's certificate (default: the system's)")
	cmd.Flags().StringVar(&f.token, "token", "", "one-time enrolment token, for the first run; @FILE reads it from a file")
	cmd.Flags().StringVar(&f.attestation, "attestation", "", "file with what the server's attestor wants to see of this device's key, for the first run")
	cmd.Flags().StringVar(&f.cert, "cert", "", "PEM file with the certificate that this device shows to the server")
	cmd.Flags().StringVar(&f.certKey, "key", "", "PEM file with its private key")
	cmd.Flags().StringVar(&f.history, "history", "", "data set from which the first run takes a person's history")
	cmd.Flags().Int64Var(&f.person, "person", 0, "number of that person in the data set")
	cmd.Flags().Uint32Var(&f.participations, "max-participations", 0, "most rounds of the task to take part in (default: as many as the task's plans allow)")
	cmd.Flags().Uint32Var(&f.separation, "min-separation", 0, "rest at least so many rounds between two, the second counted (default: as the task's plans say)")
	cmd.Flags().StringVar(&f.receipts, "receipts", "", "folder to write proofs into that contributions stand in the log; tutti verify receipt reads them")
	cmd.Flags().BoolVar(&f.once, "once", false, "ask once and end, instead of following the task")
	return cmd
}

// openDevice opens the SDK on a directory.
func (a *app) openDevice(f deviceFlags, network client.Transport) (*client.Device, *client.Shared, error) {
	t, err := readTaskFile(f.task)
	if err != nil {
		return nil, nil, err
	}
	t.warn(a.err)
	policy, err := t.policy()
	if err != nil {
		return nil, nil, err
	}
	if policy.MaxParticipations == 0 || f.participations > 0 && f.participations < policy.MaxParticipations { // the user's own limits only tighten the task's
		policy.MaxParticipations = f.participations
	}
	policy.MinSeparation = f.separation
	catalogue, err := t.catalogue(f.catalogue)
	if err != nil {
		return nil, nil, err
	}
	shared, err := client.NewShared(client.SharedConfig{Catalogue: catalogue, Public: publicOfCatalogue(catalogue), NewEngine: graphEngine})
	if err != nil {
		return nil, nil, err
	}
	files, err := store.Open(filepath.Join(f.dir, "store")) // one process owns the device from here on
	if err != nil {
		return nil, nil, err
	}
	key, err := deviceKey(f.dir)
	if err != nil {
		files.Close()
		return nil, nil, err
	}
	options := client.Options{Policy: policy, Key: key, Store: files, Shared: shared, Transport: network, Token: f.token}
	if f.attestation != "" {
		options.Attest = func(_ context.Context, task string, public []byte) ([]byte, error) {
			b, err := os.ReadFile(f.attestation)
			if errors.Is(err, fs.ErrNotExist) {
				err = fmt.Errorf("%w: have one made for task %s and this device's key %s", err, task, base64.RawURLEncoding.EncodeToString(public))
			}
			return bytes.TrimSpace(b), err
		}
	}
	d, err := client.Open(options)
	if err != nil {
		files.Close()
		return nil, nil, err
	}
	return d, shared, nil
}

// deviceKey reads the secret that seals the device's memory, or makes it. An app would keep it in the system's keystore.
func deviceKey(dir string) (client.Key, error) {
	path := filepath.Join(dir, "history.key")
	secret, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		secret = make([]byte, history.KeyBytes)
		if _, err := rand.Read(secret); err != nil {
			return client.Key{}, err
		}
		err = atomicfile.WriteFile(path, secret) // whole or not at all, mode 0600
	}
	if err != nil {
		return client.Key{}, err
	}
	return history.NewKey(secret)
}

func (a *app) runDevice(ctx context.Context, f deviceFlags) error {
	if path, isFile := strings.CutPrefix(f.token, "@"); isFile {
		token, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f.token = strings.TrimSpace(string(token))
	}
	conn, err := transport.Dial(transport.Config{Address: f.server, CAFile: f.ca, CertFile: f.cert, KeyFile: f.certKey})
	if err != nil {
		return err
	}
	defer conn.Close()
	d, shared, err := a.openDevice(f, conn)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := firstHistory(d, shared, f); err != nil {
		return err
	}
	said := d.Privacy()
	for {
		o, err := d.Contribute(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		a.sayOutcome(o)
		if said, err = a.sayLog(d, f, said, err); err != nil && !f.once && o.Kind != client.Failed {
			return err
		}
		switch {
		case o.Kind == client.NothingToDo:
			return nil
		case o.Kind == client.Refused && (f.once || o.Reason == client.ReasonNotEnrolled): // without a token it never gets in
			return refusedError(fmt.Errorf("%s (%w)", o.Sentence, cmp.Or(o.Err, errors.New(o.Label()))))
		case f.once:
			return err
		}
		wait := min(max(o.RetryAfter, 200*time.Millisecond), maxWait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// maxWait bounds how long a device process sleeps between two questions; a phone would follow the server's wish.
const maxWait = 5 * time.Second

// firstHistory fills an empty device from a data set.
func firstHistory(d *client.Device, shared *client.Shared, f deviceFlags) error {
	if f.history == "" || d.Privacy().Events > 0 {
		return nil
	}
	ds, _, err := dataset.Load(os.DirFS(f.history), dataset.Options{MinEvents: 1})
	if err != nil {
		return fmt.Errorf("%s: %w", f.history, err)
	}
	for _, user := range ds.Users {
		if user.ID != f.person {
			continue
		}
		events := make([]client.Event, len(user.History))
		for k, item := range user.History {
			events[k] = client.Event{Item: ds.Catalogue.Items[item].ID, Kind: history.View, Time: int64(k + 1)}
			if user.Times != nil {
				events[k].Time = user.Times[k]
			}
		}
		return d.Record(events...)
	}
	return usageError("%s has no person %d", f.history, f.person)
}

func (a *app) sayOutcome(o client.Outcome) {
	if a.json {
		a.emitLine(map[string]any{"outcome": o.Kind.String(), "round": o.Round, "sentence": o.Sentence, "retry_after_ms": o.RetryAfter.Milliseconds()})
		return
	}
	if o.Kind != client.Waiting {
		fmt.Fprintf(a.out, "%s: %s\n", o.Kind, o.Sentence)
	}
	if o.Err != nil {
		a.logger("device").Info("contribute", "outcome", o.Kind.String(), "error", o.Err)
	}
}
