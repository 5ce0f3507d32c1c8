package mechanism

// Clipped is an update with an L2 norm of at most its clip. Only Clip makes
// one that is not empty.
type Clipped struct {
	values []float32
	clip   float64
}

// Clip returns update scaled to an L2 norm of at most c.
func Clip(update []float32, c float64) Clipped { panic("not yet") }

// Len returns the number of coordinates.
func (x Clipped) Len() int { return len(x.values) }
