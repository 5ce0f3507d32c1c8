package aggregation

import (
	"errors"
	"fmt"
)

// errSecret is what every encoder gets from a type that holds secrets.
var errSecret = errors.New("aggregation: this value holds secrets and has no text form")

// Format prints who, never the key.
func (c Client) Format(f fmt.State, _ rune) { fmt.Fprint(f, "aggregation.Client(redacted)") }

// MarshalJSON refuses.
func (c Client) MarshalJSON() ([]byte, error) { return nil, errSecret }

// MarshalText refuses.
func (c Client) MarshalText() ([]byte, error) { return nil, errSecret }

// GobEncode refuses.
func (c Client) GobEncode() ([]byte, error) { return nil, errSecret }

// Format prints the member's index, never its keys or shares.
func (s MemberSetup) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "aggregation.MemberSetup(%d, redacted)", s.Index)
}

// MarshalJSON refuses.
func (s MemberSetup) MarshalJSON() ([]byte, error) { return nil, errSecret }

// MarshalText refuses.
func (s MemberSetup) MarshalText() ([]byte, error) { return nil, errSecret }

// GobEncode refuses.
func (s MemberSetup) GobEncode() ([]byte, error) { return nil, errSecret }

// Format prints the member's index, never its keys or shares.
func (m *Member) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "aggregation.Member(%d, redacted)", m.setup.Index)
}

// MarshalJSON refuses.
func (m *Member) MarshalJSON() ([]byte, error) { return nil, errSecret }

// MarshalText refuses.
func (m *Member) MarshalText() ([]byte, error) { return nil, errSecret }

// GobEncode refuses.
func (m *Member) GobEncode() ([]byte, error) { return nil, errSecret }

// Format prints the key of the record and the length of its value.
func (r Record) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "aggregation.Record(%s, %d bytes)", r.Key, len(r.Value))
}

// MarshalJSON refuses.
func (r Record) MarshalJSON() ([]byte, error) { return nil, errSecret }

// MarshalText refuses.
func (r Record) MarshalText() ([]byte, error) { return nil, errSecret }

// GobEncode refuses.
func (r Record) GobEncode() ([]byte, error) { return nil, errSecret }

// Format prints which upload was judged, never its share.
func (o Opened) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "aggregation.Opened(%v, %v, redacted)", o.entry.ID, o.reason)
}

// MarshalJSON refuses.
func (o Opened) MarshalJSON() ([]byte, error) { return nil, errSecret }

// MarshalText refuses.
func (o Opened) MarshalText() ([]byte, error) { return nil, errSecret }

// GobEncode refuses.
func (o Opened) GobEncode() ([]byte, error) { return nil, errSecret }

// Format prints whose judge it is, never its key.
func (j *Judge) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "aggregation.Judge(%d, redacted)", j.member)
}

// MarshalJSON refuses.
func (j *Judge) MarshalJSON() ([]byte, error) { return nil, errSecret }

// MarshalText refuses.
func (j *Judge) MarshalText() ([]byte, error) { return nil, errSecret }

// GobEncode refuses.
func (j *Judge) GobEncode() ([]byte, error) { return nil, errSecret }
