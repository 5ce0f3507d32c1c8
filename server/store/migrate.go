package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
)

// ErrFormat says that the database has a format that this program does not read.
var ErrFormat = errors.New("another program's format")

// migrate leads the database to the newest format, step by step, each in a transaction of its own.
func (s *SQL) migrate(ctx context.Context) error {
	return s.migrateWith(ctx, 0, nil)
}

// migrateWith is migrate, and fills the database in the same transaction that leads it to format at.
func (s *SQL) migrateWith(ctx context.Context, at int, fill func(*Tx) error) error {
	if err := s.db.do(ctx, func(tx *Tx) error { _, err := tx.Exec(tx.d.create(format2[0])); return err }); err != nil {
		return err
	}
	for done := false; !done; {
		err := s.db.do(ctx, func(tx *Tx) error {
			format, err := formatOf(tx)
			if err != nil {
				return err
			}
			if err := s.readable(format); err != nil {
				return err
			}
			if done = format == newestFormat; done {
				return nil
			}
			from := max(format, firstFormat-1)
			if err := stepFrom(tx, from); err != nil || fill == nil || from+1 != at {
				return err
			}
			return fill(tx)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// readable refuses the formats that this program does not know.
func (s *SQL) readable(format int) error {
	if format > newestFormat {
		return fmt.Errorf("%s: %w: the database has format %d, this program reads up to %d: use the newer program that wrote it", s.db.path, ErrFormat, format, newestFormat)
	}
	if format > 0 && format < firstFormat {
		return fmt.Errorf("%s: %w: the database has format %d, this program reads from format %d on: use the program that wrote it", s.db.path, ErrFormat, format, firstFormat)
	}
	return nil
}

// formatOf is 0 for a database without one.
func formatOf(tx *Tx) (int, error) {
	var text string
	err := tx.QueryRow(`SELECT value FROM meta WHERE name = 'schema'`).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%w: format %q: %w", ErrFormat, text, ErrCorrupt)
	}
	return n, nil
}

func stepFrom(tx *Tx, format int) error {
	for _, statement := range steps[format-firstFormat+1] {
		if _, err := tx.Exec(tx.d.create(statement)); err != nil {
			return fmt.Errorf("leading the database from format %d to %d: %w", format, format+1, err)
		}
	}
	_, err := tx.Exec(`INSERT INTO meta VALUES ('schema', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, strconv.Itoa(format+1))
	return err
}
