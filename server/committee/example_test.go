package committee_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"os"

	"tutti/server/committee"
)

// A node makes its own key, and is told the keys of the operator, the enroller and its fellow nodes by people.
func Example() {
	dir, err := os.MkdirTemp("", "node")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	key, err := committee.Key(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	operator, _, _ := ed25519.GenerateKey(rand.Reader)
	enroller, _, _ := ed25519.GenerateKey(rand.Reader)
	node, err := committee.Open(committee.Config{
		Dir: dir, Operator: operator, Enroller: enroller, Roster: []ed25519.PublicKey{key.Public().(ed25519.PublicKey)}, Floor: 100,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer node.Close()
	fmt.Println(node.PublicKey().Equal(key.Public()))
	// Output: true
}
