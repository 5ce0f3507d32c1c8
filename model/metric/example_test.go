package metric_test

import (
	"fmt"

	"tutti/model/metric"
)

func Example() {
	popularity := []float32{9, 5, 1}
	cases := []metric.Case{
		{User: 0, History: []int32{0}, Target: 1}, // first once item 0 is masked
		{User: 1, History: []int32{1}, Target: 2}, // second, after item 0
	}
	result, err := metric.Evaluate(cases, 3, func(_ int, _ []int32, out []float32) {
		copy(out, popularity)
	}, metric.Options{K: 1, MaskSeen: true, Ties: metric.TiesHalf})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("HR@1 %.2f, MRR %.2f\n", result.HR, result.MRR)
	// Output: HR@1 0.50, MRR 0.75
}
