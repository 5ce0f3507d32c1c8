package fleet_test

import (
	"fmt"

	"tutti/client/fleet"
)

// Every device needs a one-time token of the server.
func ExampleNew() {
	_, err := fleet.New(fleet.Config{Histories: [][]int32{{1, 2}, {3}}, Tokens: []string{"only one"}})
	fmt.Println(err)
	// Output: fleet: nothing shared, or no transport
}
