package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"tutti/model"
	"tutti/model/dataset"
	"tutti/model/metric"
	"tutti/model/run"
	"tutti/model/seqrec"
)

// material is what a run in the clear learns from and is asked about.
type material struct {
	data  *dataset.Dataset
	split dataset.Split
	// behaviour has the histories that those of the split are the beginnings of: those of data, but for what SplitCold
	// holds back.
	behaviour []dataset.User
	about     run.Data
	// groups numbers what may be known of people, such as "age 25".
	groups map[string]int
}

// invented is what a run without --data says of its source.
const invented = "invented behaviour (seeded generator)"

// loadMaterial reads the data of a configuration, or invents what the demo invents, and splits it.
func loadMaterial(c run.Config) (*material, error) {
	m := &material{about: run.Data{Source: invented}}
	var err error
	if c.Data == "" {
		config := dataset.DefaultGenerator()
		config.Seed = c.Seed
		m.data, err = dataset.Generate(config)
	} else {
		m.about.Source = filepath.Base(filepath.Clean(c.Data))
		m.data, _, err = loadData(c.Data)
	}
	if err != nil {
		return nil, err
	}
	if err = m.divide(c); err != nil {
		return nil, err
	}
	m.groups = findGroups(m.data)
	m.about.Digest = run.DataDigest(m.data)
	m.about.Catalogue = model.Digest(m.data.Catalogue.Digest())
	m.about.Users, m.about.Items, m.about.Events = len(m.data.Users), m.data.Catalogue.Len(), m.data.Events()
	for _, h := range m.split.Train {
		m.about.Training += len(h)
	}
	return m, nil
}

// divide splits the behaviour.
func (m *material) divide(c run.Config) (err error) {
	m.behaviour = m.data.Users
	switch s := c.Split; s.Kind {
	case run.SplitLeaveOneOut:
		m.split = dataset.LeaveOneOut(m.data)
	case run.SplitCold:
		var cold dataset.Cold
		if m.split, cold, err = dataset.ColdItems(m.data, s.Cold, c.Seed); err != nil {
			return &exitError{exitUsage, fmt.Errorf("split.cold: %w", err)}
		}
		m.behaviour = cold.Warm.Users
	default:
		m.split, _, err = dataset.GlobalTime(m.data, s.Quantile, dataset.TargetFirst)
		if errors.Is(err, dataset.ErrNoTimes) {
			return usageError("split.kind: %s, but %v: use %s", s.Kind, err, run.SplitLeaveOneOut)
		}
	}
	return err
}

// same checks that data are those of a run.
func (m *material) same(about run.Data, name string) error {
	switch {
	case m.about.Digest == about.Digest:
		return nil
	case m.about.Catalogue == about.Catalogue:
		return usageError("the behaviour in %s is not what %s was trained on (%s)", m.about.Source, name, about.Source)
	}
	return usageError("the items in %s are not those of %s (%s): give the same data with --data", m.about.Source, name, about.Source)
}

// build makes the recommender that a configuration describes.
func (m *material) build(c run.Config) (*seqrec.Model, error) {
	catalogue := m.data.Catalogue
	dim, rows := 0, []float32(nil)
	if c.Model.Items != run.ItemsTable {
		dim, rows = catalogue.Features()
	}
	if c.Model.User && len(m.groups) == 0 {
		return nil, usageError("model.user: %s knows nothing of its people", m.about.Source)
	}
	built, err := seqrec.New(c.Recommender(catalogue.Len(), dim, len(m.groups)), rows)
	if err != nil {
		return nil, &exitError{exitUsage, fmt.Errorf("the configuration makes no model: %w", err)}
	}
	if built.Config().Loss.Kind == seqrec.FullSoftmax {
		return built, nil
	}
	return built.WithFrequency(m.counts())
}

// histories are what training reads: the events before the split with all that the configuration wants to know of them.
func (m *material) histories(c run.Config) ([]seqrec.History, error) {
	out := seqrec.Histories(m.split.Train)
	if c.Loss.ClickWeight > 0 {
		return nil, usageError("loss.click_weight: %s has no clicks", m.about.Source)
	}
	for i := range out {
		u, n := &m.behaviour[i], len(out[i].Items)
		out[i].User = m.attributes(c, i)
		if u.Times != nil {
			out[i].Times = u.Times[:n]
		} else if c.Model.TimeBuckets > 0 && n > 0 {
			return nil, usageError("model.time_buckets: %s has no times", m.about.Source)
		}
		if c.Loss.RatingWeight == 0 {
			continue
		}
		if u.Ratings == nil && n > 0 {
			return nil, usageError("loss.rating_weight: %s has no ratings", m.about.Source)
		}
		for k, item := range out[i].Items {
			out[i].Feedback = append(out[i].Feedback, seqrec.Feedback{Item: item, Rating: u.Ratings[k], Click: -1})
		}
	}
	return out, nil
}

// attributes are the numbers that describe a user: a one for each group that is known; nil if they are not read.
func (m *material) attributes(c run.Config, user int) []float32 {
	if !c.Model.User || len(m.groups) == 0 {
		return nil
	}
	out := make([]float32, len(m.groups))
	for _, name := range groupings {
		if i, ok := m.groups[name+" "+m.data.Users[user].Group(name)]; ok {
			out[i] = 1
		}
	}
	return out
}

// groupings are what may be known of people.
var groupings = []string{dataset.GroupGender, dataset.GroupAge, dataset.GroupOccupation}

// findGroups numbers the groups that the data know, in the order of their names.
func findGroups(ds *dataset.Dataset) map[string]int {
	var names []string
	for _, grouping := range groupings {
		for i := range ds.Users {
			if label := ds.Users[i].Group(grouping); label != "" {
				names = append(names, grouping+" "+label)
			}
		}
	}
	slices.Sort(names)
	out := map[string]int{}
	for i, name := range slices.Compact(names) {
		out[name] = i
	}
	return out
}

// sample picks a fixed number of cases, evenly over all people.
func sample(cases []metric.Case, most int) []metric.Case {
	if most == 0 || len(cases) <= most {
		return cases
	}
	out := make([]metric.Case, most)
	for i := range out {
		out[i] = cases[i*len(cases)/most]
	}
	return out
}

// person finds somebody by the number in the data.
func (m *material) person(id int64) (int, error) {
	for i := range m.data.Users {
		if m.data.Users[i].ID == id {
			return i, nil
		}
	}
	return 0, usageError("%s has nobody with number %d", m.about.Source, id)
}

// trained is a run with its best weights, ready to rank.
type trained struct {
	*material
	dir      run.Dir
	manifest run.Manifest
	config   run.Config
	model    *seqrec.Model
	params   model.Params
	at       run.Moment // of the weights
	scorer   *seqrec.Scorer
}

// openTrained loads the best weights of a run and the data; another data set with the same items may be given.
func openTrained(dir, data string) (*trained, error) {
	if dir == "" {
		return nil, usageError("--run is needed: the folder that tutti train wrote")
	}
	d, m, c, err := openRun(dir)
	if err != nil {
		return nil, err
	}
	if data != "" {
		c.Data = data
	}
	t := &trained{dir: d, manifest: m, config: c}
	if t.material, err = loadMaterial(c); err != nil {
		return nil, fmt.Errorf("%w (--data says where the data are now)", err)
	}
	if t.about.Catalogue != m.Data.Catalogue {
		return nil, t.same(m.Data, d.Name)
	}
	if t.model, err = t.build(c); err != nil {
		return nil, err
	}
	if t.params, t.at, err = d.BestOf(m); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s has no weights yet: let tutti train run until its first validation", d.Name)
	} else if err != nil {
		return nil, err
	}
	if t.params.Layout().Digest() != t.model.Layout().Digest() {
		return nil, fmt.Errorf("%s/%s holds weights of another model than %s describes", d.Name, run.BestName, run.ConfigName)
	}
	t.scorer, err = seqrec.NewScorer(t.model, t.params)
	return t, err
}
