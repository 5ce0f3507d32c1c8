package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"tutti/model/run"
	atomicfile "tutti/server/store"
)

// runFiles is a run directory on a disk.
type runFiles struct{ dir string }

func (f runFiles) Read(name string) ([]byte, error) { return os.ReadFile(filepath.Join(f.dir, name)) }

func (f runFiles) Write(name string, data []byte) error {
	return atomicfile.WriteFile(filepath.Join(f.dir, name), data)
}

func (f runFiles) Append(name string, data []byte) error {
	file, err := os.OpenFile(filepath.Join(f.dir, name), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}

// runDir names a run by its folder.
func runDir(dir string) run.Dir {
	return run.Dir{Files: runFiles{dir}, Name: filepath.Base(filepath.Clean(dir))}
}

// openRun reads a run that was begun before.
func openRun(dir string) (run.Dir, run.Manifest, run.Config, error) {
	d := runDir(dir)
	m, c, err := d.Load()
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("no run in %s: tutti train --out %s makes one (%w)", dir, dir, err)
	}
	return d, m, c, err
}

// lockRun keeps a second process out of a run directory until the returned function is called.
func lockRun(dir string) (func(), error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("%w (choose another folder with --out)", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(file); err != nil {
		file.Close()
		return nil, fmt.Errorf("another process trains in %s (%w)", dir, err)
	}
	return func() { file.Close() }, nil
}
