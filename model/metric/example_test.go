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

func ExampleResult_Figures() {
	scores := []float32{4, 3, 2, 1}
	cases := []metric.Case{
		{Target: 0, Also: []int32{1}}, // two right items, at the places 0 and 1
		{Target: 2},
	}
	result, err := metric.Evaluate(cases, 4, func(_ int, _ []int32, out []float32) {
		copy(out, scores)
	}, metric.Options{K: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range result.Figures(1000, 1)[:5] {
		fmt.Printf("%s %.2f (%.2f to %.2f)\n", f.Name, f.Value, f.Low, f.High)
	}
	for _, f := range result.Beyond(metric.ItemFacts{Items: 4, Counts: []int{4, 2, 1, 1}}, 1000, 1)[:3:3] {
		fmt.Printf("%s %.2f\n", f.Name, f.Value)
	}
	// Output:
	// HR@2 0.50 (0.00 to 1.00)
	// NDCG@2 0.50 (0.00 to 1.00)
	// MRR 0.67 (0.33 to 1.00)
	// precision@2 0.50 (0.00 to 1.00)
	// recall@2 0.50 (0.00 to 1.00)
	// coverage 0.50
	// Gini 0.50
	// novelty 1.50
}
