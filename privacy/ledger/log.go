package ledger

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/tlog"
)

// Memory keeps the stored hashes of a tree in memory.
type Memory []tlog.Hash

// ReadHashes implements Hashes.
func (m Memory) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		if at < 0 || at >= int64(len(m)) {
			return nil, fmt.Errorf("no stored hash %d", at)
		}
		out[i] = m[at]
	}
	return out, nil
}

// Log is a whole ledger in memory: what a verifier rebuilds, and what a test writes. A server keeps the same three
// parts (State, hashes, record bytes) in its database. One goroutine owns a Log.
type Log struct {
	State
	Hashes  Memory
	Records []Record
}

// Append makes the next record of body, judges it and adds it.
func (l *Log) Append(body Body, now int64) (Record, error) {
	r := l.Next(body, now)
	return r, l.AddRecord(r)
}

// AddRecord judges a finished record and adds it to state, tree and list.
func (l *Log) AddRecord(r Record) error {
	size := l.Size()
	data, err := l.Add(r)
	if err != nil {
		return err
	}
	hashes, err := Append(size, data, l.Hashes)
	if err != nil {
		return err
	}
	l.Hashes = append(l.Hashes, hashes...)
	l.Records = append(l.Records, r)
	return nil
}

// Checkpoint names the log as it is now.
func (l *Log) Checkpoint(origin string) (Checkpoint, error) {
	root, err := Root(l.Size(), l.Hashes)
	return Checkpoint{Origin: origin, Size: l.Size(), Root: root}, err
}

// Export writes one line of ledger.jsonl.
func Export(w io.Writer, r Record) error {
	line, err := r.EncodeJSON()
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// LineError says which line of a ledger.jsonl is not a record.
type LineError struct {
	Line int // from 1
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap gives the cause.
func (e *LineError) Unwrap() error { return e.Err }

// Import reads a ledger.jsonl line by line. Every line must be exactly what Export writes, the last one with its end;
// what is wrong is a *LineError, or the error of each.
func Import(r io.Reader, each func(Record) error) error {
	in := bufio.NewReaderSize(r, 4*MaxRecord)
	for line := 1; ; line++ {
		data, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) && len(data) == 0 {
			return nil
		}
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: cut short", errMalformed)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			err = fmt.Errorf("%w: line too long", errMalformed)
		}
		if err != nil {
			return &LineError{line, err}
		}
		rec, err := DecodeJSON(bytes.TrimSuffix(data, []byte("\n")))
		if err != nil {
			return &LineError{line, err}
		}
		if err := each(rec); err != nil {
			return err
		}
	}
}
