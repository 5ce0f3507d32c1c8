// Command quickstart is the smallest app with Tutti in it. Copy this file: everything an app does is here.
//
//	go run ./examples/quickstart
//
// plays against a server, a committee and 59 other people's devices in this same process (playground.go), and needs
// nothing. Against a server of yours (tutti server, see examples/README.md) it is one device of that task:
//
//	go run ./examples/quickstart -server 127.0.0.1:7100 -ca certs/ca.pem -task server-data/task.json \
//	    -catalogue films -token "$(head -n 1 server-data/tokens.txt)"
package main

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"tutti/client"
	"tutti/client/history"
	"tutti/client/store"
	"tutti/client/transport"
	"tutti/model/blend"
)

func main() {
	var t task
	flag.StringVar(&t.server, "server", "", "address of a tutti server (default: one in this process)")
	flag.StringVar(&t.ca, "ca", "", "PEM file of the authority behind the server's certificate")
	flag.StringVar(&t.file, "task", "task.json", "the operator's task file: keys and limits to hold the server to")
	flag.StringVar(&t.items, "catalogue", "", "folder with the list of items: movies.csv, movies.dat or u.item")
	flag.StringVar(&t.token, "token", "", "one-time token of this device")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, t); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, t task) error {
	dir, err := os.MkdirTemp("", "tutti-quickstart-") // an app has a folder of its own
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if t.server == "" {
		stop, err := playground(ctx, dir, &t)
		if err != nil {
			return err
		}
		defer stop()
	} else if err := t.read(); err != nil {
		return err
	}

	// What the app knows of its items. One Shared serves every device in the process; an app has one.
	dim, rows := t.catalogue.Features()
	shared, err := client.NewShared(client.SharedConfig{Catalogue: t.catalogue, Public: blend.Public{Dim: dim, Rows: rows}})
	if err != nil {
		return err
	}
	// The key that seals what the device remembers. Keep yours in the system's keystore: whoever opens the device
	// the next time needs the same one.
	secret := make([]byte, history.KeyBytes)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	key, err := history.NewKey(secret)
	if err != nil {
		return err
	}
	files, err := store.Open(dir + "/device")
	if err != nil {
		return err
	}
	conn, err := transport.Dial(transport.Config{Address: t.server, CAFile: t.ca})
	if err != nil {
		return err
	}
	defer conn.Close()
	device, err := client.Open(client.Options{Policy: t.policy, Key: key, Store: files, Shared: shared, Transport: conn, Token: t.token})
	if err != nil {
		return err
	}
	defer device.Close()

	// Write down what the user does, whenever it happens. It stays on the device.
	for _, item := range t.catalogue.Items[:3] {
		fmt.Println("watched:", item.DisplayTitle())
		if err := device.Record(client.Event{Item: item.ID, Kind: history.View}); err != nil {
			return err
		}
	}
	// Now and then, best on Wi-Fi and power: take part in training, and fetch the newest model.
	if err := contribute(ctx, device); err != nil {
		return err
	}
	// Recommend, any time, without a network.
	list, err := device.Recommend(ctx, client.Request{Count: 3})
	if err != nil {
		return err
	}
	for i, r := range list {
		fmt.Printf("%d. %s (%s)\n", i+1, r.Title, reason(t, r.Why))
	}
	// Tell the user what it cost them, from the device's own books.
	status := device.Privacy()
	fmt.Printf("privacy: epsilon %.2f spent at delta %g, in %d rounds; the last upload was %s\n",
		status.Epsilon, status.Delta, status.Counted+uint64(status.Open), status.Leaving)
	return nil
}

// contribute asks until the task is finished. A real app asks once a day or so: RetryAfter says when it makes sense.
func contribute(ctx context.Context, device *client.Device) error {
	for {
		outcome, err := device.Contribute(ctx) // an error here is Outcome.Err: nothing is lost, it is tried again
		if outcome.Kind != client.Waiting {
			fmt.Printf("%s: %s\n", outcome.Kind, outcome.Sentence)
		}
		switch outcome.Kind {
		case client.NothingToDo:
			return nil
		case client.Refused: // the plan breaks the policy, or there is no valid token: say so, and do not insist
			return fmt.Errorf("refused: %s", outcome.Label())
		case client.Failed:
			fmt.Println("  because:", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(outcome.RetryAfter, 2*time.Second)):
		}
	}
}

// reason puts a reason into the app's own words.
func reason(t task, w client.Why) string {
	if i, known := t.catalogue.Index(w.Item); known {
		return "because you watched " + t.catalogue.Items[i].DisplayTitle()
	}
	return "many people like it"
}
