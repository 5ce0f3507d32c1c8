package report_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"math/big"

	"tutti/privacy/ledger"
	"tutti/privacy/report"
)

// An auditor gets two files and the operator's key, and needs nothing else.
func Example() {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	operator := key.Public().(ed25519.PublicKey)

	// What a server did: opened a task and said how many devices it counted.
	var log ledger.Log
	log.Append(&ledger.Task{Task: "films", Operator: operator, Unit: "device", Adjacency: "zero-out", Delta: "1e-06", Budget: big.NewRat(1, 1)}, 1_790_000_000)
	log.Append(&ledger.Telemetry{Task: "films", Times: 1, Metric: "devices", Mechanism: "laplace", Epsilon: "0.5", Delta: "0", Rho: big.NewRat(1, 8),
		Rows: []ledger.Row{{Label: "devices", Value: "412", Low: "406", High: "418"}}}, 1_790_000_060)
	checkpoint, _ := log.Checkpoint("films/log")
	note, _ := ledger.SignCheckpoint(key, checkpoint)

	r, err := report.Build(report.Input{Task: "films", Records: log.Records, Checkpoint: note})
	if err != nil {
		fmt.Println(err)
		return
	}
	file, _ := report.Sign(key, r)
	var lines bytes.Buffer
	for _, rec := range log.Records {
		ledger.Export(&lines, rec)
	}

	checked := report.Verify(file, lines.Bytes(), report.Options{Operator: operator})
	fmt.Println(checked.Overall, "epsilon", r.Claims[0].Epsilons[0].Epsilon)

	edited := bytes.Replace(lines.Bytes(), []byte(`"412"`), []byte(`"512"`), 1)
	checked = report.Verify(file, edited, report.Options{Operator: operator})
	fmt.Println(checked.Overall, checked.Reason)
	// Output:
	// VERIFIED epsilon 2.4191
	// FAILED tree-root
}
