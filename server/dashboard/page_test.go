package dashboard

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"math"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"tutti/server/operator"
)

// hostile are strings that break out of HTML, attributes, scripts, addresses, SVG or JSON where they are not escaped.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `</title><svg onload=alert(1)>`, `javascript:alert(1)`,
	"{{.}}", `\u003cscript\u003e`, "a\nid: 999\nevent: ended\ndata: {}\n\n", "]]><!--", `"/><path d="M0 0`, "\u202egnp.exe", "\x00\x1b[31m", `</textarea><script>`, `&lt;script&gt;`, "`${alert(1)}`",
}

// poison puts a string into every string of a value, and leaves the closed sets as they are.
func poison(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			poison(v.Elem(), text)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			poison(v.Field(i), text)
		}
	case reflect.Slice:
		for i := range v.Len() {
			poison(v.Index(i), text)
		}
	case reflect.String:
		if v.Type() == reflect.TypeFor[string]() {
			v.SetString(text)
		}
	}
}

var tag = regexp.MustCompile(`<(/?[a-zA-Z!][^\s/>]*)([^>]*)>`)

// tags are the elements and the names of attributes of a page: what a browser would build of it.
func tags(page string) map[string]int {
	out := map[string]int{}
	attribute := regexp.MustCompile(`([a-zA-Z-]+)(="[^"]*")?`)
	for _, m := range tag.FindAllStringSubmatch(page, -1) {
		out[m[1]]++
		for _, a := range attribute.FindAllStringSubmatch(m[2], -1) {
			out[m[1]+" "+a[1]]++
		}
	}
	return out
}

// Whatever names, purposes, notes and reasons hold, no page gains an element or an attribute by it.
func TestHostileStrings(t *testing.T) {
	build := func(text string) (pages []string) {
		v := sample("films", 12, true)
		keep := [][2]string{}
		for _, r := range v.Rounds {
			keep = append(keep, [2]string{r.State, r.Kind})
		}
		poison(reflect.ValueOf(v), text)
		for i := range v.Rounds {
			v.Rounds[i].State = keep[i][0]
		}
		v.Task, v.Open.Phase, v.Privacy.Trust, v.Log.Verdict.State = "films", "collecting", "devices", "ok"
		films := newBoard(v)
		films.news = []operator.Happening{{Seq: 1, At: time.Now(), Name: "news", Words: text}}
		h := newDashboard(t, Options{}, films)
		b := &browser{t: t, h: h}
		b.login("acts")
		for _, path := range []string{"/task/films", "/tasks", "/compare?a=films&b=films", "/task/films/confirm?do=stop", "/task/films/confirm?do=rollback&version=1", "/login"} {
			_, page := b.get(path)
			pages = append(pages, page)
		}
		return pages
	}
	mild := build("mild")
	for _, text := range hostile {
		for i, page := range build(text) {
			got, want := tags(page), tags(mild[i])
			for name, n := range got {
				if want[name] != n {
					t.Errorf("%q makes %d of %q on page %d, where a mild string makes %d", text, n, name, i, want[name])
				}
			}
		}
		e := string(happenedEvent(operator.Happening{Seq: 5, Words: text}))
		if strings.Count(e, "\n") != 4 || !strings.HasPrefix(e, "id: 5\nevent: happened\ndata: {") {
			t.Errorf("%q breaks the stream: %q", text, e)
		}
	}
}

// FuzzPages holds that no string of a view makes an element on a page.
func FuzzPages(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	h, err := New(Fixed(), tokens, Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(h.Close)
	draw := func(text string) string {
		v := sample("films", 2, true)
		poison(reflect.ValueOf(v), text)
		all, err := h.render(&watch{Desk: Desk{Task: "films", Control: newBoard(v)}}, v, true)
		if err != nil {
			f.Fatal(err)
		}
		return all["now"] + all["open"] + all["committee"] + all["versions"] + all["log"] + all["replicas"] + all["reasons"] + all["budget"]
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := tags(draw(text+"x")), tags(draw("mildx")); !reflect.DeepEqual(got, want) {
			t.Errorf("%q changes what a browser builds: %v, want %v", text, got, want)
		}
	})
}

// words is the text of a page.
func words(page string) string {
	return html.UnescapeString(strings.Join(strings.Fields(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(page, "")), " "))
}

func TestSentence(t *testing.T) {
	v := sample("films", 7, true)
	v.Open = nil
	v.Rounds[0] = operator.Round{Number: 7, Kind: "model", State: "published", Counted: 412, Goal: 500, Late: 11, Refused: []operator.Reason{{Count: 2}, {Count: 1}}}
	v.Budget.Spent.Epsilon, v.Budget.Epsilon = 0.83, 4
	v.Budget.Forecast = operator.Forecast{Known: true, Rounds: 30, Stop: time.Date(2027, 3, 14, 9, 0, 0, 0, time.UTC)}
	h := newDashboard(t, Options{}, newBoard(v))
	for _, c := range []struct {
		edit func()
		want string
	}{
		{func() {}, "Round 7 published: 412 of 500 counted, 3 refused, 11 late; epsilon 0.83 of 4.0, at this pace spent on 14 March 2027."},
		{func() { v.State = operator.Paused }, "Paused: no new round opens. Round 7 published:"},
		{func() { v.State, v.Rounds = operator.Running, nil }, "No round has been opened yet: 1204 of 500 devices are enrolled; epsilon 0.83 of 4.0"},
		{func() { v.Privacy.On = false }, "privacy is off."},
		{func() {
			v.Open = &operator.Open{Number: 8, Kind: "model", Phase: "collecting", Words: "takes uploads", Goal: 500, Staged: 20, Accepted: 18}
		}, "Round 8 (model) takes uploads: 20 of 500 are in, 18 accepted."},
	} {
		c.edit()
		all, err := h.render(&watch{Desk: Desk{Task: "films"}}, v, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := words(all["now"]); !strings.Contains(got, c.want) {
			t.Errorf("the page says\n%s\nwant\n%s", got, c.want)
		}
	}
}

// Privacy off and a trusted operator are red on every page, before and after the login.
func TestRedOnEveryPage(t *testing.T) {
	central := sample("central", 2, true)
	central.Privacy.Trust = "central-mf"
	for _, v := range []*operator.View{sample("off", 2, false), central} {
		b := &browser{t: t, h: newDashboard(t, Options{}, newBoard(v))}
		paths := []string{"/login"}
		for _, path := range append(paths, "/tasks", "/compare", "/task/"+v.Task, "/task/"+v.Task+"/confirm?do=pause", "/task/none") {
			_, page := b.get(path)
			if !regexp.MustCompile(`<div id="alarm" class="off-banner" role="region" aria-label="Privacy"><p>`).MatchString(page) {
				t.Errorf("%s of task %s is not red:\n%.900s", path, v.Task, page)
			}
			if path == "/login" {
				if strings.Contains(page, v.Task+":") {
					t.Error("the login names a task")
				}
				b.login("acts")
			}
		}
	}
	early := newBoard(&operator.View{Task: "early", Privacy: operator.Privacy{On: true, Trust: "devices"}})
	h, err := New(Fixed(Desk{Task: "early", Trust: "central", Source: early}), tokens, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	before := &browser{t: t, h: h}
	before.login("looks")
	if _, page := before.get("/task/early"); !strings.Contains(page, "TRUSTED OPERATOR in task early") {
		t.Error("a task whose operator is trusted is not red before its first round")
	}
	b := &browser{t: t, h: newDashboard(t, Options{}, newBoard(sample("on", 2, true)))}
	b.login("acts")
	if _, page := b.get("/task/on"); !strings.Contains(page, `aria-label="Privacy" hidden>`) {
		t.Error("a task with privacy on is red")
	}
}

// A view without anything in it, and one with numbers that are none, are pages all the same.
func TestStrangeViews(t *testing.T) {
	odd := sample("odd", 4, true)
	for i := range odd.Rounds {
		odd.Rounds[i].Seconds, odd.Rounds[i].Phases = math.NaN(), []operator.Phase{{Name: "collecting", Seconds: math.Inf(1)}, {Name: "frozen", Seconds: -4}}
		odd.Rounds[i].Meter = &operator.Meter{Ratio: math.NaN(), Z: math.Inf(-1)}
	}
	odd.Budget.Rho, odd.Budget.Left = 0, math.NaN()
	odd.Quality[0].Figures = []operator.Figure{{Name: "ndcg10", Value: math.NaN()}, {Name: "loss", Value: 1e300, Low: -1e300, High: math.Inf(1)}, {Name: "mrr", Value: 0.5, Low: 0.5, High: 0.5}}
	odd.Open.Goal, odd.Open.Staged = 0, 0
	for _, v := range []*operator.View{{Task: "empty"}, odd} {
		b := &browser{t: t, h: newDashboard(t, Options{}, newBoard(v))}
		b.login("acts")
		for _, path := range []string{"/task/" + v.Task, "/tasks", "/compare?a=" + v.Task} {
			code, page := b.get(path)
			if code != http.StatusOK || strings.Contains(page, "NaN") || strings.Contains(page, "Inf") || strings.Contains(page, "%!") {
				t.Errorf("%s: %d\n%s", path, code, page)
			}
		}
	}
}

// The curves that the page's script compares are those that the page shows.
func TestCompare(t *testing.T) {
	one, two := sample("one", 8, true), sample("two", 5, true)
	b := &browser{t: t, h: newDashboard(t, Options{}, newBoard(one), newBoard(two))}
	b.login("looks")
	code, page := b.get("/compare?a=one&b=two")
	if code != http.StatusOK || strings.Count(page, `class="line s2"`) < 6 {
		t.Fatalf("%d, %d lines of the second task", code, strings.Count(page, `class="line s2"`))
	}
	m := regexp.MustCompile(`data-runs="([^"]*)"`).FindStringSubmatch(page)
	var runs []run
	if err := json.Unmarshal([]byte(html.UnescapeString(m[1])), &runs); err != nil || len(runs) != 2 || runs[1].Name != "two" {
		t.Fatalf("%v %+v", err, runs)
	}
	if got, want := len(runs[0].Series["ndcg10"]), len(one.Quality); got != want {
		t.Errorf("%d points, want %d", got, want)
	}
	if got := runs[0].Series["epsilon"]; got[len(got)-1][1] != one.Budget.Spent.Epsilon {
		t.Errorf("epsilon ends at %v, the budget at %v", got[len(got)-1], one.Budget.Spent.Epsilon)
	}
	if _, page := b.get("/compare?a=nothing&b=" + `%22%3E%3Cscript%3E`); strings.Contains(page, "<script>") {
		t.Error("the address is written into the page")
	}
}

func TestRoundScale(t *testing.T) {
	for _, c := range [][2]float64{{0, 1}, {0.031, 0.055}, {-3, 1200}, {0.5, 0.5}, {0, 0}, {-1e-9, 1e-9}, {1e6, 1e6 + 1}, {-2, -1}} {
		s, decimals := roundScale(c[0], c[1])
		if s.low > c[0] || s.high < c[1] || s.high-s.low > 12*math.Max(c[1]-c[0], math.Max(math.Abs(c[0])*0.1, 1e-3)) {
			t.Errorf("[%g, %g] is drawn on [%g, %g]", c[0], c[1], s.low, s.high)
		}
		seen := map[string]bool{}
		for i := range chartTicks + 1 {
			seen[fixed(s.low+(s.high-s.low)*float64(i)/chartTicks, decimals)] = true
		}
		if len(seen) != chartTicks+1 && c[1]-c[0] > 1e-6 {
			t.Errorf("[%g, %g] has ticks that read alike: %v", c[0], c[1], seen)
		}
	}
}

// The weight of what a browser loads for a task of 200 rounds, all told.
func TestWeight(t *testing.T) {
	b := &browser{t: t, h: newDashboard(t, Options{}, newBoard(sample("films", operator.MaxRounds, true)))}
	b.login("acts")
	_, page := b.get("/task/films")
	assets := 0
	for _, name := range []string{"style.css", "theme.js", "times.js", "live.js", "icon.svg"} {
		got := b.do("GET", b.h.address(name), nil, nil)
		n, _ := io.Copy(io.Discard, got.Body)
		assets += int(n)
	}
	t.Logf("page %d bytes, assets %d", len(page), assets)
	if len(page) > 250<<10 || assets > 40<<10 {
		t.Errorf("the page has %d bytes, its assets %d", len(page), assets)
	}
}

func ExampleHandler_Invite() {
	films := newBoard(sample("films", 7, true))
	h, err := New(Fixed(Desk{Task: "films", Source: films, Control: films}), tokens, Options{Loopback: true, Port: "7700"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()
	token, err := h.Invite(Identity{Name: "you"})
	if err != nil {
		fmt.Println(err)
		return
	}
	link := "http://127.0.0.1:7700/login#" + token // print it: it lets in once
	fmt.Println(len(link) > 60, strings.HasPrefix(token, "once."))
	// Output: true true
}
