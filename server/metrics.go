package server

import (
	"context"
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
	figures := p.Metrics.Figures(sum, devices, math.Sqrt(variance))
	for i := range figures { // as the log has them, so that whoever goes on from the log goes on the same way
		f := &figures[i]
		for _, x := range []*float64{&f.Value, &f.Low, &f.High} {
			*x = math.Round(*x*1e4) / 1e4
		}
	}
	return figures
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

// LastClip is the clip of the newest published model round, and the share of devices that were within it as the log has
// it: NaN if they were not asked; clip 0: there was no such round.
func (s *Server) LastClip(ctx context.Context) (clip, within float64, err error) {
	clips := map[uint64]float64{}
	within = math.NaN()
	err = s.Ledger().Records(ctx, 0, func(r ledger.Record) error {
		switch b := r.Body.(type) {
		case *ledger.Plan:
			if b.Task == s.cfg.Task && b.What == plan.Model.String() {
				p, err := plan.Parse(b.Bytes)
				if err != nil {
					return err
				}
				clips[b.Round] = p.Mechanism.Clip
			}
		case *ledger.Round:
			if first, found := clips[b.Round]; found && b.Task == s.cfg.Task && b.Outcome == ledger.Published {
				clip, within = first, withinOf(b.Metrics)
			}
		}
		return nil
	})
	return clip, within, err
}

func withinOf(rows []ledger.Row) float64 {
	for _, row := range rows {
		if row.Label == plan.MetricsClip.Names()[0] {
			if x, err := strconv.ParseFloat(row.Value, 64); err == nil {
				return x
			}
		}
	}
	return math.NaN()
}
