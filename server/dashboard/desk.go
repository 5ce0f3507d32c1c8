package dashboard

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"tutti/server/operator"
)

// Desk is one task of the dashboard.
type Desk struct {
	Task    string
	Trust   string // who adds the noise, as the task was made, where that is not the devices: until the first plan says so
	Source  operator.Source
	Control operator.Control // nil: nobody may act on this task here, as on one that is over
}

// Tasks gives the tasks that there are, in the order in which they are listed.
type Tasks func(ctx context.Context) ([]Desk, error)

// Fixed are tasks that do not change.
func Fixed(desks ...Desk) Tasks {
	return func(context.Context) ([]Desk, error) { return desks, nil }
}

var errNoTask = errors.New("dashboard: no such task")

// Bounds of what a dashboard remembers of a task.
const (
	viewLife  = 400 * time.Millisecond // many who look share one view
	keptNews  = 200                    // happenings that somebody who comes back can be told
	newsPage  = 1000
	mostDesks = 256
	readTime  = 15 * time.Second
)

// watch is a desk with what was last read of it.
type watch struct {
	Desk

	viewing sync.Mutex
	view    *operator.View
	at      time.Time

	reading sync.Mutex
	last    uint64 // number of the newest happening
	news    []operator.Happening
}

// desk finds a task's watch.
func (h *Handler) desk(ctx context.Context, task string) (*watch, error) {
	all, err := h.tasks(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(d Desk) bool { return d.Task == task })
	if i < 0 {
		return nil, errNoTask
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.desks[task]
	if w == nil || w.Source != all[i].Source {
		if len(h.desks) >= mostDesks {
			clear(h.desks)
		}
		w = &watch{Desk: all[i]}
		h.desks[task] = w
	}
	return w, nil
}

// look gives the task's view, which is at most viewLife old.
func (w *watch) look(ctx context.Context) (*operator.View, error) {
	w.viewing.Lock()
	defer w.viewing.Unlock()
	if w.view != nil && time.Since(w.at) < viewLife {
		return w.view, nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	v, err := w.Source.View(ctx)
	if err != nil {
		return nil, err
	}
	if w.Trust != "" && len(v.Rounds) == 0 && v.Open == nil {
		early := *v
		early.Privacy.Trust = w.Trust
		v = &early
	}
	w.view, w.at = v, time.Now()
	return v, nil
}

// catchUp reads what happened since the last time, and gives the newest, oldest first.
func (w *watch) catchUp(ctx context.Context) ([]operator.Happening, uint64, error) {
	w.reading.Lock()
	defer w.reading.Unlock()
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	for {
		got, err := w.Source.Happenings(ctx, w.last, newsPage)
		if err != nil {
			return nil, 0, err
		}
		for _, x := range got {
			w.last = max(w.last, x.Seq)
			if !small[x.Name] && x.Words != "" {
				w.news = append(w.news, x)
			}
		}
		if extra := len(w.news) - keptNews; extra > 0 {
			w.news = slices.Clone(w.news[extra:])
		}
		if len(got) < newsPage {
			return w.news, w.last, nil
		}
	}
}

// since gives what happened behind a number; whole is false if some of it is no longer remembered.
func since(news []operator.Happening, after, last uint64) (out []operator.Happening, whole bool) {
	if after >= last {
		return nil, true
	}
	i, _ := slices.BinarySearchFunc(news, after+1, func(x operator.Happening, n uint64) int {
		switch {
		case x.Seq < n:
			return -1
		case x.Seq > n:
			return 1
		}
		return 0
	})
	return news[i:], i > 0 || len(news) < keptNews
}
