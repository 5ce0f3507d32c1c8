//go:build !purego

package kernel

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"
)

// A function that leaves the upper halves of vector registers set slows down all
// that follows; nothing else shows it.
func TestUpperHalvesAreCleared(t *testing.T) {
	files, err := filepath.Glob("*_amd64.s")
	if err != nil || len(files) == 0 {
		t.Fatalf("no assembly: %v", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		before := ""
		for i, line := range strings.Split(string(text), "\n") {
			if line = strings.TrimSpace(line); line == "RET" && before != "VZEROUPPER" {
				t.Errorf("%s:%d: RET without VZEROUPPER", name, i+1)
			}
			before = line
		}
	}
}

// A gemmJob lies on the stack, and the garbage collector may look at it when the
// assembly is done: none of its pointers may have left its matrix.
func TestGemmJobKeepsItsPointers(t *testing.T) {
	rng := rand.New(rand.NewPCG(14, 14))
	const height, tiles, cols, k = 3, 2, 8, 4
	a, b := random(rng, height*tiles*k), random(rng, k*cols)
	c, bias := make([]float32, height*tiles*cols), random(rng, cols)
	for _, s := range sets() {
		for _, from := range []*float32{nil, &c[0], &bias[0]} {
			job := gemmJob{a: &a[0], rsa: 4 * k, csa: 4, b: &b[0], ldb: 4 * cols, c: &c[0], ldc: 4 * cols, from: from, k: k, tiles: tiles}
			if from == &c[0] {
				job.ldf = job.ldc
			}
			was := job
			switch s.name {
			case "avx512":
				job.runAVX512(height, cols)
			case "avx2":
				job.runAVX2(height, cols)
			}
			if job.a != was.a || job.b != was.b || job.c != was.c || job.from != was.from {
				t.Errorf("%s: the matrices at %v moved to %v", s.name, pointers(&was), pointers(&job))
			}
		}
	}
}

func pointers(j *gemmJob) [4]unsafe.Pointer {
	return [4]unsafe.Pointer{unsafe.Pointer(j.a), unsafe.Pointer(j.b), unsafe.Pointer(j.c), unsafe.Pointer(j.from)}
}
