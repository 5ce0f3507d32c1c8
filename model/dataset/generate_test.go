package dataset

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// memory collects written files.
type memory struct{ files fstest.MapFS }

type memoryFile struct {
	bytes.Buffer
	name string
	into fstest.MapFS
}

func (f *memoryFile) Close() error {
	f.into[f.name] = &fstest.MapFile{Data: f.Bytes()}
	return nil
}

func (m memory) create(name string) (io.WriteCloser, error) {
	return &memoryFile{name: name, into: m.files}, nil
}

func generated(t testing.TB, config GeneratorConfig) *Dataset {
	t.Helper()
	data, err := Generate(config)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func smallGenerator() GeneratorConfig {
	return GeneratorConfig{Users: 40, Items: 400, Seed: 3, MeanLength: 45, MedianLength: 30}
}

func TestLoadReadsBackWhatWasGenerated(t *testing.T) {
	want := generated(t, smallGenerator())
	disk := memory{fstest.MapFS{}}
	if err := Write(want, disk.create); err != nil {
		t.Fatal(err)
	}
	got, report, err := Load(disk.files, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Dropped) > 0 || len(report.Notes) > 0 || report.Latin1 > 0 {
		t.Errorf("a generated data set needs no cleaning:\n%s", report)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Catalogue{})); diff != "" {
		t.Errorf("read back differently (-written +read):\n%s", diff)
	}
	if want.Catalogue.Digest() != got.Catalogue.Digest() {
		t.Error("digests differ")
	}
}

func TestGenerateIsDecidedByItsSeed(t *testing.T) {
	first, second := generated(t, smallGenerator()), generated(t, smallGenerator())
	if diff := cmp.Diff(first, second, cmpopts.IgnoreUnexported(Catalogue{})); diff != "" {
		t.Errorf("the same seed gave another data set:\n%s", diff)
	}
	other := smallGenerator()
	other.Seed++
	if third := generated(t, other); cmp.Equal(first.Users, third.Users) {
		t.Error("another seed gave the same users")
	}
}

func TestGeneratedBehaviourHasStructure(t *testing.T) {
	data := generated(t, DefaultGenerator())
	sequels, series, genders, unmet := 0, map[string]int{}, map[string]int{}, data.Catalogue.Len()
	for _, stem := range data.Catalogue.seriesOf() {
		if stem != "" {
			series[stem]++
		}
	}
	met := make([]bool, data.Catalogue.Len())
	for i := range data.Users {
		u := &data.Users[i]
		genders[u.Gender]++
		if !slices.IsSorted(u.Times) || len(slices.Compact(slices.Clone(u.Times))) != len(u.Times) {
			t.Fatalf("user %d: times do not rise", u.ID)
		}
		for j, item := range u.History {
			if !met[item] {
				met[item] = true
				unmet--
			}
			if stars := u.Ratings[j] * 2; stars < 1 || stars > 10 || stars != float32(int(stars)) {
				t.Fatalf("user %d: rating %v", u.ID, u.Ratings[j])
			}
			if j > 0 {
				a, b := data.Catalogue.Items[u.History[j-1]], data.Catalogue.Items[item]
				if SeriesStem(a.Title) == SeriesStem(b.Title) {
					sequels++
				}
			}
		}
	}
	if len(series) < 300 {
		t.Errorf("%d series", len(series))
	}
	if sequels < 1000 {
		t.Errorf("%d times the next item was of the same series", sequels)
	}
	if genders["F"] < 100 || genders["M"] < 300 {
		t.Errorf("groups: %v", genders)
	}
	if unmet == 0 || unmet > data.Catalogue.Len()/5 {
		t.Errorf("%d items are new to everybody", unmet)
	}
}

func TestGenerateOfUnusualSizes(t *testing.T) {
	for _, config := range []GeneratorConfig{
		{Users: 1, Items: 50, MeanLength: 30, MedianLength: 25},
		{Users: 30, Items: 50, MeanLength: 300, MedianLength: 200},
		{Users: 3, Items: 30000, Seed: 9, MeanLength: 165, MedianLength: 70},
	} {
		data := generated(t, config)
		if len(data.Users) != config.Users || data.Catalogue.Len() != config.Items {
			t.Errorf("%+v: %d users, %d items", config, len(data.Users), data.Catalogue.Len())
		}
		titles := map[string]bool{}
		for i, item := range data.Catalogue.Items {
			if titles[item.Title] {
				t.Errorf("title %q twice", item.Title)
			}
			titles[item.Title] = true
			if i > 0 && item.ID <= data.Catalogue.Items[i-1].ID {
				t.Error("item numbers do not rise")
			}
		}
	}
}

func TestGenerateRefuses(t *testing.T) {
	good := DefaultGenerator()
	for name, change := range map[string]func(*GeneratorConfig){
		"users":   func(c *GeneratorConfig) { c.Users = 0 },
		"items":   func(c *GeneratorConfig) { c.Items = 49 },
		"median":  func(c *GeneratorConfig) { c.MedianLength = 20 },
		"mean":    func(c *GeneratorConfig) { c.MeanLength = c.MedianLength },
		"too big": func(c *GeneratorConfig) { c.Users = 1 << 30 },
	} {
		config := good
		change(&config)
		if _, err := Generate(config); err == nil {
			t.Errorf("%s: accepted %+v", name, config)
		}
	}
}

func TestWriteReportsAFullDisk(t *testing.T) {
	data := generated(t, smallGenerator())
	err := Write(data, func(name string) (io.WriteCloser, error) { return fullDisk{}, nil })
	if err == nil || !strings.Contains(err.Error(), "movies.csv") {
		t.Errorf("error %v does not name the file", err)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
func (fullDisk) Close() error              { return nil }

func BenchmarkGenerate(b *testing.B) {
	for b.Loop() {
		if _, err := Generate(DefaultGenerator()); err != nil {
			b.Fatal(err)
		}
	}
}
