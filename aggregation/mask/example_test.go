package mask_test

import (
	"fmt"

	"tutti/aggregation/mask"
)

// Two devices mask; the server, given the sum of their keys, learns the sum of their vectors.
func Example() {
	literal, err := mask.Choose(mask.Standard, 4, 100, 1000) // 4 coordinates, up to 100 devices, |x_j| <= 1000
	if err != nil {
		panic(err)
	}
	params, err := mask.NewParams(literal)
	if err != nil {
		panic(err)
	}
	public := [32]byte{1} // names the round
	sums := make([]uint64, 4)
	keySum := make([]int64, params.N())
	for i, x := range [][]int32{{1, 2, 3, 4}, {10, -20, 30, -1000}} {
		key := mask.NewSecret(params, [32]byte{2, byte(i)}) // from crypto/rand on a device
		wire := make([]byte, params.PackedLen())
		if err := params.Mask(wire, public, key, [32]byte{3, byte(i)}, x); err != nil {
			panic(err)
		}
		if err := params.Fold(sums, wire); err != nil {
			panic(err)
		}
		for j, c := range key.Coefficients() { // travels as shares, see package share
			keySum[j] += c
		}
		key.Erase()
	}
	sum, err := params.Unmask(public, keySum, sums, 2)
	fmt.Println(sum, err)
	fmt.Println(params.WordBits(), "bits a word")
	// Output:
	// [11 -18 33 -996] <nil>
	// 25 bits a word
}
