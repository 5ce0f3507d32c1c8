package store

import (
	"fmt"
	"slices"

	"tutti/client"
)

// Memory is a client.Store that lasts as long as the process: for fleets, tests
// and browsers. It keeps the slices that it is given and shares them, so that
// thousands of devices hold one copy of a model; nobody may change them. The
// zero Memory is empty and ready.
type Memory struct {
	state   []byte
	first   uint64
	records [][]byte
	pending []byte
	held    []byte
	blobs   []memoryBlob
}

type memoryBlob struct {
	digest [32]byte
	bytes  []byte
}

var _ client.Store = (*Memory)(nil)

// State is what SaveState saved last.
func (m *Memory) State() ([]byte, error) { return m.state, nil }

// SaveState keeps state.
func (m *Memory) SaveState(state []byte) error { m.state = state; return nil }

// History gives all records and the number of the first.
func (m *Memory) History() (uint64, [][]byte, error) {
	return m.first, slices.Clone(m.records), nil
}

// AppendHistory adds a record.
func (m *Memory) AppendHistory(record []byte) error {
	m.records = append(m.records, record)
	return nil
}

// RewriteHistory replaces all records.
func (m *Memory) RewriteHistory(first uint64, records [][]byte) error {
	m.first, m.records = first, slices.Clone(records)
	return nil
}

// Pending is the upload that has no receipt yet.
func (m *Memory) Pending() ([]byte, error) { return m.pending, nil }

// SavePending keeps an upload.
func (m *Memory) SavePending(upload []byte) error { m.pending = upload; return nil }

// DropPending lets go of the upload.
func (m *Memory) DropPending() error { m.pending = nil; return nil }

// Held is the update that waits for a round.
func (m *Memory) Held() ([]byte, error) { return m.held, nil }

// SaveHeld replaces it.
func (m *Memory) SaveHeld(update []byte) error { m.held = update; return nil }

// DropHeld lets go of it.
func (m *Memory) DropHeld() error { m.held = nil; return nil }

// Blob finds a blob.
func (m *Memory) Blob(digest [32]byte) ([]byte, error) {
	for _, b := range m.blobs {
		if b.digest == digest {
			return b.bytes, nil
		}
	}
	return nil, fmt.Errorf("store: %x: %w", digest[:4], client.ErrNoBlob)
}

// SaveBlob keeps a blob, once.
func (m *Memory) SaveBlob(digest [32]byte, blob []byte) error {
	if _, err := m.Blob(digest); err == nil {
		return nil
	}
	m.blobs = append(m.blobs, memoryBlob{digest, blob})
	return nil
}

// KeepBlobs drops all other blobs.
func (m *Memory) KeepBlobs(digests [][32]byte) error {
	m.blobs = slices.DeleteFunc(m.blobs, func(b memoryBlob) bool { return !slices.Contains(digests, b.digest) })
	return nil
}

// Erase removes everything.
func (m *Memory) Erase() error { *m = Memory{}; return nil }

// Close does nothing: the store can be opened again.
func (m *Memory) Close() error { return nil }
