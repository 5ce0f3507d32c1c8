package mechanism

import (
	"errors"
	"fmt"
	"io"
)

// errRedacted is what every marshaller of a secret stage returns.
var errRedacted = errors.New("mechanism: a person's vector is not for printing or storing")

// String redacts.
func (x Clipped) String() string { return "mechanism.Clipped(redacted)" }

// Format redacts under every verb.
func (x Clipped) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, x.String()) }

// MarshalJSON refuses.
func (x Clipped) MarshalJSON() ([]byte, error) { return nil, errRedacted }

// MarshalText refuses.
func (x Clipped) MarshalText() ([]byte, error) { return nil, errRedacted }

// MarshalBinary refuses.
func (x Clipped) MarshalBinary() ([]byte, error) { return nil, errRedacted }

// String redacts.
func (e Encoded) String() string { return "mechanism.Encoded(redacted)" }

// Format redacts under every verb.
func (e Encoded) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, e.String()) }

// MarshalJSON refuses.
func (e Encoded) MarshalJSON() ([]byte, error) { return nil, errRedacted }

// MarshalText refuses.
func (e Encoded) MarshalText() ([]byte, error) { return nil, errRedacted }

// MarshalBinary refuses.
func (e Encoded) MarshalBinary() ([]byte, error) { return nil, errRedacted }
