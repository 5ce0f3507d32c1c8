package main

import (
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"tutti/model/metric"
	"tutti/model/run"
)

func (a *app) evaluateCommand() *cobra.Command {
	var dir, data, split string
	cmd := &cobra.Command{
		Use:   "evaluate",
		Short: "Measure a trained run: every metric, beside popularity and item transitions, and for whom it works",
		Long: `Ranks the whole catalogue for everybody who kept an item back, what they had before left out, and prints each metric
with its 95 % bootstrap interval. Sampled negatives are not offered: they change the order of models.`,
		Example: "  tutti evaluate --run run1\n  tutti evaluate --run run1 --split valid --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if split != "test" && split != "valid" {
				return usageError("--split %q: want test or valid", split)
			}
			t, err := openTrained(dir, data)
			if err != nil {
				return err
			}
			u := a.newUI()
			defer u.close()
			if t.about.Digest != t.manifest.Data.Digest {
				u.say("These are other people than the run was trained on: %s instead of %s.", t.about.Source, t.manifest.Data.Source)
			}
			e, err := t.evaluate(u, split)
			if err != nil {
				return err
			}
			if a.json {
				return a.emit(evaluateResult{Run: t.dir.Name, Recipe: t.config.Recipe, Data: t.about, Step: t.at.Step, Evaluation: *e})
			}
			u.close()
			a.plain().evaluation(e)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "run", "", "folder that tutti train wrote")
	cmd.Flags().StringVar(&data, "data", "", "where the data are now, or other people with the same items (default: as the run was trained)")
	cmd.Flags().StringVar(&split, "split", "test", "test, or valid: what training chose its weights by")
	return cmd
}

// evaluateResult is tutti evaluate as one JSON document.
type evaluateResult struct {
	Run    string     `json:"run"`
	Recipe run.Recipe `json:"recipe"`
	Data   run.Data   `json:"data"`
	Step   int        `json:"best_step"`
	run.Evaluation
}

// evaluate measures the run beside the baselines.
func (t *trained) evaluate(u *ui, split string) (*run.Evaluation, error) {
	cases, name := t.split.Test, "test"
	if split == "valid" {
		cases, name = t.split.Validation, "validation"
	}
	e, err := t.compare(u, name, cases, measured{string(t.config.Recipe), t.answer})
	if err == nil && t.config.Loss.RatingWeight > 0 {
		e.Ratings, err = t.rate(cases)
	}
	return e, err
}

// compare measures a model beside the baselines.
func (m *material) compare(u *ui, name string, cases []metric.Case, model measured) (*run.Evaluation, error) {
	if len(cases) == 0 {
		return nil, fmt.Errorf("the %s split of %s asks nobody", name, m.about.Source)
	}
	others, err := m.baselines()
	if err != nil {
		return nil, err
	}
	work := u.task("measuring on the "+name+" split", int64(len(others)+1))
	defer work.finish()
	return m.asks(name, cases, append([]measured{model}, others...), func(done int) { work.set(int64(done)) })
}

// evaluation prints the table and the breakdowns.
func (u *ui) evaluation(e *run.Evaluation) {
	u.say("%d people of the %s split, the whole catalogue ranked, what they had before left out; 95 %% intervals", e.Users, e.Split)
	header := table.Row{""}
	for _, r := range e.Rows {
		header = append(header, r.Name)
	}
	rows := make([]table.Row, len(e.Metrics))
	for i, m := range e.Metrics {
		rows[i] = table.Row{m.Name}
		for _, r := range e.Rows {
			v := r.Values[i]
			rows[i] = append(rows[i], u.interval(v))
		}
	}
	u.print(header, rows)
	if r := e.Ratings; r != nil {
		u.say("ratings of what came next: RMSE %s (%s to %s), always saying the mean %s; %d ratings", figure(r.RMSE.Value), figure(r.RMSE.Low), figure(r.RMSE.High), figure(r.Mean.Value), r.Events)
	}
	for _, g := range e.Groups {
		rows := make([]table.Row, len(g.Rows))
		for i, r := range g.Rows {
			rows[i] = table.Row{r.Label, r.Users, u.interval(r.NDCG), fmt.Sprintf("%.4f", r.HR.Value)}
		}
		u.print(table.Row{"by " + strings.TrimSuffix(g.Name, " (people who had it)"), "people", ndcgName, hrName}, rows)
		if g.Gap != nil {
			u.say("%s", g.Gap)
		}
	}
	u.exposure(e.Exposure)
}

// exposure prints what the lists show.
func (u *ui) exposure(groups []run.Exposure) {
	if len(groups) == 0 {
		return
	}
	rows := make([]table.Row, len(groups))
	for i, g := range groups {
		rows[i] = table.Row{g.Label, g.Items, percent(g.Catalogue), percent(g.Had), percent(g.Shown)}
	}
	u.print(table.Row{"items by people who had them", "items", "of the catalogue", "of what people had", "of the lists of ten"}, rows)
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// interval is a value with its interval, beneath it where the screen is narrow.
func (u *ui) interval(v run.Value) string {
	if v.Low == v.High {
		return figure(v.Value)
	}
	between := "  "
	if width := u.width(); width > 0 && width < wideTable {
		between = "\n"
	}
	return figure(v.Value) + between + figure(v.Low) + " to " + figure(v.High)
}

// wideTable is how many columns three recommenders with intervals need.
const wideTable = 100

func figure(x float64) string {
	if x >= 10 {
		return fmt.Sprintf("%.2f", x)
	}
	return fmt.Sprintf("%.4f", x)
}
