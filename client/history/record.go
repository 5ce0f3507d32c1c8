package history

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// MaxRecordEvents bounds the events of one record.
const MaxRecordEvents = 8192

const (
	recordVersion = 1
	eventBytes    = 8 + 1 + 4 + 8
	nonceBytes    = 12
	tagBytes      = 16
	recordHeader  = 1 + 4
)

// MaxRecordBytes bounds a sealed record.
const MaxRecordBytes = nonceBytes + recordHeader + MaxRecordEvents*eventBytes + tagBytes

// ErrTampered says that a record was changed, moved or sealed under another
// key. The app must decide: forget the history, or ask for the right key.
var ErrTampered = errors.New("history: a record does not open: changed on disk, or sealed under another key")

// Codec seals events into records: AES-256-GCM (NIST SP 800-38D) under a key
// derived from the app's, a random 96-bit nonce, and the record's number as
// additional data, so that records cannot be reordered, repeated or swapped.
type Codec struct {
	aead cipher.AEAD
	rand io.Reader
}

// NewCodec derives the records' key from the app's; rand gives the nonces and
// must be cryptographic.
func NewCodec(key Key, rand io.Reader) (*Codec, error) {
	aead, err := key.AEAD("tutti/history/v1")
	if err != nil {
		return nil, err
	}
	return &Codec{aead: aead, rand: rand}, nil
}

// AEAD is AES-256-GCM under a key derived (HKDF-SHA-256, RFC 5869) from the
// app's for one purpose.
func (k Key) AEAD(purpose string) (cipher.AEAD, error) {
	if k.IsZero() {
		return nil, errors.New("history: no key was given")
	}
	secret := k.secret()
	derived, err := hkdf.Key(sha256.New, secret[:], nil, purpose, KeyBytes)
	if err != nil {
		return nil, fmt.Errorf("history: deriving a key: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	return cipher.NewGCM(block)
}

// Seal makes record number seq of 1 to MaxRecordEvents events.
func (c *Codec) Seal(seq uint64, events []Event) ([]byte, error) {
	if len(events) == 0 || len(events) > MaxRecordEvents {
		return nil, fmt.Errorf("history: a record of %d events, want 1 to %d", len(events), MaxRecordEvents)
	}
	size := recordHeader + len(events)*eventBytes
	record := make([]byte, nonceBytes, nonceBytes+size+tagBytes)
	if _, err := io.ReadFull(c.rand, record); err != nil {
		return nil, fmt.Errorf("history: no randomness: %w", err)
	}
	plain := make([]byte, 0, size)
	plain = append(plain, recordVersion)
	plain = binary.BigEndian.AppendUint32(plain, uint32(len(events)))
	for _, e := range events {
		if err := e.Check(); err != nil {
			return nil, err
		}
		plain = appendEvent(plain, e)
	}
	return c.aead.Seal(record, record[:nonceBytes], plain, sequenceData(seq)), nil
}

// Open reads record number seq. A record that was changed or moved gives
// ErrTampered.
func (c *Codec) Open(seq uint64, record []byte) ([]Event, error) {
	if len(record) < nonceBytes+recordHeader+tagBytes || len(record) > MaxRecordBytes {
		return nil, fmt.Errorf("%w (%d bytes)", ErrTampered, len(record))
	}
	plain, err := c.aead.Open(nil, record[:nonceBytes], record[nonceBytes:], sequenceData(seq))
	if err != nil {
		return nil, ErrTampered
	}
	return decodeEvents(plain)
}

// decodeEvents reads the plain bytes of a record: version, count, events.
func decodeEvents(plain []byte) ([]Event, error) {
	if len(plain) < recordHeader {
		return nil, errors.New("history: record cut short")
	}
	if plain[0] != recordVersion {
		return nil, fmt.Errorf("history: record of version %d, this program reads %d", plain[0], recordVersion)
	}
	count := binary.BigEndian.Uint32(plain[1:])
	body := plain[recordHeader:]
	if count == 0 || count > MaxRecordEvents || uint64(len(body)) != uint64(count)*eventBytes {
		return nil, fmt.Errorf("history: record of %d bytes does not hold %d events", len(plain), count)
	}
	events := make([]Event, count)
	for i := range events {
		e := readEvent(body[i*eventBytes:])
		if err := e.Check(); err != nil {
			return nil, err
		}
		events[i] = e
	}
	return events, nil
}

func appendEvent(b []byte, e Event) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(e.Item))
	b = append(b, byte(e.Kind))
	b = binary.BigEndian.AppendUint32(b, math.Float32bits(e.Value))
	return binary.BigEndian.AppendUint64(b, uint64(e.Time))
}

func readEvent(b []byte) Event {
	return Event{
		Item:  int64(binary.BigEndian.Uint64(b)),
		Kind:  Kind(b[8]),
		Value: math.Float32frombits(binary.BigEndian.Uint32(b[9:])),
		Time:  int64(binary.BigEndian.Uint64(b[13:])),
	}
}

func sequenceData(seq uint64) []byte {
	return binary.BigEndian.AppendUint64(nil, seq)
}
