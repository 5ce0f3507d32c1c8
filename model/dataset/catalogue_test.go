package dataset

import (
	"encoding/hex"
	"math"
	"testing"
)

func TestDigestIsCanonical(t *testing.T) {
	catalogue := NewCatalogue(goodItems)
	digest := catalogue.Digest()
	// SHA-256 of the bytes that the comment of Digest describes, computed apart
	// with Python's hashlib.
	const want = "c0f6fe71ef5a7913091830d97e45a23c01e759b04920bc3a915a48156f6db9f5"
	if got := hex.EncodeToString(digest[:]); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	for name, change := range map[string]func(*Item){
		"number": func(i *Item) { i.ID++ },
		"title":  func(i *Item) { i.Title += "!" },
		"year":   func(i *Item) { i.Year++ },
		"genre":  func(i *Item) { i.Genres = []string{"Action", "Crim", "e"} },
	} {
		items := append([]Item(nil), goodItems...)
		change(&items[2])
		if NewCatalogue(items).Digest() == digest {
			t.Errorf("the digest does not cover the %s", name)
		}
	}
}

func TestFeatures(t *testing.T) {
	catalogue := NewCatalogue([]Item{
		{ID: 1, Title: "Terminator, The", Year: 1984, Genres: []string{"Action", "Sci-Fi"}},
		{ID: 2, Title: "Terminator 2: Judgment Day", Year: 1991, Genres: []string{"Action", "Sci-Fi"}},
		{ID: 3, Title: "Piano, The", Year: 1993, Genres: []string{"Drama"}},
		{ID: 4, Title: "Unknown"},
	})
	dim, rows := catalogue.Features()
	if names := catalogue.FeatureNames(); len(names) != dim || names[0] != "genre Action" || names[dim-1] != "constant" {
		t.Errorf("%d columns, names %q", dim, names)
	}
	row := func(i int) []float32 { return rows[i*dim : (i+1)*dim] }
	inner := func(a, b []float32) float64 {
		sum := 0.0
		for i := range a {
			sum += float64(a[i]) * float64(b[i])
		}
		return sum
	}
	for i, want := range []float64{1, 1, 0.75, 0.25} { // parts of norm 1/2: four, four, three, one
		if got := inner(row(i), row(i)); !(math.Abs(got-want) <= 1e-6) {
			t.Errorf("item %d: squared norm %v, want %v", i, got, want)
		}
	}
	if sequel, other := inner(row(0), row(1)), inner(row(0), row(2)); sequel < 0.9 || other > 0.5 {
		t.Errorf("a sequel has similarity %.2f, another film %.2f", sequel, other)
	}
}

func TestSeriesStem(t *testing.T) {
	for title, want := range map[string]string{
		"Terminator, The":                          "terminator",
		"Terminator 2: Judgment Day":               "terminator",
		"Star Wars: Episode IV - A New Hope":       "star wars",
		"Godfather: Part II, The":                  "godfather",
		"Rocky IV":                                 "rocky",
		"Friday the 13th Part 3":                   "friday the 13th",
		"Harvest of the Island 2: Homecoming, The": "harvest of the island",
		"2001":      "2001",
		"V":         "v",
		"":          "",
		"Apollo 13": "apollo",
	} {
		if got := SeriesStem(title); got != want {
			t.Errorf("%q: %q, want %q", title, got, want)
		}
	}
}

func TestTitles(t *testing.T) {
	item := Item{Title: "Piano, The", Year: 1993}
	if item.FullTitle() != "Piano, The (1993)" || item.DisplayTitle() != "The Piano (1993)" {
		t.Errorf("%q, %q", item.FullTitle(), item.DisplayTitle())
	}
	if got := (Item{Title: "Naples, A"}).DisplayTitle(); got != "A Naples" {
		t.Errorf("%q", got)
	}
}
