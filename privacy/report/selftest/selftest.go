// Package selftest runs the accountant against rows that another implementation computed, so that a verifier can be asked
// to show that its own arithmetic is right before it judges somebody's report.
package selftest

import (
	"bufio"
	"bytes"
	_ "embed" // the rows
	"encoding/json"
	"fmt"
	"math"

	"tutti/privacy/accounting"
)

// reference holds one figure in a line: an event as typed JSON, a delta, and what google/differential-privacy
// (python/dp_accounting 0.6.0, commit b5b0286e) or a closed form gives for it.
//
//go:embed reference.jsonl
var reference []byte

// Row is one figure of the reference.
type Row struct {
	ID     string          `json:"id"`
	Figure string          `json:"figure"`
	Event  json.RawMessage `json:"event"`
	Delta  float64         `json:"delta"`
	Want   json.RawMessage `json:"want"` // a number or "inf"
	Low    *float64        `json:"low"`  // of a loss distribution: the optimistic side
}

// Miss is a row that this program's accountant does not reproduce.
type Miss struct {
	ID, Figure string
	Got, Want  float64
	Err        error
}

// String says what is wrong with the row.
func (m Miss) String() string {
	if m.Err != nil {
		return fmt.Sprintf("%s %s: %v", m.ID, m.Figure, m.Err)
	}
	return fmt.Sprintf("%s %s: %.15g, the reference says %.15g", m.ID, m.Figure, m.Got, m.Want)
}

// Run judges every row and returns how many there are, and those that miss.
func Run() (rows int, misses []Miss, err error) { return run(reference) }

func run(lines []byte) (rows int, misses []Miss, err error) {
	in := bufio.NewScanner(bytes.NewReader(lines))
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var r Row
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			return rows, misses, fmt.Errorf("selftest: row %d: %w", rows+1, err)
		}
		want, err := number(r.Want)
		if err != nil {
			return rows, misses, fmt.Errorf("selftest: row %d: %w", rows+1, err)
		}
		rows++
		got, err := r.compute()
		if err != nil || !r.fits(got, want) {
			misses = append(misses, Miss{r.ID, r.Figure, got, want, err})
		}
	}
	return rows, misses, in.Err()
}

func number(raw json.RawMessage) (float64, error) {
	if string(raw) == `"inf"` {
		return math.Inf(1), nil
	}
	var x float64
	err := json.Unmarshal(raw, &x)
	return x, err
}

// compute is the figure by this program's accountant.
func (r Row) compute() (float64, error) {
	e, err := accounting.DecodeEvent(r.Event)
	if err != nil {
		return 0, err
	}
	switch r.Figure {
	case "rdp_eps":
		return accounting.EpsilonByRDP(e, r.Delta)
	case "pld_eps_pessimistic":
		return accounting.EpsilonByPLD(e, r.Delta)
	case "pure_eps":
		return accounting.PureEpsilon(e)
	case "analytic_eps":
		mu, err := accounting.Mu(e)
		if err != nil {
			return 0, err
		}
		return accounting.GaussianEpsilon(mu, r.Delta)
	case "exact_eps":
		if d, ok := e.(accounting.DiscreteGaussian); ok {
			return accounting.DiscreteGaussianEpsilon(d, r.Delta)
		}
	case "zcdp_rho", "cks_continuous_eps", "simple_eps":
		rho, err := accounting.Rho(e)
		switch {
		case err != nil:
			return 0, err
		case r.Figure == "cks_continuous_eps":
			return accounting.EpsilonFromRho(rho, r.Delta)
		case r.Figure == "simple_eps":
			return accounting.SimpleEpsilonFromRho(rho, r.Delta)
		}
		x, _ := rho.Float64()
		return x, nil
	}
	return 0, fmt.Errorf("no figure %q of this event", r.Figure)
}

// fits applies the tolerances of the reference: RDP relative 1e-6, closed forms 1e-9, and a loss distribution between the
// optimistic figure and a little above the pessimistic one.
func (r Row) fits(got, want float64) bool {
	switch {
	case got == want:
		return true
	case r.Figure == "rdp_eps":
		return math.Abs(got/want-1) <= 1e-6
	case r.Figure == "pld_eps_pessimistic":
		low := want*(1-1e-3) - 1e-3
		if r.Low != nil {
			low = *r.Low
		}
		return got >= low-1e-9 && got <= want*(1+1e-3)+1e-3
	}
	return math.Abs(got-want) <= 1e-9*max(1, math.Abs(want))
}
