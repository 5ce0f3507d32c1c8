package selftest_test

import (
	"fmt"

	"tutti/privacy/report/selftest"
)

func Example() {
	_, misses, err := selftest.Run()
	fmt.Println(len(misses), err)
	// Output: 0 <nil>
}
