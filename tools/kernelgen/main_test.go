package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// The assembly in model/kernel is what this program writes, byte for byte.
func TestKernelsAreCurrent(t *testing.T) {
	dir := t.TempDir()
	if err := run(dir); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := 4*len(families) - 2; len(files) != want { // adam is in one set only
		t.Errorf("%d files, want %d: assembly and declarations of every family for 2 sets", len(files), want)
	}
	for _, f := range files {
		want, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join("../../model/kernel", f.Name())); err != nil || !bytes.Equal(got, want) {
			t.Errorf("model/kernel/%s is not what kernelgen writes (%v): run it", f.Name(), err)
		}
	}
}
