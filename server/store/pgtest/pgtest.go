// Package pgtest gives tests a PostgreSQL: the one of the environment variable TUTTI_PG_DSN, or one of their own that
// lives as long as the test's process, in a temporary directory, reached by a socket only. Each test gets a schema of its
// own.
package pgtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Variable names the environment variable that overrides the throw-away server.
const Variable = "TUTTI_PG_DSN"

// DSN is the address of an empty schema that is dropped when the test ends. Where there is no PostgreSQL the test is
// skipped, saying so.
func DSN(t testing.TB) string {
	t.Helper()
	server, err := Server()
	if err != nil {
		t.Skipf("no PostgreSQL: %v (set %s, or put initdb and pg_ctl on the path)", err, Variable)
	}
	raw := make([]byte, 8)
	rand.Read(raw)
	schema := "tutti_test_" + hex.EncodeToString(raw)
	exec := func(statement string) {
		t.Helper()
		if err := Exec(server, statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE SCHEMA " + schema)
	t.Cleanup(func() { exec("DROP SCHEMA " + schema + " CASCADE") })
	return In(server, schema)
}

// In is the address of a schema of a server.
func In(server, schema string) string {
	u, err := url.Parse(server)
	if err != nil {
		return server
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

// Exec runs a statement over a connection of its own.
func Exec(dsn, statement string, args ...any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement, args...)
	return err
}

// Server is the address of the server without a schema, started on the first call.
var Server = sync.OnceValues(func() (string, error) {
	if dsn := os.Getenv(Variable); dsn != "" {
		return dsn, nil
	}
	return start()
})

// script runs a server until its standard input ends, which it does when the test's process dies, however it dies.
const script = `set -e
dir=$1; bin=$2
"$bin/initdb" -D "$dir/data" -U tutti -A trust -E UTF8 --no-locale --no-sync >"$dir/log" 2>&1
"$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -t 60 -o "-k $dir -c listen_addresses= -c fsync=off -c max_connections=120" start >>"$dir/log" 2>&1
echo ready
cat >/dev/null
"$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1
cd / && rm -rf "$dir"`

// lifeline is the server's standard input: it ends when this process does.
//
//lint:ignore U1000 it is held, so that the collector does not close it
var lifeline io.Closer

func start() (string, error) {
	bin, err := tools()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("/tmp", "tutti-pg-")
	if err != nil {
		return "", err
	}
	args := []string{"sh", "-c", script, "sh", dir, bin}
	if os.Geteuid() == 0 { // PostgreSQL does not run as root
		who, err := unprivileged(dir)
		if err != nil {
			return "", err
		}
		args = append([]string{"runuser", "-u", who, "--"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	if lifeline, err = cmd.StdinPipe(); err != nil { // never closed by us
		return "", err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	if n, err := out.Read(make([]byte, 8)); n == 0 {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		return "", fmt.Errorf("it does not start: %w: %s", err, log)
	}
	return "postgres://tutti@/postgres?host=" + url.QueryEscape(dir), nil
}

// tools finds the directory of initdb and pg_ctl.
func tools() (string, error) {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	for i := len(dirs) - 1; i >= 0; i-- {
		if _, err := os.Stat(filepath.Join(dirs[i], "pg_ctl")); err == nil {
			return dirs[i], nil
		}
	}
	return "", errors.New("initdb and pg_ctl are not found")
}

// unprivileged gives dir to a user that may run PostgreSQL.
func unprivileged(dir string) (string, error) {
	if _, err := exec.LookPath("runuser"); err != nil {
		return "", errors.New("root cannot run it, and runuser is not found")
	}
	var tried []string
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			tried = append(tried, err.Error())
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		return name, os.Chown(dir, uid, gid)
	}
	return "", errors.New(strings.Join(tried, "; "))
}
