package share_test

import (
	"fmt"

	"tutti/aggregation/share"
)

// Members add the shares they hold; any c+ρ of them give the sum of the secrets.
func Example() {
	scheme, err := share.New(5, 1, 2) // five members, one may be corrupt, two secrets in a polynomial
	if err != nil {
		panic(err)
	}
	first, _ := scheme.Split([]int64{1, -2}, []uint32{7}) // 7 stands for a uniform field element, see Draw
	second, _ := scheme.Split([]int64{10, 20}, []uint32{5})
	var answers []share.Share
	for _, member := range []int{1, 2, 4, 5} { // the third is down
		words := first[member-1]
		share.Add(words, second[member-1])
		answers = append(answers, share.Share{X: member, Words: words})
	}
	fmt.Println(scheme.Combine(2, answers))
	answers[3].Words[0]++
	_, err = scheme.Combine(2, answers)
	fmt.Println(err)
	// Output:
	// [11 18] <nil>
	// share: shares are inconsistent: member 5 differs in word 0
}
