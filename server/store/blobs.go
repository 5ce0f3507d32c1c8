package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// ErrNoBlob says that no blob of this digest is kept.
var ErrNoBlob = errors.New("no such blob")

// blobStore keeps contents under their digest. What it gives back is checked by its caller.
type blobStore interface {
	put(digest [32]byte, content []byte) error                             // durable when it returns; again is nothing
	get(digest [32]byte) ([]byte, error)                                   // ErrNoBlob
	open(digest [32]byte) (r io.ReaderAt, n int64, c io.Closer, err error) // ErrNoBlob
	list(each func(digest [32]byte) error) error
	remove(digest [32]byte) error
	close()
}

// openBlobs finds the place of the blobs by its URL.
func openBlobs(s *SQL, where string) (blobStore, error) {
	dir, isDir := strings.CutPrefix(where, "dir:")
	switch {
	case where == "" && s.Shared(), where == "db:":
		return dbBlobs{s.db}, nil
	case where == "":
		return newDirBlobs(filepath.Join(s.dir, "blobs"))
	case isDir && dir != "":
		return newDirBlobs(dir)
	}
	if strings.HasPrefix(where, "s3://") {
		b, err := newS3Blobs(where)
		if err != nil {
			return nil, err
		}
		return b, nil
	}
	return nil, fmt.Errorf("store: blobs are kept in dir:PATH, db: or s3://BUCKET/PREFIX?endpoint=..., not %q", where)
}

// PutBlob keeps content under its digest; it is durable when it returns.
func (s *SQL) PutBlob(content []byte) ([32]byte, error) {
	digest := sha256.Sum256(content)
	return digest, s.blobs.put(digest, content)
}

// Blob reads a blob and checks it against its digest.
func (s *SQL) Blob(digest [32]byte) ([]byte, error) {
	b, err := s.blobs.get(digest)
	if err == nil && sha256.Sum256(b) != digest {
		return nil, fmt.Errorf("blob %x: %w", digest[:6], ErrCorrupt)
	}
	return b, err
}

// OpenBlob opens a blob for reading in pieces; the reader of the pieces checks the digest.
func (s *SQL) OpenBlob(digest [32]byte) (io.ReaderAt, int64, io.Closer, error) {
	return s.blobs.open(digest)
}

func noBlob(digest [32]byte) error { return fmt.Errorf("%w: %x", ErrNoBlob, digest[:6]) }

func (dirBlobs) close() {}

// dirBlobs is a directory: ab/cdef...
type dirBlobs struct{ dir string }

func newDirBlobs(dir string) (blobStore, error) {
	return dirBlobs{dir}, Explain(dir, os.MkdirAll(dir, 0o700))
}

func (d dirBlobs) path(digest [32]byte) string {
	name := hex.EncodeToString(digest[:])
	return filepath.Join(d.dir, name[:2], name[2:])
}

// put writes a temporary file, fsync, rename.
func (d dirBlobs) put(digest [32]byte, content []byte) error {
	path := d.path(digest)
	if info, err := os.Stat(path); err == nil && info.Size() == int64(len(content)) {
		return nil
	}
	return WriteFile(path, content)
}

func (d dirBlobs) get(digest [32]byte) ([]byte, error) {
	b, err := os.ReadFile(d.path(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noBlob(digest)
	}
	return b, Explain(d.dir, err)
}

func (d dirBlobs) open(digest [32]byte) (io.ReaderAt, int64, io.Closer, error) {
	f, err := os.Open(d.path(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil, noBlob(digest)
	}
	if err != nil {
		return nil, 0, nil, Explain(d.dir, err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, nil, Explain(d.dir, err)
	}
	return f, info.Size(), f, nil
}

func (d dirBlobs) list(each func(digest [32]byte) error) error {
	return filepath.WalkDir(d.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return Explain(d.dir, err)
		}
		raw, err := hex.DecodeString(filepath.Base(filepath.Dir(path)) + entry.Name())
		if err != nil || len(raw) != sha256.Size {
			return nil // not a blob
		}
		return each([32]byte(raw))
	})
}

func (d dirBlobs) remove(digest [32]byte) error {
	return Explain(d.dir, ignoreMissing(os.Remove(d.path(digest))))
}

// WriteFile replaces a file as a whole and durably: temporary file, fsync, rename, fsync of the directory.
func WriteFile(path string, content []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Explain(path, err)
	}
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return Explain(path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	return Explain(path, err)
}

// syncDir makes a rename durable. Windows has no such call on a directory and needs none.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
