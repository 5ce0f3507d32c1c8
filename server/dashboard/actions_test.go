package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"tutti/server/operator"
)

// Each action is asked first in words that name what it does, and done by the form alone.
func TestActions(t *testing.T) {
	for _, c := range []struct {
		do, query, says, done string
		form                  url.Values
	}{
		{"pause", "", "No new round opens until somebody resumes", "pause", nil},
		{"resume", "", "Rounds open again", "resume", nil},
		{"close", "&round=4", "228 of them accepted, of 500 wanted", "close 4", url.Values{"round": {"4"}}},
		{"abandon", "&round=4", "the 241 uploads that are in are thrown away", "abandon 4", url.Values{"round": {"4"}}},
		{"stop", "", "It cannot be taken back", "stop", url.Values{"typed": {"films"}}},
		{"rollout", "&version=2&percent=25", "is given to 25 % of the devices", "rollout 2 25 looks well", url.Values{"version": {"2"}, "percent": {"25"}, "note": {" looks well "}}},
		{"rollback", "&version=1", "is published again, as a new version", "rollback 1 ", url.Values{"version": {"1"}}},
	} {
		films := newBoard(sample("films", 3, true))
		b := &browser{t: t, h: newDashboard(t, Options{}, films)}
		b.login("acts")
		code, page := b.get("/task/films/confirm?do=" + c.do + c.query)
		if code != http.StatusOK || !strings.Contains(page, c.says) {
			t.Errorf("%s: the page before it is %d and does not say %q:\n%s", c.do, code, c.says, page)
		}
		if len(films.done) > 0 {
			t.Errorf("%s: asking did it already: %v", c.do, films.done)
		}
		form := url.Values{"do": {c.do}}
		for k, v := range c.form {
			form[k] = v
		}
		if code, _ := b.post("/task/films/do", form); code != http.StatusForbidden || len(films.done) > 0 {
			t.Errorf("%s without the form's secret: %d, done %v", c.do, code, films.done)
		}
		form.Set("csrf", b.secret())
		if code, page := b.post("/task/films/do", form); code != http.StatusSeeOther || !slices.Equal(films.done, []string{c.done}) {
			t.Errorf("%s: %d, done %q, want %q\n%s", c.do, code, films.done, c.done, page)
		}
	}
}

// A version newer than the stable one may be rolled out further, an older one only published anew.
func TestRollOutGoesForward(t *testing.T) {
	v := sample("films", 4, true) // stable 3, canary 4
	for _, c := range []struct {
		aliases []operator.Alias
		want    []uint64
	}{{v.Aliases, []uint64{4}}, {nil, nil}} {
		v.Aliases = c.aliases
		b := &browser{t: t, h: newDashboard(t, Options{}, newBoard(v))}
		b.login("acts")
		_, page := b.get("/task/films")
		for n := uint64(1); n <= 4; n++ {
			if got := strings.Contains(page, fmt.Sprintf("do=rollout&amp;version=%d\"", n)); got != slices.Contains(c.want, n) {
				t.Errorf("stable %v: a roll-out of version %d is offered: %v", c.aliases, n, got)
			}
			if got := strings.Contains(page, fmt.Sprintf("do=rollback&amp;version=%d\"", n)); got != (n < 4) {
				t.Errorf("going back to version %d is offered: %v", n, got)
			}
		}
	}
}

// Whoever may only look is shown no action, and can do none; so is everybody where there is nothing to act on.
func TestReadOnly(t *testing.T) {
	films := newBoard(sample("films", 3, true))
	b := &browser{t: t, h: newDashboard(t, Options{}, films)}
	b.login("looks")
	_, page := b.get("/task/films")
	for _, word := range []string{"Pause", "Stop for good", "/confirm", "Roll out"} {
		if strings.Contains(page, word) {
			t.Errorf("the page of somebody who may only look holds %q", word)
		}
	}
	secret := b.secret()
	for name := range actions {
		form := url.Values{"csrf": {secret}, "do": {name}, "version": {"1"}, "percent": {"5"}, "round": {"4"}, "typed": {"films"}}
		if code, _ := b.post("/task/films/do", form); code != http.StatusForbidden {
			t.Errorf("%s by somebody who may only look: %d", name, code)
		}
		if code, _ := b.get("/task/films/confirm?do=" + name); code != http.StatusForbidden {
			t.Errorf("the page before %s, for somebody who may only look: %d", name, code)
		}
	}
	if len(films.done) > 0 {
		t.Errorf("done: %v", films.done)
	}
	h, err := New(Fixed(Desk{Task: "films", Source: films}), tokens, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	over := &browser{t: t, h: h}
	over.login("acts")
	if _, page := over.get("/task/films"); strings.Contains(page, "/confirm") {
		t.Error("a task that nobody controls is shown with actions")
	}
	if code, _ := over.post("/task/films/do", url.Values{"csrf": {over.secret()}, "do": {"pause"}}); code != http.StatusForbidden {
		t.Errorf("an action on a task that nobody controls: %d", code)
	}
}

func TestWrongActions(t *testing.T) {
	films := newBoard(sample("films", 3, true))
	b := &browser{t: t, h: newDashboard(t, Options{}, films)}
	b.login("acts")
	secret := b.secret()
	for _, c := range []struct {
		form url.Values
		want int
		says string
	}{
		{url.Values{"do": {"fly"}}, 404, "no such action"},
		{url.Values{}, 404, "no such action"},
		{url.Values{"do": {"stop"}}, 400, "not the task"},
		{url.Values{"do": {"stop"}, "typed": {"Films"}}, 400, "not the task"},
		{url.Values{"do": {"rollout"}, "version": {"-1"}, "percent": {"5"}}, 400, "Choose a version"},
		{url.Values{"do": {"rollout"}, "version": {"1"}, "percent": {"101"}}, 400, "1 to 100"},
		{url.Values{"do": {"rollout"}, "version": {"1"}, "percent": {"5"}, "note": {strings.Repeat("n", 201)}}, 400, "200 characters"},
		{url.Values{"do": {"rollback"}, "version": {"1"}, "note": {"two\nlines"}}, 400, "one line"},
		{url.Values{"do": {"close"}}, 400, "Choose a round"},
	} {
		c.form.Set("csrf", secret)
		if code, page := b.post("/task/films/do", c.form); code != c.want || !strings.Contains(page, c.says) {
			t.Errorf("%v: %d, want %d and %q\n%s", c.form, code, c.want, c.says, page)
		}
	}
	if len(films.done) > 0 {
		t.Errorf("done: %v", films.done)
	}
	if code, page := b.get("/task/films/confirm?do=close&round=3"); code != 400 || !strings.Contains(page, "Round 3 is not under way any more") {
		t.Errorf("closing a round that has ended: %d\n%s", code, page)
	}
	if got := b.do("POST", "/task/films/do", url.Values{"csrf": {secret}, "do": {"pause"}, "x": {strings.Repeat("x", longestForm)}}, nil); got.StatusCode < 400 || len(films.done) > 0 {
		t.Errorf("a form of more than %d bytes: %s, done %v", longestForm, got.Status, films.done)
	}
	for _, err := range []error{operator.ErrStopped, operator.ErrUnsupported, fmt.Errorf("wrapped: %w", operator.ErrVersion), errors.New("the database went away")} {
		films.change(func(*operator.View) { films.refusing = err })
		code, page := b.post("/task/films/do", url.Values{"csrf": {secret}, "do": {"pause"}})
		if code < 400 || !strings.Contains(page, sentence(err)[1:8]) {
			t.Errorf("refused with %q: %d\n%s", err, code, page)
		}
	}
}
