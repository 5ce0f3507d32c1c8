package kernel_test

import (
	"fmt"

	"tutti/model/kernel"
)

func Example() {
	a := []float32{1, 2, 3, 4} // 2 x 2
	b := []float32{1, 0, 2, 0, 1, 2}
	c := make([]float32, 6)
	kernel.Gemm(2, 3, 2, a, 2, 1, b, 3, c, 3, false) // a times b
	fmt.Println(c)
	kernel.Gemm(2, 3, 2, a, 1, 2, b, 3, c, 3, false) // a transposed times b
	fmt.Println(c)
	// Output:
	// [1 2 6 3 4 14]
	// [1 3 8 2 4 12]
}
