package delta_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"tutti/model/delta"
)

// A round moves every weight a little; in steps, the next version is a small delta.
func Example() {
	base, next := make([]float32, 10000), make([]float32, 10000)
	for i := range base {
		base[i] = float32(math.Sin(float64(i)))
		next[i] = base[i] + 0.001*float32(math.Cos(float64(i*i)))
	}
	if _, err := delta.Snap(base, next); err != nil {
		fmt.Println(err)
		return
	}
	have, want := file(base), file(next)
	d, err := delta.Encode(have, want)
	if err != nil {
		fmt.Println(err)
		return
	}
	got, err := delta.Decode(d, have, 1<<20)
	fmt.Println(err, bytes.Equal(got, want), len(d) < len(want)/4)
	// Output: <nil> true true
}

func file(values []float32) []byte {
	var b []byte
	for _, x := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}
