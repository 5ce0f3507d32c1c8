package layer

import "tutti/model/kernel"

// GELUForward writes gelu(x) into y, in the tanh form of Hendrycks & Gimpel
// 2016, section 2.
func GELUForward(y, x []float32) { kernel.GELU(y, x) }

// GELUBackward adds dy*gelu'(x) to dx; all three have the same length.
func GELUBackward(dx, dy, x []float32) { kernel.GELUBackward(dx, dy, x) }
