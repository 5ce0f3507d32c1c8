package store

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ReadManifest reads what a backup says of itself, and checks that its rows are whole.
func ReadManifest(dir string) (Manifest, error) {
	var m Manifest
	text, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Errorf("%w: %s holds no %s", ErrBackup, dir, manifestFile)
	}
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("%w: %s: %w", ErrBackup, manifestFile, err)
	}
	if m.Format != backupFormat || m.Schema < firstFormat || m.Schema > newestFormat {
		return m, fmt.Errorf("%w: it has format %d of a database of format %d, this program reads format %d of %d to %d: use the program that wrote it",
			ErrFormat, m.Format, m.Schema, backupFormat, firstFormat, newestFormat)
	}
	f, err := os.Open(filepath.Join(dir, rowsFile))
	if err != nil {
		return m, fmt.Errorf("%w: %w", ErrBackup, err)
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return m, err
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != m.SHA256 {
		return m, fmt.Errorf("%w: %s was changed or cut off since it was written", ErrBackup, rowsFile)
	}
	return m, nil
}

// ErrNotEmpty refuses to restore over something.
var ErrNotEmpty = errors.New("there is something already: restore into an empty place")

// Restore makes a store from a backup, in an empty place of either kind, whichever kind was backed up.
func Restore(ctx context.Context, from string, o Options) (Manifest, error) {
	m, err := ReadManifest(from)
	if err != nil {
		return m, err
	}
	if err := emptyDir(o.Dir); err != nil {
		return m, err
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	s, err := o.attach(ctx)
	if err != nil {
		return m, err
	}
	defer s.Close()
	if err := s.empty(ctx); err != nil {
		return m, err
	}
	if err := s.restoreBlobs(ctx, from); err != nil {
		return m, err
	}
	for tree, to := range map[string]string{"files": o.Dir, "rounds": filepath.Join(o.Dir, "rounds")} {
		if err := copyTree(filepath.Join(from, tree), to); err != nil {
			return m, Explain(o.Dir, err)
		}
	}
	if err := s.migrateWith(ctx, m.Schema, func(tx *Tx) error { return restoreRows(tx, filepath.Join(from, rowsFile), m) }); err != nil {
		return m, err
	}
	return m, s.adopt(ctx)
}

// ReplicaFile holds the name of the replica that a data directory is of, where the database is shared. A server with a
// database of its own has none: its uploads are those of the replica "".
const ReplicaFile = "replica"

// adopt makes the uploads whose files were restored this server's own. What other replicas had stays theirs: their files are
// not here.
func (s *SQL) adopt(ctx context.Context) error {
	path := filepath.Join(s.dir, ReplicaFile)
	b, err := os.ReadFile(path)
	if err = ignoreMissing(err); err != nil {
		return err
	}
	was, is := strings.TrimSpace(string(b)), ""
	switch {
	case !s.Shared():
		err = ignoreMissing(os.Remove(path))
	case was == "":
		is = strings.ToLower(rand.Text()[:16])
		err = WriteFile(path, []byte(is+"\n"))
	default:
		return nil
	}
	if err != nil || is == was {
		return Explain(s.dir, err)
	}
	return s.db.do(ctx, func(tx *Tx) error {
		_, err := tx.Exec(`UPDATE uploads SET replica = ? WHERE replica = ?`, is, was)
		if err == nil {
			_, err = tx.Exec(`UPDATE partials SET replica = ? WHERE replica = ?`, is, was)
		}
		return err
	})
}

// attach opens the database and the blobs, as they are.
func (o Options) attach(ctx context.Context) (*SQL, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, Explain(o.Dir, err)
	}
	if err := probe(o.Dir); err != nil {
		return nil, err
	}
	s := &SQL{dir: o.Dir, clock: o.Clock, stop: func() {}}
	if err := s.connect(ctx, o); err != nil {
		return nil, err
	}
	var err error
	if s.blobs, err = openBlobs(s, o.Blobs); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return Explain(dir, ignoreMissing(err))
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "replica.db") {
			return fmt.Errorf("%s: %w (%s)", dir, ErrNotEmpty, e.Name())
		}
	}
	return nil
}

// empty refuses a database that has tables of ours.
func (s *SQL) empty(ctx context.Context) error {
	var format int
	err := s.db.do(ctx, func(tx *Tx) (err error) {
		if _, err = tx.Exec(tx.d.create(format2[0])); err == nil {
			format, err = formatOf(tx)
		}
		return err
	})
	if err == nil && format != 0 {
		err = fmt.Errorf("%s: %w (a database of format %d)", s.db.path, ErrNotEmpty, format)
	}
	return err
}

func (s *SQL) restoreBlobs(ctx context.Context, from string) error {
	if db, ok := s.blobs.(dbBlobs); ok { // their tables come with the rows' format
		if err := db.db.do(ctx, func(tx *Tx) error { return createBlobs(tx) }); err != nil {
			return err
		}
	}
	have := dirBlobs{filepath.Join(from, "blobs")}
	if _, err := os.Stat(have.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return have.list(func(digest [32]byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		content, err := have.get(digest)
		if err != nil {
			return err
		}
		if sha256.Sum256(content) != digest {
			return fmt.Errorf("%w: blob %x is damaged", ErrBackup, digest[:6])
		}
		return s.blobs.put(digest, content)
	})
}

func copyTree(from, to string) error {
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return copyFile(path, filepath.Join(to, rel))
	})
}

// restoreRows reads all rows in one transaction.
func restoreRows(tx *Tx, path string, m Manifest) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	got := map[string]int64{}
	var table, insert string
	in := bufio.NewReaderSize(f, 1<<18)
	for line := 1; ; line++ {
		text, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(text) == 0 {
			break
		}
		if err != nil {
			return err
		}
		if text[0] == '{' {
			var head tableHead
			if err := json.Unmarshal(text, &head); err != nil || !slices.Contains(backedUp, head.Table) {
				return fmt.Errorf("%w: %s, line %d: no table of ours", ErrBackup, rowsFile, line)
			}
			if insert, err = insertInto(head); err != nil {
				return fmt.Errorf("%s, line %d: %w", rowsFile, line, err)
			}
			table = head.Table
			continue
		}
		values, err := rowValues(text)
		if err != nil || table == "" {
			return fmt.Errorf("%w: %s, line %d: %w", ErrBackup, rowsFile, line, err)
		}
		if _, err := tx.Exec(insert, values...); err != nil {
			return fmt.Errorf("%s, line %d: %w", rowsFile, line, err)
		}
		got[table]++
	}
	for table, n := range m.Rows {
		if got[table] != n {
			return fmt.Errorf("%w: table %s has %d rows of %d", ErrBackup, table, got[table], n)
		}
	}
	_, err = tx.Exec(`UPDATE leases SET until = 0`) // of servers that were backed up
	return err
}

func insertInto(head tableHead) (string, error) {
	for _, c := range head.Columns {
		if c == "" || strings.Trim(c, "abcdefghijklmnopqrstuvwxyz_") != "" {
			return "", fmt.Errorf("%w: column %q", ErrBackup, c)
		}
	}
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(head.Columns)), ", ")
	return fmt.Sprintf(`INSERT INTO %s (%s) VALUES (%s)`, head.Table, strings.Join(head.Columns, ", "), marks), nil
}

func rowValues(text []byte) ([]any, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, err
	}
	out := make([]any, len(raw))
	for i, r := range raw {
		var number int64
		var word string
		switch {
		case string(r) == "null":
		case json.Unmarshal(r, &number) == nil:
			out[i] = number
		case json.Unmarshal(r, &word) == nil && strings.HasPrefix(word, "t"):
			out[i] = word[1:]
		case json.Unmarshal(r, &word) == nil && strings.HasPrefix(word, "b"):
			b, err := base64.StdEncoding.DecodeString(word[1:])
			if err != nil {
				return nil, err
			}
			out[i] = b
		default:
			return nil, fmt.Errorf("%.20s is no value", r)
		}
	}
	return out, nil
}
