package run_test

import (
	"reflect"
	"strings"
	"testing"

	"tutti/model/run"
	"tutti/model/seqrec"
)

// TestYAMLRoundTrip: what is written reads back unchanged, for every recipe and with every setting changed.
func TestYAMLRoundTrip(t *testing.T) {
	for _, about := range run.Recipes() {
		c, ok := run.Default(about.Recipe)
		if !ok || about.Best == "" {
			t.Fatalf("%+v", about)
		}
		back, err := run.ParseConfig(c.YAML(), "")
		if err != nil || back != c {
			t.Errorf("%s: %v\n%+v\n%+v\n%s", about.Recipe, err, c, back, c.YAML())
		}
		for _, s := range run.Settings(&c) {
			if s.Name == "recipe" {
				continue
			}
			changed := c
			if !changeable(&changed, s) {
				t.Errorf("%s cannot be changed from %s", s.Name, s.Value)
			}
			back, err := run.ParseConfig(changed.YAML(), "")
			if err != nil || back != changed || changed == c {
				t.Errorf("%s: %v\n%s", s.Name, err, changed.YAML())
			}
			if s.Help == "" {
				t.Errorf("%s explains nothing", s.Name)
			}
		}
	}
}

// changeable sets a field to something else that it takes.
func changeable(c *run.Config, s run.Setting) bool {
	for _, value := range []string{
		"17", "0.125", "true", "ml # not a \"comment\"", run.EngineFused, run.SplitTime, run.ItemsHybrid, "post", "rotary", "swiglu", "gbce", "adamw", "constant",
	} {
		if value != s.Value && c.Set(s.Name, value) == nil {
			return true
		}
	}
	return false
}

// TestEveryFieldOfTheModel: a configuration can reach every field of seqrec.Config but what the data decide.
func TestEveryFieldOfTheModel(t *testing.T) {
	seen := map[string]bool{"Items": true} // by the data
	for _, about := range run.Recipes() {
		base, _ := run.Default(about.Recipe)
		was := base.Recommender(100, 7, 5)
		for _, s := range run.Settings(&base) {
			changed := base
			if s.Name == "recipe" || !changeable(&changed, s) {
				continue
			}
			compare(was, changed.Recommender(100, 7, 5), seen)
			if changed.Loss.Kind == seqrec.FullSoftmax {
				changed.Loss.Kind = seqrec.GBCE
			}
			with := base
			with.Loss.Kind = seqrec.GBCE
			compare(with.Recommender(100, 7, 5), changed.Recommender(100, 7, 5), seen)
		}
		compare(run.Config{}.Recommender(100, 7, 5), was, seen)
	}
	for i := range reflect.TypeFor[seqrec.Config]().NumField() {
		if name := reflect.TypeFor[seqrec.Config]().Field(i).Name; !seen[name] {
			t.Errorf("no setting reaches %s", name)
		}
	}
}

func compare(a, b seqrec.Config, seen map[string]bool) {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range x.NumField() {
		if x.Field(i).Interface() != y.Field(i).Interface() {
			seen[x.Type().Field(i).Name] = true
		}
	}
}

func TestConfigErrorsSayWhere(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{"model:\n  dmi: 3\n", "2:3: unknown setting"},
		{"mode:\n  dim: 3\n", `is it model.dim?`},
		{"model:\n  dim: wide\n", `2:8: model.dim: "wide", want a whole number from 1 to 4096`},
		{"model:\n  dim: 3.5\n", "2:8: model.dim"},
		{"model:\n  dim: -3\n", "2:8: model.dim"},
		{"model:\n  dim: [1, 2]\n", "2:8: model.dim: a sequence"},
		{"model: 3\n", "1:1: unknown setting"},
		{"model:\n  dim:\n    wide: 3\n", "unknown setting"},
		{"seed: 1\nseed: 2\n", "already"},
		{"model.dim: 3\nmodel:\n  dim: 4\n", "3:3: model.dim is set twice"},
		{"seed: 1\n---\nseed: 2\n", "several documents"},
		{"seed: [\n", "1:"},
		{"recipe: tasty\n", `1:9: recipe: "tasty", want one of causal, bidirectional, encdec`},
		{"fit:\n  rate: .inf\n", "2:9: fit.rate"},
		{"fit:\n  rate: .nan\n", "2:9: fit.rate"},
		{"fit:\n  schedule: steep\n", "cosine, constant"},
		{"seed: &x 1\n", "1:"},
		{strings.Repeat("# padding\n", 200_000), "at most"},
	} {
		if _, err := run.ParseConfig([]byte(c.file), ""); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40q: %v, want %q", c.file, err, c.want)
		}
	}
	for _, file := range []string{"", "\n", "# nothing\n", "model:\n", "model:\n  # dim: 3\n"} {
		if c, err := run.ParseConfig([]byte(file), ""); err != nil || c.Recipe != run.Causal {
			t.Errorf("%q: %+v, %v", file, c, err)
		}
	}
	if c, err := run.ParseConfig([]byte("recipe: causal\nseed: 7\n"), run.EncDec); err != nil || c.Recipe != run.EncDec || c.Seed != 7 || c.Model.Horizon == 0 {
		t.Errorf("the given recipe does not win: %+v, %v", c, err)
	}
}

func FuzzParseConfig(f *testing.F) {
	c, _ := run.Default(run.EncDec)
	f.Add(c.YAML())
	f.Add([]byte("model: {dim: 32, norm: post}\nfit: {rate: 1e-3}\n"))
	f.Add([]byte("a: &b [*b]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := run.ParseConfig(data, "")
		if err != nil {
			return
		}
		if back, err := run.ParseConfig(c.YAML(), ""); err != nil || back != c {
			t.Fatalf("%v\n%s\n%+v", err, c.YAML(), back)
		}
	})
}
