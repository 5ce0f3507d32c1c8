package share_test

import (
	"fmt"

	"tutti/aggregation/share"
)

// Members add the shares they hold; any c+ρ of them give the sum of the secrets. Two to spare correct a liar and name it,
// one to spare tells that somebody lied.
func Example() {
	field := share.Default()
	scheme, err := share.New(field, 5, 1, 2) // five members, one may be corrupt, two secrets in a polynomial
	if err != nil {
		panic(err)
	}
	first, _ := scheme.Split([]int64{1, -2}, []uint64{7}) // 7 stands for a uniform field element, see Field.Draw
	second, _ := scheme.Split([]int64{10, 20}, []uint64{5})
	var answers []share.Share
	for member := 1; member <= 5; member++ {
		words := first[member-1]
		field.Add(words, second[member-1])
		answers = append(answers, share.Share{X: member, Words: words})
	}
	fmt.Println(scheme.Combine(2, answers[1:4]))
	answers[3].Words[0]++
	fmt.Println(scheme.Combine(2, answers))
	fmt.Println(scheme.Combine(2, answers[:4]))
	// Output:
	// [11 18] [] <nil>
	// [11 18] [4] <nil>
	// [] [] share: shares are inconsistent: more than 0 of 4 shares are wrong, first in word 0
}
