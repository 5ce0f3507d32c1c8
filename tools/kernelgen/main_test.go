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
	if len(files) != 4*len(families) {
		t.Errorf("%d files, want assembly and declarations of 2 sets of %d families", len(files), len(families))
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
