package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jedib0t/go-pretty/v6/table"

	"tutti/client"
	"tutti/client/fleet"
	"tutti/model/dataset"
	"tutti/model/metric"
	"tutti/privacy/accounting"
	"tutti/privacy/plan"
	"tutti/privacy/report"
	"tutti/server"
)

// Rows of the table that the words beneath it speak of.
const (
	rowExact  = "popularity, exact (no privacy)"
	rowBefore = "blend, before the model rounds"
	rowServed = "blend: what is served"
	rowClear  = "blend in the clear"
)

// compare measures what is served against popularity, an untrained model and training in the clear, and each head by
// itself, on everybody's last item.
func (s *show) compare(ctx context.Context) error {
	type entry struct {
		name    string
		private bool
		score   scorer
	}
	private := s.flags.Noise
	counts := popularityOf(s.split.Train, s.spec.Items)
	entries := []entry{{rowExact, false, func(_ []int32, out []float32) error { copy(out, counts); return nil }}}
	if s.last.Model != nil {
		untrained := s.last
		untrained.Params = s.last.Model.Init(s.flags.Seed)
		_, transformer, _, err := heads(untrained)
		if err != nil {
			return err
		}
		entries = append(entries, entry{"Transformer, untrained", private, transformer})
	}
	shares := s.last.Popularity
	entries = append(entries, entry{s.label("popularity"), private, func(h []int32, out []float32) error { shares.Scores(h, out); return nil }})
	whole, transformer, transitions, err := heads(s.last)
	if err != nil {
		return err
	}
	if transitions != nil {
		entries = append(entries, entry{s.label("transitions"), private, transitions})
	}
	if transformer != nil {
		before, start, _, err := heads(s.started)
		if err != nil {
			return err
		}
		entries = append(entries,
			entry{s.label("Transformer, start"), private, start}, entry{s.label("Transformer, after the model rounds"), private, transformer},
			entry{s.label(rowBefore), private, before})
	}
	entries = append(entries, entry{s.label(rowServed), private, whole})

	work := s.ui.task("measuring quality", int64(len(entries)+1))
	for i, e := range entries {
		if _, err := s.quality.add(e.name, e.private, e.score); err != nil {
			return err
		}
		work.set(int64(i + 1))
	}
	work.finish()
	return s.clear(ctx)
}

// label says of a head what it was made with.
func (s *show) label(name string) string {
	if s.flags.Noise {
		return "private " + name
	}
	return "noise-free " + name
}

// clear trains in one place, on everything.
func (s *show) clear(ctx context.Context) error {
	fit := clearFit{steps: 100, batch: 16, rate: 1e-2, seed: s.flags.Seed}
	if s.flags.Size == sizeTable {
		fit = clearFit{steps: 400, batch: 64, rate: 2e-3, seed: s.flags.Seed}
	}
	work := s.ui.task("training in the clear, to compare", int64(fit.steps))
	parts, err := inTheClear(ctx, s.spec, s.public, s.split, blendWeight, fit, wideEngine, func(step int) { work.set(int64(step)) })
	work.finish()
	if err != nil {
		return err
	}
	whole, transformer, _, err := heads(parts)
	if err != nil {
		return err
	}
	if _, err := s.quality.add("Transformer in the clear", false, transformer); err != nil {
		return err
	}
	_, err = s.quality.add(rowClear, false, whole)
	return err
}

// recommendation is one line for a person.
type recommendation struct {
	Item   int64   `json:"item"`
	Title  string  `json:"title"`
	Score  float64 `json:"score"`
	Reason string  `json:"reason"`
}

// recommend asks one device, which answers from its own memory.
func (s *show) recommend(ctx context.Context, devices *fleet.Fleet) error {
	return devices.With(s.flags.user, func(d *client.Device) error {
		list, err := d.Recommend(ctx, client.Request{Count: 5})
		if errors.Is(err, client.ErrNoModel) { // no round ever asked this device: it fetches the model first
			if _, err = d.Contribute(ctx); err == nil {
				list, err = d.Recommend(ctx, client.Request{Count: 5})
			}
		}
		if err != nil {
			return err
		}
		for _, r := range list {
			s.result.Recommendations = append(s.result.Recommendations, recommendation{Item: r.Item, Title: displayTitle(s.data.Catalogue, r.Item), Score: r.Score, Reason: reasonSentence(s.data.Catalogue, r.Why)})
		}
		return nil
	})
}

// displayTitle is how a person reads an item's title; "" where there is no such item.
func displayTitle(c *dataset.Catalogue, id int64) string {
	if i, found := c.Index(id); found {
		return c.Items[i].DisplayTitle()
	}
	return ""
}

// reasonSentence puts a reason into words.
func reasonSentence(c *dataset.Catalogue, w client.Why) string {
	title := displayTitle(c, w.Item)
	switch {
	case w.Kind == client.Because:
		return "because you watched " + title
	case w.Kind == client.Taste && title != "":
		return "fits what you watched, " + title + " above all"
	case w.Kind == client.Taste:
		return "fits what you watched"
	}
	return "many people like it"
}

// finish prints the end: what was measured in this run, and nothing else.
func (s *show) finish() error {
	r := &s.result
	r.Privacy = report.PrivacyOff
	if s.flags.Noise {
		r.Privacy = report.PrivacyOn
		spent, err := accounting.ParseRho(s.verdict.Report.Accounting.Rho)
		if err != nil {
			return err
		}
		delta, err := strconv.ParseFloat(r.Delta, 64)
		if err != nil {
			return err
		}
		if r.Epsilon, err = accounting.EpsilonFromRho(spent, delta); err != nil {
			return err
		}
	}
	r.ModelRounds = s.difference(rowBefore, rowServed)
	if s.app.json {
		if err := s.app.emit(r); err != nil {
			return err
		}
	} else {
		s.print()
	}
	if s.verdict.Overall != report.Verified {
		return &exitError{exitFailed, fmt.Errorf("the report does not verify: %s", verdictLine(s.verdict))}
	}
	return nil
}

func (s *show) difference(before, after string) float64 {
	a, okA := s.row(s.label(before))
	b, okB := s.row(s.label(after))
	if !okA || !okB {
		return 0
	}
	return b.NDCG - a.NDCG
}

func (s *show) row(name string) (qualityRow, bool) {
	for _, r := range s.quality.rows {
		if r.Name == name {
			return r, true
		}
	}
	return qualityRow{}, false
}

func (s *show) print() {
	u := s.app.newUI()
	defer u.close()
	rows := make([]table.Row, len(s.quality.rows))
	for i, r := range s.quality.rows {
		rows[i] = table.Row{r.Name, interval(r.NDCG, r.NDCG95), interval(r.HR, r.HR95)}
	}
	u.say("\nQuality on the last item of %d users (full ranking, seen items masked, 95 %% intervals):", len(s.quality.test))
	u.print(table.Row{"", "NDCG@10", "HR@10"}, rows)
	u.say("%s", s.judgement())
	u.say("\nFor person %d, by their own device, offline:", s.flags.user)
	for i, r := range s.result.Recommendations {
		u.say("  %d. %s: %s", i+1, r.Title, r.Reason)
	}
	if s.flags.Noise && s.budget.Trust != plan.TrustDevices {
		u.say("\nPrivacy, towards those who see what is released: epsilon %.3f of %g at delta %s is spent (unit: a device).", s.result.Epsilon, s.flags.Epsilon, s.result.Delta)
		u.say("%s", u.red("TRUSTED OPERATOR: "+server.SeesSums+"; nothing is claimed towards it."))
	} else if s.flags.Noise {
		u.say("\nPrivacy: epsilon %.3f of %g at delta %s is spent (unit: a device; honest-but-curious server, no sybils).", s.result.Epsilon, s.flags.Epsilon, s.result.Delta)
	} else {
		u.say("\n%s", u.red("PRIVACY WAS OFF: this run protects nobody and claims nothing."))
	}
	u.say("All nodes ran in one place here, which protects nobody from whoever runs this. In earnest the committee's nodes belong to\nparties that would not collude with the operator: partners, auditors, an association of users.")
	u.say("Report: %s (and report.html, ledger.jsonl): %s. Check it yourself: tutti verify %s", s.result.Report, s.result.Verdict, s.result.Report)
	u.say("Took %.1f s.", s.result.Seconds)
}

func interval(x float64, i metric.Interval) string {
	return fmt.Sprintf("%.4f  [%.4f, %.4f]", x, i.Low, i.High)
}

// judgement says plainly what the figures of this run show.
func (s *show) judgement() string {
	served, _ := s.row(s.label(rowServed))
	exact, _ := s.row(rowExact)
	line := fmt.Sprintf("What is served does NOT beat plain popularity in this setting (%.4f against %.4f)", served.NDCG, exact.NDCG)
	if served.NDCG > exact.NDCG && exact.NDCG > 0 {
		line = fmt.Sprintf("What is served is at %.2f times exact popularity", served.NDCG/exact.NDCG)
		if served.NDCG95.Low <= exact.NDCG95.High {
			line += " (the intervals overlap: few users)"
		}
	}
	if clear, ok := s.row(rowClear); ok && clear.NDCG > 0 {
		line += fmt.Sprintf(" and at %.0f %% of the same recipe in the clear", 100*served.NDCG/clear.NDCG)
	}
	if s.last.Model != nil && s.budget.Rounds > 0 {
		line += fmt.Sprintf("; the model rounds changed it by %+.4f", s.result.ModelRounds)
	}
	return line + "."
}
