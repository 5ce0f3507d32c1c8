package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"tutti/model/run"
	"tutti/model/seqrec"
)

// askFlags say for whom a trained run is asked.
type askFlags struct {
	run, data string
	user      int64
	items     string
}

func (f *askFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.run, "run", "", "folder that tutti train wrote")
	cmd.Flags().StringVar(&f.data, "data", "", "where the data are now (default: as the run was trained)")
	cmd.Flags().Int64Var(&f.user, "user", 0, "number of a person in the data, whose whole history is read")
	cmd.Flags().StringVar(&f.items, "items", "", "a history instead: numbers of items in the data, oldest first, with commas")
}

// question is whom a list is for.
type question struct {
	Person  int64    `json:"person,omitempty"`
	Events  int      `json:"events"`
	Recent  []string `json:"recent"` // titles, newest first
	query   seqrec.Query
	history []int32
}

// ask opens the run and finds the history.
func (f askFlags) ask(cmd *cobra.Command) (*trained, question, error) {
	byUser, byItems := cmd.Flags().Changed("user"), cmd.Flags().Changed("items")
	if byUser == byItems {
		return nil, question{}, usageError("give one of --user and --items: whose history is it?")
	}
	t, err := openTrained(f.run, f.data)
	if err != nil {
		return nil, question{}, err
	}
	var q question
	if byUser {
		user, err := t.person(f.user)
		if err != nil {
			return nil, q, err
		}
		q.Person, q.history = f.user, t.data.Users[user].History
		q.query = t.query(user, q.history, t.data.Users[user].Times)
	} else {
		if q.history, err = t.parseItems(f.items); err != nil {
			return nil, q, err
		}
		q.query = seqrec.Query{Items: q.history}
	}
	if len(q.history) == 0 {
		return nil, q, usageError("the history is empty: there is nothing to go on from")
	}
	q.Events, q.Recent = len(q.history), t.recent(q.history, 3)
	return t, q, nil
}

func (t *trained) parseItems(text string) ([]int32, error) {
	var out []int32
	for word := range strings.SplitSeq(text, ",") {
		id, err := strconv.ParseInt(strings.TrimSpace(word), 10, 64)
		if err != nil {
			return nil, usageError("--items: %q is no number", word)
		}
		index, ok := t.data.Catalogue.Index(id)
		if !ok {
			return nil, usageError("--items: %s has no item %d", t.about.Source, id)
		}
		out = append(out, index)
	}
	return out, nil
}

func (a *app) generateCommand() *cobra.Command {
	var f askFlags
	o := generateFlags{length: 10, beams: 4, lists: 1, excludeSeen: true}
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Write a list for somebody, item by item, with a trained run",
		Long: `Feeds what it wrote back in, so that each item fits the ones before it, and keeps the most probable lists while they
grow (beam search). Nothing comes twice. Works with the recipes encdec, which learns to write lists, and causal.`,
		Example: "  tutti generate --run run1 --user 17 --length 10 --beams 4\n  tutti generate --run run1 --items 1,260,1196 --per-category 3 --json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.generate(cmd, f, o) },
	}
	f.add(cmd)
	cmd.Flags().IntVar(&o.length, "length", o.length, "items of the list")
	cmd.Flags().IntVar(&o.beams, "beams", o.beams, "lists that are kept while they grow; 1 takes the best item at each step")
	cmd.Flags().IntVar(&o.lists, "lists", o.lists, "how many of them to show")
	cmd.Flags().BoolVar(&o.excludeSeen, "exclude-seen", o.excludeSeen, "nothing that the history holds")
	cmd.Flags().IntVar(&o.perCategory, "per-category", 0, "at most so many items of one first genre; 0: any")
	return cmd
}

type generateFlags struct {
	length, beams, lists int
	excludeSeen          bool
	perCategory          int
}

// generateResult is tutti generate as one JSON document.
type generateResult struct {
	Run    string        `json:"run"`
	Recipe run.Recipe    `json:"recipe"`
	For    question      `json:"for"`
	Lists  []writtenList `json:"lists"` // the most probable first
}

type writtenList struct {
	LogProbability float64       `json:"log_probability"`
	Items          []writtenItem `json:"items"`
}

// writtenItem is one step: its probability is given the history and the items before it.
type writtenItem struct {
	Item        int64    `json:"item"`
	Title       string   `json:"title"`
	Categories  []string `json:"categories,omitempty"`
	Probability float64  `json:"probability"`
}

func (a *app) generate(cmd *cobra.Command, f askFlags, o generateFlags) error {
	if o.length < 1 || o.beams < 1 || o.beams > seqrec.MaxBeams || o.lists < 1 || o.lists > o.beams || o.perCategory < 0 {
		return usageError("want --length of 1 or more, --beams of 1 to %d, --lists of 1 to --beams and --per-category of 0 or more", seqrec.MaxBeams)
	}
	t, q, err := f.ask(cmd)
	if err != nil {
		return err
	}
	g, err := seqrec.NewGenerator(t.model, t.params)
	if err != nil {
		return usageError("%s is of the recipe %s, which does not write lists: use %s or %s (%w)", t.dir.Name, t.config.Recipe, run.EncDec, run.Causal, err)
	}
	options := seqrec.GenerateOptions{Length: o.length, Beams: o.beams, ExcludeSeen: o.excludeSeen}
	if o.perCategory > 0 {
		options.Categories, options.PerCategory = t.categories(), o.perCategory
	}
	lists, err := g.Generate(q.query, options)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if len(lists) == 0 {
		return fmt.Errorf("nothing may be recommended: everything is excluded")
	}
	result := generateResult{Run: t.dir.Name, Recipe: t.config.Recipe, For: q}
	for _, l := range lists[:min(o.lists, len(lists))] {
		result.Lists = append(result.Lists, t.written(l))
	}
	if a.json {
		return a.emit(result)
	}
	u := a.plain()
	result.print(u)
	return nil
}

func (t *trained) written(l seqrec.List) writtenList {
	out := writtenList{LogProbability: l.LogProb}
	for i, item := range l.Items {
		it := t.data.Catalogue.Items[item]
		out.Items = append(out.Items, writtenItem{it.ID, it.DisplayTitle(), it.Genres, math.Exp(l.LogProbs[i])})
	}
	return out
}

// categories are the first genres of the items, negative for none.
func (t *trained) categories() []int32 {
	var names []string
	out := make([]int32, t.data.Catalogue.Len())
	for i, item := range t.data.Catalogue.Items {
		if len(item.Genres) == 0 {
			out[i] = -1
			continue
		}
		c := slices.Index(names, item.Genres[0])
		if c < 0 {
			c, names = len(names), append(names, item.Genres[0])
		}
		out[i] = int32(c)
	}
	return out
}

func (r generateResult) print(u *ui) {
	u.say("%s", r.For.sentence())
	for i, l := range r.Lists {
		if len(r.Lists) > 1 {
			u.say("list %d, log probability %.2f", i+1, l.LogProbability)
		}
		rows := make([]table.Row, len(l.Items))
		for k, w := range l.Items {
			rows[k] = table.Row{k + 1, w.Title, strings.Join(w.Categories, ", "), fmt.Sprintf("%.4f", w.Probability)}
		}
		u.print(table.Row{"", "item", "", "probability given the list so far"}, rows)
	}
}

func (q question) sentence() string {
	who := "A history of your own"
	if q.Person != 0 {
		who = fmt.Sprintf("Person %d", q.Person)
	}
	return fmt.Sprintf("%s, %d events, the last of them %s.", who, q.Events, strings.Join(q.Recent, "; "))
}
