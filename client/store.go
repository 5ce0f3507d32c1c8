package client

import "errors"

// Store is where a device keeps what must survive. Every write is durable when
// it returns, and takes place as a whole or not at all. Keep it out of backups:
// a store that is put back forgets what was spent and sealed since. One device owns a
// Store; its methods are called by one goroutine at a time. client/store has
// one in files and one in memory.
type Store interface {
	// State is what SaveState saved last, nil if nothing.
	State() ([]byte, error)
	SaveState(state []byte) error

	// History gives the records in the order in which they were appended, with
	// the number of the first; records are numbered without gaps.
	History() (first uint64, records [][]byte, err error)
	// AppendHistory adds a record after the last.
	AppendHistory(record []byte) error
	// RewriteHistory puts records, the first with the given number, in the place
	// of all that were there.
	RewriteHistory(first uint64, records [][]byte) error

	// Pending is the upload that has no receipt yet, nil if there is none.
	Pending() ([]byte, error)
	SavePending(upload []byte) error
	DropPending() error

	// Held is what SaveHeld saved last and DropHeld has not removed, nil if
	// nothing: an update that waits for a round, sealed.
	Held() ([]byte, error)
	SaveHeld(update []byte) error
	DropHeld() error

	// Blob is the bytes that were saved under a digest; ErrNoBlob if none were.
	Blob(digest [32]byte) ([]byte, error)
	SaveBlob(digest [32]byte, blob []byte) error
	// KeepBlobs drops all blobs but these.
	KeepBlobs(digests [][32]byte) error

	// Erase removes everything; the Store can be used on, as a new one.
	Erase() error
	Close() error
}

// ErrNoBlob says that a store holds no such blob.
var ErrNoBlob = errors.New("no such blob in the store")
