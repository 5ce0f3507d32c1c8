package operator_test

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"tutti/server/operator"
)

// A token for reading opens the operator's listener until it ends; it does not let its bearer change the task.
func Example() {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	now := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	token, err := operator.NewToken(key, "films", "ana", false, now, 8*time.Hour)
	if err != nil {
		fmt.Println(err)
		return
	}
	auth := operator.Auth{Task: "films", Key: key.Public().(ed25519.PublicKey), Clock: func() time.Time { return now }}
	who, err := auth.Open(token)
	fmt.Println(who.Name, who.Write, err)
	auth.Clock = func() time.Time { return now.Add(9 * time.Hour) }
	_, err = auth.Open(token)
	fmt.Println(err)
	// Output:
	// ana false <nil>
	// the token is not accepted: it has expired
}
