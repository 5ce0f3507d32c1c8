package accounting

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
)

// Limits of DecodeEvent.
const (
	maxEventBytes = 1 << 20
	maxEventDepth = 16
	maxCount      = 1 << 30
)

// UnknownEventError is the refusal of an event type for which this package
// has no theorem (yet). It is an ErrEvent.
type UnknownEventError struct{ Type string }

// Error names the type.
func (e *UnknownEventError) Error() string {
	return fmt.Sprintf("accounting: event refused: no accountant here knows the type %.40q", e.Type)
}

// Is makes errors.Is(err, ErrEvent) true.
func (e *UnknownEventError) Is(target error) bool { return target == ErrEvent }

// eventForm is the JSON of an event: a type and that type's fields, no
// others. Rationals are strings "num/den" (decimals and numbers are read as
// well).
type eventForm struct {
	Type            string             `json:"type"`
	Rho             *rational          `json:"rho,omitempty"`
	NoiseMultiplier *float64           `json:"noise_multiplier,omitempty"`
	Epsilon         *float64           `json:"epsilon,omitempty"`
	Sigma           *float64           `json:"sigma,omitempty"`
	Sensitivity     *int               `json:"sensitivity,omitempty"`
	L2              *rational          `json:"l2,omitempty"`
	Sigma2          *rational          `json:"sigma2,omitempty"`
	Shares          *int               `json:"shares,omitempty"`
	Dim             *int               `json:"dim,omitempty"`
	Steps           *int               `json:"steps,omitempty"`
	Count           *int               `json:"count,omitempty"`
	Event           json.RawMessage    `json:"event,omitempty"`
	Events          *[]json.RawMessage `json:"events,omitempty"`
}

// rational reads and writes a big.Rat.
type rational struct{ *big.Rat }

func (r rational) MarshalJSON() ([]byte, error) { return json.Marshal(FormatRho(r.Rat)) }

func (r *rational) UnmarshalJSON(b []byte) error {
	text := string(bytes.Trim(b, `"`))
	parsed, err := ParseRho(text)
	r.Rat = parsed
	return err
}

// DecodeEvent reads the JSON tree of an event: at most 1 MiB, 16 levels. It
// refuses fields that the type does not have, and types that it does not
// know with an *UnknownEventError. What it returns is in range: Rho accepts
// it, or refuses for a stated reason.
func DecodeEvent(b []byte) (Event, error) {
	if len(b) > maxEventBytes {
		return nil, fmt.Errorf("%w: %d bytes of event", ErrEvent, len(b))
	}
	return decodeEvent(b, maxEventDepth)
}

func decodeEvent(b []byte, depth int) (Event, error) {
	if depth == 0 {
		return nil, fmt.Errorf("%w: nested deeper than %d", ErrEvent, maxEventDepth)
	}
	var name struct{ Type string }
	if err := json.Unmarshal(b, &name); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEvent, err)
	}
	shape, known := shapes[name.Type]
	if !known {
		return nil, &UnknownEventError{Type: name.Type}
	}
	var form eventForm
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&form); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrEvent, name.Type, err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: %s: more than one value", ErrEvent, name.Type)
	}
	if got := form.fields(); got != shape {
		return nil, fmt.Errorf("%w: %s has the fields %09b, wants %09b", ErrEvent, name.Type, got, shape)
	}
	return form.build(depth)
}

// A shape says which fields are present, one bit each.
const (
	hasRho = 1 << iota
	hasZ
	hasEpsilon
	hasDiscrete // sigma and sensitivity
	hasSum      // l2, sigma2, shares, dim
	hasSteps
	hasCount
	hasEvent
	hasEvents
	hasPart // some, not all, fields of a group
)

var shapes = map[string]int{
	"zcdp":                  hasRho,
	"gaussian":              hasZ,
	"laplace":               hasZ,
	"pure_dp":               hasEpsilon,
	"discrete_gaussian":     hasDiscrete,
	"discrete_gaussian_sum": hasSum,
	"tree_single_epoch":     hasZ | hasSteps,
	"composed":              hasEvents,
	"self_composed":         hasEvent | hasCount,
}

// fields returns the shape of what was read.
func (f eventForm) fields() int {
	shape := 0
	group := func(bit int, present ...bool) {
		n := 0
		for _, p := range present {
			if p {
				n++
			}
		}
		switch n {
		case 0:
		case len(present):
			shape |= bit
		default:
			shape |= hasPart
		}
	}
	group(hasRho, f.Rho != nil)
	group(hasZ, f.NoiseMultiplier != nil)
	group(hasEpsilon, f.Epsilon != nil)
	group(hasDiscrete, f.Sigma != nil, f.Sensitivity != nil)
	group(hasSum, f.L2 != nil, f.Sigma2 != nil, f.Shares != nil, f.Dim != nil)
	group(hasSteps, f.Steps != nil)
	group(hasCount, f.Count != nil)
	group(hasEvent, f.Event != nil)
	group(hasEvents, f.Events != nil)
	return shape
}

// build makes the event; the fields of its type are all present.
func (f eventForm) build(depth int) (Event, error) {
	var e Event
	switch f.Type {
	case "zcdp":
		e = ZCDP{Rho: f.Rho.Rat}
	case "gaussian":
		e = Gaussian{Z: *f.NoiseMultiplier}
	case "laplace":
		e = Laplace{B: *f.NoiseMultiplier}
	case "pure_dp":
		e = PureDP{Epsilon: *f.Epsilon}
	case "discrete_gaussian":
		e = DiscreteGaussian{Sigma: *f.Sigma, Sensitivity: *f.Sensitivity}
	case "discrete_gaussian_sum":
		sum := DiscreteGaussianSum{L2: f.L2.Rat, Sigma2: f.Sigma2.Rat, Shares: *f.Shares, Dim: *f.Dim}
		return sum, sum.check() // small shares have an RDP curve but no rho
	case "tree_single_epoch":
		e = TreeSingleEpoch{Z: *f.NoiseMultiplier, Steps: *f.Steps}
	case "composed":
		parts := make([]Event, 0, len(*f.Events))
		for _, raw := range *f.Events {
			part, err := decodeEvent(raw, depth-1)
			if err != nil {
				return nil, err
			}
			parts = append(parts, part)
		}
		return Composed{Events: parts}, nil
	case "self_composed":
		part, err := decodeEvent(f.Event, depth-1)
		if err != nil {
			return nil, err
		}
		if *f.Count < 0 || *f.Count > maxCount {
			return nil, fmt.Errorf("%w: %d repetitions", ErrEvent, *f.Count)
		}
		return SelfComposed{Event: part, Count: *f.Count}, nil
	}
	_, err := e.rho() // in range?
	return e, err
}

// EncodeEvent writes the JSON tree that DecodeEvent reads; equal events give
// equal bytes.
func EncodeEvent(e Event) ([]byte, error) {
	var f eventForm
	switch e := e.(type) {
	case ZCDP:
		f = eventForm{Type: "zcdp", Rho: &rational{e.Rho}}
	case Gaussian:
		f = eventForm{Type: "gaussian", NoiseMultiplier: &e.Z}
	case Laplace:
		f = eventForm{Type: "laplace", NoiseMultiplier: &e.B}
	case PureDP:
		f = eventForm{Type: "pure_dp", Epsilon: &e.Epsilon}
	case DiscreteGaussian:
		f = eventForm{Type: "discrete_gaussian", Sigma: &e.Sigma, Sensitivity: &e.Sensitivity}
	case DiscreteGaussianSum:
		f = eventForm{Type: "discrete_gaussian_sum", L2: &rational{e.L2}, Sigma2: &rational{e.Sigma2},
			Shares: &e.Shares, Dim: &e.Dim}
	case TreeSingleEpoch:
		f = eventForm{Type: "tree_single_epoch", NoiseMultiplier: &e.Z, Steps: &e.Steps}
	case Composed:
		parts := make([]json.RawMessage, 0, len(e.Events))
		for _, part := range e.Events {
			raw, err := EncodeEvent(part)
			if err != nil {
				return nil, err
			}
			parts = append(parts, raw)
		}
		f = eventForm{Type: "composed", Events: &parts}
	case SelfComposed:
		raw, err := EncodeEvent(e.Event)
		if err != nil {
			return nil, err
		}
		f = eventForm{Type: "self_composed", Count: &e.Count, Event: raw}
	default:
		return nil, fmt.Errorf("%w: %T has no JSON form", ErrEvent, e)
	}
	return json.Marshal(f)
}
