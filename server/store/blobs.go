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
)

// ErrNoBlob says that no blob of this digest is kept.
var ErrNoBlob = errors.New("no such blob")

func (s *SQL) blobPath(digest [32]byte) string {
	name := hex.EncodeToString(digest[:])
	return filepath.Join(s.dir, "blobs", name[:2], name[2:])
}

// PutBlob keeps content under its digest: temporary file, fsync, rename.
func (s *SQL) PutBlob(content []byte) ([32]byte, error) {
	digest := sha256.Sum256(content)
	path := s.blobPath(digest)
	if info, err := os.Stat(path); err == nil && info.Size() == int64(len(content)) {
		return digest, nil
	}
	return digest, WriteFile(path, content)
}

// Blob reads a blob and checks it against its digest.
func (s *SQL) Blob(digest [32]byte) ([]byte, error) {
	b, err := os.ReadFile(s.blobPath(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %x", ErrNoBlob, digest[:6])
	}
	if err != nil {
		return nil, Explain(s.dir, err)
	}
	if sha256.Sum256(b) != digest {
		return nil, fmt.Errorf("blob %x: %w", digest[:6], ErrCorrupt)
	}
	return b, nil
}

// OpenBlob opens a blob for reading in pieces; the reader of the pieces checks the digest.
func (s *SQL) OpenBlob(digest [32]byte) (io.ReaderAt, int64, io.Closer, error) {
	f, err := os.Open(s.blobPath(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil, fmt.Errorf("%w: %x", ErrNoBlob, digest[:6])
	}
	if err != nil {
		return nil, 0, nil, Explain(s.dir, err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, nil, Explain(s.dir, err)
	}
	return f, info.Size(), f, nil
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
