package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// What is checked in is what the generator writes.
func TestFilesAreCurrent(t *testing.T) {
	for name, want := range files() {
		got, err := os.ReadFile(filepath.Join("..", "..", "model", "kernel", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("model/kernel/%s is not what fourgen writes: cd tools && go run ./fourgen ../model/kernel", name)
		}
	}
}

// The examples of DWARF 4, figure 23, which WebAssembly's format points to.
func TestSignedLEB(t *testing.T) {
	for n, want := range map[int64][]byte{
		2: {2}, -2: {0x7e}, 127: {0xff, 0}, -127: {0x81, 0x7f}, 128: {0x80, 1}, -128: {0x80, 0x7f}, 129: {0x81, 1}, -129: {0xff, 0x7e},
	} {
		if got := signedLEB(n); !bytes.Equal(got, want) {
			t.Errorf("%d: % x, want % x", n, got, want)
		}
	}
}

// A value from before a loop keeps its register to the loop's end; one from
// inside gives it back at its last use.
func TestLastUses(t *testing.T) {
	p := newProgram("test")
	x, n := p.floats("x"), p.count("n")
	before := p.load(x, 0)
	var inside value
	p.loop(n, 4, func() {
		inside = p.add(before, before)
		p.store(x, 0, inside)
		p.advance(x, 16)
	})
	last := lastUses(p)
	// load, loop, add, store, advance, end of the loop
	if last[before] != 5 || last[inside] != 3 {
		t.Errorf("last uses at %d and %d, want 5 and 3", last[before], last[inside])
	}
}

func TestRunningOutOfRegistersIsAPanic(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("33 values fit 31 registers")
		}
	}()
	neonText(gemm(gemmSize{8, 16}).program(true))
}
