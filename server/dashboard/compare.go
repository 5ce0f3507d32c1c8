package dashboard

import (
	"encoding/json"
	"net/http"

	"tutti/server/operator"
)

// compareView lays the curves of two tasks one over the other. Files of exported runs are added by the browser, which keeps them
// to itself.
type compareView struct {
	base
	Names []string
	A, B  string
	Runs  []compared
	Pairs []curvePair
	Data  string // the same curves for the page's script, as JSON
}

// compared is one task in words.
type compared struct {
	Name, Class, Sentence, Epsilon, Rounds string
	Pills                                  []key
}

// curvePair is one figure of both tasks.
type curvePair struct {
	Title, Note string
	Chart       *chart
	Rows        []pairRow
}

type pairRow struct {
	Round  uint64
	Values []string
}

// run is a task's curves for the page's script: by the name of a figure, points of round, value, low and high.
type run struct {
	Name   string                  `json:"name"`
	Series map[string][][4]float64 `json:"series"`
}

// compare shows two tasks' curves.
func (h *Handler) compare(w http.ResponseWriter, r *http.Request, in session) {
	all, err := h.tasks(r.Context())
	if err != nil {
		h.broken(w, r, in, err)
		return
	}
	b := h.base(r, "Compare runs", in)
	b.Here = "compare"
	b.Scripts = append(b.Scripts, "compare.js")
	page := compareView{base: b, A: r.URL.Query().Get("a"), B: r.URL.Query().Get("b")}
	for _, d := range all {
		page.Names = append(page.Names, d.Task)
	}
	if page.A == "" && len(all) > 0 {
		page.A = all[0].Task
	}
	var views []*operator.View
	for _, task := range []string{page.A, page.B} {
		d, err := h.desk(r.Context(), task)
		if err != nil || len(views) == 1 && views[0].Task == task {
			continue
		}
		v, err := d.look(r.Context())
		if err != nil {
			h.broken(w, r, in, err)
			return
		}
		views = append(views, v)
	}
	page.fill(views)
	h.write(w, http.StatusOK, "compare", page)
}

// compareKnown are the figures that are compared: those of quality, and what the runs cost.
var compareKnown = append(known[:len(known):len(known)],
	struct{ name, title, note string }{"epsilon", "Epsilon spent", "of the claim, in all: lower is better for the same quality"},
	struct{ name, title, note string }{"counted", "Devices counted", "in each published round"})

func (p *compareView) fill(views []*operator.View) {
	runs := make([]run, len(views))
	for i, v := range views {
		s := newSheet(&watch{}, v, false)
		c := compared{Name: v.Task, Sentence: v.Sentence, Pills: pills(v), Rounds: count(v.Totals.Published, "round") + " published"}
		if i > 0 {
			c.Class = "s2"
		}
		if v.Privacy.On && v.Budget.Bounded {
			c.Epsilon = "epsilon " + s.Spent() + " of " + s.Total()
		}
		p.Runs = append(p.Runs, c)
		runs[i] = run{v.Task, map[string][][4]float64{}}
	}
	for _, k := range compareKnown {
		var both []named
		for i, v := range views {
			s := seriesOf(qualityOf(v, k.name), k.name)
			if len(s.points) == 0 {
				continue
			}
			both = append(both, named{v.Task, i, s})
			for _, q := range s.points {
				f := q.Figures[0]
				runs[i].Series[k.name] = append(runs[i].Series[k.name], [4]float64{float64(q.Round), f.Value, orValue(f.Low, f.Value), orValue(f.High, f.Value)})
			}
		}
		if len(both) > 0 {
			p.Pairs = append(p.Pairs, curvePair{k.title, k.note, drawCurves(k.title, both), pairRows(views, both)})
		}
	}
	data, err := json.Marshal(runs)
	if err != nil {
		panic("dashboard: runs: " + err.Error()) // finite numbers and strings
	}
	p.Data = string(data)
}

// qualityOf gives a figure of a task as if devices had measured it.
func qualityOf(v *operator.View, name string) []operator.Quality {
	var out []operator.Quality
	figure := func(round uint64, x float64) {
		out = append(out, operator.Quality{Round: round, Figures: []operator.Figure{{Name: name, Value: x, Low: x, High: x}}})
	}
	switch name {
	case "epsilon":
		for i := len(v.Budget.History) - 1; i >= 0; i-- {
			if x := v.Budget.History[i]; x.Round > 0 {
				figure(x.Round, x.Spent.Epsilon)
			}
		}
	case "counted":
		for _, r := range v.Rounds {
			if r.State == "published" {
				figure(r.Number, float64(r.Counted))
			}
		}
	default:
		return v.Quality
	}
	return out
}

// pairRows is the table of a figure: a row a round, a column a task.
func pairRows(views []*operator.View, both []named) []pairRow {
	byRound := map[uint64][]string{}
	var order []uint64
	for i, v := range views {
		for _, n := range both {
			if n.name != v.Task {
				continue
			}
			for j := len(n.points) - 1; j >= 0; j-- {
				q := n.points[j]
				if byRound[q.Round] == nil {
					byRound[q.Round] = make([]string, len(views))
					for k := range views {
						byRound[q.Round][k] = "–"
					}
					order = append(order, q.Round)
				}
				f := q.Figures[0]
				byRound[q.Round][i] = fixed(f.Value, 4)
				if f.Low < f.High {
					byRound[q.Round][i] += " [" + fixed(f.Low, 4) + ", " + fixed(f.High, 4) + "]"
				}
			}
		}
	}
	slicesSortDown(order)
	var out []pairRow
	for _, r := range order[:min(len(order), shownRows)] {
		out = append(out, pairRow{r, byRound[r]})
	}
	return out
}
