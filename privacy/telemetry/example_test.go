package telemetry_test

import (
	"fmt"
	"math/big"

	"tutti/privacy/ledger"
	"tutti/privacy/telemetry"
)

type log struct{ ledger.Log }

func (l *log) Append(b ledger.Body) error {
	_, err := l.Log.Append(b, 0)
	return err
}

// A server says how many devices took part, without saying whether any one of them did.
func Example() {
	var l log
	l.Append(&ledger.Task{Task: "films", Operator: make([]byte, 32), Budget: big.NewRat(1, 10)})
	reporter, _ := telemetry.New(&l, "films")

	said, err := reporter.Count(telemetry.Scope{Round: 1, Times: 1}, "devices counted", 4210, 0.2)
	if err != nil {
		fmt.Println(err)
		return
	}
	spent, _ := l.Task("films")
	fmt.Println(len(said.Rows), "number, near 4210:", said.Rows[0].Value > 4000 && said.Rows[0].Value < 4400)
	fmt.Println("charged before it was said:", spent.Spent)
	// Output:
	// 1 number, near 4210: true
	// charged before it was said: 1/50
}
