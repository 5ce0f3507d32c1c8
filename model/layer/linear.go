package layer

import "tutti/model/kernel"

// LinearForward computes y = x*w + b.
//
// x: n x in; w: in x out; b: out, or nil for none; y: n x out.
func LinearForward(y, x, w, b []float32, n, in, out int) {
	if b != nil {
		kernel.GemmBias(n, out, in, x, in, w, out, y, out, b)
		return
	}
	kernel.Gemm(n, out, in, x, in, 1, w, out, y, out, false)
}

// LinearBackward adds the gradients of LinearForward, given dy (n x out):
// dx += dy*w^T (n x in), dw += x^T*dy (in x out), db += sum of the rows of dy.
// dx and db may be nil. scratch holds w^T: at least in*out values.
func LinearBackward(dx, dw, db, dy, x, w, scratch []float32, n, in, out int) {
	kernel.Gemm(in, out, n, x, 1, in, dy, out, dw, out, true)
	if db != nil {
		kernel.SumRows(db[:out], dy[:n*out], n)
	}
	if dx != nil {
		kernel.Transpose(scratch, in, w, out, in, out)
		kernel.Gemm(n, in, out, dy, out, 1, scratch, in, dx, in, true)
	}
}

// LinearTForward computes y = x*w^T + b: a linear map by the transpose of w,
// for weights that are also used the other way round.
//
// x: n x in; w: out x in; b: out, or nil for none; y: n x out. scratch holds
// w^T: at least in*out values.
func LinearTForward(y, x, w, b, scratch []float32, n, in, out int) {
	kernel.Transpose(scratch, out, w, in, out, in)
	LinearForward(y, x, scratch, b, n, in, out)
}

// LinearTBackward adds the gradients of LinearTForward, given dy (n x out):
// dx += dy*w (n x in), dw += dy^T*x (out x in), db += sum of the rows of dy.
// dx and db may be nil.
func LinearTBackward(dx, dw, db, dy, x, w []float32, n, in, out int) {
	kernel.Gemm(out, in, n, dy, 1, out, x, in, dw, in, true)
	if db != nil {
		kernel.SumRows(db[:out], dy[:n*out], n)
	}
	if dx != nil {
		kernel.Gemm(n, in, out, dy, out, 1, w, in, dx, in, true)
	}
}
