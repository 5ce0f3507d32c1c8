// Package kernel holds the float32 loops that the recommender spends its time
// in: matrix multiplication, exponentials, and the vector steps around them.
//
// Every loop has a portable Go form. A faster set for one machine replaces it
// behind the same functions at one place, dispatch.go: on amd64 assembly for
// AVX-512 or for AVX2 with FMA, which tools/kernelgen writes. The set is chosen
// once, at start, by what the processor and its system offer; the build tag
// purego leaves the portable one only, noavx512 leaves AVX-512 out.
//
// One set always gives the same bits for the same input. Between sets results
// differ in the last bits, as sums run in another order: exponentials by less
// than 5e-7 of their value, sums by about 1e-6 of the sum of the magnitudes.
// What is exact is the same everywhere: Dropout's choice, Max, Finite, ReLU,
// Transpose.
//
// Matrices are row-major slices; a slice starts at its element (0,0) and a
// leading dimension ("ld") is the distance between rows. No function allocates
// after its first use; all are safe for concurrent use on different outputs.
// Wrong lengths are bugs of the caller and panic.
package kernel
