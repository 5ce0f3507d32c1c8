package kernel

import "fmt"

// Gemm computes C = A*B, or C += A*B where acc is set, for A of m x k, B of
// k x n and C of m x n.
//
// Element (i,p) of A is a[i*rsa+p*csa]: rsa = row length and csa = 1 for a plain
// matrix, rsa = 1 and csa = row length for a transposed one; neither is negative.
// Rows of B and C are contiguous and ldb and ldc apart. C must not overlap A or B.
// The sum over p runs in a fixed order that depends on m, n and k only.
func Gemm(m, n, k int, a []float32, rsa, csa int, b []float32, ldb int, c []float32, ldc int, acc bool) {
	if m < 0 || n < 0 || k < 0 || rsa < 0 || csa < 0 || ldb < n || ldc < n {
		panic(fmt.Sprintf("kernel: gemm of %dx%dx%d with rsa %d, csa %d, ldb %d, ldc %d", m, n, k, rsa, csa, ldb, ldc))
	}
	if m == 0 || n == 0 {
		return
	}
	if k == 0 {
		if !acc {
			for i := range m {
				clear(c[i*ldc : i*ldc+n])
			}
		}
		return
	}
	// The last elements that will be touched: one bounds check each.
	_ = a[(m-1)*rsa+(k-1)*csa]
	_ = b[(k-1)*ldb+n-1]
	_ = c[(m-1)*ldc+n-1]
	active.gemm(m, n, k, a, rsa, csa, b, ldb, c, ldc, acc)
}

// GemmBias computes C = A*B with bias (n values) added to every row, for A with
// contiguous rows lda apart. C must not overlap the others.
func GemmBias(m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, bias []float32) {
	if active.gemmBias != nil && m > 0 && n > 0 && k > 0 && lda >= k && ldb >= n && ldc >= n {
		_, _ = a[(m-1)*lda+k-1], b[(k-1)*ldb+n-1]
		_, _ = c[(m-1)*ldc+n-1], bias[n-1]
		active.gemmBias(m, n, k, a, lda, b, ldb, c, ldc, bias)
		return
	}
	for i := range m {
		copy(c[i*ldc:i*ldc+n], bias[:n])
	}
	Gemm(m, n, k, a, lda, 1, b, ldb, c, ldc, true)
}

// MatVec adds A*x to y, for A of len(y) rows of len(x) values, lda apart.
func MatVec(y, a []float32, lda int, x []float32) {
	if len(y) == 0 || len(x) == 0 {
		return
	}
	if lda < 0 {
		panic(fmt.Sprintf("kernel: rows %d apart", lda))
	}
	_ = a[(len(y)-1)*lda+len(x)-1]
	active.matVec(y, a, lda, x)
}
