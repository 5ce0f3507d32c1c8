package server

import (
	"math"
	"strconv"

	"tutti/privacy/ledger"
	"tutti/privacy/plan"
)

// metrics reads what the devices of all open groups know together: their sums add up, and so does the noise. However
// the groups' main vectors become one, this is the sum: its numbers are bounded per device, so a liar counts for one.
func metrics(p plan.Plan, open []*opening) []plan.Figure {
	if p.Metrics == nil {
		return nil
	}
	sum := make([]float32, len(p.Metrics.Names))
	devices, variance := 0, 0.0
	for _, o := range open {
		for i, x := range o.metrics.Values {
			sum[i] += x
		}
		noise := p.Metrics.Mechanism.NoiseOnSum(o.devices)
		devices, variance = devices+o.devices, variance+noise*noise
	}
	return p.Metrics.Figures(sum, devices, math.Sqrt(variance))
}

// rows are the figures as they stand in the log.
func rows(figures []plan.Figure) []ledger.Row {
	var out []ledger.Row
	decimal := func(x float64) string { return strconv.FormatFloat(x, 'f', 4, 64) }
	for _, f := range figures {
		out = append(out, ledger.Row{Label: f.Name, Value: decimal(f.Value), Low: decimal(f.Low), High: decimal(f.High)})
	}
	return out
}
