package main

import (
	"os"
	"sync/atomic"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
	"golang.org/x/term"
)

// bar shows how far long work is: a bar with an ETA on a terminal, a line every ten seconds in a pipe. Both go to standard error.
type bar struct {
	label   string
	total   int64
	done    atomic.Int64
	writer  progress.Writer
	tracker *progress.Tracker
	stop    chan struct{}
	ended   chan struct{}
}

func newBar(label string, total int64) *bar {
	b := &bar{label: label, total: total, stop: make(chan struct{}), ended: make(chan struct{})}
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		go b.lines()
		return b
	}
	b.tracker = &progress.Tracker{Message: label, Total: total}
	b.writer = progress.NewWriter()
	b.writer.SetOutputWriter(os.Stderr)
	b.writer.SetUpdateFrequency(100 * time.Millisecond)
	b.writer.SetStyle(progress.StyleBlocks)
	b.writer.Style().Visibility = progress.StyleVisibility{ETA: true, Percentage: true, Time: true, Tracker: true, Value: true}
	b.writer.AppendTracker(b.tracker)
	go func() { defer close(b.ended); b.writer.Render() }()
	return b
}

func (b *bar) lines() {
	defer close(b.ended)
	began, tick := time.Now(), time.NewTicker(10*time.Second)
	defer tick.Stop()
	for {
		select {
		case <-b.stop:
			return
		case <-tick.C:
			if done := b.done.Load(); done > 0 {
				left := time.Duration(float64(time.Since(began)) / float64(done) * float64(b.total-done)).Round(time.Second)
				say("%s: %d of %d, about %s left", b.label, done, b.total, left)
			}
		}
	}
}

// add may be called by several goroutines.
func (b *bar) add(n int64) {
	done := b.done.Add(n)
	if b.tracker != nil {
		b.tracker.SetValue(done)
	}
}

func (b *bar) close() {
	close(b.stop)
	if b.writer == nil {
		<-b.ended
		return
	}
	for ended := false; !ended; { // a Stop before the bar has begun is not heard
		b.writer.Stop()
		select {
		case <-b.ended:
			ended = true
		case <-time.After(20 * time.Millisecond):
		}
	}
}
