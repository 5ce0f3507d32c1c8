package kernel

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"syscall"
	"testing"
	"unsafe"
)

// A fence holds values between two pages that nobody may touch: what reads or
// writes one value too many, even without using it, faults.
type fence struct {
	pages []byte
	room  int // bytes between the two
}

func newFence(t *testing.T, room int) *fence {
	t.Helper()
	page := syscall.Getpagesize()
	room = (room + page - 1) / page * page
	pages, err := syscall.Mmap(-1, 0, room+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Munmap(pages) })
	for _, outside := range [][]byte{pages[:page], pages[page+room:]} {
		if err := syscall.Mprotect(outside, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	return &fence{pages[page : page+room], room}
}

// at is the first or the last bytes between the pages.
func (f *fence) at(bytes int, last bool) unsafe.Pointer {
	if last {
		return unsafe.Pointer(unsafe.SliceData(f.pages[f.room-bytes:]))
	}
	return unsafe.Pointer(unsafe.SliceData(f.pages))
}

// floats are n values at one end; none at all may lie anywhere.
func (f *fence) floats(rng *rand.Rand, n int, last bool) []float32 {
	if n == 0 {
		return nil
	}
	x := unsafe.Slice((*float32)(f.at(4*n, last)), n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

func (f *fence) bytes(rng *rand.Rand, n int, last bool) []int8 {
	x := unsafe.Slice((*int8)(f.at(n, last)), n)
	for i := range x {
		x[i] = int8(rng.Uint32())
	}
	return x
}

// fenced runs a loop; what it touches outside is a failure of the test.
func fenced(t *testing.T, set string, what any, run func()) {
	t.Helper()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // of this goroutine
	defer func() {
		if r := recover(); r != nil {
			t.Fatalf("%s: %+v: %v", set, what, r)
		}
	}()
	run()
}

func TestVectorsStayInside(t *testing.T) {
	var fences []*fence
	for range 8 {
		fences = append(fences, newFence(t, 16<<10))
	}
	for _, s := range sets() {
		for _, l := range loops {
			t.Run(s.name+"/"+l.name, func(t *testing.T) {
				for n := range 131 {
					for _, last := range []bool{false, true} {
						inside(t, s, l, fences, n, last)
					}
				}
			})
		}
	}
}

func inside(t *testing.T, s set, l loop, fences []*fence, n int, last bool) {
	t.Helper()
	rows := 1 + n%9
	rng := rand.New(rand.NewPCG(uint64(n), 6))
	var vectors [][]float32
	for i, size := range l.sizes(n, rows) {
		vectors = append(vectors, fences[i].floats(rng, size, last))
	}
	fenced(t, s.name, fmt.Sprintf("%d rows of %d", rows, n), func() { l.run(s, n, rows, vectors) })
}

func TestGemmStaysInside(t *testing.T) {
	fa, fb, fc, fbias := newFence(t, 128<<10), newFence(t, 128<<10), newFence(t, 16<<10), newFence(t, 4<<10)
	run := func(s set, p product, last bool) {
		rng := rand.New(rand.NewPCG(p.seed, 7))
		a := fa.floats(rng, (p.m-1)*p.rsa+(p.k-1)*p.csa+1, last)
		b, c := fb.floats(rng, (p.k-1)*p.ldb+p.n, last), fc.floats(rng, (p.m-1)*p.ldc+p.n, last)
		bias := fbias.floats(rng, p.n, last)
		fenced(t, s.name, p, func() {
			s.gemm(p.m, p.n, p.k, a, p.rsa, p.csa, b, p.ldb, c, p.ldc, p.acc)
			if p.csa == 1 && s.gemmBias != nil {
				s.gemmBias(p.m, p.n, p.k, a, p.rsa, b, p.ldb, c, p.ldc, bias)
			}
		})
	}
	for m := 1; m <= 30; m++ {
		for n := 1; n <= 70; n++ {
			k := []int{1, 2, 5, 50}[(m+n)%4]
			if m%13 == 0 && n%9 == 0 {
				k = 400 // in two pieces
			}
			p := newProduct(m, n, k, (m+n/4)%3, n%3, m%2 == 0, uint64(m*100+n))
			for _, s := range sets() {
				run(s, p, false)
				run(s, p, true)
			}
		}
	}
}

func TestInt8StaysInside(t *testing.T) {
	fa, fx := newFence(t, 4<<10), newFence(t, 4<<10)
	for _, s := range int8Sets() {
		for n := 1; n <= 200; n++ {
			for rows := 1; rows <= 9; rows++ {
				for _, last := range []bool{false, true} {
					rng := rand.New(rand.NewPCG(uint64(n), uint64(rows)))
					lda := n + rows%3
					a, x := fa.bytes(rng, (rows-1)*lda+n, last), fx.bytes(rng, n, last)
					fenced(t, s.name, fmt.Sprintf("%d rows of %d", rows, n), func() { s.matVec(make([]int32, rows), a, lda, x) })
				}
			}
		}
	}
}
