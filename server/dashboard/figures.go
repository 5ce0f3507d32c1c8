package dashboard

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"tutti/server/operator"
)

// burn is the budget as it is used up: what is left of it over time, and the pace of the last rounds carried on to the end.
func burn(v *operator.View) *chart {
	b := v.Budget
	if !b.Bounded || !(b.Rho > 0) || len(b.History) == 0 {
		return nil
	}
	from, to := b.History[0].At, v.At
	forecast := b.Forecast.Known && b.Forecast.Rounds > 0 && b.Forecast.Stop.After(to) && (v.State == operator.Running || v.State == operator.Paused)
	if forecast {
		to = b.Forecast.Stop
	}
	if !to.After(from) {
		to = from.Add(time.Second)
	}
	at := func(t time.Time) float64 {
		return chartW * min(max(float64(t.Sub(from))/float64(to.Sub(from)), 0), 1)
	}
	share := scale{0, 1}
	c := &chart{Label: fmt.Sprintf("Privacy budget left: %s after %s; %s", percent(b.Left), count(len(b.History)-1, "charge"), strings.TrimSuffix(b.Forecast.Words, "."))}
	c.Y = append(c.Y, "100 %", "75 %", "50 %", "25 %", "0 %")
	for i := range chartTicks + 1 {
		c.Rules = append(c.Rules, px(chartH*float64(i)/chartTicks))
	}
	var line []point
	for i, x := range b.History {
		p := point{at(x.At), share.y(1 - x.Spent.Rho/b.Rho)}
		line = append(line, p)
		if i > 0 && len(b.History) <= mostDots {
			c.Dots = append(c.Dots, shape{"dot", dotAt(p), fmt.Sprintf("%s: epsilon %s of %s spent", chargeOf(x), fixed(x.Spent.Epsilon, 3), number(b.Epsilon))})
		}
	}
	now := point{at(v.At), line[len(line)-1].y}
	line = append(line, now)
	c.Lines = append(c.Lines, shape{"line", steps(line), ""})
	c.Keys = append(c.Keys, key{"", "left of the budget"})
	if taken := b.Reserved.Rho + b.Held.Rho; taken > 0 {
		low := share.y(1 - (b.Spent.Rho+taken)/b.Rho)
		c.Bands = append(c.Bands, shape{"band held", "M" + px(max(now.x-14, 0)) + " " + px(now.y) + "H" + px(now.x) + "V" + px(low) + "H" + px(max(now.x-14, 0)) + "Z", ""})
		c.Keys = append(c.Keys, key{"held", "reserved by the round under way, or held by an unproven abandonment"})
	}
	if forecast {
		c.Lines = append(c.Lines, shape{"line guess", pathOf([]point{now, {at(b.Forecast.Stop), chartH}}), "at this pace"})
		c.Keys = append(c.Keys, key{"s6", "at the pace of the last rounds"})
	}
	c.Lines = append(c.Lines, shape{"limit", "M0 300H1000", "the budget is spent"})
	c.X = []moment{{At: from}, {At: to}}
	return c
}

// mostDots is how many points of a line are marked one by one.
const mostDots = 60

func chargeOf(x operator.Spending) string {
	if x.Round == 0 {
		return x.What
	}
	return fmt.Sprintf("round %d (%s)", x.Round, x.What)
}

// curve is one figure of quality over the rounds that measured it.
type curve struct {
	Title, Note string
	Chart       *chart
	Points      []measured // newest first
}

type measured struct {
	Round, Version   uint64
	Value, Low, High string
}

// known are the figures that get a chart, in this order, with what they mean.
var known = []struct{ name, title, note string }{
	{"ndcg10", "NDCG@10", "share of the best ranking, 0 to 1: higher is better"},
	{"hit10", "Hits in the first ten", "share of devices, 0 to 1: higher is better"},
	{"mrr", "Mean reciprocal rank", "0 to 1: higher is better"},
	{"loss", "Loss", "over that of a guess: lower is better"},
	{"clip", "Within the clip", "share of devices whose update was not cut"},
}

// series is one figure as it went.
type series struct {
	name   string
	points []operator.Quality // each with this one figure, oldest first
}

func seriesOf(quality []operator.Quality, name string) series {
	s := series{name: name}
	for i := len(quality) - 1; i >= 0; i-- {
		for _, f := range quality[i].Figures {
			if f.Name == name && finite(f.Value) {
				q := quality[i]
				q.Figures = []operator.Figure{f}
				s.points = append(s.points, q)
			}
		}
	}
	return s
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// curves draws each known figure, and gives the newest figures of groups of devices.
func curves(quality []operator.Quality) ([]curve, []operator.Figure) {
	var out []curve
	for _, k := range known {
		s := seriesOf(quality, k.name)
		if len(s.points) == 0 {
			continue
		}
		c := curve{Title: k.title, Note: k.note, Chart: drawCurves(k.title, []named{{"", 0, s}})}
		for i := len(s.points) - 1; i >= 0 && len(c.Points) < shownRows; i-- {
			q, f := s.points[i], s.points[i].Figures[0]
			c.Points = append(c.Points, measured{q.Round, q.Version, fixed(f.Value, 4), fixed(f.Low, 4), fixed(f.High, 4)})
		}
		out = append(out, c)
	}
	if len(quality) == 0 {
		return out, nil
	}
	var groups []operator.Figure
	for _, f := range quality[0].Figures {
		if strings.Contains(f.Name, ".") && finite(f.Value) {
			groups = append(groups, f)
		}
	}
	return out, groups
}

// named is a series in a chart of several.
type named struct {
	name string
	hue  int // which colour
	series
}

// drawCurves draws series over the rounds, with their intervals as bands.
func drawCurves(title string, all []named) *chart {
	var rounds []uint64
	low, high := math.Inf(1), math.Inf(-1)
	for _, n := range all {
		for _, q := range n.points {
			rounds = append(rounds, q.Round)
			f := q.Figures[0]
			low, high = min(low, f.Value, orValue(f.Low, f.Value)), max(high, f.Value, orValue(f.High, f.Value))
		}
	}
	slices.Sort(rounds)
	if rounds = slices.Compact(rounds); len(rounds) == 0 {
		return nil
	}
	s, decimals := roundScale(low, high)
	c := &chart{Low: len(all) == 1}
	c.ticks(s, decimals, "")
	first, last := rounds[0], rounds[len(rounds)-1]
	place := func(r uint64) float64 {
		if first == last {
			return chartW / 2
		}
		return 12 + (chartW-24)*float64(r-first)/float64(last-first)
	}
	c.X = []moment{{Text: fmt.Sprintf("round %d", first)}}
	if last > first {
		c.X = append(c.X, moment{Text: fmt.Sprintf("round %d", last)})
	}
	var told []string
	for _, n := range all {
		class := ""
		if n.hue > 0 {
			class = fmt.Sprintf(" s%d", n.hue%6+1)
		}
		c.add(n, class, place, s, decimals)
		end := n.points[len(n.points)-1]
		told = append(told, fmt.Sprintf("%s%s %s in round %d", n.name, title, fixed(end.Figures[0].Value, decimals+1), end.Round))
		if n.name != "" {
			c.Keys = append(c.Keys, key{strings.TrimSpace(class), n.name})
		}
	}
	c.Label = strings.Join(told, "; ")
	return c
}

// add draws one series.
func (c *chart) add(n named, class string, place func(uint64) float64, s scale, decimals int) {
	var line, lows, highs []point
	for i, q := range n.points {
		f, x := q.Figures[0], place(q.Round)
		p := point{x, s.y(f.Value)}
		line = append(line, p)
		lows, highs = append(lows, point{x, s.y(orValue(f.Low, f.Value))}), append(highs, point{x, s.y(orValue(f.High, f.Value))})
		if len(n.points) > mostDots && i < len(n.points)-1 {
			continue
		}
		c.Dots = append(c.Dots, shape{"dot" + class, dotAt(p), fmt.Sprintf("%s round %d: %s, between %s and %s", n.name, q.Round, fixed(f.Value, decimals+2), fixed(f.Low, decimals+2), fixed(f.High, decimals+2))})
	}
	if len(line) == 1 { // a band of one point would not be seen
		lows, highs = []point{{line[0].x - 6, lows[0].y}, {line[0].x + 6, lows[0].y}}, []point{{line[0].x - 6, highs[0].y}, {line[0].x + 6, highs[0].y}}
	}
	c.Bands = append(c.Bands, shape{"band" + class, band(lows, highs), ""})
	if len(line) > 1 {
		c.Lines = append(c.Lines, shape{"line" + class, pathOf(line), ""})
	}
}

func orValue(bound, value float64) float64 {
	if finite(bound) {
		return bound
	}
	return value
}

func newestFigure(quality []operator.Quality, name string) (operator.Figure, uint64, bool) {
	for _, q := range quality {
		for _, f := range q.Figures {
			if f.Name == name && finite(f.Value) {
				return f, q.Round, true
			}
		}
	}
	return operator.Figure{}, 0, false
}

// meterSpan is z at the top and at the bottom of the noise meter.
const meterSpan = 8.0

// meter draws the noise meter over rounds, newest first, and says the worst reading.
func meter(rounds []operator.Round) (*chart, string) {
	var shown []operator.Round
	for _, r := range rounds {
		if r.Meter != nil && finite(r.Meter.Z) {
			shown = append(shown, r)
		}
	}
	if len(shown) == 0 {
		return nil, ""
	}
	slices.Reverse(shown)
	s := scale{-meterSpan, meterSpan}
	c := &chart{Low: true, Y: []string{"+8", "0", "−8"}, Rules: []string{px(s.y(0))}}
	for _, z := range []float64{operator.MeterLimit, -operator.MeterLimit} {
		c.Lines = append(c.Lines, shape{"limit", "M0 " + px(s.y(z)) + "H1000", fmt.Sprintf("z = %+.0f", z)})
	}
	worst := shown[0]
	for i, r := range shown {
		class := "dot good"
		if r.Meter.Off {
			class = "dot bad"
		}
		if math.Abs(r.Meter.Z) > math.Abs(worst.Meter.Z) {
			worst = r
		}
		c.Dots = append(c.Dots, shape{class, dotAt(point{across(i, len(shown)), s.y(r.Meter.Z)}), fmt.Sprintf("round %d: %s times the promised variance, z %s", r.Number, fixed(r.Meter.Ratio, 2), signed(r.Meter.Z))})
	}
	c.X = []moment{{Text: fmt.Sprintf("round %d", shown[0].Number)}}
	if len(shown) > 1 {
		c.X = append(c.X, moment{Text: fmt.Sprintf("round %d", shown[len(shown)-1].Number)})
	}
	text := fmt.Sprintf("Worst of %s: %s times the promised variance in round %d (z %s).", count(len(shown), "round"), fixed(worst.Meter.Ratio, 2), worst.Number, signed(worst.Meter.Z))
	c.Label = "Noise measured over noise promised, in standard errors. " + text
	return c, text
}
