// Package kernel holds the float32 loops that the recommender spends its time
// in: matrix multiplication, exponentials, and the vector steps around them.
//
// Every loop has a portable Go form. A faster set for one machine replaces it
// behind the same functions at one place, dispatch.go; results agree within a
// few units in the last place, and one set always gives the same bits for the
// same input. Matrices are row-major slices; a slice starts at its element
// (0,0) and a leading dimension ("ld") is the distance between rows. No function
// allocates after its first use; all are safe for concurrent use on different
// outputs. Wrong lengths are bugs of the caller and panic.
package kernel
