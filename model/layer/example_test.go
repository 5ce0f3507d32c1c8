package layer_test

import (
	"fmt"

	"tutti/model/layer"
)

// Two tokens, three items: the loss of a model that knows nothing is log 3 per
// token, and the gradient of a logit is its probability minus its target.
func Example() {
	ce := layer.NewCrossEntropy()
	dBias := make([]float32, 3)
	loss, err := ce.Run(layer.CrossEntropyArgs{
		N: 2, V: 3, D: 1,
		H: []float32{0, 0}, Table: []float32{1, 2, 3}, Bias: []float32{0, 0, 0},
		Targets: []int32{0, 1},
		Scale:   1, DBias: dBias,
	})
	fmt.Printf("%.4f %.4f %v\n", loss, dBias, err)
	// Output: 2.1972 [-0.3333 -0.3333 0.6667] <nil>
}
