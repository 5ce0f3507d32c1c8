package layer

import "tutti/model/kernel"

// SwiGLUForward writes silu(a)*b into y for every row a|b of x (Shazeer 2020,
// eq. 5; the maps around it are the caller's).
//
// x: n x 2h; y: n x h.
func SwiGLUForward(y, x []float32, n, h int) {
	for i := range n {
		row := x[i*2*h : (i+1)*2*h]
		kernel.SiLUGate(y[i*h:(i+1)*h], row[:h], row[h:])
	}
}

// SwiGLUBackward adds the gradients of SwiGLUForward, given dy (n x h), to dx
// (n x 2h).
func SwiGLUBackward(dx, dy, x []float32, n, h int) {
	for i := range n {
		row, down := x[i*2*h:(i+1)*2*h], dx[i*2*h:(i+1)*2*h]
		kernel.SiLUGateBackward(down[:h], down[h:], dy[i*h:(i+1)*h], row[:h], row[h:])
	}
}
