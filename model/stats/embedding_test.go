package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Two cliques of four items with one weak bridge: the embedding tells them
// apart.
func TestEmbeddingSeparatesClusters(t *testing.T) {
	block, err := NewBlock([]int32{0, 1, 2, 3, 4, 5, 6, 7}, 10)
	if err != nil {
		t.Fatal(err)
	}
	sum := make([]float32, block.Cells())
	for p := range 8 {
		for q := p + 1; q < 8; q++ {
			if p/4 == q/4 {
				sum[block.Cell(p, q)] = 5
			}
		}
	}
	sum[block.Cell(3, 4)] = 0.5
	transitions, err := NewTransitions(block, sum, 0)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := transitions.Embedding(2)
	if err != nil {
		t.Fatal(err)
	}
	inner := func(a, b int) float64 {
		return float64(rows[2*a]*rows[2*b]) + float64(rows[2*a+1]*rows[2*b+1])
	}
	for p := range 8 {
		for q := range 8 {
			if got := inner(p, q); (p/4 == q/4) != (got > 0.8) {
				t.Errorf("items %d and %d have similarity %.2f", p, q, got)
			}
		}
	}
	if len(rows) != 20 || rows[16] != 0 || rows[19] != 0 {
		t.Errorf("%d numbers; items outside the block have %v", len(rows), rows[16:])
	}
	if again, err := transitions.Embedding(2); err != nil || !slices.Equal(again, rows) {
		t.Errorf("a second time: %v, %v", again, err)
	}
	for _, r := range []int{0, 9} {
		if _, err := transitions.Embedding(r); err == nil {
			t.Errorf("%d dimensions were accepted", r)
		}
	}
}

// The defining property: A v = lambda v, vectors orthonormal, eigenvalues the
// greatest (their sum equals that of the greatest of the full problem).
func TestLeadingEigenvectors(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	const k, r = 120, 6
	matrix := make([]float64, k*k)
	for c := range 10 { // a few strong directions over a weak rest
		v := make([]float64, k)
		for i := range v {
			v[i] = random.NormFloat64()
		}
		for i := range k {
			for j := range k {
				matrix[i*k+j] += v[i] * v[j] * math.Pow(0.7, float64(c)) / k
			}
		}
	}
	for i := range k {
		for j := range i {
			e := 0.01 * random.NormFloat64()
			matrix[i*k+j] += e
			matrix[j*k+i] += e
		}
	}
	full := slices.Clone(matrix)
	jacobi(full, k)
	values := diagonal(full, k)
	slices.Sort(values)
	vectors := leadingEigenvectors(matrix, k, r)
	for i, v := range vectors {
		image := multiply(matrix, v)
		lambda := dot(v, image)
		if want := values[k-1-i]; !(math.Abs(lambda-want) <= 1e-9) {
			t.Errorf("eigenvalue %d is %v, want %v", i, lambda, want)
		}
		axpy(image, -lambda, v)
		if rest := math.Sqrt(dot(image, image)); rest > 1e-6 {
			t.Errorf("eigenvector %d leaves %v", i, rest)
		}
		for j, w := range vectors {
			want := 0.0
			if i == j {
				want = 1
			}
			if !(math.Abs(dot(v, w)-want) <= 1e-9) {
				t.Errorf("vectors %d and %d have product %v", i, j, dot(v, w))
			}
		}
	}
}

func TestEmbeddingOfAnEmptyRelease(t *testing.T) {
	block, err := NewBlock([]int32{0, 1, 2}, 3)
	if err != nil {
		t.Fatal(err)
	}
	transitions, err := NewTransitions(block, make([]float32, 3), 0)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := transitions.Embedding(3)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range rows {
		if v != v || !(math.Abs(float64(v)) <= 1) {
			t.Errorf("number %d is %v", i, v)
		}
	}
}

func BenchmarkEmbedding(b *testing.B) {
	const k = 1000
	items := make([]int32, k)
	for i := range items {
		items[i] = int32(i)
	}
	block, err := NewBlock(items, k)
	if err != nil {
		b.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 1))
	sum := make([]float32, block.Cells())
	for i := range sum {
		sum[i] = random.Float32()
	}
	transitions, err := NewTransitions(block, sum, 0)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := transitions.Embedding(32); err != nil {
			b.Fatal(err)
		}
	}
}
