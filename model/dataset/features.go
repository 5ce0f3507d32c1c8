package dataset

import (
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The public features of an item, in the order of the columns.
const (
	firstCentre, centreStep, centres = 1930, 12, 8 // years of the radial basis: 1930 to 2014
	seriesBuckets                    = 32
)

// Features describes every item by public knowledge alone: its genres (one
// column for each genre of the catalogue), its year (a radial basis over
// decades), its series (a hashed token of the title that the parts of a series
// share; 0 for titles that stand alone) and a constant. Shape Len() x dim, row
// after row. Each of the four parts has L2 norm at most 1/2, so a row has at
// most 1.
func (c *Catalogue) Features() (dim int, rows []float32) {
	genres := c.genres()
	dim = len(genres) + centres + seriesBuckets + 1
	rows = make([]float32, len(c.Items)*dim)
	series := c.seriesOf()
	for i, item := range c.Items {
		row := rows[i*dim : (i+1)*dim]
		for _, g := range item.Genres {
			at, _ := slices.BinarySearch(genres, g)
			row[at] = 1
		}
		scaleToHalf(row[:len(genres)])
		years, rest := row[len(genres):len(genres)+centres], row[len(genres)+centres:]
		if item.Year > 0 {
			for j := range years {
				distance := float64(item.Year-firstCentre-j*centreStep) / centreStep
				years[j] = float32(math.Exp(-distance * distance / 2))
			}
			scaleToHalf(years)
		}
		if series[i] != "" {
			for _, bucket := range buckets(series[i]) {
				rest[bucket]++
			}
			scaleToHalf(rest[:seriesBuckets])
		}
		rest[seriesBuckets] = 0.5
	}
	return dim, rows
}

// FeatureNames names the columns of Features, such as "genre Drama", "year
// 1990", "series 7", "constant".
func (c *Catalogue) FeatureNames() []string {
	var names []string
	for _, g := range c.genres() {
		names = append(names, "genre "+g)
	}
	for j := range centres {
		names = append(names, "year "+strconv.Itoa(firstCentre+j*centreStep))
	}
	for b := range seriesBuckets {
		names = append(names, "series "+strconv.Itoa(b))
	}
	return append(names, "constant")
}

// genres lists those of the catalogue in alphabetical order.
func (c *Catalogue) genres() []string {
	seen := map[string]bool{}
	var all []string
	for _, item := range c.Items {
		for _, g := range item.Genres {
			if !seen[g] {
				seen[g] = true
				all = append(all, g)
			}
		}
	}
	slices.Sort(all)
	return all
}

// scaleToHalf gives a part of a row L2 norm 1/2, or leaves it 0.
func scaleToHalf(part []float32) {
	square := 0.0
	for _, v := range part {
		square += float64(v) * float64(v)
	}
	if square == 0 {
		return
	}
	for i := range part {
		part[i] = float32(float64(part[i]) / math.Sqrt(square) / 2)
	}
}

// buckets hashes a series to two columns, so that few series share both.
func buckets(series string) [2]int {
	h := fnv.New64a()
	h.Write([]byte(series))
	sum := h.Sum64()
	return [2]int{int(sum % seriesBuckets), int(sum >> 32 % seriesBuckets)}
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
