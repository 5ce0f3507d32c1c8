package store_test

import (
	"context"
	"fmt"
	"math/big"
	"os"
	"time"

	"tutti/privacy/ledger"
	"tutti/server/store"
)

func Example() {
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	s, err := store.Open(ctx, store.Options{Dir: dir})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	lease, _, err := s.Acquire(ctx, store.DriverLease("films"), "this server", time.Minute)
	if err != nil {
		fmt.Println(err)
		return
	}
	task := &ledger.Task{Task: "films", Operator: make([]byte, 32), Budget: big.NewRat(3, 2)}
	if err := s.Append(ctx, lease.Fence(), time.Now(), task); err != nil {
		fmt.Println(err)
		return
	}
	totals, _ := s.Totals("films")
	fmt.Println(s.LogSize(), "record; budget", totals.Budget)
	// Output: 1 record; budget 3/2
}
