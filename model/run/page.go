package run

import (
	"crypto/sha256"
	_ "embed" // the page and its style
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
	"time"
)

//go:embed style.css
var style string

//go:embed page.html
var pageText string

var page = template.Must(template.New("run").Funcs(template.FuncMap{"percent": percent, "number": number}).Parse(pageText))

// Page writes a run as one file that loads nothing and runs nothing: no
// scripts, one style whose hash the page's content security policy names.
// Name is the run's own, usually its folder's.
func Page(w io.Writer, name string, m Manifest, c Config, log []Record) error {
	hash := sha256.Sum256([]byte(style))
	v := pageView{
		M: m, Name: name, Style: template.CSS(style),
		CSP:    "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'; base-uri 'none'; form-action 'none'",
		Kind:   kind(m.Recipe),
		Cards:  cards(m),
		Charts: charts(m, c, log), Table: tableOf(m.Result), Groups: groupsOf(m.Result),
		Timing:  timing(m, log),
		Command: "tutti train --config " + name + "/" + ConfigName + " --out again",
	}
	if m.Status != Finished {
		v.Open = fmt.Sprintf("This run stands at step %d of %d. It goes on with: tutti train --resume --out %s", m.Progress.Step, m.Progress.Steps, name)
	}
	v.settings(c)
	return page.Execute(w, v)
}

type pageView struct {
	M                  Manifest
	Name, Kind         string
	CSP, Open, Command string
	Style              template.CSS
	Cards              []pair
	Charts             []chartView
	Table              *tableView
	Groups             []groupView
	Timing             []pair
	Settings           []settingView
	Changed            int
}

type pair struct{ Value, Label string }

type settingView struct {
	Name, Value, Help string
	Changed           bool
}

func kind(r Recipe) string {
	switch r {
	case Bidirectional:
		return "Bidirectional Transformer"
	case EncDec:
		return "Encoder-decoder Transformer"
	}
	return "Causal Transformer"
}

func (v *pageView) settings(c Config) {
	usual, _ := Default(c.Recipe)
	defaults := Settings(&usual)
	for i, s := range Settings(&c) {
		changed := s.Value != defaults[i].Value
		if changed {
			v.Changed++
		}
		v.Settings = append(v.Settings, settingView{s.Name, s.Value, s.Help, changed})
	}
}

// cards are the numbers that are asked for first.
func cards(m Manifest) []pair {
	var out []pair
	if r := m.Result; r != nil && len(r.Rows) > 0 {
		for i, metric := range r.Metrics[:min(2, len(r.Metrics))] {
			out = append(out, pair{number(r.Rows[0].Values[i].Value), metric.Name + " on the " + r.Split + " split"})
		}
	} else if m.Progress.Best > 0 {
		out = append(out, pair{number(m.Progress.BestNDCG), "best NDCG@10 so far, validation"})
	}
	step := fmt.Sprintf("of at most %d steps", m.Progress.Steps)
	if m.Progress.Early {
		step += ", ended early"
	}
	return append(out,
		pair{strconv.Itoa(m.Progress.Step), step},
		pair{duration(m.Progress.Seconds), "of training"},
		pair{grouped(m.Weights), "weights"})
}

func timing(m Manifest, log []Record) []pair {
	var tokens int
	var measuring float64
	for _, r := range log {
		tokens += r.Tokens
		if r.Validation != nil {
			measuring += r.Validation.Seconds
		}
	}
	out := []pair{{duration(m.Progress.Seconds), "training, with validation"}}
	if s := m.Progress.Seconds - measuring; s > 0 && tokens > 0 {
		out = append(out, pair{fmt.Sprintf("%s events learned, %s a second", grouped(tokens), grouped(int(float64(tokens)/s))), "speed"})
	}
	if measuring > 0 {
		out = append(out, pair{duration(measuring), "validation"})
	}
	if m.Result != nil {
		out = append(out, pair{duration(m.Result.Seconds), "final table"})
	}
	if n := m.Progress.Resumed; n > 0 {
		out = append(out, pair{strconv.Itoa(n), "times resumed"})
	}
	return out
}

// number writes a metric with four figures that mean something.
func number(x float64) string {
	switch a := math.Abs(x); {
	case math.IsNaN(x):
		return "–"
	case a >= 1000:
		return grouped(int(math.Round(x)))
	case a >= 10:
		return strconv.FormatFloat(x, 'f', 2, 64)
	}
	return strconv.FormatFloat(x, 'f', 4, 64)
}

func percent(p float64) string { return strconv.FormatFloat(100*p, 'f', 1, 64) + "\u00a0%" }

func duration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < 10*time.Second:
		return strconv.FormatFloat(seconds, 'f', 1, 64) + " s"
	case d < 2*time.Minute:
		return strconv.FormatFloat(seconds, 'f', 0, 64) + " s"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
}

// grouped writes a whole number with thin spaces between thousands.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}
