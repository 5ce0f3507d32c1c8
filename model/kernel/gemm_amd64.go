//go:build !purego

package kernel

import "unsafe"

// gemmJob is what the assembly needs for one column panel of C and a run of
// tiles down it. Its fields are 8 bytes each and in the order that
// tools/kernelgen knows; strides are in bytes. The assembly moves only tiles, down
// and downFrom on: the pointers stay inside their matrices, as the garbage
// collector may look at them.
type gemmJob struct {
	a        *float32
	rsa, csa int
	b        *float32
	ldb      int
	c        *float32
	ldc      int
	from     *float32 // what C starts with: row i is ldf*i after it; nil is zero
	ldf      int
	k        int
	cols     int

	tiles          int // that are left
	down, downFrom int // bytes from c and from to the next tile
}

var _ [112]byte = [unsafe.Sizeof(gemmJob{})]byte{}

const (
	// deepest is how far the sum over p runs before C is written, so that a panel
	// of B stays in the cache for all the tiles that meet it.
	deepest = 384
	// blockTiles tiles of A meet all of B, panel by panel, before the next ones.
	blockTiles = 10
)

// gemmCall is one Gemm with A, B, C and what C starts with by their first
// elements; strides in elements. Like gemmJob it is filled field by field: a
// literal is built elsewhere and copied, in pieces that the processor cannot
// forward from the stores just made.
type gemmCall struct {
	a, b, c, from      *float32
	wide               bool // AVX-512
	m, n, k            int
	rsa, csa, ldb, ldc int
	ldf                int
}

func (g *gemmCall) shape(m, n, k, rsa, csa, ldb, ldc int) {
	g.m, g.n, g.k = m, n, k
	g.rsa, g.csa, g.ldb, g.ldc = rsa, csa, ldb, ldc
}

func elements(p *float32, n int) *float32 { return (*float32)(unsafe.Add(unsafe.Pointer(p), 4*n)) }

// run cuts C into tiles of two heights, one row apart, that cover m exactly: 2
// vectors wide, or 4 and lower where C is flat.
func (g *gemmCall) run() {
	count, panel := g.layout()
	low := g.m / count
	higher := g.m - low*count // so many tiles have one row more
	if g.k <= deepest {
		g.rows(count, low, higher, 0, g.k, panel)
		return
	}
	chunks := (g.k + deepest - 1) / deepest
	for chunk := range chunks {
		p0, p1 := chunk*g.k/chunks, (chunk+1)*g.k/chunks
		g.rows(count, low, higher, p0, p1, panel)
		g.from, g.ldf = g.c, g.ldc
	}
}

// layout is the number of tiles down C and the columns of one panel.
func (g *gemmCall) layout() (count, panel int) {
	if !g.wide {
		if g.m <= 3 && g.n > 16 {
			return 1, 32
		}
		return (g.m + 5) / 6, 16
	}
	if g.m <= 6 && g.n > 32 {
		return 1, 64
	}
	count = (g.m + 13) / 14
	if g.m%count != 0 && g.m <= 140 && g.m%(count+1) == 0 {
		count++ // tiles of one height need fewer calls
	}
	return count, 32
}

func (g *gemmCall) rows(count, low, higher, p0, p1, panel int) {
	for row, done := 0, 0; done < count; {
		h, tiles := low, count-done
		if done < higher {
			h, tiles = low+1, higher-done
		}
		tiles = min(tiles, blockTiles)
		g.strip(row, h, tiles, p0, p1-p0, panel)
		row, done = row+h*tiles, done+tiles
	}
}

// strip is tiles of one height from row on, for all columns, over k values of p
// from p0 on.
func (g *gemmCall) strip(row, height, tiles, p0, k, panel int) {
	var job gemmJob
	job.rsa, job.csa, job.ldb, job.ldc, job.ldf = 4*g.rsa, 4*g.csa, 4*g.ldb, 4*g.ldc, 4*g.ldf
	job.a, job.k = elements(g.a, row*g.rsa+p0*g.csa), k
	for j := 0; j < g.n; {
		job.b, job.c, job.tiles = elements(g.b, p0*g.ldb+j), elements(g.c, row*g.ldc+j), tiles
		job.down, job.downFrom = 0, 0
		if g.from != nil {
			job.from = elements(g.from, row*g.ldf+j)
		}
		cols := min(panel, g.n-j)
		if g.wide {
			j += job.runAVX512(height, cols)
		} else {
			j += job.runAVX2(height, cols)
		}
	}
}

// runAVX512 does cols columns or, where another width suits the last ones, fewer,
// and returns how many.
func (j *gemmJob) runAVX512(height, cols int) int {
	switch {
	case cols == 64:
		gemm4AVX512(j, height)
	case cols >= 32:
		cols = 32
		gemm2AVX512(j, height)
	case cols > 16:
		j.cols = cols
		gemm2PartAVX512(j, height)
	default:
		j.cols = cols
		gemm1PartAVX512(j, height)
	}
	return cols
}

func (j *gemmJob) runAVX2(height, cols int) int {
	switch {
	case cols == 32:
		gemm4AVX2(j, height)
	case cols >= 16:
		cols = 16
		gemm2AVX2(j, height)
	case cols > 8:
		j.cols = cols
		gemm2PartAVX2(j, height)
	case cols == 8:
		gemm1AVX2(j, height)
	default:
		j.cols = cols
		gemm1PartAVX2(j, height)
	}
	return cols
}
