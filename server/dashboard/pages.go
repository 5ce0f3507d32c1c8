package dashboard

import (
	"errors"
	"net/http"

	"tutti/server/operator"
)

// taskView is a task's page.
type taskView struct {
	base
	Sheet *sheet
	News  []happened // newest first
	After uint64     // number of the newest happening
}

// shownNews is how many happenings a page begins with.
const shownNews = 40

func (h *Handler) task(w http.ResponseWriter, r *http.Request, in session) {
	d, v, ok := h.open(w, r, in)
	if !ok {
		return
	}
	news, last, err := d.catchUp(r.Context())
	if err != nil {
		h.broken(w, r, in, err)
		return
	}
	b := h.base(r, d.Task, in)
	b.Here, b.Task = "task", d.Task
	b.Scripts = append(b.Scripts, "live.js")
	b.Alarms = alarmsOf(v) // kept up to date by the stream
	page := taskView{base: b, Sheet: newSheet(d, v, in.Write), After: last}
	for i := len(news) - 1; i >= 0 && len(page.News) < shownNews; i-- {
		page.News = append(page.News, told(news[i]))
	}
	h.write(w, http.StatusOK, "task", page)
}

// open finds the task of a request and its view; otherwise it has answered.
func (h *Handler) open(w http.ResponseWriter, r *http.Request, in session) (*watch, *operator.View, bool) {
	d, err := h.desk(r.Context(), r.PathValue("task"))
	if errors.Is(err, errNoTask) {
		h.fail(w, r, in, http.StatusNotFound, "There is no such task on this server.")
		return nil, nil, false
	}
	var v *operator.View
	if err == nil {
		v, err = d.look(r.Context())
	}
	if err != nil {
		h.broken(w, r, in, err)
		return nil, nil, false
	}
	return d, v, true
}

// broken answers that the store could not be read.
func (h *Handler) broken(w http.ResponseWriter, r *http.Request, in session, err error) {
	h.opts.Log.Error("dashboard", "path", r.URL.Path, "error", err)
	w.Header().Set("Retry-After", "5")
	h.fail(w, r, in, http.StatusServiceUnavailable, "The server's store does not answer. Nothing is lost by that; reload the page in a moment. The server's log says why.")
}

// homeView is the list of tasks.
type homeView struct {
	base
	Tasks []briefView
}

type briefView struct {
	Name, Purpose, Tone, Sentence string
	State                         operator.State
	Pills                         []key
}

func (h *Handler) home(w http.ResponseWriter, r *http.Request, in session) {
	all, err := h.tasks(r.Context())
	if err != nil {
		h.broken(w, r, in, err)
		return
	}
	if r.URL.Path == "/" && len(all) == 1 {
		http.Redirect(w, r, "/task/"+all[0].Task, http.StatusSeeOther)
		return
	}
	b := h.base(r, "Tasks", in)
	b.Here = "home"
	page := homeView{base: b}
	for _, d := range all {
		t := briefView{Name: d.Task, Sentence: "Its store does not answer."}
		if watch, err := h.desk(r.Context(), d.Task); err == nil {
			if v, err := watch.look(r.Context()); err == nil {
				t = briefView{Name: d.Task, Purpose: v.Purpose, Tone: tone(v.State), Sentence: v.Sentence, State: v.State, Pills: pills(v)}
			}
		}
		page.Tasks = append(page.Tasks, t)
	}
	h.write(w, http.StatusOK, "home", page)
}

// pills are a task's marks: whether privacy is on, and who is trusted.
func pills(v *operator.View) []key {
	switch {
	case !v.Privacy.On:
		return []key{{"bad", "privacy OFF"}}
	case v.Privacy.Trust != "devices":
		return []key{{"bad", "trusted operator"}}
	}
	return []key{{"good", "privacy on"}}
}

// Pills are a task's marks.
func (s *sheet) Pills() []key { return pills(s.View) }
