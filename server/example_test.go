package server_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
	"tutti/server"
	"tutti/server/committee"
	"tutti/server/keys"
)

// A server without its committee opens no round, and says what is missing.
func Example() {
	dir, err := os.MkdirTemp("", "server")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	files, err := keys.DevCerts(filepath.Join(dir, "tls"), time.Now())
	if err != nil {
		fmt.Println(err)
		return
	}
	toNodes, err := keys.ClientTLS(files)
	if err != nil {
		fmt.Println(err)
		return
	}
	cfg := server.Config{Dir: filepath.Join(dir, "data"), Task: "films", Purpose: "an example", Budget: big.NewRat(1, 2), Delta: "1e-06"}
	for port := range 5 {
		identity, _, _ := ed25519.GenerateKey(rand.Reader)
		cfg.Committee = append(cfg.Committee, committee.Peer{Address: fmt.Sprintf("127.0.0.1:%d", port+1), Identity: identity, TLS: toNodes})
	}
	s, err := server.Open(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	m, err := mechanism.Design(mechanism.Literal{Dim: 100, Clip: 1, NMin: 70, NMax: 130, Colluders: 7, Noise: true, Rho: big.NewRat(1, 10)})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = s.RunRound(context.Background(), server.RoundSpec{Kind: plan.Popularity, Goal: 100, Mechanism: m, Collect: time.Minute})
	var missing *server.CommitteeError
	fmt.Println(errors.As(err, &missing), len(missing.Missing), "of", missing.Want, "wanted nodes do not answer")
	m, err = mechanism.Design(mechanism.Literal{Dim: 100, Clip: 1, NMin: 70, NMax: 130, Colluders: 7, Noise: true, Rho: big.NewRat(9, 10)})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = s.RunRound(context.Background(), server.RoundSpec{Kind: plan.Popularity, Goal: 100, Mechanism: m, Collect: time.Minute})
	var spent *server.BudgetError
	fmt.Println(errors.As(err, &spent))
	// Output:
	// true 5 of 4 wanted nodes do not answer
	// true
}
