package model

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Canonical bytes: a length-prefixed domain string, a format byte, then fields
// in fixed order. Integers are big-endian, byte strings carry a uint32 length.

func appendHeader(b []byte, domain string, format byte) []byte {
	return append(appendString(b, domain), format)
}

func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

var errTruncated = errors.New("truncated")

// reader walks canonical bytes; the first failure sticks.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) take(n int) []byte {
	if r.err == nil && n > len(r.rest) {
		r.err = errTruncated
	}
	if r.err != nil {
		return nil
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *reader) header(domain string, format byte) {
	if got := r.string(len(domain)); r.err == nil && got != domain {
		r.err = fmt.Errorf("domain %q, want %q", got, domain)
	}
	if b := r.take(1); r.err == nil && b[0] != format {
		r.err = fmt.Errorf("format %d, want %d", b[0], format)
	}
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) digest() (d Digest) {
	copy(d[:], r.take(len(d)))
	return d
}

// string reads a length-prefixed string of at most limit bytes; the length is
// checked before anything is copied.
func (r *reader) string(limit int) string {
	b := r.take(4)
	if b == nil {
		return ""
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(limit) {
		r.err = fmt.Errorf("string of %d bytes, at most %d", n, limit)
		return ""
	}
	return string(r.take(int(n)))
}

// done reports the first failure, or bytes left over.
func (r *reader) done() error {
	if r.err == nil && len(r.rest) != 0 {
		r.err = fmt.Errorf("%d bytes after the end", len(r.rest))
	}
	return r.err
}
