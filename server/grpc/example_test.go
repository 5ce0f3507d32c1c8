package grpc_test

import (
	"fmt"
	"time"

	wire "tutti/server/grpc"
)

func ExampleLimiter() {
	l := wire.NewLimiter(1, 2) // one a second, two at once
	now := time.Unix(0, 0)
	fmt.Println(l.Allow("device", now), l.Allow("device", now), l.Allow("device", now), l.Allow("another", now))
	fmt.Println(l.Allow("device", now.Add(time.Second)))
	// Output:
	// true true false true
	// true
}
