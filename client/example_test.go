package client_test

import (
	"context"
	"crypto/ed25519"
	"fmt"

	"tutti/client"
	"tutti/client/history"
	"tutti/client/store"
	"tutti/model/dataset"
	"tutti/privacy/plan"
)

// An app opens the device, writes down what its user does, and asks what the
// device would say about privacy. Without a server nothing leaves it.
func Example() {
	catalogue := dataset.NewCatalogue([]dataset.Item{{ID: 11, Title: "Alien"}, {ID: 12, Title: "Brazil"}})
	shared, err := client.NewShared(client.SharedConfig{Catalogue: catalogue})
	if err != nil {
		panic(err)
	}
	key, err := history.NewKey([]byte("32 bytes from the system's store"))
	if err != nil {
		panic(err)
	}
	pinned := ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)) // in earnest: the operator's and the enroller's
	device, err := client.Open(client.Options{
		Policy: plan.Policy{Task: "films", Operator: pinned, Enroller: pinned},
		Key:    key, Shared: shared, Store: &store.Memory{},
	})
	if err != nil {
		panic(err)
	}
	defer device.Close()

	if err := device.Record(client.Event{Item: 11, Kind: history.Purchase}); err != nil {
		panic(err)
	}
	outcome, _ := device.Contribute(context.Background())
	fmt.Println(outcome.Sentence)
	status := device.Privacy()
	fmt.Printf("%d event, rho %s spent; %s\n", status.Events, status.Spent.RatString(), status.Leaving)
	// Output:
	// The server cannot be reached now; the device will try again.
	// 1 event, rho 0 spent; nothing is known to leave this device yet
}
