package accounting

import (
	"bytes"
	"encoding/json"
	"fmt"
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
	NoiseParameter  *float64           `json:"noise_parameter,omitempty"`
	Epsilon         *float64           `json:"epsilon,omitempty"`
	Delta           *float64           `json:"delta,omitempty"`
	Sigma           *float64           `json:"sigma,omitempty"`
	Sensitivity     *int               `json:"sensitivity,omitempty"`
	L2              *rational          `json:"l2,omitempty"`
	Sigma2          *rational          `json:"sigma2,omitempty"`
	Shares          *int               `json:"shares,omitempty"`
	Dim             *int               `json:"dim,omitempty"`
	Steps           *int               `json:"steps,omitempty"`
	Q               *float64           `json:"q,omitempty"`
	N               *int               `json:"n,omitempty"`
	B               *int               `json:"b,omitempty"`
	MinSep          *int               `json:"min_sep,omitempty"`
	MaxPart         *int               `json:"max_part,omitempty"`
	Coefficients    *[]float64         `json:"coefficients,omitempty"`
	Theta           *[]float64         `json:"theta,omitempty"`
	Omega           *[]float64         `json:"omega,omitempty"`
	Count           *int               `json:"count,omitempty"`
	Event           json.RawMessage    `json:"event,omitempty"`
	Events          *[]json.RawMessage `json:"events,omitempty"`
}

// fieldsOf lists the fields of each type; all are present, none is null.
var fieldsOf = map[string][]string{
	"zcdp":                       {"rho"},
	"gaussian":                   {"noise_multiplier"},
	"laplace":                    {"noise_multiplier"},
	"pure_dp":                    {"epsilon"},
	"epsilon_delta":              {"epsilon", "delta"},
	"discrete_gaussian":          {"sigma", "sensitivity"},
	"discrete_laplace":           {"noise_parameter", "sensitivity"},
	"discrete_gaussian_sum":      {"l2", "sigma2", "shares", "dim"},
	"skellam_sum":                {"l2", "sigma2", "shares", "dim"},
	"tree_single_epoch":          {"noise_multiplier", "steps"},
	"toeplitz_mf":                {"coefficients", "n", "min_sep", "max_part", "noise_multiplier"},
	"blt_mf":                     {"theta", "omega", "n", "min_sep", "max_part", "noise_multiplier"},
	"poisson_sampled":            {"q", "event"},
	"poisson_replaced_gaussian":  {"q", "noise_multiplier"},
	"truncated_poisson_gaussian": {"q", "n", "b", "noise_multiplier"},
	"sampled_wor":                {"n", "b", "event"},
	"composed":                   {"events"},
	"self_composed":              {"event", "count"},
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
	var form eventForm
	var present map[string]json.RawMessage
	if err := json.Unmarshal(b, &present); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEvent, err)
	}
	if err := json.Unmarshal(present["type"], &form.Type); err != nil {
		return nil, fmt.Errorf("%w: no type: %w", ErrEvent, err)
	}
	fields, known := fieldsOf[form.Type]
	if !known {
		return nil, &UnknownEventError{Type: form.Type}
	}
	for _, field := range fields {
		if value, ok := present[field]; !ok || string(value) == "null" {
			return nil, fmt.Errorf("%w: %s without %s", ErrEvent, form.Type, field)
		}
	}
	if len(present) != len(fields)+1 {
		return nil, fmt.Errorf("%w: %s with more fields than %v", ErrEvent, form.Type, fields)
	}
	if err := json.Unmarshal(b, &form); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrEvent, form.Type, err)
	}
	e, err := form.build(depth)
	if err != nil {
		return nil, err
	}
	return e, e.check()
}

// build makes the event; the fields of its type are all present.
func (f eventForm) build(depth int) (Event, error) {
	var inner Event
	if f.Event != nil {
		var err error
		if inner, err = decodeEvent(f.Event, depth-1); err != nil {
			return nil, err
		}
	}
	switch f.Type {
	case "zcdp":
		return ZCDP{Rho: f.Rho.Rat}, nil
	case "gaussian":
		return Gaussian{Z: *f.NoiseMultiplier}, nil
	case "laplace":
		return Laplace{B: *f.NoiseMultiplier}, nil
	case "pure_dp":
		return PureDP{Epsilon: *f.Epsilon}, nil
	case "epsilon_delta":
		return EpsilonDelta{Epsilon: *f.Epsilon, Delta: *f.Delta}, nil
	case "discrete_gaussian":
		return DiscreteGaussian{Sigma: *f.Sigma, Sensitivity: *f.Sensitivity}, nil
	case "discrete_laplace":
		return DiscreteLaplace{A: *f.NoiseParameter, Sensitivity: *f.Sensitivity}, nil
	case "discrete_gaussian_sum":
		return DiscreteGaussianSum{L2: f.L2.Rat, Sigma2: f.Sigma2.Rat, Shares: *f.Shares, Dim: *f.Dim}, nil
	case "skellam_sum":
		return SkellamSum{L2: f.L2.Rat, Sigma2: f.Sigma2.Rat, Shares: *f.Shares, Dim: *f.Dim}, nil
	case "tree_single_epoch":
		return TreeSingleEpoch{Z: *f.NoiseMultiplier, Steps: *f.Steps}, nil
	case "toeplitz_mf":
		return ToeplitzMF{Coefficients: *f.Coefficients, Rounds: *f.N, Participations: *f.MaxPart,
			Separation: *f.MinSep, Z: *f.NoiseMultiplier}, nil
	case "blt_mf":
		return BLTMF{BLT: BLT{Theta: *f.Theta, Omega: *f.Omega}, Rounds: *f.N, Participations: *f.MaxPart,
			Separation: *f.MinSep, Z: *f.NoiseMultiplier}, nil
	case "poisson_sampled":
		return PoissonSampled{Q: *f.Q, Event: inner}, nil
	case "poisson_replaced_gaussian":
		return PoissonReplaced{Q: *f.Q, Z: *f.NoiseMultiplier}, nil
	case "truncated_poisson_gaussian":
		return TruncatedPoisson{Q: *f.Q, Population: *f.N, Batch: *f.B, Z: *f.NoiseMultiplier}, nil
	case "sampled_wor":
		return SampledWithoutReplacement{Population: *f.N, Sample: *f.B, Event: inner}, nil
	case "self_composed":
		return SelfComposed{Event: inner, Count: *f.Count}, nil
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
	}
	return nil, &UnknownEventError{Type: f.Type}
}

// EncodeEvent writes the JSON tree that DecodeEvent reads; equal events give
// equal bytes. It refuses events that are out of range.
func EncodeEvent(e Event) ([]byte, error) {
	if err := checkEvent(e); err != nil {
		return nil, err
	}
	return encode(e)
}

func encode(e Event) ([]byte, error) {
	f, err := formOf(e)
	if err != nil {
		return nil, err
	}
	return json.Marshal(f)
}

func formOf(e Event) (eventForm, error) {
	switch e := e.(type) {
	case ZCDP:
		return eventForm{Type: "zcdp", Rho: &rational{e.Rho}}, nil
	case Gaussian:
		return eventForm{Type: "gaussian", NoiseMultiplier: &e.Z}, nil
	case Laplace:
		return eventForm{Type: "laplace", NoiseMultiplier: &e.B}, nil
	case PureDP:
		return eventForm{Type: "pure_dp", Epsilon: &e.Epsilon}, nil
	case EpsilonDelta:
		return eventForm{Type: "epsilon_delta", Epsilon: &e.Epsilon, Delta: &e.Delta}, nil
	case DiscreteGaussian:
		return eventForm{Type: "discrete_gaussian", Sigma: &e.Sigma, Sensitivity: &e.Sensitivity}, nil
	case DiscreteLaplace:
		return eventForm{Type: "discrete_laplace", NoiseParameter: &e.A, Sensitivity: &e.Sensitivity}, nil
	case DiscreteGaussianSum:
		return eventForm{Type: "discrete_gaussian_sum", L2: &rational{e.L2}, Sigma2: &rational{e.Sigma2},
			Shares: &e.Shares, Dim: &e.Dim}, nil
	case SkellamSum:
		return eventForm{Type: "skellam_sum", L2: &rational{e.L2}, Sigma2: &rational{e.Sigma2},
			Shares: &e.Shares, Dim: &e.Dim}, nil
	case TreeSingleEpoch:
		return eventForm{Type: "tree_single_epoch", NoiseMultiplier: &e.Z, Steps: &e.Steps}, nil
	case ToeplitzMF:
		return eventForm{Type: "toeplitz_mf", Coefficients: listed(&e.Coefficients), N: &e.Rounds, MaxPart: &e.Participations,
			MinSep: &e.Separation, NoiseMultiplier: &e.Z}, nil
	case BLTMF:
		return eventForm{Type: "blt_mf", Theta: listed(&e.BLT.Theta), Omega: listed(&e.BLT.Omega), N: &e.Rounds,
			MaxPart: &e.Participations, MinSep: &e.Separation, NoiseMultiplier: &e.Z}, nil
	case PoissonReplaced:
		return eventForm{Type: "poisson_replaced_gaussian", Q: &e.Q, NoiseMultiplier: &e.Z}, nil
	case TruncatedPoisson:
		return eventForm{Type: "truncated_poisson_gaussian", Q: &e.Q, N: &e.Population, B: &e.Batch, NoiseMultiplier: &e.Z}, nil
	case PoissonSampled:
		raw, err := encode(e.Event)
		return eventForm{Type: "poisson_sampled", Q: &e.Q, Event: raw}, err
	case SampledWithoutReplacement:
		raw, err := encode(e.Event)
		return eventForm{Type: "sampled_wor", N: &e.Population, B: &e.Sample, Event: raw}, err
	case SelfComposed:
		raw, err := encode(e.Event)
		return eventForm{Type: "self_composed", Count: &e.Count, Event: raw}, err
	case Composed:
		parts := make([]json.RawMessage, 0, len(e.Events))
		for _, part := range e.Events {
			raw, err := encode(part)
			if err != nil {
				return eventForm{}, err
			}
			parts = append(parts, raw)
		}
		return eventForm{Type: "composed", Events: &parts}, nil
	}
	return eventForm{}, fmt.Errorf("%w: %T has no JSON form", ErrEvent, e)
}

// listed makes an absent list an empty one.
func listed(list *[]float64) *[]float64 {
	if *list == nil {
		return &[]float64{}
	}
	return list
}
