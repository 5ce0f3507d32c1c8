package store

import (
	"testing"

	"tutti/server/store/pgtest"
)

func openPG(t testing.TB, dsn string) *SQL {
	t.Helper()
	s, err := Open(ctx, Options{Dir: t.TempDir(), DB: dsn})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestPostgresOpens(t *testing.T) {
	s := openPG(t, pgtest.DSN(t))
	if !s.Shared() {
		t.Error("not shared")
	}
	l := lead(t, s)
	_ = l
}
