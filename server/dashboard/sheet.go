package dashboard

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"tutti/server/operator"
)

// sheet is one task as its page shows it.
type sheet struct {
	*operator.View
	Acts     bool // whoever reads may act, and there is something to act on
	Tone     string
	Open     *openView // the round under way
	Last     *lastView // the newest that has ended
	Bar      *progress // of the round under way
	Steps    []step    // phases of the round under way
	Segments []segment // phases of the round under way
	Cards    []card
	Burn     *chart
	Spending []operator.Spending // newest first, at most shownRows
	Curves   []curve
	Groups   []operator.Figure // of the newest round that measured groups of devices
	Refused  []bar
	Endings  []bar
	NewRows  *rowTable
	OldRows  *rowTable // nil: there are none
	Meter    *chart
	Worst    string
	Latest   *operator.Version // that devices are served
	Kinds    []key             // colours of the phases
}

// shownRows bounds the tables of a page; tutti run export has every round.
const shownRows, firstRows, shownVersions = 40, 8, 8

type card struct{ Value, Label, Class string }

// progress is the bar of a collection: parts of its width of 1000.
type progress struct{ Accepted, Staged, Min, Words string }

// openView is the round under way.
type openView struct {
	*operator.Open
	Turned      int  // uploads refused so far
	Ends        bool // it has a deadline for uploads that is not behind it
	Abandonable bool
}

// lastView is the newest round that has ended.
type lastView struct {
	operator.Round
	Turned int
}

// step is one phase of the round under way, in words.
type step struct {
	Words, Took string
	Now         bool
}

// segment is one part of a bar of time.
type segment struct{ X, W, Class, Title string }

// bar is one reason, its count and its share of the longest.
type bar struct {
	Words, Text, W, Class string
}

// rowTable is a table of rounds.
type rowTable struct {
	Caption string
	Rows    []row
}

// row is a round that has ended.
type row struct {
	operator.Round
	Class    string
	Segments []segment
	Refusals int
	Took     string
	Eps      string
	Reading  string
}

// phaseClass colours the states of a round, in their order.
var phaseClass = map[string]string{"created": "p1", "collecting": "p2", "frozen": "p3", "certified": "p4", "released": "p5", "applied": "p6", "published": "p7"}

// phaseWords say what a state waits for.
var phaseWords = []struct{ name, words string }{
	{"created", "committee opens the round"}, {"collecting", "devices upload"}, {"frozen", "committee signs the set"},
	{"certified", "committee releases the sum's key"}, {"released", "sum is decoded"}, {"applied", "version is published"},
}

func newSheet(w *watch, v *operator.View, write bool) *sheet {
	s := &sheet{View: v, Acts: write && w.Control != nil, Tone: tone(v.State)}
	if len(v.Rounds) > 0 {
		s.Last = &lastView{v.Rounds[0], refusals(v.Rounds[0].Refused)}
	}
	if len(v.Versions) > 0 {
		s.Latest = &v.Versions[0]
	}
	for _, p := range phaseWords {
		s.Kinds = append(s.Kinds, key{phaseClass[p.name], p.words})
	}
	s.open()
	s.cards()
	s.Burn = burn(v)
	s.Spending = slices.Clone(v.Budget.History)
	slices.Reverse(s.Spending)
	s.Spending = s.Spending[:min(len(s.Spending), shownRows)]
	s.Curves, s.Groups = curves(v.Quality)
	s.reasons()
	s.rounds()
	s.Meter, s.Worst = meter(v.Rounds)
	return s
}

func tone(s operator.State) string {
	switch s {
	case operator.Running:
		return "good"
	case operator.Paused:
		return "warn"
	}
	return ""
}

// open says how far the round under way is.
func (s *sheet) open() {
	o := s.View.Open
	if o == nil {
		return
	}
	s.Open = &openView{o, refusals(o.Refused), o.Phase == "collecting" && o.Deadline.After(s.At), slices.Contains([]string{"created", "collecting", "frozen"}, o.Phase)}
	widest := float64(max(o.Goal, o.Staged, o.Accepted, 1))
	part := func(n int) string { return px(chartW * float64(n) / widest) }
	s.Bar = &progress{Accepted: part(o.Accepted), Staged: part(o.Staged), Words: fmt.Sprintf("%d of %d uploads accepted, %d in", o.Accepted, o.Goal, o.Staged)}
	if least := o.Min * max(o.Groups, 1); least > 0 && float64(least) <= widest {
		s.Bar.Min = part(least)
	}
	s.Segments = segments(o.Phases)
	for _, p := range phaseWords {
		x := step{Words: p.words, Now: p.name == o.Phase}
		for _, q := range o.Phases {
			if q.Name == p.name && !x.Now {
				x.Took = lasting(seconds(q.Seconds))
			}
		}
		s.Steps = append(s.Steps, x)
	}
}

// segments lays phases along a bar.
func segments(phases []operator.Phase) []segment {
	total := 0.0
	for _, p := range phases {
		total += max(0, p.Seconds)
	}
	if !(total > 0) || !finite(total) {
		return nil
	}
	var out []segment
	x := 0.0
	for _, p := range phases {
		w := chartW * max(0, p.Seconds) / total
		if w > 0 {
			out = append(out, segment{px(x), px(max(w, 3)), phaseClass[p.Name], p.Name + ": " + lasting(seconds(p.Seconds))})
		}
		x += w
	}
	return out
}

func seconds(s float64) time.Duration {
	if !(s > 0) || s > 1e9 {
		return 0
	}
	return time.Duration(s * float64(time.Second))
}

func refusals(rs []operator.Reason) int {
	n := 0
	for _, r := range rs {
		n += r.Count
	}
	return n
}

func (s *sheet) cards() {
	v := s.View
	b := v.Budget
	switch {
	case !v.Privacy.On:
		s.Cards = append(s.Cards, card{"OFF", "privacy: nothing is claimed", "bad"})
	case b.Bounded:
		s.Cards = append(s.Cards, card{"ε " + fixed(b.Spent.Epsilon, 2), "of " + number(b.Epsilon) + " spent, at δ = " + b.Delta, ""},
			card{percent(b.Left), "of the budget is left", ""})
	}
	s.Cards = append(s.Cards, card{strconv.Itoa(v.Totals.Published), plural(v.Totals.Published, "round") + " published; " + strconv.Itoa(v.Totals.Abandoned) + " abandoned, " + strconv.Itoa(v.Totals.Lost) + " lost", ""})
	if f, at, ok := newestFigure(v.Quality, "ndcg10"); ok {
		s.Cards = append(s.Cards, card{fixed(f.Value, 3) + " ± " + fixed((f.High-f.Low)/2, 3), fmt.Sprintf("NDCG@10, as devices measured it in round %d", at), ""})
	}
	s.Cards = append(s.Cards, card{strconv.Itoa(v.Devices.Enrolled), plural(v.Devices.Enrolled, "device") + " enrolled; " + strconv.Itoa(v.Devices.Counted) + " counted at least once", ""})
	if s.Latest != nil {
		s.Cards = append(s.Cards, card{strconv.FormatUint(s.Latest.Number, 10), "is the newest version", ""})
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return what
	}
	return what + "s"
}

// number is a figure with as many decimals as it needs, two at most.
func number(x float64) string {
	if !finite(x) {
		return "–"
	}
	return strconv.FormatFloat(math.Round(x*100)/100, 'f', -1, 64)
}

func percent(share float64) string {
	if !finite(share) {
		return "–"
	}
	share = min(max(share, 0), 1)
	if share > 0 && share < 0.01 {
		return "under 1 %"
	}
	return fixed(100*share, 0) + " %"
}

// reasons are the uploads that were not counted, and the rounds that gave no sum, by why.
func (s *sheet) reasons() {
	uploads, endings := map[string]*operator.Reason{}, map[string]*operator.Reason{}
	add := func(to map[string]*operator.Reason, label, words string, n int) {
		if n <= 0 {
			return
		}
		if to[label] == nil {
			to[label] = &operator.Reason{Label: label, Words: words}
		}
		to[label].Count += n
	}
	for _, x := range s.Totals.Refused {
		add(uploads, x.Label, x.Words, x.Count)
	}
	for _, x := range s.Totals.Abandons {
		add(endings, x.Label, "abandoned: "+x.Words, x.Count)
	}
	for _, r := range s.View.Rounds {
		add(uploads, " late", "in, but after the set was fixed", r.Late)
		if r.State == "lost" {
			_, why, _ := strings.Cut(r.Words, ": ")
			add(endings, "lost "+r.Reason, "lost: "+why, 1)
		}
	}
	if s.Open != nil {
		for _, x := range s.Open.Refused {
			add(uploads, x.Label, x.Words, x.Count)
		}
	}
	s.Refused, s.Endings = barsOf(uploads, "warn"), barsOf(endings, "bad")
}

func barsOf(reasons map[string]*operator.Reason, class string) []bar {
	var all []*operator.Reason
	for _, r := range reasons {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *operator.Reason) int {
		if a.Count != b.Count {
			return b.Count - a.Count
		}
		return strings.Compare(a.Label, b.Label)
	})
	var out []bar
	for _, r := range all {
		out = append(out, bar{r.Words, strconv.Itoa(r.Count), px(max(4, chartW*float64(r.Count)/float64(all[0].Count))), class})
	}
	return out
}

func (s *sheet) rounds() {
	spent := map[uint64]operator.Cost{}
	for _, x := range s.Budget.History {
		spent[x.Round] = x.Spent
	}
	var rows []row
	shown := s.View.Rounds[:min(len(s.View.Rounds), shownRows)]
	for _, r := range shown {
		x := row{Round: r, Segments: segments(r.Phases), Refusals: refusals(r.Refused), Took: lasting(seconds(r.Seconds)), Eps: "–", Reading: "–"}
		if r.State != "published" {
			x.Class = "bad"
		}
		if c, ok := spent[r.Number]; ok && r.Charged && s.Privacy.On {
			x.Eps = fixed(c.Epsilon, 2)
		}
		if r.Meter != nil {
			x.Reading = fixed(r.Meter.Ratio, 2) + " (z " + signed(r.Meter.Z) + ")"
			if r.Meter.Off {
				x.Class = "bad"
			}
		}
		rows = append(rows, x)
	}
	s.NewRows = &rowTable{"Rounds that have ended, newest first", rows[:min(len(rows), firstRows)]}
	if len(rows) > firstRows {
		s.OldRows = &rowTable{"Older rounds", rows[firstRows:]}
		if s.Totals.Rounds > len(rows) {
			s.OldRows.Caption = fmt.Sprintf("Older rounds; of %d in all, tutti run export has the rest", s.Totals.Rounds)
		}
	}
}

func signed(z float64) string {
	t := strings.Replace(fixed(z, 1), "-", "−", 1)
	if z >= 0.05 {
		t = "+" + t
	}
	return t
}

// Spent and Total are the budget, as epsilon; LeftText is what is left of it.
func (s *sheet) Spent() string    { return fixed(s.Budget.Spent.Epsilon, 2) }
func (s *sheet) Total() string    { return fixed(s.Budget.Epsilon, 1) }
func (s *sheet) LeftText() string { return percent(s.Budget.Left) }

// GoesOn says whether rounds go on until a known end of the budget.
func (s *sheet) GoesOn() bool {
	return s.Budget.Forecast.Known && s.Budget.Forecast.Rounds > 0 && (s.State == operator.Running || s.State == operator.Paused)
}

// Grave says whether a warning is of rounds that fail, or soon will.
func (s *sheet) Grave() bool {
	return slices.ContainsFunc(s.Warnings, func(w operator.Warning) bool { return w.Grave })
}

// ToDo are the warnings, but for those that the top of the page says in red.
func (s *sheet) ToDo() (out []operator.Warning) {
	for _, w := range s.Warnings {
		if w.Label != operator.WarnPrivacyOff && w.Label != operator.WarnTrusted {
			out = append(out, w)
		}
	}
	return out
}

// UpNodes is how many committee nodes answer.
func (s *sheet) UpNodes() (n int) {
	for _, x := range s.Nodes {
		if x.Up {
			n++
		}
	}
	return n
}

// Rollable says whether a version may be offered to more devices: roll-outs only go forward from the stable version, and without
// one the newest is for everybody.
func (s *sheet) Rollable(number uint64) bool {
	i := slices.IndexFunc(s.Aliases, func(a operator.Alias) bool { return a.Name == "stable" })
	return i >= 0 && number > s.Aliases[i].Number
}

// ShownVersions are the newest versions.
func (s *sheet) ShownVersions() []operator.Version {
	return s.Versions[:min(len(s.Versions), shownVersions)]
}
