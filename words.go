package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"tutti/client"
	"tutti/client/fleet"
	"tutti/privacy/plan"
	"tutti/server"
	"tutti/server/campaign"
)

// words puts what happens into plain words, as it happens.
type words struct {
	ui *ui

	mu      sync.Mutex
	round   *task
	distil  *task
	refused map[string]int // reasons of devices that did not take part, in this round
}

func newWords(u *ui) *words { return &words{ui: u, refused: map[string]int{}} }

// server hears the aggregation server.
func (w *words) server(e server.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := e.(type) {
	case server.Opened:
		w.ui.say("%s.", e)
		w.refused = map[string]int{}
		w.round = w.ui.task(fmt.Sprintf("round %d, uploads accepted", e.Round), int64(e.Goal))
	case server.Progress:
		if w.round != nil {
			w.round.set(int64(e.Accepted))
		}
	case server.Closing:
		if w.round != nil {
			w.round.finish()
			w.round = nil
		}
	case server.Frozen, server.Moved:
	default:
		w.ui.say("%s.", e)
	}
}

// fleet hears the devices.
func (w *words) fleet(e fleet.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := e.(type) {
	case fleet.Answered:
		if e.Outcome.Kind == client.Refused || e.Outcome.Kind == client.Failed {
			w.refused[e.Outcome.Sentence]++
			if w.refused[e.Outcome.Sentence] == 1 {
				w.ui.say("  a device does not take part: %s", e.Outcome.Sentence)
			}
		}
	case fleet.RoundAsked:
		if e.Refused+e.Failed > 0 {
			w.ui.say("  of the devices asked for round %d, %d contributed, %d refused, %d failed", e.Round, e.Contributed, e.Refused, e.Failed)
		}
	}
}

// campaign hears the recipe.
func (w *words) campaign(p campaign.Progress) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case p.Err != nil:
		when := ""
		if wait := time.Until(p.Until); wait > time.Second {
			when = fmt.Sprintf(" in %v", wait.Round(time.Second))
		}
		w.ui.say("  once more%s, with new keys and new noise: %v", when, p.Err)
	case p.Stage == campaign.StageDistil && p.Version.Number == 0 && p.Step > 0:
		if w.distil == nil {
			w.distil = w.ui.task("distilling the Transformer's start", int64(p.Steps))
		}
		w.distil.set(int64(p.Step))
	case p.Stage == campaign.StageDistil && p.Version.Number > 0 && w.distil != nil:
		w.distil.finish()
		w.distil = nil
	}
	if line := told(p.Metrics); line != "" {
		w.ui.say("  on devices, before this round: %s", line)
	}
	if p.Clip > 0 {
		w.ui.say("  the next clip is %.4g", p.Clip)
	}
}

// told is what the devices told of themselves, in one line: the figures that say something, with their 95 % intervals.
func told(figures []plan.Figure) string {
	var parts []string
	for _, f := range figures {
		what, shown := toldAs[f.Name]
		if group, found := strings.CutSuffix(f.Name, ".hit10"); !shown && found {
			what, shown = "hit@10 of "+group, true
		}
		if shown {
			parts = append(parts, fmt.Sprintf("%s %.2f [%.2f, %.2f]", what, f.Value, f.Low, f.High))
		}
	}
	return strings.Join(parts, ", ")
}

// toldAs are the metrics that the line shows, and how.
var toldAs = map[string]string{"hit10": "hit@10", "ndcg10": "NDCG@10", "loss": "loss over that of a guess", "clip": "within the clip"}
