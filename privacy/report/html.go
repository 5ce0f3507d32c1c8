package report

import (
	"crypto/sha256"
	_ "embed" // the page and its style
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"math/big"
	"strconv"
	"strings"
)

//go:embed style.css
var style string

//go:embed page.html
var pageText string

var page = template.Must(template.New("report").Parse(pageText))

// shownRounds is how many rounds the page lists; report.json has them all.
const shownRounds = 200

// HTML writes the report as one page that loads nothing and runs nothing: no scripts, one style whose hash the page's
// content security policy names. It shows what the Report says and computes no privacy number but the axis.
func (r *Report) HTML(w io.Writer) error {
	v, err := r.view()
	if err != nil {
		return err
	}
	return page.Execute(w, v)
}

type card struct{ Value, Label string }

// readerView is the summary for one of three readers.
type readerView struct {
	Title string
	Lines []string
}

type rowView struct {
	Round                                      uint64
	What, Devices, Allowed, Rho, Eps, Z, Model string
	Warn                                       bool
}

type barView struct {
	Name, Text, W, CI string
	Private           bool
}

type pageView struct {
	R        *Report
	CSP      string
	Style    template.CSS
	Off      bool
	Cards    []card
	Readers  []readerView
	NoServer bool // no claim about what the server sees, though there is one about what is released
	Views    []claimView
	Burn     *burnView
	Curve    *lineView
	Tradeoff *lineView
	Bars     []barView
	Notes    []string
	Rows     []rowView
	Cut      string
	Meter    *meterView
	Dropout  *dropView
	Audits   []sectionView
	Attacks  []sectionView
}

// claimView is a claim with its name.
type claimView struct {
	Claim
	Name string
}

func (r *Report) view() (*pageView, error) {
	hash := sha256.Sum256([]byte(style))
	v := &pageView{
		R: r, Style: template.CSS(style), Off: r.Privacy != PrivacyOn,
		CSP: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'; base-uri 'none'; form-action 'none'",
	}
	v.Cards, v.Readers = r.cards(), r.readers()
	for _, c := range r.Claims {
		v.Views = append(v.Views, claimView{c, viewWords(c.View)})
	}
	v.NoServer = len(r.Claims) > 0 && r.Claims[0].View != ViewServer
	v.Bars, v.Notes = bars(r.Utility)
	v.Rows, v.Cut = r.rows()
	v.Meter, v.Dropout = r.meterChart(), r.dropChart()
	v.Curve, v.Tradeoff = r.curveChart(), r.tradeoffChart()
	v.Audits, v.Attacks = sectionViews(r.Audits), sectionViews(r.Attacks)
	var err error
	v.Burn, err = r.burnChart()
	return v, err
}

func (r *Report) cards() []card {
	out := []card{{"OFF", "no claim is made"}}
	if len(r.Claims) > 0 {
		out = out[:0]
		for i, c := range r.Claims {
			if len(c.Epsilons) == 0 || i > 0 && c.Rho == r.Claims[0].Rho {
				continue // the same number twice tells nothing
			}
			about := viewWords(c.View)
			if i == 0 && len(r.Claims) > 1 && r.Claims[1].Rho == c.Rho {
				about += ", and what is released"
			}
			out = append(out, card{"ε " + c.Epsilons[0].Epsilon, "at δ = " + c.Epsilons[0].Delta + ", per " + r.Task.Unit + ": " + about})
		}
	}
	d := r.Dropout
	out = append(out, card{plural(d.Published, "round"), fmt.Sprintf("published; %d abandoned", d.Abandoned)})
	if d.Rounds > 0 {
		out = append(out, card{strconv.FormatUint(d.Median, 10), fmt.Sprintf("devices in a sum (median; %d to %d)", d.Min, d.Max)})
	}
	if budget, ok := ratOf(r.Task.Budget); ok && budget.Sign() > 0 && len(r.Claims) > 0 {
		if spent, ok := ratOf(r.Claims[0].Rho); ok {
			share := toFloat(new(big.Rat).Quo(spent, budget))
			out = append(out, card{fixed(100*share, 1) + " %", "of the budget spent"})
		}
	}
	return out
}

func plural(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.FormatUint(n, 10) + " " + what + "s"
}

func (r *Report) rows() ([]rowView, string) {
	shown, cut := r.Rounds, ""
	if len(shown) > shownRounds {
		cut = fmt.Sprintf("The last %d of %d rounds; report.json lists all.", shownRounds, len(shown))
		shown = shown[len(shown)-shownRounds:]
	}
	out := make([]rowView, 0, len(shown))
	for _, x := range shown {
		row := rowView{
			Round: x.Round, What: x.What, Devices: devicesOf(x), Allowed: fmt.Sprintf("%d–%d", x.NMin, x.NMax),
			Rho: "off", Eps: x.EpsTotal, Z: x.MeterZ, Model: x.After[:min(8, len(x.After))], Warn: !x.Noise,
		}
		if rho, ok := ratOf(x.Rho); ok {
			row.Rho = rho.FloatString(5)
		}
		if x.Outcome != "published" {
			row.What += " (" + x.Outcome + ")"
		}
		if strings.Trim(x.After, "0") == "" {
			row.Model = "–"
		}
		if x.Central != "" {
			row.What += ", noise by the server"
			row.Warn = true
		}
		if z, err := strconv.ParseFloat(x.MeterZ, 64); err == nil && z < alarmZ {
			row.Warn = true
		}
		out = append(out, row)
	}
	return out, cut
}

// bars are the quality rows, scaled to the largest upper end.
func bars(rows []Utility) ([]barView, []string) {
	share := func(s string) (float64, bool) {
		x, err := strconv.ParseFloat(s, 64)
		return x, err == nil && x >= 0 && x <= 1
	}
	largest := 0.0
	for _, u := range rows {
		for _, s := range []string{u.NDCG.Value, u.NDCG.High} {
			if x, ok := share(s); ok {
				largest = max(largest, x)
			}
		}
	}
	if largest == 0 {
		largest = 1
	}
	var out []barView
	var notes []string
	for _, u := range rows {
		x, _ := share(u.NDCG.Value)
		b := barView{Name: u.Name, Text: u.NDCG.Value, W: fixed(1000*x/largest, 1), Private: u.Private}
		if u.HR.Value != "" {
			b.Text += " / " + u.HR.Value
		}
		low, ok := share(u.NDCG.Low)
		if high, ok2 := share(u.NDCG.High); ok && ok2 {
			a, z := fixed(1000*low/largest, 1), fixed(1000*high/largest, 1)
			b.CI = "M" + a + " 6V14M" + a + " 10H" + z + "M" + z + " 6V14"
		}
		if u.Note != "" {
			notes = append(notes, u.Name+": "+u.Note+".")
		}
		out = append(out, b)
	}
	return out, notes
}

// devicesOf is the number of devices in a round's sum, and in how many of its groups they were.
func devicesOf(x Round) string {
	n := strconv.FormatUint(x.Survived, 10)
	if len(x.Groups) == 0 {
		return n
	}
	open := 0
	for _, g := range x.Groups {
		if g.Outcome == x.Outcome {
			open++
		}
	}
	return fmt.Sprintf("%s in %d of %d groups", n, open, len(x.Groups))
}
