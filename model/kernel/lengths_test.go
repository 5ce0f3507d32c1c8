package kernel

import "testing"

const tall, wide = 3, 8

// measured are the functions that take vectors, and how long those have to be.
var measured = map[string]struct {
	sizes []int
	call  func(v [][]float32)
}{
	"Dot":              {[]int{wide, wide}, func(v [][]float32) { Dot(v[0], v[1]) }},
	"Axpy":             {[]int{wide, wide}, func(v [][]float32) { Axpy(v[0], 2, v[1]) }},
	"Add":              {[]int{wide, wide}, func(v [][]float32) { Add(v[0], v[1]) }},
	"ExpShifted":       {[]int{wide, wide}, func(v [][]float32) { ExpShifted(v[0], v[1], 0) }},
	"SoftmaxBackward":  {[]int{wide, wide}, func(v [][]float32) { SoftmaxBackward(v[0], v[1], 0, 1) }},
	"GELU":             {[]int{wide, wide}, func(v [][]float32) { GELU(v[0], v[1]) }},
	"GELUBackward":     {[]int{wide, wide, wide}, func(v [][]float32) { GELUBackward(v[0], v[1], v[2]) }},
	"ReLU":             {[]int{wide, wide}, func(v [][]float32) { ReLU(v[0], v[1]) }},
	"ReLUBackward":     {[]int{wide, wide, wide}, func(v [][]float32) { ReLUBackward(v[0], v[1], v[2]) }},
	"SiLUGate":         {[]int{wide, wide, wide}, func(v [][]float32) { SiLUGate(v[0], v[1], v[2]) }},
	"SiLUGateBackward": {[]int{wide, wide, wide, wide, wide}, func(v [][]float32) { SiLUGateBackward(v[0], v[1], v[2], v[3], v[4]) }},
	"Dropout":          {[]int{wide, wide}, func(v [][]float32) { Dropout(v[0], v[1], 1, 0, 0.5) }},
	"Adam":             {[]int{wide, wide, wide, wide}, func(v [][]float32) { Adam(v[0], v[1], v[2], v[3], AdamStep{Epsilon: 1}) }},
	"AddRows":          {[]int{tall * wide}, func(v [][]float32) { AddRows(v[0], make([]float32, wide), tall) }},
	"SumRows":          {[]int{tall * wide}, func(v [][]float32) { SumRows(make([]float32, wide), v[0], tall) }},
	"ExpRows":          {[]int{tall * wide, tall, tall}, func(v [][]float32) { ExpRows(v[0], wide, v[1], v[2]) }},
	"Transpose":        {[]int{tall * wide, tall * wide}, func(v [][]float32) { Transpose(v[0], tall, v[1], wide, tall, wide) }},
	"MatVec": {[]int{tall * wide}, func(v [][]float32) {
		MatVec(make([]float32, tall), v[0], wide, make([]float32, wide))
	}},
	"GemmBias": {[]int{tall * wide, wide * wide, tall * wide, wide}, func(v [][]float32) {
		GemmBias(tall, wide, wide, v[0], wide, v[1], wide, v[2], wide, v[3])
	}},
	"NormForward": {[]int{tall * wide, tall * wide, wide, wide, tall, tall}, func(v [][]float32) {
		NormForward(v[0], v[1], v[2], v[3], tall, v[4], v[5])
	}},
	"NormBackward": {[]int{tall * wide, wide, wide, tall * wide, tall * wide, wide, tall, tall}, func(v [][]float32) {
		NormBackward(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], tall)
	}},
}

// Assembly does not look where a slice ends: whatever is one value too short
// is refused before it is called.
func TestWrongLengthsAreRefused(t *testing.T) {
	for name, c := range measured {
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
