package run

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"tutti/model/seqrec"
)

// Geometry of the charts in their view box; the page stretches them.
const (
	chartW, chartH = 1000.0, 400.0
	ticks          = 4
	mostPoints     = 600
)

// chartView is one curve.
type chartView struct {
	Title, Label, Class, Path string
	Best, BestTitle, Text     string
	Ticks, Grid               []string
	First, Last               int
}

type point struct {
	step  int
	value float64
}

// charts are the training loss and the validation quality, where there is any.
func charts(m Manifest, c Config, log []Record) []chartView {
	var loss, quality []point
	best := point{-1, math.Inf(-1)}
	for _, r := range log {
		if !math.IsNaN(r.Loss) && !math.IsInf(r.Loss, 0) {
			loss = append(loss, point{r.Step, r.Loss})
		}
		if v := r.Validation; v != nil {
			quality = append(quality, point{r.Step, v.NDCG})
			if v.NDCG > best.value {
				best = point{r.Step, v.NDCG}
			}
		}
	}
	var out []chartView
	if len(loss) > 1 {
		v := newChart("Training loss", "loss", thin(loss)).chartView
		v.Text = "Mean per predicted event, with all that the configuration weighs in."
		if c.Loss.Kind == seqrec.FullSoftmax && c.Loss.RatingWeight == 0 && c.Loss.ClickWeight == 0 && m.Data.Items > 1 {
			v.Text = fmt.Sprintf("Mean per predicted event, in nats. Guessing evenly among %d items would cost %.2f.", m.Data.Items, math.Log(float64(m.Data.Items)))
		}
		out = append(out, v)
	}
	if len(quality) > 1 {
		v := newChart("Validation NDCG@10", "quality", thin(quality))
		v.Best = "M" + v.at(best.step, best.value) + "h0"
		v.BestTitle = fmt.Sprintf("best: %s at step %d", number(best.value), best.step)
		v.Text = fmt.Sprintf("The dot: %s at step %d, whose weights are kept.", number(best.value), best.step)
		out = append(out, v.chartView)
	}
	return out
}

// newChart scales points into the view box between round ticks.
func newChart(title, class string, points []point) scaled {
	low, high := points[0].value, points[0].value
	for _, p := range points {
		low, high = min(low, p.value), max(high, p.value)
	}
	s := scaled{first: points[0].step, last: points[len(points)-1].step}
	unit := niceStep((high - low) / ticks)
	s.low = math.Floor(low/unit) * unit
	s.high = math.Ceil(high/unit) * unit
	if s.high == s.low {
		s.high = s.low + unit
	}
	s.chartView = chartView{
		Title: title, Class: class, First: s.first, Last: s.last,
		Label: fmt.Sprintf("%s from %s at step %d to %s at step %d", title, number(points[0].value), s.first, number(points[len(points)-1].value), s.last),
	}
	for x := s.high; x > s.low-unit/2; x -= unit {
		s.Ticks = append(s.Ticks, tick(x, unit))
		s.Grid = append(s.Grid, fixed(s.y(x), 1))
	}
	var path strings.Builder
	for i, p := range points {
		path.WriteByte("ML"[min(i, 1)])
		path.WriteString(s.at(p.step, p.value))
	}
	s.Path = path.String()
	return s
}

type scaled struct {
	chartView
	first, last int
	low, high   float64
}

func (s scaled) y(value float64) float64 { return chartH * (s.high - value) / (s.high - s.low) }

func (s scaled) at(step int, value float64) string {
	x := chartW * float64(step-s.first) / float64(max(1, s.last-s.first))
	return fixed(x, 1) + " " + fixed(s.y(value), 1)
}

// niceStep is the smallest of 1, 2, 5 times a power of ten that is no less than x.
func niceStep(x float64) float64 {
	if !(x > 0) || math.IsInf(x, 0) {
		return 1e-3
	}
	power := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= x*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

func tick(x, unit float64) string {
	if math.Abs(x) < unit/2 {
		x = 0 // and not -0.00
	}
	return fixed(x, int(max(0, -math.Floor(math.Log10(unit)+1e-9))))
}

// thin averages neighbours until few enough points are left.
func thin(points []point) []point {
	group := (len(points) + mostPoints - 1) / mostPoints
	if group <= 1 {
		return points
	}
	var out []point
	for i := 0; i < len(points); i += group {
		part := points[i:min(i+group, len(points))]
		p := point{step: part[len(part)-1].step}
		for _, q := range part {
			p.value += q.value / float64(len(part))
		}
		out = append(out, p)
	}
	return out
}

func fixed(x float64, places int) string { return strconv.FormatFloat(x, 'f', places, 64) }

// tableView has one row for each metric, so that it fits a phone.
type tableView struct {
	Caption string
	Names   []string
	Rows    []tableRow
}

type tableRow struct {
	Name, Means string
	Cells       []cell
}

type cell struct {
	Value, Low, High string
	Best             bool
}

func tableOf(e *Evaluation) *tableView {
	if e == nil || len(e.Rows) == 0 {
		return nil
	}
	t := &tableView{Caption: fmt.Sprintf("%s people of the %s split, ranked against the whole catalogue, what they had before left out; 95 %% intervals. Bold: the best of its row; where intervals overlap, the order may be chance.", grouped(e.Users), e.Split)}
	for _, r := range e.Rows {
		t.Names = append(t.Names, r.Name)
	}
	for i, m := range e.Metrics {
		row := tableRow{Name: m.Name, Means: m.Means}
		best := math.Inf(-1)
		for _, r := range e.Rows {
			best = max(best, float64(m.Better)*r.Values[i].Value)
		}
		for _, r := range e.Rows {
			v := r.Values[i]
			c := cell{Value: number(v.Value), Best: m.Better != 0 && float64(m.Better)*v.Value == best}
			if v.Low != v.High {
				c.Low, c.High = number(v.Low), number(v.High)
			}
			row.Cells = append(row.Cells, c)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

type groupView struct {
	Name, Gap string
	Bars      []barView
	Many      bool // folded
}

// mostBars is how many groups a breakdown shows unasked.
const mostBars = 8

type barView struct{ Name, Text, W, CI string }

func groupsOf(e *Evaluation) []groupView {
	if e == nil {
		return nil
	}
	largest := 0.0
	for _, g := range e.Groups {
		for _, r := range g.Rows {
			largest = max(largest, r.NDCG.High)
		}
	}
	if largest == 0 {
		return nil
	}
	var out []groupView
	for _, g := range e.Groups {
		v := groupView{Name: g.Name, Many: len(g.Rows) > mostBars}
		for _, r := range g.Rows {
			b := barView{Name: r.Label, W: fixed(1000*r.NDCG.Value/largest, 1), Text: number(r.NDCG.Value) + " · " + grouped(r.Users)}
			if low, high := r.NDCG.Low, r.NDCG.High; low != high {
				a, z := fixed(1000*low/largest, 1), fixed(1000*high/largest, 1)
				b.CI = "M" + a + " 6V14M" + a + " 10H" + z + "M" + z + " 6V14"
			}
			v.Bars = append(v.Bars, b)
		}
		if g.Gap != nil {
			v.Gap = g.Gap.String()
		}
		out = append(out, v)
	}
	return out
}
