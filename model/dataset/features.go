package dataset

import (
	"strconv"
	"strings"
)

// Columns of a catalogue's Rows.
const (
	ColumnGenre    = "genre"  // labels
	ColumnYear     = "year"   // number; missing when unknown
	ColumnSeries   = "series" // label: what the titles of a series share; missing for titles that stand alone
	ColumnTitle    = "title"  // text
	ColumnConstant = "constant"
)

// ItemSchema declares the public features of an item: its genres (a number for
// each genre of the catalogue), its year (a radial basis from 1930 to 2014), its
// series (hashed) and a constant. Each of the four parts has L2 norm at most
// 1/2, so a row has at most 1.
func ItemSchema() Schema {
	return Schema{
		{Name: ColumnGenre, Kind: MultiHot, Size: maxSize, Norm: 0.5},
		{Name: ColumnYear, Kind: Radial, Size: 8, First: 1930, Step: 12, Norm: 0.5},
		{Name: ColumnSeries, Kind: Hashed, Size: 32, Hashes: 2, Norm: 0.5},
		{Name: ColumnConstant, Kind: Constant, Norm: 0.5},
	}
}

// TitleColumn adds the words of the title and their parts to an ItemSchema.
func TitleColumn(size int) Column {
	return Column{Name: ColumnTitle, Kind: Text, Size: size, MinGram: 3, MaxGram: 4, IDF: true, Norm: 0.5}
}

// UserSchema declares the features of a user who told their groups: gender, age
// (a radial basis from 15 to 65) and occupation, each with a mark where it is
// unknown, and a constant; four parts of L2 norm at most 1/2.
func UserSchema() Schema {
	return Schema{
		{Name: GroupGender, Kind: Categorical, Size: 16, Missing: true, Norm: 0.5},
		{Name: GroupAge, Kind: Radial, Size: 6, First: 15, Step: 10, Missing: true, Norm: 0.5},
		{Name: GroupOccupation, Kind: Categorical, Size: 64, Other: true, Missing: true, Norm: 0.5},
		{Name: ColumnConstant, Kind: Constant, Norm: 0.5},
	}
}

// Rows are the items with the columns above.
func (c *Catalogue) Rows() Rows { return catalogueRows{c, c.seriesOf()} }

type catalogueRows struct {
	*Catalogue
	series []string
}

func (r catalogueRows) Value(row int, column string) Value {
	switch item := &r.Items[row]; column {
	case ColumnGenre:
		return Labels(item.Genres...)
	case ColumnYear:
		if item.Year > 0 {
			return Number(float64(item.Year))
		}
	case ColumnSeries:
		return Labels(r.series[row])
	case ColumnTitle:
		return Words(item.Title)
	}
	return Value{}
}

// UserRows are the users with the columns gender, age and occupation.
func (d *Dataset) UserRows() Rows { return userRows(d.Users) }

type userRows []User

func (r userRows) Len() int { return len(r) }

func (r userRows) Value(row int, column string) Value {
	switch u := &r[row]; column {
	case GroupGender, GroupOccupation:
		return Labels(u.Group(column))
	case GroupAge:
		if u.Age > 0 {
			return Number(float64(u.Age))
		}
	}
	return Value{}
}

// Features describes every item by public knowledge alone, as ItemSchema
// declares. Shape Len() x dim, row after row.
func (c *Catalogue) Features() (dim int, rows []float32) {
	e := c.encoder()
	rows, err := e.Matrix(c.Rows())
	if err != nil {
		panic(err) // the rows above hold what the schema above asks for
	}
	return e.Dim(), rows
}

// FeatureNames names the columns of Features, such as "genre Drama", "year
// 1990", "series 7", "constant".
func (c *Catalogue) FeatureNames() []string { return c.encoder().Names() }

func (c *Catalogue) encoder() *Encoder {
	e, err := ItemSchema().Fit(c.Rows(), nil)
	if err != nil {
		panic(err) // as in Features
	}
	return e
}

// seriesOf gives each item the stem of its title when another item shares it,
// else "".
func (c *Catalogue) seriesOf() []string {
	stems := make([]string, len(c.Items))
	count := map[string]int{}
	for i, item := range c.Items {
		stems[i] = SeriesStem(item.Title)
		count[stems[i]]++
	}
	for i, stem := range stems {
		if count[stem] < 2 {
			stems[i] = ""
		}
	}
	return stems
}

// SeriesStem is what the titles of a series have in common, in small letters:
// "terminator" for "Terminator, The" and "Terminator 2: Judgment Day", "star
// wars" for "Star Wars: Episode IV - A New Hope". It is a guess from the title:
// the part before a colon or a bracket, without article, number and "part".
func SeriesStem(title string) string {
	stem := strings.ToLower(title)
	for _, cut := range []string{":", " (", " - "} {
		if before, _, found := strings.Cut(stem, cut); found && before != "" {
			stem = before
		}
	}
	for _, article := range []string{", the", ", a", ", an"} {
		stem = strings.TrimSuffix(stem, article)
	}
	words := strings.Fields(stem)
	for len(words) > 1 && isNumbering(words[len(words)-1]) {
		words = words[:len(words)-1]
	}
	return strings.Join(words, " ")
}

// isNumbering recognises "2", "III", "part", "episode", "vol.".
func isNumbering(word string) bool {
	switch word {
	case "part", "episode", "chapter", "vol.", "volume":
		return true
	}
	if n, err := strconv.Atoi(word); err == nil {
		return n > 0 && n < 30
	}
	return word != "" && strings.Trim(word, "ivx") == ""
}
