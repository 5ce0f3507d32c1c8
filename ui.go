package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/jedib0t/go-pretty/v6/table"
	"golang.org/x/term"
)

// ui shows long work to a person: bars with an ETA on a terminal, plain lines in a pipe. Under --json everything that is
// not the result goes to standard error.
type ui struct {
	out   io.Writer
	bars  progress.Writer // nil when the output is no terminal
	mu    sync.Mutex
	ended chan struct{}
}

func (a *app) newUI() *ui {
	u := &ui{out: a.out}
	if a.json {
		u.out = a.err
	}
	if f, ok := u.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		u.bars = progress.NewWriter()
		u.bars.SetOutputWriter(f)
		u.bars.SetUpdateFrequency(100 * time.Millisecond)
		u.bars.SetTrackerLength(24)
		u.bars.SetMessageLength(46)
		u.bars.SetStyle(progress.StyleBlocks)
		u.bars.Style().Visibility = progress.StyleVisibility{ETA: true, Percentage: true, Time: true, Tracker: true, Value: true}
		u.ended = make(chan struct{})
		go func() { defer close(u.ended); u.bars.Render() }()
	}
	return u
}

// close ends the bars; what follows is plain text.
func (u *ui) close() {
	if u.bars == nil {
		return
	}
	for u.bars.LengthActive() > 0 && u.bars.IsRenderInProgress() {
		time.Sleep(20 * time.Millisecond)
	}
	for ended := false; !ended; { // a Stop before the bars have begun is not heard
		u.bars.Stop()
		select {
		case <-u.ended:
			ended = true
		case <-time.After(20 * time.Millisecond):
		}
	}
	u.bars = nil
}

// say prints one line of plain words.
func (u *ui) say(format string, args ...any) {
	if u.bars != nil {
		u.bars.Log(format, args...)
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	fmt.Fprintf(u.out, format+"\n", args...)
}

// task is one piece of long work of a known length.
type task struct {
	ui      *ui
	label   string
	total   int64
	tracker *progress.Tracker

	mu      sync.Mutex
	started time.Time
	said    time.Time
}

func (u *ui) task(label string, total int64) *task {
	now := time.Now()
	t := &task{ui: u, label: label, total: total, started: now, said: now}
	if u.bars != nil {
		t.tracker = &progress.Tracker{Message: label, Total: total}
		u.bars.AppendTracker(t.tracker)
	}
	return t
}

// sayEvery is how often long work speaks up where there are no bars.
const sayEvery = 10 * time.Second

// set says how much is done: a bar moves; in a pipe there is a line now and then.
func (t *task) set(done int64) {
	if t.tracker != nil {
		t.tracker.SetValue(done)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if done <= 0 || done >= t.total || time.Since(t.said) < sayEvery {
		return
	}
	t.said = time.Now()
	left := time.Duration(float64(time.Since(t.started)) / float64(done) * float64(t.total-done)).Round(time.Second)
	t.ui.say("  %s: %d of %d, about %s left", t.label, done, t.total, left)
}

// finish ends the task.
func (t *task) finish() {
	if t.tracker != nil {
		t.tracker.MarkAsDone()
	}
}

// print writes a table.
func (u *ui) print(header table.Row, rows []table.Row) {
	w := table.NewWriter()
	w.SetStyle(table.StyleLight)
	w.Style().Format.Header = 0
	w.AppendHeader(header)
	w.AppendRows(rows)
	u.say("%s", w.Render())
}

// red marks what must not be overlooked, on a terminal.
func (u *ui) red(s string) string {
	if u.bars == nil {
		return s
	}
	return "\x1b[1;31m" + s + "\x1b[0m"
}

// emitLine writes one document of a command that writes many under --json: JSON lines.
func (a *app) emitLine(v any) error { return json.NewEncoder(a.out).Encode(v) }

// emit writes the machine-readable result of a command under --json.
func (a *app) emit(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
