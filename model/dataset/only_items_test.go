package dataset

import (
	"errors"
	"testing"
	"testing/fstest"
)

func TestLoadCatalogue(t *testing.T) {
	files := fstest.MapFS{
		"movies.csv":  {Data: []byte("movieId,title,genres\n3,Gamma (1999),Drama\n1,Alpha (1990),Comedy|Drama\n2,Beta,(no genres listed)\n")},
		"ratings.csv": {Data: []byte("userId,movieId,rating,timestamp\n7,1,4,100\n7,2,4,200\n7,3,4,300\n")},
	}
	whole, _, err := Load(files, Options{})
	if err != nil {
		t.Fatal(err)
	}
	delete(files, "ratings.csv")
	alone, err := LoadCatalogue(files)
	if err != nil {
		t.Fatal(err)
	}
	if alone.Digest() != whole.Catalogue.Digest() || alone.Len() != 3 {
		t.Fatalf("%d items with another digest than Load's %d", alone.Len(), whole.Catalogue.Len())
	}
	if _, err := LoadCatalogue(fstest.MapFS{}); !errors.Is(err, ErrUnknownFormat) {
		t.Errorf("no list: %v", err)
	}
	empty := fstest.MapFS{"movies.csv": {Data: []byte("movieId,title,genres\n")}}
	if _, err := LoadCatalogue(empty); err == nil {
		t.Error("an empty list was accepted")
	}
}
