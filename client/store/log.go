package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"tutti/client/history"
)

// The history file: magic, number of the first record (8 bytes, big-endian),
// then for each record its length (4 bytes) and the record.
const (
	historyMagic = "tutti history 1\n"
	historyHead  = len(historyMagic) + 8
	lengthBytes  = 4
	maxHistory   = 1 << 28 // bytes of a history file
)

// ErrHistoryFile says that a history file was not written by this package, or
// was damaged where a crash cannot have done it.
var ErrHistoryFile = errors.New("store: the history file is damaged")

// historyLog is the open history file; it is written only at its end.
type historyLog struct {
	file *os.File
	end  int64 // behind the last whole record
}

// openHistory opens the file, creates it if there is none, and cuts off what a
// crash left of an unfinished append.
func openHistory(path string) (*historyLog, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := replaceFile(path, encodeHistory(0, nil)); err != nil {
			return nil, err
		}
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	l := &historyLog{file: file}
	if err := l.cutTail(); err != nil {
		file.Close()
		return nil, fmt.Errorf("%w (%s)", err, filepath.Base(path))
	}
	return l, nil
}

func (l *historyLog) cutTail() error {
	b, err := l.bytes()
	if err != nil {
		return err
	}
	_, _, end, err := decodeHistory(b)
	if err != nil {
		return err
	}
	l.end = int64(end)
	if end == len(b) {
		return nil
	}
	if err := l.file.Truncate(l.end); err != nil {
		return err
	}
	return l.file.Sync()
}

func (l *historyLog) bytes() ([]byte, error) {
	info, err := l.file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxHistory {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrHistoryFile, info.Size(), maxHistory)
	}
	b := make([]byte, info.Size())
	if _, err := l.file.ReadAt(b, 0); err != nil && err != io.EOF {
		return nil, err
	}
	return b, nil
}

func (l *historyLog) read() (uint64, [][]byte, error) {
	b, err := l.bytes()
	if err != nil {
		return 0, nil, fmt.Errorf("store: %w", err)
	}
	first, records, _, err := decodeHistory(b)
	return first, records, err
}

// append writes at the end and flushes. What a failed write left is cut off
// again, or overwritten by the next append.
func (l *historyLog) append(record []byte) error {
	if len(record) == 0 || len(record) > history.MaxRecordBytes {
		return fmt.Errorf("store: a record of %d bytes, want 1 to %d", len(record), history.MaxRecordBytes)
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, lengthBytes+len(record)), uint32(len(record)))
	frame = append(frame, record...)
	_, err := l.file.WriteAt(frame, l.end)
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("store: %w", err), l.file.Truncate(l.end))
	}
	l.end += int64(len(frame))
	return nil
}

func (l *historyLog) close() error {
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

func encodeHistory(first uint64, records [][]byte) []byte {
	size := historyHead
	for _, r := range records {
		size += lengthBytes + len(r)
	}
	b := append(make([]byte, 0, size), historyMagic...)
	b = binary.BigEndian.AppendUint64(b, first)
	for _, r := range records {
		b = binary.BigEndian.AppendUint32(b, uint32(len(r)))
		b = append(b, r...)
	}
	return b
}

// decodeHistory reads records up to the first that is not whole, which is where
// a crash cut the file; end is the number of bytes before it. A length of zero
// is how some file systems show bytes that a crash kept from being written. A
// length that no record has is damage, not a crash.
func decodeHistory(b []byte) (first uint64, records [][]byte, end int, err error) {
	if len(b) < historyHead || string(b[:len(historyMagic)]) != historyMagic {
		return 0, nil, 0, ErrHistoryFile
	}
	first = binary.BigEndian.Uint64(b[len(historyMagic):])
	end = historyHead
	for len(b)-end >= lengthBytes {
		length := binary.BigEndian.Uint32(b[end:])
		if length > history.MaxRecordBytes {
			return 0, nil, 0, fmt.Errorf("%w: a record of %d bytes", ErrHistoryFile, length)
		}
		body := end + lengthBytes
		if length == 0 || uint64(length) > uint64(len(b)-body) {
			break
		}
		end = body + int(length)
		records = append(records, b[body:end:end])
	}
	return first, records, end, nil
}
