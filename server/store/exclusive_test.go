package store

import (
	"path/filepath"
	"testing"
)

// TestOneOwner: a second opening of an existing database is refused at once, whoever holds it has written or not.
func TestOneOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	schema := `CREATE TABLE IF NOT EXISTS x (id INTEGER PRIMARY KEY)`
	first, err := OpenDB(path, schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if first, err = OpenDB(path, schema); err != nil { // exists already: the schema writes nothing
		t.Fatal(err)
	}
	defer first.Close()
	if second, err := OpenDB(path, schema); err == nil {
		second.Close()
		t.Fatal("two owners of one database")
	}
}
