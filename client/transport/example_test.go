package transport_test

import (
	"fmt"

	"tutti/client/transport"
)

// Dialling checks what it is given; the connection is made by the first call.
func ExampleDial() {
	_, err := transport.Dial(transport.Config{Address: "tutti.example:7070", CAFile: "no-such-ca.pem"})
	fmt.Println(err)
	// Output: transport: reading the authority's certificate: open no-such-ca.pem: no such file or directory
}
