package dataset

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"testing"
)

// realFiles opens a data set that stands beside the repository, or skips.
func realFiles(t testing.TB, name string) fs.FS {
	t.Helper()
	folder := "../../../shared/data/" + name
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is missing: it is real data that is not part of the repository", folder)
	}
	return os.DirFS(folder)
}

// latestSmall is what Statistics measures on ml-latest-small, read by Load with
// default options.
var latestSmall = Shape{
	Users: 610, Items: 9742, Events: 100836,
	Gini: 0.716804, MeanLength: 165.305, MedianLength: 70.5, RepeatRate: 0, TransitionEntropy: 0.393430,
}

func TestStatisticsOfLatestSmall(t *testing.T) {
	data, _, err := Load(realFiles(t, "ml-latest-small"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := Statistics(data)
	if got.Users != latestSmall.Users || got.Items != latestSmall.Items || got.Events != latestSmall.Events {
		t.Errorf("size %+v, pinned %+v", got, latestSmall)
	}
	for _, v := range measures(got, latestSmall) {
		if !(math.Abs(v.got-v.want) <= 1e-3*math.Max(v.want, 1e-3)) {
			t.Errorf("%s = %v, pinned %v", v.name, v.got, v.want)
		}
	}
}

type measure struct {
	name      string
	got, want float64
}

func measures(got, want Shape) []measure {
	return []measure{
		{"Gini", got.Gini, want.Gini},
		{"mean length", got.MeanLength, want.MeanLength},
		{"median length", got.MedianLength, want.MedianLength},
		{"repeat rate", got.RepeatRate, want.RepeatRate},
		{"transition entropy", got.TransitionEntropy, want.TransitionEntropy},
	}
}

// The generator's constants were fitted once; this pins what they were fitted
// to, for the default seed and others.
func TestGeneratorHasTheShapeOfLatestSmall(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		config := DefaultGenerator()
		config.Seed = seed
		data, err := Generate(config)
		if err != nil {
			t.Fatal(err)
		}
		got := Statistics(data)
		t.Logf("seed %d: %+v", seed, got)
		for _, v := range measures(got, latestSmall) {
			if !(math.Abs(v.got-v.want) <= 0.1*v.want) {
				t.Errorf("seed %d: %s = %.4f, more than 10 %% from ml-latest-small's %.4f", seed, v.name, v.got, v.want)
			}
		}
		if !(math.Abs(float64(got.Events-latestSmall.Events)) <= 0.1*float64(latestSmall.Events)) {
			t.Errorf("seed %d: %d events", seed, got.Events)
		}
	}
}

// Two users, items 0, 1, 2: counts 3, 2, 1; transitions 0>1, 1>2, 0>1, 1>0.
func TestStatisticsByHand(t *testing.T) {
	data := &Dataset{
		Catalogue: NewCatalogue([]Item{{ID: 1}, {ID: 2}, {ID: 3}}),
		Users:     []User{{History: []int32{0, 1, 2}}, {History: []int32{0, 1, 0}}},
	}
	got := Statistics(data)
	// Gini of 1, 2, 3: (-2*1 + 0*2 + 2*3) / (3*6) = 4/18.
	// H(previous) of 2, 2 = 1; H(joint) of 2, 1, 1 = 1.5; H(next) of 1: 0, 2: 1,
	// 1: 2 = 1.5; (1.5-1)/1.5 = 1/3.
	want := Shape{Users: 2, Items: 3, Events: 6, Gini: 4.0 / 18, MeanLength: 3, MedianLength: 3, RepeatRate: 1.0 / 6, TransitionEntropy: 1.0 / 3}
	if got.Users != want.Users || got.Items != want.Items || got.Events != want.Events {
		t.Errorf("size: %+v", got)
	}
	for _, v := range measures(got, want) {
		if !(math.Abs(v.got-v.want) <= 1e-12) {
			t.Errorf("%s = %v, by hand %v", v.name, v.got, v.want)
		}
	}
	if got := Statistics(&Dataset{Catalogue: NewCatalogue(nil)}); got != (Shape{}) {
		t.Errorf("of nothing: %+v", got)
	}
}
