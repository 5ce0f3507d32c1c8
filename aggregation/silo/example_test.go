package silo_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"log"

	"tutti/aggregation/silo"
)

// Four hospitals add up vectors; any three of them can open the sum, and only the sum.
func Example() {
	check := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	var private []ed25519.PrivateKey
	var public []ed25519.PublicKey
	for range 4 {
		pub, priv, err := ed25519.GenerateKey(rand.Reader)
		check(err)
		private, public = append(private, priv), append(public, pub)
	}
	params, err := silo.Choose(silo.Model{Organisations: 4, Corrupt: 1, Present: 3, Minimum: 3, Length: 3, Bound: 1000})
	check(err)
	cfg, err := silo.NewConfig(silo.ConfigLiteral{Task: "stays", Round: 1, Params: params, Keys: public})
	check(err)

	// Every step returns records to make durable before its message leaves; this example has no disk.
	parties := make([]*silo.Party, 4)
	announcements, shares := make([][]byte, 4), make([][]byte, 4)
	for i := range parties {
		parties[i], err = silo.NewParty(cfg, i, private[i])
		check(err)
		announcements[i], _, err = parties[i].Announce(rand.Reader)
		check(err)
	}
	for i, p := range parties {
		shares[i], _, err = p.KeyShare(announcements)
		check(err)
	}
	for _, p := range parties {
		_, err = p.Join(shares)
		check(err)
	}

	// All four contribute. Everyone who decrypts adds the contributions up for itself.
	vectors := [][]int64{{1, 2, 3}, {10, 20, 30}, {-100, 0, 100}, {7, 7, 7}}
	tallies := make([]*silo.Tally, 4)
	for i, p := range parties {
		tallies[i] = silo.NewTally(cfg, p.Keys())
	}
	for i, p := range parties {
		contribution, _, err := p.Contribute(vectors[i])
		check(err)
		for _, t := range tallies {
			check(t.Add(contribution))
		}
	}

	// The fourth falls silent; the other three open.
	active := []int{0, 1, 2}
	proposal, err := tallies[0].Propose(active)
	check(err)
	opening, err := silo.NewOpening(tallies[0], proposal)
	check(err)
	for _, i := range active {
		partial, _, err := parties[i].Decrypt(rand.Reader, proposal, tallies[i])
		check(err)
		check(opening.Add(partial))
	}
	sum, err := opening.Combine()
	check(err)
	fmt.Println(sum)

	// A second sum of the round is refused, whatever it is of.
	other, err := tallies[0].Propose([]int{0, 1, 3})
	check(err)
	_, _, err = parties[0].Decrypt(rand.Reader, other, tallies[0])
	fmt.Println(err)
	// Output:
	// [-82 29 140]
	// silo: organisation refuses: other_active_set
}
