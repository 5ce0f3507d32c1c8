package silo

import (
	"errors"
	"fmt"
	"log/slog"
)

// errSecret is what every encoder gets from a type that holds secrets.
var errSecret = errors.New("silo: this value holds secrets and has no text form")

// Format prints who, never a key.
func (p *Party) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "silo.Party(%d, redacted)", p.index) }

// LogValue prints who, never a key.
func (p *Party) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(p)) }

// MarshalJSON refuses.
func (p *Party) MarshalJSON() ([]byte, error) { return nil, errSecret }

// MarshalText refuses.
func (p *Party) MarshalText() ([]byte, error) { return nil, errSecret }

// GobEncode refuses.
func (p *Party) GobEncode() ([]byte, error) { return nil, errSecret }

// Format prints the key of the record and the length of its value.
func (r Record) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "silo.Record(%s, %d bytes)", r.Key, len(r.Value))
}

// LogValue prints the key of the record and the length of its value.
func (r Record) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(r)) }

// MarshalJSON refuses.
func (r Record) MarshalJSON() ([]byte, error) { return nil, errSecret }

// MarshalText refuses.
func (r Record) MarshalText() ([]byte, error) { return nil, errSecret }

// GobEncode refuses.
func (r Record) GobEncode() ([]byte, error) { return nil, errSecret }
