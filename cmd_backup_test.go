package main

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tutti/model"
	"tutti/privacy/ledger"
	"tutti/server"
	"tutti/server/keys"
	"tutti/server/store"
	"tutti/server/store/pgtest"
)

// aServer is a data directory with a log of two records and a signed version, and the operator's key.
func aServer(t *testing.T, o store.Options) (key ed25519.PublicKey) {
	t.Helper()
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := store.Open(ctx, o)
	must(err)
	defer s.Close()
	operator, err := keys.Load(filepath.Join(o.Dir, "keys", "operator.pem"))
	must(err)
	key = operator.Public().(ed25519.PublicKey)
	l, _, err := s.Acquire(ctx, store.DriverLease("t"), "test", time.Hour)
	must(err)
	must(s.Append(ctx, l.Fence(), time.Now(), &ledger.Task{Task: "t", Operator: key}))
	params, err := s.PutBlob([]byte("parameters"))
	must(err)
	v := model.Version{Number: 1, Params: params}
	b, err := v.Marshal()
	must(err)
	signed := store.SignedVersion{Number: 1, Digest: v.Digest(), Version: b, Signature: ed25519.Sign(operator, server.VersionMessage(b))}
	must(s.PutVersion(ctx, l.Fence(), time.Now(), "t", signed, &ledger.Version{Task: "t", Number: 1, Digest: v.Digest()}))
	must(s.Close())
	return key
}

func TestBackupCommands(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "server-data")
	key := aServer(t, store.Options{Dir: dir})
	to := filepath.Join(t.TempDir(), "backup")
	wants(t, exitDone, "2 log records, 1 models", "backup", "--dir", dir, "--to", to)
	wants(t, exitFailed, "name a new directory", "backup", "--dir", dir, "--to", to)
	again := filepath.Join(t.TempDir(), "again")
	wants(t, exitDone, "tutti fsck", "restore", "--from", to, "--dir", again)
	wants(t, exitDone, "its log has 2 records: devices and committee nodes that have seen more than these will refuse", "restore", "--from", to, "--dir", filepath.Join(t.TempDir(), "third"))
	wants(t, exitDone, "have seen more of the log than the backup holds will refuse this server", "restore", "--help")
	wants(t, exitDone, "Stop all servers of the database before --repair", "fsck", "--help")
	wants(t, exitDone, "SOUND", "fsck", "--dir", again)
	wants(t, exitFailed, "not the operator's", "fsck", "--dir", again, "--operator", strings.Repeat("5a", 32))
	wants(t, exitDone, `"signatures_checked": true`, "fsck", "--dir", again, "--operator", hex.EncodeToString(key), "--json")
	wants(t, exitFailed, "empty place", "restore", "--from", to, "--dir", again)

	blobs, _ := filepath.Glob(filepath.Join(again, "blobs", "*", "*"))
	if err := os.WriteFile(blobs[0], []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	wants(t, exitFailed, "restore the newest backup", "fsck", "--dir", again)
}

// TestBackupOfOneThatRuns: the server that has the directory makes the backup.
func TestBackupOfOneThatRuns(t *testing.T) {
	dir := t.TempDir()
	aServer(t, store.Options{Dir: dir})
	s, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	to := filepath.Join(t.TempDir(), "backup")
	wants(t, exitDone, `"records": 2`, "backup", "--dir", dir, "--to", to, "--json")
	wants(t, exitFailed, "tutti backup works while the server runs", "fsck", "--dir", dir)
	wants(t, exitDone, "2 log records", "restore", "--from", to, "--dir", filepath.Join(t.TempDir(), "new"))
}

func TestBackupToPostgres(t *testing.T) {
	dir, dsn := t.TempDir(), pgtest.DSN(t)
	aServer(t, store.Options{Dir: dir})
	to := filepath.Join(t.TempDir(), "backup")
	wants(t, exitDone, "", "backup", "--dir", dir, "--to", to)
	replica := filepath.Join(t.TempDir(), "replica")
	wants(t, exitDone, "2 log records", "restore", "--from", to, "--dir", replica, "--db", dsn)
	wants(t, exitDone, "SOUND", "fsck", "--dir", replica, "--db", dsn)
	wants(t, exitDone, "2 log records", "backup", "--dir", replica, "--db", dsn, "--to", to+"2")
}

func TestBackupWrongUse(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	wants(t, exitUsage, "--to is needed", "backup", "--dir", nowhere)
	wants(t, exitUsage, "--from is needed", "restore", "--dir", nowhere)
	wants(t, exitUsage, "no data directory", "backup", "--dir", nowhere, "--to", nowhere+"2")
	wants(t, exitUsage, "no data directory", "fsck", "--dir", nowhere)
	wants(t, exitUsage, "64 hex digits", "fsck", "--dir", func() string { d := t.TempDir(); aServer(t, store.Options{Dir: d}); return d }(), "--operator", "5f")
	wants(t, exitFailed, "holds no backup.json", "restore", "--from", t.TempDir(), "--dir", nowhere)
	if _, err := os.Stat(nowhere); err == nil {
		t.Error("a directory was made")
	}
	wants(t, exitFailed, "cannot be reached", "fsck", "--dir", t.TempDir(), "--db", "postgres://x:SECRET@127.0.0.1:1/x?connect_timeout=1")
}
