package store

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"tutti/client"
)

// Names in the directory of a Files.
const (
	stateName   = "state"
	historyName = "history"
	pendingName = "pending"
	heldName    = "held"
	blobsName   = "blobs"
	lockName    = "lock"
	eraseName   = "erasing" // exists while Erase is at work
	tempPrefix  = ".new-"
)

// Files is a client.Store in a directory of its own: files of mode 0600,
// replaced by writing a new one, flushing it and renaming it; the history is a
// log that only grows, and a tail that a crash cut off is dropped on opening.
// One process owns the directory.
type Files struct {
	dir  string
	lock *os.File
	log  *historyLog
}

var _ client.Store = (*Files)(nil)

// Open opens the directory, and creates it if needed. A directory that another
// process has open is refused.
func Open(dir string) (*Files, error) {
	if err := os.MkdirAll(filepath.Join(dir, blobsName), 0o700); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	lock, err := lockFile(filepath.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("store: another process uses %s (or its lock cannot be taken): %w", dir, err)
	}
	f := &Files{dir: dir, lock: lock}
	if err := f.recover(); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// recover finishes what a crash interrupted: an Erase, half-written files.
func (f *Files) recover() error {
	if _, err := os.Stat(f.path(eraseName)); err == nil {
		return f.Erase()
	}
	for _, dir := range []string{f.dir, f.path(blobsName)} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), tempPrefix) {
				if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
					return fmt.Errorf("store: %w", err)
				}
			}
		}
	}
	var err error
	f.log, err = openHistory(f.path(historyName))
	return err
}

func (f *Files) path(name string) string { return filepath.Join(f.dir, name) }

func (f *Files) blobPath(digest [32]byte) string {
	return filepath.Join(f.dir, blobsName, hex.EncodeToString(digest[:]))
}

// State is what SaveState saved last, nil if nothing.
func (f *Files) State() ([]byte, error) { return readOrNil(f.path(stateName)) }

// SaveState replaces the state.
func (f *Files) SaveState(state []byte) error { return replaceFile(f.path(stateName), state) }

// History gives all records and the number of the first.
func (f *Files) History() (uint64, [][]byte, error) {
	if f.log == nil {
		return 0, nil, errClosed
	}
	return f.log.read()
}

// AppendHistory adds a record, flushed when it returns.
func (f *Files) AppendHistory(record []byte) error {
	if f.log == nil {
		return errClosed
	}
	return f.log.append(record)
}

// RewriteHistory replaces all records.
func (f *Files) RewriteHistory(first uint64, records [][]byte) error {
	if f.log == nil {
		return errClosed
	}
	if err := f.log.close(); err != nil {
		return err
	}
	f.log = nil
	err := replaceFile(f.path(historyName), encodeHistory(first, records))
	log, reopened := openHistory(f.path(historyName))
	f.log = log
	return errors.Join(err, reopened)
}

// Pending is the upload that has no receipt yet, nil if there is none.
func (f *Files) Pending() ([]byte, error) { return readOrNil(f.path(pendingName)) }

// SavePending keeps an upload.
func (f *Files) SavePending(upload []byte) error { return replaceFile(f.path(pendingName), upload) }

// DropPending removes the upload.
func (f *Files) DropPending() error { return removeFile(f.path(pendingName)) }

// Held reads the update that waits for a round.
func (f *Files) Held() ([]byte, error) { return readOrNil(f.path(heldName)) }

// SaveHeld replaces it.
func (f *Files) SaveHeld(update []byte) error { return replaceFile(f.path(heldName), update) }

// DropHeld removes it.
func (f *Files) DropHeld() error { return removeFile(f.path(heldName)) }

// Blob reads a blob; its digest is the caller's to check.
func (f *Files) Blob(digest [32]byte) ([]byte, error) {
	b, err := os.ReadFile(f.blobPath(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("store: %x: %w", digest[:4], client.ErrNoBlob)
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return b, nil
}

// SaveBlob writes a blob.
func (f *Files) SaveBlob(digest [32]byte, blob []byte) error {
	return replaceFile(f.blobPath(digest), blob)
}

// KeepBlobs removes all other blobs.
func (f *Files) KeepBlobs(digests [][32]byte) error {
	keep := make([]string, len(digests))
	for i, d := range digests {
		keep[i] = hex.EncodeToString(d[:])
	}
	return f.removeBlobs(func(name string) bool { return !slices.Contains(keep, name) })
}

func (f *Files) removeBlobs(drop func(name string) bool) error {
	entries, err := os.ReadDir(f.path(blobsName))
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	for _, e := range entries {
		if drop(e.Name()) {
			if err := removeFile(filepath.Join(f.dir, blobsName, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// Erase removes everything. A crash in the middle leaves a mark, and the next
// Open goes on erasing.
func (f *Files) Erase() error {
	if err := replaceFile(f.path(eraseName), nil); err != nil {
		return err
	}
	if f.log != nil {
		if err := f.log.close(); err != nil {
			return err
		}
		f.log = nil
	}
	for _, name := range []string{historyName, pendingName, heldName, stateName} {
		if err := removeFile(f.path(name)); err != nil {
			return err
		}
	}
	if err := f.removeBlobs(func(string) bool { return true }); err != nil {
		return err
	}
	if err := removeFile(f.path(eraseName)); err != nil {
		return err
	}
	var err error
	f.log, err = openHistory(f.path(historyName))
	return err
}

var errClosed = errors.New("store: the store is closed")

// Close lets go of the directory.
func (f *Files) Close() error {
	var errs []error
	if f.log != nil {
		errs = append(errs, f.log.close())
		f.log = nil
	}
	if f.lock != nil {
		errs = append(errs, f.lock.Close())
		f.lock = nil
	}
	return errors.Join(errs...)
}
