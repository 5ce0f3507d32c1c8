package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Schema is the version of the format of a section.
const Schema = "tutti.audit/v1"

// The kinds of section that this package makes and recomputes. Attacks have
// kinds of their own, in the same spelling: small letters, digits and
// underscores.
const (
	KindNoiseMeter   = "noise_meter"   // the variance of the noise, measured in every round of a task
	KindOneRun       = "one_run"       // Steinke, Nasr, Jagielski, arXiv 2305.08846
	KindOneRunFDP    = "one_run_fdp"   // Mahloujifar, Melis, Chaudhuri, arXiv 2410.22235
	KindGaussianPair = "gaussian_pair" // arXiv 2606.12733; parametric
	KindOneShot      = "one_shot"      // Andrew et al., arXiv 2302.03098; an estimate, never a gate
)

// The verdicts of a section.
const (
	VerdictPass         = "pass"         // within the bound, and every positive control was detected
	VerdictFail         = "fail"         // beyond the bound: the claim does not hold
	VerdictInconclusive = "inconclusive" // within the bound, but a control that should have been detected was not: too little power
	VerdictInfo         = "info"         // a figure to know; nothing rests on it
	VerdictBroken       = "broken"       // the unprotected arm was not detected: the test itself does not work
)

// Limits of a section.
const (
	MaxSection  = 16 << 20 // bytes of its canonical JSON
	MaxScores   = 200_000  // of the run or of one control
	maxValues   = 256
	maxControls = 8
	maxText     = 4 << 10
	maxNumber   = 64
)

// Section is the result of one audit or attack as it stands in a report. All
// quantities are decimal strings.
//
// What a reader can recompute (Recompute) carries Inputs and Scores; Values,
// the controls' findings and the Verdict follow from them.
type Section struct {
	Schema          string    `json:"schema"`           // always Schema
	Kind            string    `json:"kind"`             // one of the kinds above, or an attack's
	ThreatModel     string    `json:"threat_model"`     // what the attacker sees and knows
	Setup           string    `json:"setup"`            // what was run, in words
	Inputs          []Value   `json:"inputs"`           // numbers that the values follow from: epsilon, delta, alpha, canaries ...
	Values          []Value   `json:"values"`           // what was found, with intervals where there are any
	Bound           string    `json:"bound"`            // the decimal that the first value must not exceed if the claim holds; "": none
	PositiveControl *Control  `json:"positive_control"` // the same test where there is no protection at all; null: none
	MoreControls    []Control `json:"more_controls"`    // further arms that have to be detected
	Power           string    `json:"power"`            // what this test could have found at best, in words
	Parametric      bool      `json:"parametric"`       // rests on the noise being Gaussian
	Gate            bool      `json:"gate"`             // a fail here is a fail of the whole audit
	Verdict         string    `json:"verdict"`          // one of the verdicts
	Reason          string    `json:"reason"`           // one sentence for the verdict
	Scores          []string  `json:"scores"`           // decimals, one per canary or round, in their order; may be empty
	Commit          string    `json:"commit"`           // hex SHA-256 that was fixed before the run: see Commitment; "": none
	Seed            string    `json:"seed"`             // hex, revealed after the run: coins and canaries follow from it; "": none
}

// Value is one named figure. Low and High are the ends of its 95 % interval,
// empty where there is none.
type Value struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Low   string `json:"low"`
	High  string `json:"high"`
}

// Control is an arm without protection, or with too little: a test that does
// not detect it would not have detected a broken mechanism either.
type Control struct {
	Setup    string   `json:"setup"`
	Value    string   `json:"value"` // what the test found, in the unit of the section's first value
	Detected bool     `json:"detected"`
	Scores   []string `json:"scores"` // as Section.Scores; may be empty
}

// Input returns the value of a named input, and whether there is one.
func (s *Section) Input(name string) (string, bool) { return find(s.Inputs, name) }

// Find returns the figure of a name, and whether there is one.
func (s *Section) Find(name string) (string, bool) { return find(s.Values, name) }

func find(values []Value, name string) (string, bool) {
	for _, v := range values {
		if v.Name == name {
			return v.Value, true
		}
	}
	return "", false
}

// Controls lists the positive control and the further ones.
func (s *Section) Controls() []Control {
	if s.PositiveControl == nil {
		return s.MoreControls
	}
	return append([]Control{*s.PositiveControl}, s.MoreControls...)
}

// ErrForm is wrapped where a section is not in the form of Schema.
var ErrForm = errors.New("audit: not a section")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrForm, fmt.Sprintf(format, args...))
}

// Canonical returns the section as canonical JSON (RFC 8785: sorted names, no
// white space; there are no floats in it), with one line's end. Lists that
// are nil are written as empty. It refuses what ParseSection would refuse.
func (s *Section) Canonical() ([]byte, error) {
	full := *s
	full.Schema = Schema
	full.Inputs, full.Values = notNil(full.Inputs), notNil(full.Values)
	full.MoreControls, full.Scores = notNil(full.MoreControls), notNil(full.Scores)
	full.MoreControls = append([]Control{}, full.MoreControls...)
	for i := range full.MoreControls {
		full.MoreControls[i].Scores = notNil(full.MoreControls[i].Scores)
	}
	if full.PositiveControl != nil {
		c := *full.PositiveControl
		c.Scores = notNil(c.Scores)
		full.PositiveControl = &c
	}
	if err := full.check(); err != nil {
		return nil, err
	}
	plain, err := json.Marshal(full)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(plain))
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(tree); err != nil { // maps come out sorted by name
		return nil, err
	}
	if out.Len() > MaxSection {
		return nil, malformed("%d bytes are more than %d", out.Len(), MaxSection)
	}
	return out.Bytes(), nil
}

func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// ParseSection reads a section and refuses anything but its canonical form.
// It does not recompute: see Recompute.
func ParseSection(data []byte) (*Section, error) {
	if len(data) > MaxSection {
		return nil, malformed("%d bytes are more than %d", len(data), MaxSection)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	s := new(Section)
	if err := dec.Decode(s); err != nil {
		return nil, malformed("%v", err)
	}
	if s.Schema != Schema {
		return nil, malformed("schema %q, this program reads %q", s.Schema, Schema)
	}
	again, err := s.Canonical()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, data) {
		return nil, malformed("the bytes are not in canonical form: someone edited or re-formatted them")
	}
	return s, nil
}

// check holds the limits of every field.
func (s *Section) check() error {
	if !validKind(s.Kind) {
		return malformed("a kind of %.40q", s.Kind)
	}
	switch s.Verdict {
	case VerdictPass, VerdictFail, VerdictInconclusive, VerdictInfo, VerdictBroken:
	default:
		return malformed("a verdict of %.40q", s.Verdict)
	}
	controls := s.Controls()
	if len(s.Inputs) > maxValues || len(s.Values) > maxValues || len(controls) > maxControls {
		return malformed("%d inputs, %d values, %d controls are too many", len(s.Inputs), len(s.Values), len(controls))
	}
	texts := []string{s.ThreatModel, s.Setup, s.Power, s.Reason}
	numbers := []string{s.Bound, s.Commit, s.Seed}
	lists := [][]string{s.Scores}
	for _, v := range append(append([]Value{}, s.Inputs...), s.Values...) {
		texts = append(texts, v.Name, v.Value)
		numbers = append(numbers, v.Low, v.High)
	}
	for _, c := range controls {
		texts = append(texts, c.Setup, c.Value)
		lists = append(lists, c.Scores)
	}
	for _, list := range lists {
		if len(list) > MaxScores {
			return malformed("%d scores are more than %d", len(list), MaxScores)
		}
		numbers = append(numbers, list...)
	}
	for _, text := range texts {
		if len(text) > maxText || !plainText(text) {
			return malformed("the text %.40q is too long or not plain", text)
		}
	}
	for _, number := range numbers {
		if len(number) > maxNumber || !plainText(number) {
			return malformed("the number %.40q is too long or not plain", number)
		}
	}
	return nil
}

func validKind(kind string) bool {
	return kind != "" && len(kind) <= maxNumber && strings.Trim(kind, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// plainText refuses what JSON writers spell differently and what hides.
func plainText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' || r == utf8.RuneError
	})
}
