package optim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"tutti/model/kernel"
)

// Rule names what an Optimizer or a Server does with a gradient or an update.
type Rule string

// State is what an Optimizer or a Server remembers between steps, to go on from
// later, bit for bit. Vectors that a rule does not use are nil.
type State struct {
	Rule   Rule
	Steps  uint64
	First  []float32 // velocity, momentum or first moment
	Second []float32 // second moment or sum of squares; not negative
}

// check refuses what no rule leaves behind.
func (s State) check() error {
	if !kernel.Finite(s.First) || !kernel.Finite(s.Second) {
		return errors.New("state is not finite")
	}
	for i, v := range s.Second {
		if v < 0 {
			return fmt.Errorf("second moment %d is negative", i)
		}
	}
	return nil
}

func (s State) clone() State {
	s.First, s.Second = slices.Clone(s.First), slices.Clone(s.Second)
	return s
}

const (
	stateDomain  = "tutti/model/optim/state"
	stateFormat  = 1
	maxRuleBytes = 32
)

// Marshal returns the canonical bytes: domain and rule, each behind its length
// as a uint32, with a format byte between them; the steps as a uint64; and the
// two vectors, each as its length (uint32) and IEEE 754 bits. All big-endian.
func (s State) Marshal() ([]byte, error) {
	if len(s.Rule) > maxRuleBytes || len(s.First) > math.MaxInt32 || len(s.Second) > math.MaxInt32 {
		return nil, fmt.Errorf("optimiser state: rule of %d bytes, %d and %d values", len(s.Rule), len(s.First), len(s.Second))
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("optimiser state: %w", err)
	}
	b := make([]byte, 0, 64+len(stateDomain)+4*(len(s.First)+len(s.Second)))
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(stateDomain))), stateDomain...)
	b = append(b, stateFormat)
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(s.Rule))), s.Rule...)
	b = binary.BigEndian.AppendUint64(b, s.Steps)
	for _, vector := range [][]float32{s.First, s.Second} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(vector)))
		for _, v := range vector {
			b = binary.BigEndian.AppendUint32(b, math.Float32bits(v))
		}
	}
	return b, nil
}

// ParseState reads what Marshal wrote; it allocates no more than len(b) bytes.
func ParseState(b []byte) (State, error) {
	s, err := parseState(b)
	if err != nil {
		return State{}, fmt.Errorf("optimiser state: %w", err)
	}
	return s, nil
}

func parseState(b []byte) (s State, err error) {
	domain, b, err := takeString(b, len(stateDomain))
	if err != nil || domain != stateDomain {
		return s, fmt.Errorf("domain %q, want %q (%w)", domain, stateDomain, errors.Join(err, errFormat))
	}
	if len(b) < 1 || b[0] != stateFormat {
		return s, errFormat
	}
	rule, b, err := takeString(b[1:], maxRuleBytes)
	if err != nil {
		return s, err
	}
	if len(b) < 8 {
		return s, errFormat
	}
	s.Rule, s.Steps, b = Rule(rule), binary.BigEndian.Uint64(b), b[8:]
	if s.First, b, err = takeVector(b); err != nil {
		return s, err
	}
	if s.Second, b, err = takeVector(b); err != nil {
		return s, err
	}
	if len(b) != 0 {
		return s, fmt.Errorf("%d bytes after the end", len(b))
	}
	return s, s.check()
}

var errFormat = errors.New("truncated, or another format")

func takeString(b []byte, limit int) (string, []byte, error) {
	if len(b) < 4 {
		return "", nil, errFormat
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if b = b[4:]; n > uint64(limit) || n > uint64(len(b)) {
		return "", nil, errFormat
	}
	return string(b[:n]), b[n:], nil
}

// takeVector gives nil for no values, as rules that use none have it.
func takeVector(b []byte) ([]float32, []byte, error) {
	if len(b) < 4 {
		return nil, nil, errFormat
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if b = b[4:]; n > uint64(len(b)/4) {
		return nil, nil, errFormat
	}
	if n == 0 {
		return nil, b, nil
	}
	vector := make([]float32, n)
	for i := range vector {
		vector[i] = math.Float32frombits(binary.BigEndian.Uint32(b[4*i:]))
	}
	return vector, b[4*n:], nil
}

// memory is the State of an Optimizer; every Step counts.
type memory struct {
	rule          Rule
	steps         uint64
	first, second []float32
}

func (m *memory) reserveFirst(n int) []float32 {
	if m.first == nil {
		m.first = make([]float32, n)
	}
	return m.first
}

func (m *memory) reserveSecond(n int) []float32 {
	if m.second == nil {
		m.second = make([]float32, n)
	}
	return m.second
}

// State implements Optimizer.
func (m *memory) State() State {
	return State{Rule: m.rule, Steps: m.steps, First: m.first, Second: m.second}.clone()
}

// Restore implements Optimizer.
func (m *memory) Restore(s State) error {
	if s.Rule != m.rule {
		return fmt.Errorf("optimiser: a state of %s for %s", s.Rule, m.rule)
	}
	if s.First != nil && s.Second != nil && len(s.First) != len(s.Second) {
		return fmt.Errorf("optimiser: a state of %d and %d values", len(s.First), len(s.Second))
	}
	if err := s.check(); err != nil {
		return fmt.Errorf("optimiser: %w", err)
	}
	s = s.clone()
	m.steps, m.first, m.second = s.Steps, s.First, s.Second
	return nil
}
