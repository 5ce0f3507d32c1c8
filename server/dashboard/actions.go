package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"tutti/server/operator"
)

// action is something that an operator may do to a task.
type action struct {
	question, yes string
	danger, typed bool // typed: the task's name is asked for, since it cannot be taken back
	version       bool // it is about a version
	round         bool // it is about the round under way
	percent       bool
	what          func(v *operator.View, ask asked) []string // what will happen, in words
	do            func(ctx context.Context, c operator.Control, ask asked) error
}

// asked is what the operator chose.
type asked struct {
	round   uint64
	version uint64
	percent int
	note    string
}

var actions = map[string]action{
	"pause": {question: "Pause the task?", yes: "Pause", what: func(v *operator.View, _ asked) []string {
		return []string{underWay(v, "The round under way goes on to its end: uploads are taken, and its cost is charged."),
			"No new round opens until somebody resumes the task. That holds at every replica, and after a restart.",
			"Devices keep the model that they have, and are told to come back later."}
	}, do: func(ctx context.Context, c operator.Control, _ asked) error { return c.Pause(ctx) }},
	"resume": {question: "Resume the task?", yes: "Resume", what: func(v *operator.View, _ asked) []string {
		return []string{"Rounds open again as the recipe says, each of which charges the privacy budget.", left(v)}
	}, do: func(ctx context.Context, c operator.Control, _ asked) error { return c.Resume(ctx) }},
	"close": {round: true, question: "Close the round now?", yes: "Close the round", what: func(v *operator.View, _ asked) []string {
		o := v.Open
		out := []string{fmt.Sprintf("Round %d takes no more uploads: %d are in, %d of them accepted, of %d wanted.", o.Number, o.Staged, o.Accepted, o.Goal)}
		if o.Accepted < o.Min {
			return append(out, fmt.Sprintf("That is fewer than the %d that a sum may be opened over: as it stands, the round would be abandoned and nothing opened.", o.Min))
		}
		return append(out, "The set is fixed, the committee signs it, and the sum over it is opened and charged. Devices that come later are told to wait for the next round.")
	}, do: func(ctx context.Context, c operator.Control, ask asked) error { return c.CloseRound(ctx, ask.round) }},
	"abandon": {round: true, question: "Abandon the round?", yes: "Abandon the round", danger: true, what: func(v *operator.View, _ asked) []string {
		return []string{fmt.Sprintf("Nothing of round %d is opened: the %d uploads that are in are thrown away.", v.Open.Number, v.Open.Staged),
			"Devices and the budget are charged nothing if a quorum of the committee certifies that; until then the cost stays reserved.",
			"A round whose set is certified is not abandoned any more: it goes on."}
	}, do: func(ctx context.Context, c operator.Control, ask asked) error { return c.Abandon(ctx, ask.round) }},
	"stop": {question: "Stop the task for good?", yes: "Stop for good", danger: true, typed: true, what: func(v *operator.View, _ asked) []string {
		return []string{underWay(v, "The round under way ends first."), "Devices are told that the task is over; they keep the model that they have.",
			"It cannot be taken back. " + left(v) + " A new task has a new budget, and devices enrol anew."}
	}, do: func(ctx context.Context, c operator.Control, _ asked) error { return c.Stop(ctx) }},
	"rollout": {question: "Roll out a version?", yes: "Roll out", version: true, percent: true, what: func(v *operator.View, ask asked) []string {
		out := []string{fmt.Sprintf("Version %d (%s) is given to %d %% of the devices; which ones is drawn by lot and stays the same while the share grows.", ask.version, digestOf(v, ask.version), ask.percent)}
		if ask.percent == 100 {
			out = []string{fmt.Sprintf("Version %d (%s) is given to all devices.", ask.version, digestOf(v, ask.version))}
		}
		if ask.percent < 100 {
			out = append(out, "The others go on with the version that they have. Rounds measure both, and a version that does worse is taken back.")
		}
		return append(out, "Devices verify its signature before they use it, and keep their previous version beside it.", "No privacy budget is charged.")
	}, do: func(ctx context.Context, c operator.Control, ask asked) error {
		return c.Rollout(ctx, ask.version, ask.percent, ask.note)
	}},
	"rollback": {question: "Go back to an older version?", yes: "Go back", danger: true, version: true, what: func(v *operator.View, ask asked) []string {
		out := []string{fmt.Sprintf("What version %d (%s) holds is published again, as a new version: numbers only go up, and nothing is unpublished.", ask.version, digestOf(v, ask.version)),
			"Devices take it as any new version. Later rounds train on from it; what they had learned since is no longer served.", "A roll-out that is under way ends.", "No privacy budget is charged, and none is given back."}
		if v.Open != nil {
			out = append(out, fmt.Sprintf("Round %d is under way: this is refused until it has ended. Wait for it, or close or abandon it first.", v.Open.Number))
		}
		return out
	}, do: func(ctx context.Context, c operator.Control, ask asked) error {
		_, err := c.Rollback(ctx, ask.version, ask.note)
		return err
	}},
}

func underWay(v *operator.View, otherwise string) string {
	if v.Open == nil {
		return "No round is under way now."
	}
	return fmt.Sprintf("Round %d is under way. ", v.Open.Number) + otherwise
}

func left(v *operator.View) string {
	switch {
	case !v.Privacy.On:
		return "Privacy is off: nothing is charged, and nothing is claimed."
	case !v.Budget.Bounded:
		return "The task has no budget."
	}
	return fmt.Sprintf("Epsilon %s of %s is spent, and %s of the budget is left.", fixed(v.Budget.Spent.Epsilon, 2), fixed(v.Budget.Epsilon, 1), percent(v.Budget.Left))
}

func digestOf(v *operator.View, number uint64) string {
	for _, x := range v.Versions {
		if x.Number == number {
			return short(x.Digest)
		}
	}
	return "unknown here"
}

// confirmView asks whether an action is meant.
type confirmView struct {
	base
	Do, Question, Yes string
	What              []string
	Danger, Typed     bool
	Round, Version    uint64
	Percent           int
	Choose            bool // the share is still to be chosen
	Wrong             string
}

// mayAct finds the task, and refuses whoever may only look.
func (h *Handler) mayAct(w http.ResponseWriter, r *http.Request, in session) (*watch, *operator.View, bool) {
	d, v, ok := h.open(w, r, in)
	if !ok {
		return nil, nil, false
	}
	if !in.Write || d.Control == nil {
		h.fail(w, r, in, http.StatusForbidden, "Your token lets you look, not act. Log in with one that has the write scope.")
		return nil, nil, false
	}
	return d, v, true
}

// chosen reads what a form or a link asks for.
func chosen(a action, v url.Values) (asked, string) {
	var ask asked
	var err error
	if a.version {
		if ask.version, err = strconv.ParseUint(v.Get("version"), 10, 64); err != nil || ask.version == 0 {
			return ask, "Choose a version."
		}
	}
	if a.round {
		if ask.round, err = strconv.ParseUint(v.Get("round"), 10, 64); err != nil || ask.round == 0 {
			return ask, "Choose a round."
		}
	}
	if a.percent {
		if ask.percent, err = strconv.Atoi(v.Get("percent")); err != nil || ask.percent < 1 || ask.percent > 100 {
			return ask, "Choose a share of 1 to 100 %."
		}
	}
	ask.note = strings.TrimSpace(v.Get("note"))
	if len([]rune(ask.note)) > 200 || strings.ContainsFunc(ask.note, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return ask, "A note has at most 200 characters, on one line."
	}
	return ask, ""
}

// confirm shows what will happen, and asks.
func (h *Handler) confirm(w http.ResponseWriter, r *http.Request, in session) {
	d, v, ok := h.mayAct(w, r, in)
	if !ok {
		return
	}
	h.ask(w, r, in, d, v, r.URL.Query(), "")
}

func (h *Handler) ask(w http.ResponseWriter, r *http.Request, in session, d *watch, v *operator.View, values url.Values, wrong string) {
	name := values.Get("do")
	a, known := actions[name]
	if !known {
		h.fail(w, r, in, http.StatusNotFound, "There is no such action.")
		return
	}
	if a.percent && values.Get("percent") == "" {
		values.Set("percent", "10")
	}
	ask, problem := chosen(a, values)
	if problem == "" && a.round && (v.Open == nil || v.Open.Number != ask.round) {
		problem = fmt.Sprintf("Round %d is not under way any more.", ask.round)
	}
	if wrong == "" {
		wrong = problem
	}
	b := h.base(r, a.question, in)
	b.Here, b.Task = "confirm", d.Task
	page := confirmView{base: b, Do: name, Question: a.question, Yes: a.yes, Danger: a.danger, Typed: a.typed, Round: ask.round, Version: ask.version, Percent: ask.percent, Choose: a.percent, Wrong: wrong}
	if problem == "" {
		page.What = a.what(v, ask)
	}
	status := http.StatusOK
	if wrong != "" {
		status = http.StatusBadRequest
	}
	h.write(w, status, "confirm", page)
}

// act does what was confirmed.
func (h *Handler) act(w http.ResponseWriter, r *http.Request, in session) {
	d, v, ok := h.mayAct(w, r, in)
	if !ok {
		return
	}
	if err := r.ParseForm(); err != nil {
		h.fail(w, r, in, http.StatusBadRequest, "The form could not be read.")
		return
	}
	if !h.sessions.csrfHolds(in, r.PostForm.Get("csrf")) {
		h.fail(w, r, in, http.StatusForbidden, "This form is not from this session. Go back, reload the page and try again.")
		return
	}
	a, known := actions[r.PostForm.Get("do")]
	ask, problem := chosen(a, r.PostForm)
	switch {
	case !known || problem != "":
		h.ask(w, r, in, d, v, r.PostForm, problem)
		return
	case a.typed && r.PostForm.Get("typed") != d.Task:
		h.ask(w, r, in, d, v, r.PostForm, "The name that you typed is not the task's.")
		return
	}
	err := a.do(r.Context(), d.Control, ask)
	h.opts.Log.Info("operator", "name", in.Name, "task", d.Task, "do", r.PostForm.Get("do"), "version", ask.version, "percent", ask.percent, "error", err)
	switch {
	case errors.Is(err, operator.ErrNoRound), errors.Is(err, operator.ErrStopped), errors.Is(err, operator.ErrVersion), errors.Is(err, operator.ErrBusy), errors.Is(err, operator.ErrShare), errors.Is(err, operator.ErrUnsupported):
		h.ask(w, r, in, d, v, r.PostForm, sentence(err))
	case err != nil:
		h.fail(w, r, in, http.StatusServiceUnavailable, "It was not done, or not surely: "+sentence(err)+" Look at the task, and try again.")
	default:
		d.forget()
		http.Redirect(w, r, "/task/"+d.Task, http.StatusSeeOther)
	}
}

// sentence makes an error one.
func sentence(err error) string {
	s := strings.TrimPrefix(err.Error(), "operator: ")
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + strings.TrimSuffix(s[1:], ".") + "."
}

// forget has the next look read anew.
func (w *watch) forget() {
	w.viewing.Lock()
	w.view = nil
	w.viewing.Unlock()
}
