package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// ErrUnavailable says that the database cannot be reached now. A write that gets it may have happened or not; all others
// have not. Whoever drives reads what is there before it goes on.
var ErrUnavailable = errors.New("the database or the object store cannot be reached: check that it runs, its address, password and number of connections")

// postgres is what a replica has of a PostgreSQL beside its connections.
type postgres struct {
	bound   sync.Map // statements with $1, $2 ... by what they were with ?
	config  *pgx.ConnConfig
	writer  string // this process, in table writers and in notifications
	lock    int64  // of whoever writes in this schema
	channel string
	seq     int64 // of the last group of writes; the writer's goroutine alone
}

const (
	pgReaders     = 6
	pgPatience    = 10 * time.Second // how long a write is tried again
	pgIdleInWrite = "5000"           // ms: a replica that stands still while it writes loses its connection, and with it the lock
	pgWaitForLock = "20000"          // ms
)

// openPostgres connects to a schema that is there, and makes ready what every write needs.
func openPostgres(ctx context.Context, dsn string, clock func() time.Time) (*DB, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("store: the database's address: %w", err) // without the password
	}
	raw := make([]byte, 12)
	rand.Read(raw)
	pg := &postgres{config: config, writer: hex.EncodeToString(raw)}
	for name, value := range map[string]string{"application_name": "tutti", "idle_in_transaction_session_timeout": pgIdleInWrite, "lock_timeout": pgWaitForLock} {
		if config.RuntimeParams[name] == "" {
			config.RuntimeParams[name] = value
		}
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	open := func(most int) *sql.DB {
		db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
			// a commit that a crash may take back is none
			_, err := c.Exec(ctx, `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`)
			return err
		}))
		db.SetMaxOpenConns(most)
		db.SetMaxIdleConns(most)
		db.SetConnMaxIdleTime(time.Minute)
		return db
	}
	d := newDB(open(pgReaders), dialect{pg: pg, clock: clock}, fmt.Sprintf("PostgreSQL %s on %s", config.Database, config.Host))
	d.writes = open(1)
	if err := d.prepare(ctx); err != nil {
		d.writes.Close()
		d.sql.Close()
		return nil, Explain(d.path, err)
	}
	go d.write()
	return d, nil
}

func (d *DB) prepare(ctx context.Context) error {
	var schema *string
	if err := d.writes.QueryRowContext(ctx, `SELECT current_schema()`).Scan(&schema); err != nil {
		return err
	}
	if schema == nil {
		return errors.New("the schema of the connection's search_path does not exist: create it first")
	}
	h := fnv.New64a()
	io.WriteString(h, "tutti/store\x00"+*schema)
	pg := d.d.pg
	pg.lock = int64(h.Sum64())
	pg.channel = fmt.Sprintf("tutti_%016x", uint64(pg.lock))
	tx, err := d.writes.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, statement := range []string{
		fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d)`, pg.lock),
		`CREATE TABLE IF NOT EXISTS writers (writer TEXT PRIMARY KEY, seq BIGINT NOT NULL, at TIMESTAMPTZ NOT NULL)`,
		`DELETE FROM writers WHERE at < now() - interval '7 days'`,
	} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// beginPostgres begins a write: no other of this schema is under way until it ends.
func (d *DB) beginPostgres() (*Tx, error) {
	tx, err := d.writes.Begin()
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec(`SELECT pg_advisory_xact_lock($1)`, d.d.pg.lock); err != nil {
		tx.Rollback()
		return nil, err
	}
	return &Tx{tx, d.d}, nil
}

// sign leaves in the transaction what tells, after a lost connection, whether it was committed, and wakes the
// other replicas.
func (pg *postgres) sign(tx *Tx) error {
	_, err := tx.sql.Exec(`WITH signed AS (INSERT INTO writers VALUES ($1, $2, now()) ON CONFLICT (writer) DO UPDATE SET seq = excluded.seq, at = excluded.at RETURNING writer)
		SELECT pg_notify($3, writer) FROM signed`, pg.writer, pg.seq, pg.channel)
	return err
}

// commitPostgres runs a group until its outcome is known: a lost connection is made again, and the database asked whether
// the commit that it interrupted took place.
func (d *DB) commitPostgres(group []job, errs []error) error {
	pg := d.d.pg
	pg.seq++
	until := time.Now().Add(pgPatience)
	unsure := false
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := d.attempt(group, errs, &unsure)
		if errors.Is(err, errCommitted) {
			return nil // errs are those of that attempt
		}
		if err == nil || !lost(err) {
			return err
		}
		if time.Now().After(until) {
			return fmt.Errorf("%w (%w)", ErrUnavailable, err)
		}
		select {
		case <-time.After(pause):
		case <-d.quit:
			return fmt.Errorf("%w (%w)", ErrUnavailable, err)
		}
	}
}

// attempt runs a group once. unsure says that an earlier commit may have taken place.
func (d *DB) attempt(group []job, errs []error, unsure *bool) error {
	tx, err := d.beginPostgres()
	if err != nil {
		return err
	}
	defer tx.sql.Rollback()
	if *unsure { // the lock is ours, so that the transaction in question is over
		var seq int64
		err := tx.sql.QueryRow(`SELECT coalesce(max(seq), 0) FROM writers WHERE writer = $1`, d.d.pg.writer).Scan(&seq)
		if err != nil {
			return err
		}
		if seq == d.d.pg.seq {
			return errCommitted
		}
		*unsure = false
	}
	clear(errs)
	for i, j := range group {
		if errs[i], err = inSavepoint(tx, j.do); err != nil {
			return err
		}
	}
	if err := d.d.pg.sign(tx); err != nil {
		return err
	}
	*unsure = true
	err = tx.sql.Commit()
	if err != nil && !lost(err) {
		*unsure = false
	}
	return err
}

// errCommitted says that an earlier attempt was committed after all.
var errCommitted = errors.New("committed before")

// lost says that an error is one of the connection, or of a database that goes down, and not of a statement.
func lost(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "57P01", "57P02", "57P03", "25P03", "53300", "40001", "40P01", "55P03":
			return true
		}
		return strings.HasPrefix(pg.Code, "08")
	}
	var wire net.Error
	var connect *pgconn.ConnectError
	return errors.As(err, &wire) || errors.As(err, &connect) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, sql.ErrConnDone) || err != nil && (strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "bad connection"))
}

// pgCause is what an operator can remove.
func pgCause(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "53100":
			return ErrFull
		case "25006", "42501":
			return ErrReadOnly
		case "XX001", "XX002":
			return ErrCorrupt
		case "28000", "28P01", "3D000":
			return ErrUnavailable
		}
	}
	if lost(err) {
		return ErrUnavailable
	}
	return nil
}
