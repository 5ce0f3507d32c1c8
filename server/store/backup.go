package store

import (
	"bufio"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A backup is a directory of plain files that either kind of database is restored from:
//
//	backup.json       what it is, how many rows each table has, and the SHA-256 of rows.jsonl
//	rows.jsonl        the tables at one moment: {"table":...,"columns":[...]}, then one array for each row
//	blobs/ab/cdef...  all blobs
//	rounds/<task>/... staged uploads of this server in rounds that were under way
//	files/...         the small files of the data directory: keys, task.json
//
// It is as secret as the data directory.
const (
	backupFormat = 1
	manifestFile = "backup.json"
	rowsFile     = "rows.jsonl"
	smallFile    = 16 << 20 // the largest of files/
)

// backedUp are the tables, but for blobs, which are files, and what only a running server means something by.
var backedUp = []string{"rounds", "budget", "uploads", "drops", "records", "hashes", "versions", "streams", "tokens", "devices",
	"leases", "partials", "sums", "kept", "tasks", "aliases", "happenings"}

// Manifest describes a backup.
type Manifest struct {
	Format  int              `json:"format"`
	Schema  int              `json:"schema"` // format of the database
	Created time.Time        `json:"created"`
	Rows    map[string]int64 `json:"rows"`    // of each table
	Records int64            `json:"records"` // of the log
	Blobs   int              `json:"blobs"`
	Files   int              `json:"files"`
	SHA256  string           `json:"rows_sha256"`
}

// ErrBackup refuses a backup that is not whole, or a place for one that is taken.
var ErrBackup = errors.New("not a whole backup")

// Backup writes all that is kept into a new directory, as of one moment, while the store is in use. The directory appears
// when it is whole and durable.
func (s *SQL) Backup(ctx context.Context, dir string) (Manifest, error) {
	m := Manifest{Format: backupFormat, Schema: newestFormat, Created: s.clock().UTC(), Rows: map[string]int64{}}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Errorf("%w: %s is there already: name a new directory", ErrBackup, dir)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return m, Explain(dir, err)
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), ".backup-*")
	if err != nil {
		return m, Explain(dir, err)
	}
	defer os.RemoveAll(temp)
	if err := s.backupRows(ctx, temp, &m); err != nil {
		return m, Explain(dir, err)
	}
	// What follows was durable before the rows that name it, and is not removed before they are.
	if err := s.backupBlobs(ctx, temp, &m); err != nil {
		return m, Explain(dir, err)
	}
	if err := s.backupFiles(temp, &m); err != nil {
		return m, Explain(dir, err)
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, err
	}
	if err := WriteFile(filepath.Join(temp, manifestFile), append(text, '\n')); err != nil {
		return m, err
	}
	if err := os.Rename(temp, dir); err != nil {
		return m, Explain(dir, err)
	}
	return m, Explain(dir, syncDir(filepath.Dir(dir)))
}

// backupRows writes the tables at one moment. SQLite's one connection is not held while they are written out: a copy of
// the file is made first.
func (s *SQL) backupRows(ctx context.Context, dir string, m *Manifest) error {
	out, err := os.OpenFile(filepath.Join(dir, rowsFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	hash := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(out, hash), 1<<18)
	dump := func(q querier) error {
		for _, table := range backedUp {
			if m.Rows[table], err = dumpTable(q, w, table); err != nil {
				return fmt.Errorf("table %s: %w", table, err)
			}
		}
		return nil
	}
	if s.Shared() {
		err = s.db.read(ctx, dump)
	} else {
		err = s.ofCopy(ctx, filepath.Join(dir, ".copy.db"), dump)
	}
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = out.Sync()
	}
	m.Records, m.SHA256 = m.Rows["records"], hex.EncodeToString(hash.Sum(nil))
	return err
}

// ofCopy runs do on a copy of the SQLite file.
func (s *SQL) ofCopy(ctx context.Context, path string, do func(querier) error) error {
	if _, err := s.db.sql.ExecContext(ctx, `VACUUM INTO ?`, path); err != nil {
		return err
	}
	defer os.Remove(path)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return do(&Tx{tx, dialect{}})
}

// tableHead begins a table in rows.jsonl.
type tableHead struct {
	Table   string   `json:"table"`
	Columns []string `json:"columns"`
}

func dumpTable(q querier, w *bufio.Writer, table string) (n int64, err error) {
	head := false
	err = q.Query(`SELECT * FROM `+table, nil, func(rows *sql.Rows) error {
		columns, err := rows.Columns()
		if err != nil {
			return err
		}
		if !head {
			head = true
			if err := writeLine(w, tableHead{table, columns}); err != nil {
				return err
			}
		}
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i, v := range values {
			if b, ok := v.([]byte); ok {
				values[i] = "b" + base64.StdEncoding.EncodeToString(b)
			} else if text, ok := v.(string); ok {
				values[i] = "t" + text
			}
		}
		n++
		return writeLine(w, values)
	})
	return n, err
}

func writeLine(w *bufio.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Write(line)
	return w.WriteByte('\n')
}

func (s *SQL) backupBlobs(ctx context.Context, dir string, m *Manifest) error {
	to, err := newDirBlobs(filepath.Join(dir, "blobs"))
	if err != nil {
		return err
	}
	return s.blobs.list(func(digest [32]byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		content, err := s.Blob(digest)
		if err != nil {
			return err
		}
		m.Blobs++
		return to.put(digest, content)
	})
}

// backupFiles copies what lies beside the database. Slots of staged uploads do not change; a round that ends meanwhile
// takes its files with it.
func (s *SQL) backupFiles(dir string, m *Manifest) error {
	return filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(s.dir, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if rel == "blobs" || strings.HasPrefix(entry.Name(), ".backup-") {
				return fs.SkipDir
			}
			if _, err := os.Lstat(filepath.Join(path, manifestFile)); err == nil {
				return fs.SkipDir // a backup
			}
			return nil
		}
		if !entry.Type().IsRegular() || ofStore(rel) || rel == ReplicaFile && !s.Shared() {
			return nil
		}
		to := filepath.Join(dir, "files", rel)
		if strings.HasPrefix(rel, "rounds"+string(filepath.Separator)) {
			to = filepath.Join(dir, rel)
		} else if info, err := entry.Info(); err != nil || info.Size() > smallFile {
			return nil
		}
		m.Files++
		return ignoreMissing(copyFile(path, to))
	})
}

// ofStore says whether a file of the data directory is the store's own.
func ofStore(rel string) bool {
	base := filepath.Base(rel)
	return strings.HasPrefix(base, "tutti.db") || strings.HasPrefix(base, "replica.db") || strings.HasPrefix(base, ".") || rel == requestFile || rel == answerFile
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}
