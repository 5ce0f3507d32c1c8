package run_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"math"
	"regexp"
	"strings"
	"testing"

	"tutti/model"
	"tutti/model/dataset"
	"tutti/model/run"
)

// memory is a run directory.
type memory map[string][]byte

func (m memory) Read(name string) ([]byte, error) {
	data, ok := m[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return bytes.Clone(data), nil
}

func (m memory) Write(name string, data []byte) error { m[name] = bytes.Clone(data); return nil }

func (m memory) Append(name string, data []byte) error {
	m[name] = append(m[name], data...)
	return nil
}

func begin(t *testing.T) (run.Dir, run.Manifest, run.Config) {
	t.Helper()
	d := run.Dir{Files: memory{}, Name: "run1"}
	c, _ := run.Default(run.Causal)
	m := run.Manifest{
		Status: run.Running, Created: "2026-01-02T03:04:05Z", Recipe: run.Causal, Engine: c.Engine, Workers: 2, Weights: 1234567,
		Data: run.Data{Source: "films", Users: 5, Items: 50, Events: 500}, Progress: run.Progress{Step: 2, Steps: 4},
	}
	if found, err := d.Exists(); found || err != nil {
		t.Fatal(found, err)
	}
	if err := d.Begin(&m, c); err != nil {
		t.Fatal(err)
	}
	return d, m, c
}

func TestDirectory(t *testing.T) {
	d, m, c := begin(t)
	if found, err := d.Exists(); !found || err != nil {
		t.Fatal(found, err)
	}
	gotM, gotC, err := d.Load()
	if err != nil || gotC != c || gotM.Weights != m.Weights || gotM.Config != m.Config {
		t.Fatalf("%v\n%+v\n%+v", err, gotM, gotC)
	}
	for step := 1; step <= 4; step++ {
		if err := d.Record(run.Record{Step: step, Loss: 1 / float64(step)}); err != nil {
			t.Fatal(err)
		}
	}
	d.Files.Append(run.LogName, []byte(`{"step":5,"lo`)) // a crash
	if log, err := d.Log(run.WholeLog); err != nil || len(log) != 4 || log[3].Loss != 0.25 {
		t.Fatalf("%+v, %v", log, err)
	}
	if log, err := d.CutLog(2); err != nil || len(log) != 2 {
		t.Fatalf("%+v, %v", log, err)
	}
	if log, err := d.Log(run.WholeLog); err != nil || len(log) != 2 {
		t.Fatalf("after the cut: %+v, %v", log, err)
	}
	if err := d.Record(run.Record{Step: 3, Loss: math.NaN()}); err == nil {
		t.Error("a loss that is no number was logged")
	}

	if _, _, err := d.Best(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no best weights yet: %v", err)
	}
	layout, _ := model.NewLayout(model.TensorSpec{Name: "a", Shape: []int{3}})
	p, _ := model.ParamsOf(layout, []float32{1, 2, 3})
	at := run.Moment{Step: 7, NDCG: 0.1 + 0.2, Config: m.Config}
	if err := d.SaveBest(p, at); err != nil {
		t.Fatal(err)
	}
	if q, when, err := d.Best(); err != nil || when != at || q.Digest() != p.Digest() {
		t.Errorf("%+v, %v", when, err)
	}

	if _, _, err := d.BestOf(m); err != nil {
		t.Error(err)
	}
	if _, _, err := d.BestOf(run.Manifest{}); err == nil || !strings.Contains(err.Error(), "another run") {
		t.Errorf("weights of another run: %v", err)
	}
	if err := d.Begin(&m, c); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a run over another: %v", err)
	}

	d.Files.Append(run.ConfigName, []byte("# edited\n"))
	if _, _, err := d.Load(); err == nil || !strings.Contains(err.Error(), "changed after the run began") {
		t.Errorf("an edited configuration: %v", err)
	}
}

func TestBadDocuments(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{`{`, "run.json"}, {`{"format":2}`, "format 2"}, {`{"format":1,"mood":3}`, "mood"}, {`{"format":1}{}`, "run.json"},
		{`{"format":1,"data":{"digest":"zz"}}`, "run.json"},
	} {
		if _, err := run.ParseManifest([]byte(c.doc)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.doc, err)
		}
	}
	for _, c := range []struct{ log, want string }{
		{"{\"step\":2}\n{\"step\":2}\n", ":2: step 2 follows step 2"}, {"{\"step\":1}\nnonsense\n", ":2:"}, {strings.Repeat(" ", 5000) + "{}\n", ":1:"},
	} {
		if _, err := run.ParseLog([]byte(c.log), run.WholeLog); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.30q: %v", c.log, err)
		}
	}
}

func FuzzParseLog(f *testing.F) {
	f.Add([]byte("{\"step\":1,\"loss\":2.5,\"validation\":{\"ndcg10\":0.1}}\n{\"step\":2}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		log, err := run.ParseLog(data, 100)
		for i, r := range log {
			if r.Step > 100 || i > 0 && r.Step <= log[i-1].Step {
				t.Fatalf("%v: %+v", err, log)
			}
		}
	})
}

func FuzzParseManifest(f *testing.F) {
	m := run.Manifest{Format: run.ManifestFormat, Result: &run.Evaluation{}}
	good, err := m.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := run.ParseManifest(data)
		if err != nil {
			return
		}
		again, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := run.ParseManifest(again); err != nil {
			t.Fatal(err)
		}
	})
}

func TestDataDigest(t *testing.T) {
	g := dataset.GeneratorConfig{Users: 3, Items: 60, Seed: 1, MeanLength: 40, MedianLength: 30}
	load := func() *dataset.Dataset {
		d, err := dataset.Generate(g)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	want := run.DataDigest(load())
	if run.DataDigest(load()) != want {
		t.Fatal("the same data have another digest")
	}
	for i, change := range []func(*dataset.Dataset){
		func(d *dataset.Dataset) { d.Users[1].ID++ },
		func(d *dataset.Dataset) { d.Users[1].Gender += "x" },
		func(d *dataset.Dataset) { d.Users[1].Age++ },
		func(d *dataset.Dataset) { d.Users[1].Occupation += "x" },
		func(d *dataset.Dataset) { d.Users[1].History[0]++ },
		func(d *dataset.Dataset) { d.Users[1].Times[0]-- },
		func(d *dataset.Dataset) { d.Users[1].Ratings[0] /= 2 },
		func(d *dataset.Dataset) { d.Users = d.Users[:2] },
		func(d *dataset.Dataset) { d.Catalogue = dataset.NewCatalogue(d.Catalogue.Items[:59]) },
	} {
		d := load()
		change(d)
		if run.DataDigest(d) == want {
			t.Errorf("change %d has the same digest", i)
		}
	}
}

// TestPage: the page loads nothing, runs nothing, its policy lets exactly its own style in, and it shows what there is.
func TestPage(t *testing.T) {
	d, m, c := begin(t)
	var log []run.Record
	for step := 1; step <= 2000; step++ {
		r := run.Record{Step: step, Loss: 5 / math.Sqrt(float64(step)), Tokens: 10, Seconds: float64(step)}
		if step%100 == 0 {
			r.Validation = &run.Validation{NDCG: 0.036 * math.Sin(float64(step)/700), Best: true}
		}
		log = append(log, r)
	}
	m.Data.Source = `<script>alert(1)</script>`
	m.Result = &run.Evaluation{
		Split: "test", Users: 4321, Metrics: []run.Metric{{Name: "NDCG@10", Better: 1, Means: "up"}, {Name: "Gini", Better: -1, Means: "down"}},
		Rows: []run.Measured{
			{Name: "causal", Values: []run.Value{{Value: 0.25, Low: 0.2, High: 0.3}, run.Exact(0.5)}},
			{Name: "popularity", Values: []run.Value{run.Exact(0.125), run.Exact(0.75)}},
		},
		Groups: []run.Breakdown{{Name: "age", Rows: []run.Group{{Label: `"><img src=x>`, Users: 7, NDCG: run.Value{Value: 0.5, Low: 0.25, High: 1}}},
			Gap: &run.Gap{Best: "M", Worst: "F", Least: 10, NDCG: run.Value{Value: 0.125, Low: -0.5, High: 0.75}}}},
		Exposure: []run.Exposure{{Label: "1 to 9", Items: 3, Catalogue: 0.5, Had: 0.25, Shown: 0.625}},
	}
	m.Examples = []run.Example{{Person: 3, Recent: []string{"Alien (1979)"}, Next: "Heat (1995)", Items: []run.Suggested{{Title: "Heat (1995)", Probability: 0.5, True: true}}}}
	if err := d.SavePage(m, c, log); err != nil {
		t.Fatal(err)
	}
	data, _ := d.Files.Read(run.PageName)
	page := string(data)
	for _, banned := range []string{"<script", "<img", "<iframe", "<link", "javascript:", "http://", "https://", "url(", " style=", "ZgotmplZ", "<no value>", "NaN", "<span>-0.0"} {
		if strings.Contains(page, banned) {
			t.Errorf("the page holds %q", banned)
		}
	}
	inside := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(page)
	hash := sha256.Sum256([]byte(inside[1]))
	text := html.UnescapeString(page)
	for _, wanted := range []string{
		"style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'", "prefers-color-scheme:dark", "width=device-width",
		`<td class="n best">0.2500<small>0.2000–<wbr>0.3000</small>`, `<td class="n best">0.5000</td>`, "1 234 567", "Heat (1995)", "50.0\u00a0%", "Gap in NDCG@10 between M and F: 0.1250 (-0.5000 to 0.7500); groups of 10 people or more", "62.5\u00a0%", "goes on with: tutti train --resume --out run1", "0 of ",
		"step 100", "model.dropout",
	} {
		if !strings.Contains(text, wanted) {
			t.Errorf("the page does not say %q", wanted)
		}
	}
	for _, path := range regexp.MustCompile(`class="curve [a-z]+" d="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if points := strings.Count(path[1], " "); points < 20 || points > 600 {
			t.Errorf("a curve of %d points", points)
		}
	}
	if n := strings.Count(page, `class="curve`); n != 2 {
		t.Errorf("%d curves", n)
	}

	// Nothing to show yet.
	if err := d.SavePage(run.Manifest{}, c, nil); err != nil {
		t.Error(err)
	}
	if err := d.SavePage(m, c, []run.Record{{Step: 1, Loss: 3}, {Step: 2, Loss: 3}}); err != nil {
		t.Error(fmt.Errorf("a flat curve: %w", err))
	}
}
