package ledger_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"math/big"

	"tutti/privacy/ledger"
)

// A device keeps the last checkpoint it saw. When the operator shows a newer one, the proof says whether the log only
// grew.
func Example() {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	operator := key.Public().(ed25519.PublicKey)

	var log ledger.Log
	log.Append(&ledger.Task{Task: "films", Operator: operator, Budget: big.NewRat(1, 1)}, 1000)
	kept, _ := log.Checkpoint("films/log")

	log.Append(&ledger.Telemetry{Task: "films", Metric: "counted", Rho: big.NewRat(1, 200)}, 1001)
	now, _ := log.Checkpoint("films/log")
	note, _ := ledger.SignCheckpoint(key, now)

	newer, err := ledger.OpenCheckpoint(note, "films/log", operator)
	proof, _ := ledger.ProveConsistency(kept.Size, newer.Size, log.Hashes)
	fmt.Println(newer.Size, err, ledger.CheckConsistency(kept, newer, proof))

	kept.Root[0] ^= 1 // what another reader was shown
	fmt.Println(ledger.CheckConsistency(kept, newer, proof) != nil)
	// Output:
	// 2 <nil> <nil>
	// true
}
