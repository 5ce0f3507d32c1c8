package stats

import (
	"errors"
	"math"
)

// Embedding gives every item of the catalogue r numbers such that items that
// stand near each other have similar rows: the r leading eigenvectors of
// D^-1/2 M D^-1/2, M being the symmetric block and D its row sums, each item's
// row then scaled to norm 1 (Ng, Jordan and Weiss, "On Spectral Clustering",
// 2001). Shape catalogue x r, row after row; 0 for items outside the block or
// without any transition. It is a function of the release alone, and costs no
// privacy.
func (t *Transitions) Embedding(r int) ([]float32, error) {
	k := t.block.K()
	if r < 1 || r > k {
		return nil, errors.New("stats: an embedding needs 1 to k dimensions")
	}
	vectors := leadingEigenvectors(t.laplacian(), k, r)
	out := make([]float32, t.block.Catalogue()*r)
	row := make([]float64, r)
	for p, item := range t.block.Items() {
		for c := range row {
			row[c] = vectors[c][p]
		}
		norm := math.Sqrt(dot(row, row))
		if norm < 1e-9 {
			continue
		}
		for c, v := range row {
			out[int(item)*r+c] = float32(v / norm * safe)
		}
	}
	return out, nil
}

// laplacian is D^-1/2 M D^-1/2, k x k; rows without any weight are 0. Its
// eigenvalues lie in [-1, 1].
func (t *Transitions) laplacian() []float64 {
	k := t.block.K()
	degree := make([]float64, k)
	matrix := make([]float64, k*k)
	cell := 0
	for p := range k {
		for q := p + 1; q < k; q++ {
			v := t.value(cell)
			matrix[p*k+q], matrix[q*k+p] = v, v
			degree[p] += v
			degree[q] += v
			cell++
		}
	}
	for p := range k {
		for q := range k {
			if v := matrix[p*k+q]; v > 0 {
				matrix[p*k+q] = v / math.Sqrt(degree[p]*degree[q])
			}
		}
	}
	return matrix
}

// leadingEigenvectors finds the r eigenvectors of greatest eigenvalue of a
// symmetric k x k matrix by the Lanczos method with full reorthogonalisation
// (Golub and Van Loan, "Matrix Computations", section 10.3), the greatest
// first, each with its largest entry positive.
func leadingEigenvectors(matrix []float64, k, r int) [][]float64 {
	steps := min(k, 2*r+64)
	basis := make([][]float64, 0, steps)
	projected := make([]float64, steps*steps)
	candidate := startVector(k, 0)
	for j := 0; j < steps; j++ {
		for restart := 1; !orthonormalise(candidate, basis); restart++ { // the space is exhausted: a new direction
			candidate = startVector(k, j+restart)
		}
		basis = append(basis, candidate)
		image := multiply(matrix, candidate)
		for i := range basis {
			projected[i*steps+j] = dot(basis[i], image)
			projected[j*steps+i] = projected[i*steps+j]
		}
		candidate = image
	}
	rotation := jacobi(projected, steps)
	order := TopK(diagonal(projected, steps), r)
	vectors := make([][]float64, r)
	for c, column := range order {
		v := make([]float64, k)
		for i, b := range basis {
			axpy(v, rotation[i*steps+int(column)], b)
		}
		vectors[c] = positive(v)
	}
	return vectors
}

// startVector is a fixed direction that no structure of a block favours: the
// fractional parts of multiples of an irrational number.
func startVector(k, shift int) []float64 {
	v := make([]float64, k)
	for i := range v {
		_, part := math.Modf(float64((i+1)*(shift+1)) * math.Phi)
		v[i] = part - 0.4
	}
	return v
}

// orthonormalise takes the basis out of v, twice for accuracy, and scales v to
// norm 1. It reports false when next to nothing remains.
func orthonormalise(v []float64, basis [][]float64) bool {
	before := math.Sqrt(dot(v, v))
	for range 2 {
		for _, b := range basis {
			axpy(v, -dot(b, v), b)
		}
	}
	norm := math.Sqrt(dot(v, v))
	if !(norm > 1e-10*before) || norm < 1e-200 {
		return false
	}
	for i := range v {
		v[i] /= norm
	}
	return true
}

// axpy adds a times x to y.
func axpy(y []float64, a float64, x []float64) {
	for i, v := range x {
		y[i] += a * v
	}
}

func multiply(matrix, v []float64) []float64 {
	k := len(v)
	out := make([]float64, k)
	for p := range out {
		out[p] = dot(matrix[p*k:(p+1)*k], v)
	}
	return out
}

func diagonal(matrix []float64, n int) []float64 {
	d := make([]float64, n)
	for i := range d {
		d[i] = matrix[i*n+i]
	}
	return d
}

// positive turns v so that its entry of largest magnitude is positive.
func positive(v []float64) []float64 {
	largest := 0.0
	for _, x := range v {
		if math.Abs(x) > math.Abs(largest)+1e-12 {
			largest = x
		}
	}
	if largest < 0 {
		for i := range v {
			v[i] = -v[i]
		}
	}
	return v
}

// jacobi makes a symmetric n x n matrix diagonal in place by cyclic rotations
// (Golub and Van Loan, section 8.5) and gives the rotation, whose columns are
// the eigenvectors.
func jacobi(a []float64, n int) []float64 {
	rotation := make([]float64, n*n)
	for i := range n {
		rotation[i*n+i] = 1
	}
	for range 30 {
		off := 0.0
		for p := range n {
			for q := p + 1; q < n; q++ {
				off += a[p*n+q] * a[p*n+q]
			}
		}
		if off < 1e-24 {
			break
		}
		for p := range n {
			for q := p + 1; q < n; q++ {
				rotate(a, rotation, n, p, q)
			}
		}
	}
	return rotation
}

// rotate zeroes the entry at p, q.
func rotate(a, rotation []float64, n, p, q int) {
	apq := a[p*n+q]
	if math.Abs(apq) < 1e-300 {
		return
	}
	theta := (a[q*n+q] - a[p*n+p]) / (2 * apq)
	t := 1 / (math.Abs(theta) + math.Sqrt(theta*theta+1))
	if theta < 0 {
		t = -t
	}
	c := 1 / math.Sqrt(t*t+1)
	s := t * c
	for i := range n {
		x, y := a[i*n+p], a[i*n+q]
		a[i*n+p], a[i*n+q] = c*x-s*y, s*x+c*y
		x, y = rotation[i*n+p], rotation[i*n+q]
		rotation[i*n+p], rotation[i*n+q] = c*x-s*y, s*x+c*y
	}
	for i := range n {
		x, y := a[p*n+i], a[q*n+i]
		a[p*n+i], a[q*n+i] = c*x-s*y, s*x+c*y
	}
}
