package report

import (
	"fmt"
	"math"
	"math/big"
	"strconv"

	"tutti/privacy/accounting"
)

// Geometry of the charts in their view boxes; the page stretches them.
const (
	chartW, chartH = 1000.0, 400.0
	mostColumns    = 250
	ticks          = 4
	meterH         = 240.0
	meterSpan      = 8.0 // z at the top and bottom of the chart
)

type columnView struct{ Class, X, Y, W, H, Title string }

type legendView struct{ Class, Text string }

// burnView is the budget chart: one column per release, each standing on the one before it.
type burnView struct {
	Label       string
	Rho, Eps    []string
	Grid        []string
	Columns     []columnView
	Legend      []legendView
	Limit       string
	First, Last string
}

// ratOf reads a rational of bounded size; a report that was not verified may hold anything.
func ratOf(s string) (*big.Rat, bool) {
	x, err := accounting.ParseRho(s)
	return x, err == nil
}

// step is one release of the chart.
type step struct {
	what string
	name string
	rho  float64
}

// steps are the releases in the order of the log: rounds with noise, and statements.
func (r *Report) steps() []step {
	var out []step
	next := 0
	say := func(before uint64) {
		for ; next < len(r.Telemetry) && r.Telemetry[next].Seq < before; next++ {
			t := r.Telemetry[next]
			eps, err := strconv.ParseFloat(t.Epsilon, 64)
			if err == nil && eps > 0 && eps < 1e6 {
				out = append(out, step{"telemetry", t.Metric, eps * eps / 2})
			}
		}
	}
	limited := len(r.Claims) > 0 && r.Claims[0].MaxParticipations < r.Claims[0].Rounds
	before := 0.0
	for _, x := range r.Rounds {
		said := len(out)
		say(x.Seq)
		name := fmt.Sprintf("round %d, %s", x.Round, x.What)
		if limited { // what the dearest device spent by then, of which a round adds all, a part or nothing
			for _, s := range out[said:] {
				before += s.rho
			}
			if total, ok := number(x.RhoTotal); ok {
				out = append(out, step{x.What, name, max(0, total-before)})
				before = max(before, total)
			}
		} else if rho, ok := ratOf(x.Rho); ok {
			out = append(out, step{x.What, name, toFloat(rho)})
		}
	}
	say(1 << 62)
	return out
}

// thin joins neighbouring releases until few enough columns are left.
func thin(steps []step) []step {
	group := (len(steps) + mostColumns - 1) / mostColumns
	if group <= 1 {
		return steps
	}
	var out []step
	for i, s := range steps {
		if i%group == 0 {
			out = append(out, step{"rounds", s.name + " and following", 0})
		}
		out[len(out)-1].rho += s.rho
	}
	return out
}

func (r *Report) burnChart() (*burnView, error) {
	steps := thin(r.steps())
	if len(steps) == 0 {
		return nil, nil
	}
	total, top := 0.0, 0.0
	for _, s := range steps {
		total += s.rho
	}
	budget, limited := ratOf(r.Task.Budget)
	if top = total; limited {
		top = max(total, toFloat(budget))
	}
	if !(top > 0 && top < math.MaxFloat64) {
		return nil, nil // not a report that Verify would accept
	}
	v := &burnView{Label: fmt.Sprintf("rho spent over %d releases, %s in all", len(steps), fixed(total, 4)), First: steps[0].name, Last: steps[len(steps)-1].name}
	delta, err := strconv.ParseFloat(r.Task.Delta, 64)
	if err != nil {
		return nil, fmt.Errorf("report: delta %q: %w", r.Task.Delta, err)
	}
	for i := ticks; i >= 0; i-- {
		rho := top * float64(i) / ticks
		eps, err := accounting.EpsilonFromRho(new(big.Rat).SetFloat64(rho), delta)
		if err != nil {
			return nil, err
		}
		v.Rho, v.Eps = append(v.Rho, "ρ "+fixed(rho, 3)), append(v.Eps, "ε "+fixed(eps, 2))
		v.Grid = append(v.Grid, fixed(chartH*(1-float64(i)/ticks), 1))
	}
	if limited {
		v.Limit = fixed(chartH*(1-toFloat(budget)/top), 1)
	}
	v.columns(steps, top)
	for _, s := range r.Accounting.Spent {
		share, _ := strconv.ParseFloat(s.Share, 64)
		v.Legend = append(v.Legend, legendView{class(s.What), fmt.Sprintf("%s: %s %% in %s", s.What, fixed(100*share, 1), plural(s.Releases, "release"))})
	}
	return v, nil
}

func (v *burnView) columns(steps []step, top float64) {
	width, stood := chartW/float64(len(steps)), 0.0
	for i, s := range steps {
		h := max(1.5, chartH*s.rho/top)
		y := chartH * (1 - (stood+s.rho)/top)
		stood += s.rho
		v.Columns = append(v.Columns, columnView{
			class(s.what), fixed(float64(i)*width+0.08*width, 2), fixed(min(y, chartH-1.5), 2), fixed(0.84*width, 2), fixed(h, 2),
			fmt.Sprintf("%s: rho %s, %s so far", s.name, fixed(s.rho, 5), fixed(stood, 5)),
		})
	}
}

// class is the colour of a kind of release.
func class(what string) string {
	switch what {
	case "popularity", "transitions", "model", "telemetry", "metrics":
		return what
	}
	return "rounds"
}

type dotView struct {
	D, Title string
	Bad      bool
}

// meterView is the chart of the noise meter.
type meterView struct {
	Label, Text, Limit, First, Last string
	Ticks                           []string
	Dots                            []dotView
}

func (r *Report) meterChart() *meterView {
	var measured []Round
	for _, x := range r.Rounds {
		if x.MeterZ != "" {
			measured = append(measured, x)
		}
	}
	if len(measured) == 0 {
		return nil
	}
	place := func(z float64) float64 { return meterH / 2 * (1 - min(max(z, -meterSpan), meterSpan)/meterSpan) }
	v := &meterView{
		Label: fmt.Sprintf("noise of %d rounds in standard errors from the promised", len(measured)),
		Limit: fixed(place(alarmZ), 1), Ticks: []string{"z +8", "0", "−8"},
		First: fmt.Sprintf("round %d", measured[0].Round), Last: fmt.Sprintf("round %d", measured[len(measured)-1].Round),
		Text: fmt.Sprintf("The variance on coordinates that carry nothing but noise, in standard errors from the promised one; below the dashed line (−5) some devices sent too little. Worst %s (round %d), all rounds together %s. It finds faulty devices; an adversary can hide from it, and no claim rests on it.",
			r.NoiseMeter.WorstZ, r.NoiseMeter.WorstRound, r.NoiseMeter.PooledZ),
	}
	for i, x := range measured {
		z, err := strconv.ParseFloat(x.MeterZ, 64)
		if err != nil {
			continue
		}
		at := chartW * (float64(i) + 0.5) / float64(len(measured))
		v.Dots = append(v.Dots, dotView{"M" + fixed(at, 1) + " " + fixed(place(z), 1) + "h0", fmt.Sprintf("round %d: z %s, variance ratio %s", x.Round, x.MeterZ, x.Ratio), z < alarmZ})
	}
	return v
}
