package store_test

import (
	"fmt"
	"os"

	"tutti/client/store"
)

// A device keeps its files in a directory of its own.
func Example() {
	dir, err := os.MkdirTemp("", "device")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	files, err := store.Open(dir)
	if err != nil {
		panic(err)
	}
	defer files.Close()
	_, err = store.Open(dir)
	fmt.Println("a second owner is let in:", err == nil)
	// Output: a second owner is let in: false
}
