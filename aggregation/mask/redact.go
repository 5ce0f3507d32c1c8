package mask

import (
	"errors"
	"fmt"
)

var errSecret = errors.New("mask: a secret has no text form")

// Format prints no coefficient.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, "mask.Secret(redacted)") }

// MarshalJSON refuses.
func (s Secret) MarshalJSON() ([]byte, error) { return nil, errSecret }

// MarshalText refuses.
func (s Secret) MarshalText() ([]byte, error) { return nil, errSecret }

// GobEncode refuses.
func (s Secret) GobEncode() ([]byte, error) { return nil, errSecret }
