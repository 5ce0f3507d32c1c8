package dataset

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Write writes a data set in the form of ml-latest: movies.csv, ratings.csv
// (ascending by user and time; without times the position stands for the time)
// and, when any group is known, users.csv. Load reads it back unchanged.
func Write(d *Dataset, create func(name string) (io.WriteCloser, error)) error {
	if err := writeFile(create, "movies.csv", func(w *bufio.Writer) { writeMovies(w, d.Catalogue) }); err != nil {
		return err
	}
	if err := writeFile(create, "ratings.csv", func(w *bufio.Writer) { writeRatings(w, d) }); err != nil {
		return err
	}
	for i := range d.Users {
		if u := &d.Users[i]; u.Gender != "" || u.Age > 0 || u.Occupation != "" {
			return writeFile(create, "users.csv", func(w *bufio.Writer) { writeUsers(w, d.Users) })
		}
	}
	return nil
}

// writeFile reports the first error of writing, flushing and closing.
func writeFile(create func(name string) (io.WriteCloser, error), name string, fill func(w *bufio.Writer)) error {
	file, err := create(name)
	if err != nil {
		return fmt.Errorf("dataset: creating %s: %w", name, err)
	}
	w := bufio.NewWriterSize(file, 64<<10)
	fill(w)
	err = w.Flush()
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("dataset: writing %s: %w", name, err)
	}
	return nil
}

func writeMovies(w *bufio.Writer, c *Catalogue) {
	fmt.Fprintln(w, "movieId,title,genres")
	for _, item := range c.Items {
		genres := "(no genres listed)"
		if len(item.Genres) > 0 {
			genres = strings.Join(item.Genres, "|")
		}
		fmt.Fprintf(w, "%d,%s,%s\n", item.ID, csvField(item.FullTitle()), csvField(genres))
	}
}

func writeRatings(w *bufio.Writer, d *Dataset) {
	fmt.Fprintln(w, "userId,movieId,rating,timestamp")
	for i := range d.Users {
		u := &d.Users[i]
		for j, item := range u.History {
			rating, moment := "", int64(j)
			if u.Ratings != nil && u.Ratings[j] > 0 {
				rating = strconv.FormatFloat(float64(u.Ratings[j]), 'f', 1, 32)
			}
			if u.Times != nil {
				moment = u.Times[j]
			}
			fmt.Fprintf(w, "%d,%d,%s,%d\n", u.ID, d.Catalogue.Items[item].ID, rating, moment)
		}
	}
}

func writeUsers(w *bufio.Writer, users []User) {
	fmt.Fprintln(w, "userId,gender,age,occupation")
	for i := range users {
		u := &users[i]
		age := ""
		if u.Age > 0 {
			age = strconv.Itoa(u.Age)
		}
		fmt.Fprintf(w, "%d,%s,%s,%s\n", u.ID, csvField(u.Gender), age, csvField(u.Occupation))
	}
}

// csvField quotes a field where it must be (RFC 4180); line breaks, which Load
// does not read, become spaces.
func csvField(s string) string {
	s = strings.NewReplacer("\r", " ", "\n", " ").Replace(s)
	if strings.ContainsAny(s, `",`) || strings.TrimSpace(s) != s {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return s
}
