package dashboard

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Geometry of a chart in its view box; the page stretches it to its width.
const (
	chartW, chartH = 1000.0, 300.0
	chartTicks     = 4
)

// chart is a picture that the template draws. Every figure that it shows is in a table beside it as well.
type chart struct {
	Label string // what a reader who cannot see it is told
	Low   bool   // less high
	Y     []string
	X     []moment // shown from left to right, evenly apart
	Rules []string
	Bands []shape
	Lines []shape
	Dots  []shape
	Keys  []key
}

type shape struct{ Class, D, Title string }

type key struct{ Class, Text string }

// moment is a label of the axis: a point in time, or plain words.
type moment struct {
	At   time.Time
	Text string
}

// scale places values of [low, high] on the height of a chart.
type scale struct{ low, high float64 }

func (s scale) y(v float64) float64 {
	v = min(max(v, s.low), s.high)
	return chartH * (1 - (v-s.low)/(s.high-s.low))
}

// round gives a scale whose ticks are round numbers, and how many decimals they need.
func roundScale(low, high float64) (scale, int) {
	if !(high > low) {
		high, low = low+math.Max(math.Abs(low)*0.1, 1e-3), low-math.Max(math.Abs(low)*0.1, 1e-3)
	}
	raw := (high - low) / chartTicks
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	step := 10 * power
	for _, m := range []float64{1, 2, 2.5, 5} {
		if m*power >= raw*0.999 {
			step = m * power
			break
		}
	}
	for {
		s := scale{low: math.Floor(low/step+1e-9) * step}
		s.high = s.low + chartTicks*step
		if s.high >= high-1e-9*step || math.IsInf(step, 0) {
			decimals := max(0, int(math.Ceil(-math.Log10(step)-1e-9)))
			if m := step / math.Pow(10, math.Floor(math.Log10(step)+1e-9)); math.Abs(m-2.5) < 1e-6 {
				decimals++
			}
			return s, min(decimals, 6)
		}
		step = widen(step)
	}
}

// widen is the next round step: 1, 2, 5, 10 and so on.
func widen(step float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(step)+1e-9))
	switch m := step / power; {
	case m < 1.5:
		return 2 * power
	case m < 3:
		return 5 * power
	}
	return 10 * power
}

// ticks labels the axis from the top, with a rule at each.
func (c *chart) ticks(s scale, decimals int, unit string) {
	for i := chartTicks; i >= 0; i-- {
		v := s.low + (s.high-s.low)*float64(i)/chartTicks
		c.Y = append(c.Y, fixed(v, decimals)+unit)
		c.Rules = append(c.Rules, px(chartH*(1-float64(i)/chartTicks)))
	}
}

// point is a place in the view box.
type point struct{ x, y float64 }

func pathOf(ps []point) string {
	var b strings.Builder
	for i, p := range ps {
		if i == 0 {
			b.WriteByte('M')
		} else {
			b.WriteByte('L')
		}
		b.WriteString(px(p.x) + " " + px(p.y))
	}
	return b.String()
}

// steps joins points by a line that stays as it is until the next.
func steps(ps []point) string {
	var b strings.Builder
	for i, p := range ps {
		if i == 0 {
			b.WriteString("M" + px(p.x) + " " + px(p.y))
			continue
		}
		b.WriteString("H" + px(p.x) + "V" + px(p.y))
	}
	return b.String()
}

func dotAt(p point) string { return "M" + px(p.x) + " " + px(p.y) + "h0" }

// band is the area between two lines over the same places.
func band(low, high []point) string {
	if len(low) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(pathOf(high))
	for i := len(low) - 1; i >= 0; i-- {
		b.WriteString("L" + px(low[i].x) + " " + px(low[i].y))
	}
	return b.String() + "Z"
}

// px is a length in the view box.
func px(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		v = 0
	}
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

// fixed is a figure with so many decimals; a dash for what is no number.
func fixed(v float64, decimals int) string {
	switch {
	case !finite(v):
		return "–"
	case math.Abs(v) >= 1e15:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Trim(s, "-0.") == "" {
		return strings.TrimPrefix(s, "-")
	}
	return s
}

// across places the i-th of n values on the width, with half a step left free on both sides.
func across(i, n int) float64 { return chartW * (float64(i) + 0.5) / float64(max(n, 1)) }
