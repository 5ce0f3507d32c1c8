package model

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
)

// Update is what one device learned, before anything protects it: the change
// that local training made to the weights, or a vector of item statistics.
// Both travel the same way. It must leave the device only clipped, noised and
// masked, so it prints as a placeholder and refuses to be serialised.
type Update struct {
	// A function, because that is what fmt cannot look into where it walks a
	// struct with an Update in an unexported field and cannot call Format: a
	// pointer it would follow when the verb is wrong for it.
	vector func() []float32
}

// ErrNotFinite says that a vector holds NaN or an infinity.
var ErrNotFinite = errors.New("a value is not finite")

// NewUpdate returns local - global. It refuses different layouts and, with
// ErrNotFinite, any difference that is not a finite number.
func NewUpdate(local, global Params) (Update, error) {
	if local.layout.Digest() != global.layout.Digest() {
		return Update{}, fmt.Errorf("update: layouts %s and %s differ", local.layout.Digest(), global.layout.Digest())
	}
	values := make([]float32, len(local.values))
	for i, v := range local.values {
		values[i] = v - global.values[i]
	}
	if firstNotFinite(values) >= 0 {
		return Update{}, fmt.Errorf("update: %w", ErrNotFinite)
	}
	return updateOf(values), nil
}

// NewStatistic returns an update that holds a copy of a statistics vector.
func NewStatistic(values []float32) Update {
	return updateOf(slices.Clone(values))
}

func updateOf(values []float32) Update {
	return Update{vector: func() []float32 { return values }}
}

// Values is the vector itself, not a copy; nil for the zero Update.
func (u Update) Values() []float32 {
	if u.vector == nil {
		return nil
	}
	return u.vector()
}

// Len is the number of values.
func (u Update) Len() int { return len(u.Values()) }

const redactedUpdate = "Update(redacted)"

// String does not show the values.
func (u Update) String() string { return redactedUpdate }

// GoString does not show the values.
func (u Update) GoString() string { return redactedUpdate }

// Format does not show the values, whatever the verb.
func (u Update) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedUpdate) }

// LogValue does not show the values.
func (u Update) LogValue() slog.Value { return slog.StringValue(redactedUpdate) }

var errSerialise = errors.New("an update leaves the device only clipped, noised and masked")

// MarshalJSON refuses.
func (u Update) MarshalJSON() ([]byte, error) { return nil, errSerialise }

// MarshalText refuses.
func (u Update) MarshalText() ([]byte, error) { return nil, errSerialise }

// MarshalBinary refuses.
func (u Update) MarshalBinary() ([]byte, error) { return nil, errSerialise }

// GobEncode refuses.
func (u Update) GobEncode() ([]byte, error) { return nil, errSerialise }
