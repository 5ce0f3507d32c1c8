// Package dataset holds behaviour: who met which item, and when. It reads the
// MovieLens formats, cleans what it reads and says what it dropped and why,
// splits the rest for an honest evaluation, and generates invented behaviour of
// the same shape for those who have no data yet.
//
// The package touches no file system: it reads through an fs.FS of the caller
// and writes through a function of the caller.
package dataset

import (
	"strconv"
	"strings"
)

// Item is one entry of the public catalogue.
type Item struct {
	ID     int64    // number in the original data
	Title  string   // as in the source, without the year
	Year   int      // year of release; 0 when unknown
	Genres []string // in the order of the source; nil when none is given
}

// FullTitle is the title with its year, as MovieLens writes it: "Heat (1995)".
func (i Item) FullTitle() string {
	if i.Year == 0 {
		return i.Title
	}
	return i.Title + " (" + strconv.Itoa(i.Year) + ")"
}

// DisplayTitle is FullTitle with the article in front: "The Piano (1993)".
func (i Item) DisplayTitle() string {
	for _, article := range []string{"The", "A", "An"} {
		if title, found := strings.CutSuffix(i.Title, ", "+article); found {
			i.Title = article + " " + title
			break
		}
	}
	return i.FullTitle()
}

// Interaction is one cleaned event of the original data, with original numbers.
type Interaction struct {
	User, Item int64
	Rating     float32 // 0.5 to 5; 0 when the source has none
	Time       int64   // seconds since 1970; the position in the history when the source has no times
}

// User is one person: the history in time order and the groups that are known.
type User struct {
	ID         int64
	Gender     string // "F", "M", or "" when unknown
	Age        int    // in years, or the lower end of an age band; 0 when unknown
	Occupation string // name or number as in the source; "" when unknown

	History []int32   // item indices, oldest first; equal times keep the order of the file
	Times   []int64   // one for each event, ascending; nil when the source has no times
	Ratings []float32 // one for each event; nil when the source has none
}

// Dataset is a catalogue and the people who met its items.
type Dataset struct {
	Catalogue *Catalogue
	Users     []User // ascending by ID
}

// Groups that Group understands.
const (
	GroupGender     = "gender"
	GroupAge        = "age"
	GroupOccupation = "occupation"
)

// Group is the label of the user in one of the groupings above, such as "F" or
// "25"; "" when it is unknown.
func (u *User) Group(name string) string {
	switch name {
	case GroupGender:
		return u.Gender
	case GroupAge:
		if u.Age > 0 {
			return strconv.Itoa(u.Age)
		}
	case GroupOccupation:
		return u.Occupation
	}
	return ""
}

// Events is the number of events of all users.
func (d *Dataset) Events() int {
	n := 0
	for i := range d.Users {
		n += len(d.Users[i].History)
	}
	return n
}

// Histories lists the history of every user; the slices are shared.
func (d *Dataset) Histories() [][]int32 {
	all := make([][]int32, len(d.Users))
	for i := range d.Users {
		all[i] = d.Users[i].History
	}
	return all
}
