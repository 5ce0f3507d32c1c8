package kernel

import "testing"

// Assembly does not look where a slice ends: whatever is one value too short
// is refused before it is called.
func TestWrongLengthsAreRefused(t *testing.T) {
	const rows, d = 3, 8
	for name, c := range map[string]struct {
		sizes []int
		call  func(v [][]float32)
	}{
		"Dot":              {[]int{d, d}, func(v [][]float32) { Dot(v[0], v[1]) }},
		"Axpy":             {[]int{d, d}, func(v [][]float32) { Axpy(v[0], 2, v[1]) }},
		"Add":              {[]int{d, d}, func(v [][]float32) { Add(v[0], v[1]) }},
		"ExpShifted":       {[]int{d, d}, func(v [][]float32) { ExpShifted(v[0], v[1], 0) }},
		"SoftmaxBackward":  {[]int{d, d}, func(v [][]float32) { SoftmaxBackward(v[0], v[1], 0, 1) }},
		"GELU":             {[]int{d, d}, func(v [][]float32) { GELU(v[0], v[1]) }},
		"GELUBackward":     {[]int{d, d, d}, func(v [][]float32) { GELUBackward(v[0], v[1], v[2]) }},
		"ReLU":             {[]int{d, d}, func(v [][]float32) { ReLU(v[0], v[1]) }},
		"ReLUBackward":     {[]int{d, d, d}, func(v [][]float32) { ReLUBackward(v[0], v[1], v[2]) }},
		"SiLUGate":         {[]int{d, d, d}, func(v [][]float32) { SiLUGate(v[0], v[1], v[2]) }},
		"SiLUGateBackward": {[]int{d, d, d, d, d}, func(v [][]float32) { SiLUGateBackward(v[0], v[1], v[2], v[3], v[4]) }},
		"Dropout":          {[]int{d, d}, func(v [][]float32) { Dropout(v[0], v[1], 1, 0, 0.5) }},
		"Adam":             {[]int{d, d, d, d}, func(v [][]float32) { Adam(v[0], v[1], v[2], v[3], AdamStep{Epsilon: 1}) }},
		"AddRows":          {[]int{rows * d}, func(v [][]float32) { AddRows(v[0], make([]float32, d), rows) }},
		"SumRows":          {[]int{rows * d}, func(v [][]float32) { SumRows(make([]float32, d), v[0], rows) }},
		"ExpColumns":       {[]int{rows * d, d, d}, func(v [][]float32) { ExpColumns(v[0], rows, d, v[1], v[2]) }},
		"ScaleRows":        {[]int{rows * d}, func(v [][]float32) { ScaleRows(v[0], make([]float32, rows), make([]float32, d)) }},
		"OnlineSoftmax":    {[]int{rows * d, rows, rows}, func(v [][]float32) { OnlineSoftmax(v[0], d, v[1], v[2]) }},
		"Transpose":        {[]int{rows * d, rows * d}, func(v [][]float32) { Transpose(v[0], rows, v[1], d, rows, d) }},
		"MatVec":           {[]int{rows * d}, func(v [][]float32) { MatVec(make([]float32, rows), v[0], d, make([]float32, d)) }},
		"GemmBias":         {[]int{rows * d, d * d, rows * d, d}, func(v [][]float32) { GemmBias(rows, d, d, v[0], d, v[1], d, v[2], d, v[3]) }},
		"NormForward": {[]int{rows * d, rows * d, d, d, rows, rows}, func(v [][]float32) {
			NormForward(v[0], v[1], v[2], v[3], rows, v[4], v[5])
		}},
		"NormBackward": {[]int{rows * d, d, d, rows * d, rows * d, d, rows, rows}, func(v [][]float32) {
			NormBackward(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], rows)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			vectors := func(short int) (v [][]float32) {
				for i, n := range c.sizes {
					if i == short {
						n--
					}
					v = append(v, make([]float32, n))
				}
				return v
			}
			c.call(vectors(-1))
			for i := range c.sizes {
				func() {
					defer func() {
						if recover() == nil {
							t.Errorf("argument %d is too short: no panic", i)
						}
					}()
					c.call(vectors(i))
				}()
			}
		})
	}
}
