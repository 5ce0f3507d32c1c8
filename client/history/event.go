// Package history is what a device remembers of its own user: events, how long
// they are kept, the item sequence that the recommender reads, and the sealed
// records in which they rest on disk. Nothing in this package leaves a device.
package history

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Kind says what the user did with an item.
type Kind uint8

// The kinds of behaviour. The zero Kind is none of them.
const (
	View     Kind = iota + 1 // the item was looked at
	Click                    // the item was opened
	Rating                   // Value is the rating in stars, 0.5 to 5
	Purchase                 // the item was bought, played to the end, saved
	Skip                     // the item was shown and turned down
	Dwell                    // Value is the time spent with the item, in seconds
	kinds
)

var kindNames = [kinds]string{"none", "view", "click", "rating", "purchase", "skip", "dwell"}

// String is the kind in lower case, such as "view".
func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// ParseKind is the inverse of Kind.String.
func ParseKind(name string) (Kind, error) {
	for k := View; k < kinds; k++ {
		if kindNames[k] == name {
			return k, nil
		}
	}
	return 0, fmt.Errorf("history: unknown kind of event %q", name)
}

// Event is one act of the user.
type Event struct {
	Item  int64   // number of the item in the app's own catalogue
	Kind  Kind    // what was done
	Value float32 // stars for Rating, seconds for Dwell, else ignored
	Time  int64   // seconds since 1970
}

// Limits of an event's value.
const (
	MaxStars = 5
	MaxDwell = 24 * 3600 // seconds
)

var errKind = errors.New("history: event without a kind")

// Check refuses events that cannot be meant: an unknown kind, a rating outside
// (0, 5], a negative, endless or non-finite time spent.
func (e Event) Check() error {
	if e.Kind == 0 {
		return errKind
	}
	if e.Kind >= kinds {
		return fmt.Errorf("history: unknown kind of event %d", e.Kind)
	}
	v := float64(e.Value)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Errorf("history: %s with a value that is not a number", e.Kind)
	}
	if e.Kind == Rating && (v <= 0 || v > MaxStars) {
		return fmt.Errorf("history: rating of %g stars, want more than 0 and at most %d", v, MaxStars)
	}
	if e.Kind == Dwell && (v < 0 || v > MaxDwell) {
		return fmt.Errorf("history: %g seconds spent, want 0 to %d", v, MaxDwell)
	}
	return nil
}

// Weight is how much the event says that the user likes the item, 0 to 1: a
// purchase 1, a click 0.75, a view 0.5, a rating its stars over 5, time spent
// t/(t+30 s), a skip 0.
func (e Event) Weight() float32 {
	switch e.Kind {
	case View:
		return 0.5
	case Click:
		return 0.75
	case Rating:
		return e.Value / MaxStars
	case Purchase:
		return 1
	case Dwell:
		return e.Value / (e.Value + 30)
	}
	return 0
}
