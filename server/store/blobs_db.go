package store

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"sync"
	"time"
)

// blobPart is how much of a blob one row of the database holds at most.
const blobPart = 1 << 20

// blobPatience bounds what a blob waits for a database or an object store.
const blobPatience = 2 * time.Minute

// dbBlobs keeps blobs in the database.
type dbBlobs struct{ db *DB }

func (dbBlobs) close() {}

func (d dbBlobs) put(digest [32]byte, content []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), blobPatience)
	defer cancel()
	if _, found, err := d.size(ctx, digest); err != nil || found {
		return err
	}
	return d.db.do(ctx, func(tx *Tx) error {
		n, err := affected(tx.Exec(`INSERT INTO blobs VALUES (?, ?) ON CONFLICT (digest) DO NOTHING`, digest[:], len(content)))
		if err != nil || n == 0 {
			return err
		}
		for part, rest := 0, content; len(rest) > 0; part++ {
			n := min(len(rest), blobPart)
			if _, err := tx.Exec(`INSERT INTO blob_parts VALUES (?, ?, ?)`, digest[:], part, rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	})
}

func (d dbBlobs) size(ctx context.Context, digest [32]byte) (n int64, found bool, err error) {
	found, err = d.db.Row(ctx, `SELECT size FROM blobs WHERE digest = ?`, []any{digest[:]}, &n)
	return n, found, err
}

func (d dbBlobs) get(digest [32]byte) ([]byte, error) {
	r, n, c, err := d.open(digest)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	out := make([]byte, n)
	_, err = r.ReadAt(out, 0)
	return out, err
}

func (d dbBlobs) open(digest [32]byte) (io.ReaderAt, int64, io.Closer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), blobPatience)
	defer cancel()
	n, found, err := d.size(ctx, digest)
	if err == nil && !found {
		err = noBlob(digest)
	}
	if err != nil {
		return nil, 0, nil, err
	}
	return &dbReader{d: d, digest: digest, size: n, part: -1}, n, io.NopCloser(nil), nil
}

func (d dbBlobs) list(each func(digest [32]byte) error) error {
	var all [][32]byte
	err := d.db.Query(context.Background(), `SELECT digest FROM blobs ORDER BY digest`, nil, func(rows *sql.Rows) error {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return err
		}
		if len(b) != 32 {
			return fmt.Errorf("blob: %w", ErrCorrupt)
		}
		all = append(all, [32]byte(b))
		return nil
	})
	for i := 0; err == nil && i < len(all); i++ {
		err = each(all[i])
	}
	return err
}

func (d dbBlobs) remove(digest [32]byte) error {
	return d.db.do(context.Background(), func(tx *Tx) error {
		if _, err := tx.Exec(`DELETE FROM blob_parts WHERE digest = ?`, digest[:]); err != nil {
			return err
		}
		_, err := tx.Exec(`DELETE FROM blobs WHERE digest = ?`, digest[:])
		return err
	})
}

// dbReader reads a blob by its parts, and keeps the last one: readers go on where they were.
type dbReader struct {
	d      dbBlobs
	digest [32]byte
	size   int64

	mu   sync.Mutex
	part int64
	data []byte
}

func (r *dbReader) ReadAt(p []byte, off int64) (n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n < len(p) && off < r.size {
		if err := r.load(off / blobPart); err != nil {
			return n, err
		}
		m := copy(p[n:], r.data[off%blobPart:])
		n, off = n+m, off+int64(m)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (r *dbReader) load(part int64) error {
	if part == r.part {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), blobPatience)
	defer cancel()
	found, err := r.d.db.Row(ctx, `SELECT data FROM blob_parts WHERE digest = ? AND part = ?`, []any{r.digest[:], part}, &r.data)
	if err == nil && (!found || int64(len(r.data)) != min(blobPart, r.size-part*blobPart)) {
		err = fmt.Errorf("blob %x: %w", r.digest[:6], ErrCorrupt)
	}
	r.part = part
	if err != nil {
		r.part = -1
	}
	return err
}
