package store

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tutti/server/round"
	"tutti/server/store/pgtest"
)

// inFormat2 is a data directory as the program before format 3 wrote it: its schema and rows word by word. Round 1 is
// COLLECTING with three uploads, which came in the order of their slots.
func inFormat2(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile(filepath.Join("testdata", "format2.sql"))
	must(t, err)
	db, err := sql.Open("sqlite", filepath.Join(dir, "tutti.db"))
	must(t, err)
	_, err = db.Exec(string(text))
	must(t, err)
	must(t, db.Close())
	return dir
}

func TestFormat2IsLedOn(t *testing.T) {
	dir := inFormat2(t)
	group := filepath.Join(dir, "rounds", "t", "1")
	must(t, os.MkdirAll(group, 0o700))
	must(t, os.WriteFile(filepath.Join(group, "partial"), []byte("sum"), 0o600))
	for range 2 { // the second time nothing is left to do
		s := open(t, dir)
		root, err := s.Root(s.LogSize())
		if got := fmt.Sprintf("%x", root); err != nil || got != "8aa37dd674a4c17cef21c5cade357f4222625204d5b97e89048950035a56e219" {
			t.Errorf("the log's root is %s, %v", got, err)
		}
		us, err := s.UploadsSince(ctx, key(1), 0)
		if err != nil || len(us) != 3 || us[0].ID != (round.ID{2}) || us[1].ID != (round.ID{1}) || us[2].Seq != 3 {
			t.Errorf("uploads: %+v, %v", us, err)
		}
		if r, found, err := s.Round(ctx, key(1)); err != nil || !found || r.Durable.State != round.Collecting || string(r.Config) != "cfg" {
			t.Errorf("the round: %+v, %v, %v", r, found, err)
		}
		if sum, err := s.Sum(ctx, key(1)); err != nil || string(sum) != "sum" {
			t.Errorf("the sum that lay in a file: %q, %v", sum, err)
		}
		if v, found, err := s.LatestVersion(ctx, "t"); err != nil || !found || v.Number != 1 {
			t.Errorf("the version: %+v, %v, %v", v, found, err)
		}
		if n, err := s.Enrolled(ctx, "t"); err != nil || n != 1 {
			t.Errorf("%d devices, %v", n, err)
		}
		if got := stage(t, s, "r", upload(9)); got[0] != nil {
			t.Errorf("an upload to the old round: %v", got)
		}
		must(t, s.Close())
		unstage(t, dir)
	}
}

// unstage takes the upload out that the first opening staged.
func unstage(t *testing.T, dir string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "tutti.db"))
	must(t, err)
	_, err = db.Exec(`DELETE FROM uploads WHERE seq = 4`)
	must(t, err)
	must(t, db.Close())
}

// TestNewerFormatIsRefused: whatever a newer program wrote is left alone, with a sentence that says what to do.
func TestNewerFormatIsRefused(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			o := Options{Dir: t.TempDir()}
			if kind == "postgres" {
				o.DB = pgtest.DSN(t)
			}
			s, err := Open(ctx, o)
			must(t, err)
			must(t, s.db.do(ctx, func(tx *Tx) error {
				_, err := tx.Exec(`UPDATE meta SET value = '99' WHERE name = 'schema'`)
				return err
			}))
			must(t, s.Close())
			s, err = Open(ctx, o)
			if err == nil {
				s.Close()
			}
			if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "format 99") || !strings.Contains(err.Error(), "newer program") {
				t.Errorf("the refusal says %v", err)
			}
		})
	}
}
