package dataset

import (
	"fmt"
	"io/fs"
)

// LoadCatalogue reads the list of items alone: what a server and an app need, who hold nobody's behaviour. It looks for
// movies.csv, movies.dat or u.item at the root of fsys. The catalogue is the same, digest included, as that of Load on
// the same files without SeenOnly.
func LoadCatalogue(fsys fs.FS) (*Catalogue, error) {
	into := &raw{people: map[int64]User{}}
	for _, list := range []struct {
		name string
		read func(fs.FS, *raw) error
	}{
		{"movies.csv", func(fsys fs.FS, into *raw) error { return readMoviesCSV(fsys, "movies.csv", into) }},
		{"movies.dat", readDatLists},
		{"u.item", func(fsys fs.FS, into *raw) error { return readHundredKItems(fsys, "u.item", into) }},
	} {
		found, err := exists(fsys, list.name)
		if err != nil {
			return nil, fmt.Errorf("dataset: %w", err)
		}
		if !found {
			continue
		}
		if err := list.read(fsys, into); err != nil {
			return nil, fmt.Errorf("dataset: %s: %w", list.name, err)
		}
		into.settleItems(false)
		if len(into.items) == 0 {
			return nil, fmt.Errorf("dataset: %s: %w: it lists no item", list.name, ErrEmpty)
		}
		return NewCatalogue(into.items), nil
	}
	return nil, fmt.Errorf("dataset: %w: expected movies.csv, movies.dat or u.item", ErrUnknownFormat)
}
