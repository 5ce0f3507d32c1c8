package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"tutti/privacy/audit"
)

// Geometry of the line charts, in the units of their view box; text is set in it, so it is never stretched.
const (
	lineL, lineR = 40.0, 335.0
	lineT, lineB = 10.0, 205.0
)

type tickView struct{ X, Y, Text string }

type pathView struct{ Class, D, Name string }

// lineView is a chart of lines with its ticks.
type lineView struct {
	Label, XName, YName string
	Across, Up          []tickView
	Lines               []pathView
	Mark                *tickView
}

func placeX(share float64) float64 { return lineL + share*(lineR-lineL) }
func placeY(share float64) float64 { return lineB - share*(lineB-lineT) }

// path joins points given as shares of both axes.
func path(points [][2]float64) string {
	var b strings.Builder
	for i, p := range points {
		move := "L"
		if i == 0 {
			move = "M"
		}
		b.WriteString(move + fixed(placeX(p[0]), 1) + " " + fixed(placeY(p[1]), 1))
	}
	return b.String()
}

// number reads a decimal that a chart can show.
func number(s string) (float64, bool) {
	x, err := strconv.ParseFloat(s, 64)
	return x, err == nil && !math.IsNaN(x) && math.Abs(x) < 1e12
}

// curveChart is epsilon over delta, of every claim with a rho of its own.
func (r *Report) curveChart() *lineView {
	v := &lineView{Label: "epsilon over delta", XName: "δ", YName: "ε"}
	top := 0.0
	for _, c := range r.Claims {
		for _, p := range c.Curve {
			if e, ok := number(p.Epsilon); ok {
				top = max(top, e)
			}
		}
	}
	if top <= 0 {
		return nil
	}
	top = niceTop(top)
	for i, c := range r.Claims {
		if i > 0 && c.Rho == r.Claims[0].Rho {
			continue
		}
		var points [][2]float64
		for _, p := range c.Curve {
			d, ok := number(p.Delta)
			e, ok2 := number(p.Epsilon)
			if ok && ok2 && d > 0 {
				points = append(points, [2]float64{(-math.Log10(d) - 2) / 10, e / top})
			}
		}
		v.Lines = append(v.Lines, pathView{"line " + lineClass(i), path(points), lineName(r, i)})
	}
	for _, e := range []int{2, 4, 6, 8, 10, 12} {
		v.Across = append(v.Across, tickView{fixed(placeX(float64(e-2)/10), 1), "", "1e-" + strconv.Itoa(e)})
	}
	v.Up = upTicks(top, "")
	if len(r.Claims[0].Epsilons) > 0 {
		d, ok := number(r.Claims[0].Epsilons[0].Delta)
		e, ok2 := number(r.Claims[0].Epsilons[0].Epsilon)
		if ok && ok2 && d > 0 && d <= 0.01 && d >= 1e-12 {
			v.Mark = &tickView{fixed(placeX((-math.Log10(d)-2)/10), 1), fixed(placeY(e/top), 1), "claim: ε " + r.Claims[0].Epsilons[0].Epsilon}
		}
	}
	return v
}

func lineClass(i int) string {
	if i == 0 {
		return "server"
	}
	return "released"
}

// lineName names a line by its claim; one line for both views where they are the same.
func lineName(r *Report, i int) string {
	name := viewWords(r.Claims[i].View)
	if i == 0 && len(r.Claims) > 1 && r.Claims[1].Rho == r.Claims[0].Rho {
		name += ", and " + viewWords(r.Claims[1].View)
	}
	return name
}

// niceTop is the next of 1, 2, 5, 10, 12, 15, 20 ... at or above x.
func niceTop(x float64) float64 {
	for scale := 1.0; scale < 1e9; scale *= 10 {
		for _, step := range []float64{1, 1.2, 1.6, 2, 3, 4, 5, 6, 8} {
			if step*scale >= x {
				return step * scale
			}
		}
	}
	return x
}

func upTicks(top float64, unit string) (out []tickView) {
	for i := range ticks + 1 {
		share := float64(i) / ticks
		text := strconv.FormatFloat(top*share, 'g', 4, 64)
		out = append(out, tickView{"", fixed(placeY(share), 1), text + unit})
	}
	return out
}

// tradeoffChart is the largest true-positive rate over the false-positive rate, beside what guessing gives.
func (r *Report) tradeoffChart() *lineView {
	if len(r.Claims) == 0 || len(r.Claims[0].Tradeoff) == 0 {
		return nil
	}
	v := &lineView{Label: "largest true-positive rate of any membership test over its false-positive rate", XName: "accused wrongly", YName: "found"}
	v.Up = upTicks(100, "%")
	for i := range ticks + 1 {
		share := float64(i) / ticks
		v.Across = append(v.Across, tickView{fixed(placeX(share), 1), "", strconv.Itoa(int(100*share)) + "%"})
	}
	v.Lines = append(v.Lines, pathView{"line guess", path([][2]float64{{0, 0}, {1, 1}}), "guessing"})
	for i, c := range r.Claims {
		if i > 0 && c.Rho == r.Claims[0].Rho {
			continue
		}
		points := [][2]float64{{0, 0}}
		for _, t := range c.Tradeoff {
			x, ok := number(t.FPR)
			y, ok2 := number(t.TPR)
			if ok && ok2 && x >= 0 && x <= 1 && y >= 0 && y <= 1 {
				points = append(points, [2]float64{x, y})
			}
		}
		v.Lines = append(v.Lines, pathView{"line " + lineClass(i), path(append(points, [2]float64{1, 1})), lineName(r, i)})
	}
	return v
}

// dropView is the chart of devices in each sum.
type dropView struct {
	Label, Least, First, Last string
	Ticks                     []string
	Columns                   []columnView
}

// dropChart shows how many devices were in each sum, against the least that its plan allowed.
func (r *Report) dropChart() *dropView {
	if len(r.Rounds) == 0 {
		return nil
	}
	top, least := uint64(1), uint64(math.MaxUint64)
	for _, x := range r.Rounds {
		top, least = max(top, x.Survived), min(least, x.NMin)
	}
	shown := r.Rounds[max(0, len(r.Rounds)-mostColumns):]
	v := &dropView{
		Label: fmt.Sprintf("devices in each of the last %d sums", len(shown)),
		First: fmt.Sprintf("round %d", shown[0].Round), Last: fmt.Sprintf("round %d", shown[len(shown)-1].Round),
		Ticks: []string{strconv.FormatUint(top, 10), strconv.FormatUint(top/2, 10), "0"},
	}
	if least <= top {
		v.Least = fixed(meterH*(1-float64(least)/float64(top)), 1)
	}
	width := chartW / float64(len(shown))
	for i, x := range shown {
		h := meterH * float64(x.Survived) / float64(top)
		kind := class(x.What)
		if x.Outcome != "published" {
			kind = "lost"
		}
		v.Columns = append(v.Columns, columnView{kind, fixed(float64(i)*width+0.08*width, 2), fixed(meterH-h, 2), fixed(0.84*width, 2), fixed(h, 2),
			fmt.Sprintf("round %d: %d devices, at least %d were promised", x.Round, x.Survived, x.NMin)})
	}
	return v
}

// sectionView is one audit or attack with a bar of its figure against its bound.
type sectionView struct {
	Kind, Verdict, Value, Bound, Control, Reason, Power string
	Detected, HasControl                                bool
	Bar, Limit, Interval                                string // widths in a view box of 1000; "": no bound to hold it against
	Bad, Gate, Parametric                               bool
}

func sectionViews(in []audit.Section) []sectionView {
	var out []sectionView
	for _, s := range in {
		v := sectionView{
			Kind: strings.ReplaceAll(s.Kind, "_", " "), Verdict: s.Verdict, Bound: s.Bound, Reason: s.Reason, Power: s.Power,
			Bad: s.Verdict == audit.VerdictFail || s.Verdict == audit.VerdictBroken, Gate: s.Gate, Parametric: s.Parametric,
		}
		if claim, ok := s.Input("epsilon"); ok {
			v.Kind += ", claim ε " + claim
		}
		if s.PositiveControl != nil {
			v.HasControl, v.Control, v.Detected = true, s.PositiveControl.Value, s.PositiveControl.Detected
		}
		if len(s.Values) > 0 {
			v.Value = s.Values[0].Name + " " + s.Values[0].Value
			v.bar(s.Values[0], s.Bound)
		}
		out = append(out, v)
	}
	return out
}

// bar draws the value on a scale that ends at half as much again as its bound.
func (v *sectionView) bar(value audit.Value, bound string) {
	limit, ok := number(bound)
	x, ok2 := number(value.Value)
	if !ok || !ok2 || limit <= 0 {
		return
	}
	at := func(x float64) float64 { return 1000 * min(max(x/(1.5*limit), 0), 1) }
	v.Bar, v.Limit = fixed(max(at(x), 4), 1), fixed(at(limit), 1)
	low, ok := number(value.Low)
	high, ok2 := number(value.High)
	if ok && ok2 && value.Low != "" {
		a, z := fixed(at(low), 1), fixed(at(high), 1)
		v.Interval = "M" + a + " 6V14M" + a + " 10H" + z + "M" + z + " 6V14"
	}
}
