package dataset

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// Format names a file format that Load understands.
type Format string

// The formats, in the order in which Load looks for them.
const (
	FormatLatest       Format = "ml-latest"          // ratings.csv, movies.csv, optional users.csv
	FormatOneMillion   Format = "ml-1m"              // ratings.dat, movies.dat, optional users.dat
	FormatInteractions Format = "ml-1m interactions" // interactions.txt: a line of items for each user; optional movies.dat, users.dat
	FormatHundredK     Format = "ml-100k"            // u.data, u.item, optional u.user
)

// Options of Load. The zero value is the project's convention.
type Options struct {
	MinEvents   int  // users with fewer events are dropped; 0 means 3, what leave-one-out needs
	SeenOnly    bool // leave out catalogue items that nobody met: the protocol of the ml-1m figures, but it makes the catalogue depend on private data
	KeepRepeats bool // keep a user's later events with the same item (clicks; ratings have none)
}

// Errors that a caller may want to answer differently.
var (
	ErrUnknownFormat = errors.New("no known data format")
	ErrEmpty         = errors.New("no data")
)

// source is one format: the file that betrays it and how to read it.
type source struct {
	format Format
	mark   string
	read   func(fsys fs.FS, into *raw) error
}

var sources = []source{
	{FormatLatest, "ratings.csv", readLatest},
	{FormatOneMillion, "ratings.dat", readOneMillion},
	{FormatInteractions, "interactions.txt", readInteractions},
	{FormatHundredK, "u.data", readHundredK},
}

// raw is what a reader has found, before cleaning.
type raw struct {
	tally
	items     []Item
	listed    map[int64]int32 // item number -> position in items; nil when the format brought no list of items
	people    map[int64]User  // groups only
	events    []event
	rows      int
	untimed   bool // Time is a position, not a moment
	unrated   bool
	eventFile string
}

// event is an Interaction and the line it came from.
type event struct {
	Interaction
	line int
}

// Load detects the format of the files at the root of fsys, or in its only
// folder, reads and cleans them, and reports what was dropped. It fails with an
// error that says what to do when it knows no format, when a file is empty or
// lacks a column, or when nothing is left after cleaning.
func Load(fsys fs.FS, options Options) (*Dataset, *Report, error) {
	if options.MinEvents == 0 {
		options.MinEvents = 3
	}
	if options.MinEvents < 1 {
		return nil, nil, fmt.Errorf("dataset: minimum of %d events must be positive", options.MinEvents)
	}
	fsys, found, err := detect(fsys)
	if err != nil {
		return nil, nil, fmt.Errorf("dataset: %w", err)
	}
	into := &raw{people: map[int64]User{}}
	if err := found.read(fsys, into); err != nil {
		return nil, nil, fmt.Errorf("dataset: %s: %w", found.format, err)
	}
	return clean(into, found.format, options)
}

// detect finds the folder that holds a known format.
func detect(fsys fs.FS) (fs.FS, source, error) {
	for {
		for _, s := range sources {
			ok, err := exists(fsys, s.mark)
			if err != nil {
				return nil, source{}, err
			}
			if ok {
				return fsys, s, nil
			}
		}
		entries, err := fs.ReadDir(fsys, ".")
		if err != nil {
			return nil, source{}, err
		}
		var folders, files []string
		for _, e := range entries {
			switch {
			case strings.HasPrefix(e.Name(), ".") || e.Name() == "__MACOSX":
			case e.IsDir():
				folders = append(folders, e.Name())
			default:
				files = append(files, e.Name())
			}
		}
		if len(folders) != 1 || len(files) > 0 {
			return nil, source{}, unknownFormat(files)
		}
		if fsys, err = fs.Sub(fsys, folders[0]); err != nil {
			return nil, source{}, err
		}
	}
}

func unknownFormat(files []string) error {
	seen := "no file there"
	if len(files) > 0 {
		seen = "found " + excerpt(strings.Join(files, ", "))
	}
	return fmt.Errorf("%w (%s): expected a folder or zip with ratings.csv and movies.csv (ml-latest), ratings.dat and movies.dat (ml-1m), interactions.txt (ml-1m as sequences) or u.data and u.item (ml-100k)", ErrUnknownFormat, seen)
}

// OpenZip opens a zip of size bytes as a file system for Load. A single folder
// at its top is entered by Load itself.
func OpenZip(r io.ReaderAt, size int64) (fs.FS, error) {
	archive, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("dataset: not a readable zip (download it again?): %w", err)
	}
	return archive, nil
}
