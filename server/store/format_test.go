package store

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
)

// TestOlderFormatIsRefused: a directory that an older program wrote is left alone, with a sentence that says what to do.
func TestOlderFormatIsRefused(t *testing.T) {
	dir := t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(dir, "tutti.db"))
	must(t, err)
	for _, statement := range []string{
		`CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT`,
		`INSERT INTO meta VALUES ('schema', '1')`,
		`CREATE TABLE devices (task TEXT NOT NULL, device BLOB NOT NULL, public BLOB NOT NULL, enrolled INTEGER NOT NULL, PRIMARY KEY (task, device)) STRICT, WITHOUT ROWID`,
	} {
		_, err := db.Exec(statement)
		must(t, err)
	}
	must(t, db.Close())
	s, err := Open(ctx, Options{Dir: dir})
	if err == nil {
		s.Close()
		t.Fatal("a directory of format 1 was opened")
	}
	if !strings.Contains(err.Error(), "format 1") {
		t.Errorf("the refusal says %q", err)
	}
}
