package dataset

import (
	"errors"
	"io/fs"
)

// Format names a file format that Load understands.
type Format string

// The formats.
const (
	FormatUnknown      Format = ""
	FormatLatest       Format = "ml-latest" // ratings.csv, movies.csv, optional users.csv
	FormatOneMillion   Format = "ml-1m"     // ratings.dat, movies.dat, optional users.dat
	FormatInteractions Format = "ml-1m interactions"
	FormatHundredK     Format = "ml-100k" // u.data, u.item, optional u.user
)

// Options of Load. The zero value is the project's convention.
type Options struct {
	MinEvents   int  // users with fewer events are dropped; 0 means 3, what leave-one-out needs
	SeenOnly    bool // leave out catalogue items that nobody met (the protocol of the ml-1m figures)
	KeepRepeats bool // keep a user's later events with the same item (clicks; ratings have none)
}

// Errors that a caller may want to answer differently.
var (
	ErrUnknownFormat = errors.New("no known data format")
	ErrEmpty         = errors.New("no data")
)

// Load detects the format of the files at the root of fsys (or in its only
// folder), reads and cleans them, and reports what was dropped.
func Load(fsys fs.FS, options Options) (*Dataset, *Report, error) {
	return nil, nil, ErrUnknownFormat
}
