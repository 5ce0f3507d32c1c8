package store

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// dialect is all that differs between SQLite and PostgreSQL in a statement: the place-holders, and the clock. The zero
// value is SQLite.
type dialect struct {
	pg    *postgres // nil: SQLite
	clock func() time.Time
}

// bind writes the place-holders as the database wants them. No statement of ours has a ? anywhere else.
func (d dialect) bind(query string) string {
	if d.pg == nil {
		return query
	}
	if known, ok := d.pg.bound.Load(query); ok {
		return known.(string)
	}
	var b strings.Builder
	n := 0
	for _, r := range query {
		if r == '?' {
			n++
			b.WriteString("$" + strconv.Itoa(n))
		} else {
			b.WriteRune(r)
		}
	}
	d.pg.bound.Store(query, b.String())
	return b.String()
}

// now is an expression for the time in microseconds since 1970: the database's own clock where several processes share it.
func (d dialect) now() string {
	if d.pg != nil {
		return `(extract(epoch FROM clock_timestamp()) * 1000000)::bigint`
	}
	clock := time.Now
	if d.clock != nil {
		clock = d.clock
	}
	return fmt.Sprint(clock().UnixMicro())
}

// Tx is a transaction in either dialect.
type Tx struct {
	sql *sql.Tx
	d   dialect
}

// Exec runs a statement.
func (tx *Tx) Exec(query string, args ...any) (sql.Result, error) {
	return tx.sql.Exec(tx.d.bind(query), args...)
}

// QueryRow reads one row.
func (tx *Tx) QueryRow(query string, args ...any) *sql.Row {
	return tx.sql.QueryRow(tx.d.bind(query), args...)
}

// Prepare makes a statement to be run several times.
func (tx *Tx) Prepare(query string) (*sql.Stmt, error) { return tx.sql.Prepare(tx.d.bind(query)) }

// Query calls scan with every row.
func (tx *Tx) Query(query string, args []any, scan func(*sql.Rows) error) error {
	rows, err := tx.sql.Query(tx.d.bind(query), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// affected is how many rows a statement changed.
func affected(res sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

var toPostgres = strings.NewReplacer(" STRICT, WITHOUT ROWID", "", " STRICT", "", "TEXT", `TEXT COLLATE "C"`, "BLOB", "BYTEA", "INTEGER", "BIGINT")

// create is a statement of the schema as the database wants it.
func (d dialect) create(statement string) string {
	if d.pg == nil {
		return statement
	}
	return toPostgres.Replace(statement)
}

// querier reads several times at one moment.
type querier interface {
	Query(query string, args []any, scan func(*sql.Rows) error) error
}

// read runs do in a transaction that sees one state of the database and writes nothing.
func (d *DB) read(ctx context.Context, do func(querier) error) error {
	return d.again(ctx, func() (bool, error) {
		tx, err := d.sql.BeginTx(ctx, &sql.TxOptions{Isolation: d.d.snapshot(), ReadOnly: true})
		if err != nil {
			return false, err
		}
		defer tx.Rollback()
		return false, do(&Tx{tx, d.d})
	})
}

func (d dialect) snapshot() sql.IsolationLevel {
	if d.pg != nil {
		return sql.LevelRepeatableRead
	}
	return sql.LevelDefault
}
