package history

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// KeyBytes is the length of an app's key.
const KeyBytes = 32

// Key is the app's secret for what the device keeps, 32 bytes from the
// platform's key store. It shows itself to nobody: printing, logging and
// marshalling give a placeholder or an error.
type Key struct {
	// A function, so that fmt shows an address even where it walks a struct that
	// holds a Key in an unexported field and cannot call Format. It would follow a
	// pointer.
	secret func() [KeyBytes]byte
}

// NewKey takes 32 secret bytes.
func NewKey(secret []byte) (Key, error) {
	if len(secret) != KeyBytes {
		return Key{}, fmt.Errorf("history: a key has %d bytes, want %d", len(secret), KeyBytes)
	}
	copied := [KeyBytes]byte(secret)
	if copied == [KeyBytes]byte{} {
		return Key{}, errors.New("history: the key is all zeros")
	}
	return Key{func() [KeyBytes]byte { return copied }}, nil
}

// IsZero says that no key was given.
func (k Key) IsZero() bool { return k.secret == nil }

const redacted = "history.Key(redacted)"

// String hides the key.
func (Key) String() string { return redacted }

// GoString hides the key.
func (Key) GoString() string { return redacted }

// Format hides the key under every verb.
func (Key) Format(s fmt.State, _ rune) { io.WriteString(s, redacted) }

// LogValue hides the key.
func (Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON refuses.
func (Key) MarshalJSON() ([]byte, error) {
	return nil, errors.New("history: a key is not written out")
}

// MarshalText refuses.
func (Key) MarshalText() ([]byte, error) {
	return nil, errors.New("history: a key is not written out")
}
