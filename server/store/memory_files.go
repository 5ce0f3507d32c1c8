package store

import (
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// stagingFile is what Staging wants of a file.
type stagingFile interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
	Close() error
}

// memFiles are the staging files of one group at one replica.
type memFiles struct {
	headers, vectors *memFile
	staging          atomic.Pointer[Staging] // while it is open
}

// memFile is a file whose writes are lost with the process unless they were synced.
type memFile struct {
	mu     sync.Mutex
	data   []byte
	synced []byte
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if off >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if end := int(off) + len(p); end > len(f.data) {
		f.data = append(f.data, make([]byte, end-len(f.data))...)
	}
	return copy(f.data[off:], p), nil
}

func (f *memFile) Sync() error {
	f.mu.Lock()
	f.synced = append(f.synced[:0], f.data...)
	f.mu.Unlock()
	return nil
}

func (f *memFile) Close() error { return nil }

func (f *memFile) crash() {
	f.mu.Lock()
	f.data = slices.Clone(f.synced)
	f.mu.Unlock()
}

// openFiles does to a replica's files what the crash of its process did, and sweeps those of rounds that have ended.
func (d *Disk) openFiles(dir string) {
	for path, f := range d.files {
		if !strings.HasPrefix(path, dir+"\x00") {
			continue
		}
		f.headers.crash()
		f.vectors.crash()
		f.staging.Store(nil)
	}
	for name, t := range d.tasks {
		for _, n := range t.numbers {
			if one := t.rounds[n]; !slices.ContainsFunc(one.groups, unfinished) {
				for shard := range one.groups {
					delete(d.files, memDir(dir, Key{name, n, uint32(shard)}))
				}
			}
		}
	}
}

func memDir(dir string, k Key) string { return dir + "\x00" + roundName(k) }

func (m *Memory) roundDir(k Key) string { return memDir(m.dir, k) }

// OpenStaging is Store.OpenStaging.
func (m *Memory) OpenStaging(k Key, headerCap, vectorLen, slots int, taken []int) (*Staging, error) {
	m.d.mu.Lock()
	defer m.d.mu.Unlock()
	f := m.d.files[m.roundDir(k)]
	if f == nil {
		f = &memFiles{headers: &memFile{}, vectors: &memFile{}}
		m.d.files[m.roundDir(k)] = f
	}
	written := 0
	if m.d.shared {
		written = slotsIn(len(f.vectors.data), vectorLen)
	}
	st := newStaging("memory", f.headers, f.vectors, headerCap, vectorLen, slots, written, taken)
	st.drop = func() error {
		m.d.mu.Lock()
		defer m.d.mu.Unlock()
		f.vectors = &memFile{}
		return nil
	}
	st.shut = func() { f.staging.CompareAndSwap(st, nil) }
	f.staging.Store(st)
	return st, nil
}

// DropRound is Store.DropRound.
func (m *Memory) DropRound(k Key) error {
	m.d.mu.Lock()
	defer m.d.mu.Unlock()
	delete(m.d.files, m.roundDir(k))
	return nil
}
