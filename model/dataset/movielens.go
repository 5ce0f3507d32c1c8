package dataset

import (
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
)

// readLatest reads ml-latest, ml-latest-small, ml-20m to ml-32m and what
// Generate writes.
func readLatest(fsys fs.FS, into *raw) error {
	if err := ifThere(fsys, "movies.csv", into, readMoviesCSV); err != nil {
		return err
	}
	if err := ifThere(fsys, "users.csv", into, readUsersCSV); err != nil {
		return err
	}
	into.unrated = true
	into.eventFile = "ratings.csv"
	return eachRecord(fsys, "ratings.csv", &into.tally, []string{"userId", "movieId", "timestamp"}, []string{"rating"},
		func(number int, line string, get func(string) string) {
			into.event("ratings.csv", number, line, get("userId"), get("movieId"), get("rating"), get("timestamp"))
		})
}

func readMoviesCSV(fsys fs.FS, name string, into *raw) error {
	return eachRecord(fsys, name, &into.tally, []string{"movieId", "title"}, []string{"genres"},
		func(number int, line string, get func(string) string) {
			into.item(name, number, line, get("movieId"), get("title"), splitGenres(get("genres")))
		})
}

func readUsersCSV(fsys fs.FS, name string, into *raw) error {
	return eachRecord(fsys, name, &into.tally, []string{"userId"}, []string{"gender", "age", "occupation"},
		func(number int, line string, get func(string) string) {
			into.person(name, number, line, get("userId"), get("gender"), get("age"), get("occupation"))
		})
}

// readOneMillion reads ml-1m and ml-10m as published.
func readOneMillion(fsys fs.FS, into *raw) error {
	if err := readDatLists(fsys, into); err != nil {
		return err
	}
	into.unrated = true
	into.eventFile = "ratings.dat"
	return eachField(fsys, "ratings.dat", "::", 4, &into.tally, func(number int, line string, f []string) {
		into.event("ratings.dat", number, line, f[0], f[1], f[2], f[3])
	})
}

// readInteractions reads one line a user: the user's number, then the numbers
// of the items in time order.
func readInteractions(fsys fs.FS, into *raw) error {
	if err := readDatLists(fsys, into); err != nil {
		return err
	}
	into.untimed, into.unrated = true, true
	into.eventFile = "interactions.txt"
	return eachLine(fsys, "interactions.txt", &into.tally, func(number int, line string) error {
		fields := strings.Fields(line)
		if strings.ContainsRune(line, 0) {
			into.drop(MalformedRow, "interactions.txt", number, line)
			return nil
		}
		if len(fields) < 2 {
			into.drop(TruncatedRow, "interactions.txt", number, line)
			return nil
		}
		for position, item := range fields[1:] {
			into.event("interactions.txt", number, fields[0]+" … "+item, fields[0], item, "", strconv.Itoa(position))
		}
		return nil
	})
}

func readDatLists(fsys fs.FS, into *raw) error {
	if err := ifThere(fsys, "movies.dat", into, func(fsys fs.FS, name string, into *raw) error {
		return eachField(fsys, name, "::", 3, &into.tally, func(number int, line string, f []string) {
			title := strings.Join(f[1:len(f)-1], "::")
			into.item(name, number, line, f[0], title, splitGenres(f[len(f)-1]))
		})
	}); err != nil {
		return err
	}
	return ifThere(fsys, "users.dat", into, func(fsys fs.FS, name string, into *raw) error {
		return eachField(fsys, name, "::", 4, &into.tally, func(number int, line string, f []string) {
			into.person(name, number, line, f[0], f[1], f[2], f[3])
		})
	})
}

// hundredKGenres are the flags of u.item, in their order (u.genre).
var hundredKGenres = []string{"unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"}

// readHundredK reads ml-100k.
func readHundredK(fsys fs.FS, into *raw) error {
	if err := ifThere(fsys, "u.item", into, readHundredKItems); err != nil {
		return err
	}
	if err := ifThere(fsys, "u.user", into, func(fsys fs.FS, name string, into *raw) error {
		return eachField(fsys, name, "|", 4, &into.tally, func(number int, line string, f []string) {
			into.person(name, number, line, f[0], f[2], f[1], f[3])
		})
	}); err != nil {
		return err
	}
	into.unrated = true
	into.eventFile = "u.data"
	return eachField(fsys, "u.data", "\t", 4, &into.tally, func(number int, line string, f []string) {
		into.event("u.data", number, line, f[0], f[1], f[2], f[3])
	})
}

// readHundredKItems reads number|title|release|video release|url|19 flags.
func readHundredKItems(fsys fs.FS, name string, into *raw) error {
	return eachField(fsys, name, "|", 5+len(hundredKGenres), &into.tally, func(number int, line string, f []string) {
		var genres []string
		for i, flag := range f[5 : 5+len(hundredKGenres)] {
			if flag == "1" && i > 0 {
				genres = append(genres, hundredKGenres[i])
			}
		}
		into.item(name, number, line, f[0], f[1], genres)
	})
}

// ifThere reads an optional file; a list of items that is missing is noted.
func ifThere(fsys fs.FS, name string, into *raw, read func(fs.FS, string, *raw) error) error {
	ok, err := exists(fsys, name)
	if err != nil {
		return err
	}
	if !ok {
		if strings.HasPrefix(name, "movies") || name == "u.item" {
			into.note("%s is missing: items have neither titles nor genres", name)
		}
		return nil
	}
	return read(fsys, name, into)
}

// event adds one event row, or drops it with a reason.
func (r *raw) event(file string, line int, text, user, item, rating, moment string) {
	r.rows++
	if user == "" || item == "" || moment == "" {
		r.drop(MissingValue, file, line, text)
		return
	}
	userID, err1 := strconv.ParseInt(user, 10, 64)
	itemID, err2 := strconv.ParseInt(item, 10, 64)
	seconds, err3 := parseTime(moment)
	stars, err4 := parseRating(rating)
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil || userID < 0 || itemID < 0 {
		r.drop(BadNumber, file, line, text)
		return
	}
	if stars > 0 {
		r.unrated = false
	}
	if _, ok := r.listed[itemID]; !ok && r.listed != nil {
		r.drop(UnknownItem, file, line, text)
		return
	}
	r.events = append(r.events, event{Interaction{userID, itemID, stars, seconds}, line})
}

// parseTime reads seconds since 1970, up to the year 9999, with or without a
// fraction (some exports write one).
func parseTime(s string) (int64, error) {
	if seconds, err := strconv.ParseInt(s, 10, 64); err == nil {
		if seconds < 0 || seconds > 253402300799 {
			return 0, fmt.Errorf("time %d is out of range", seconds)
		}
		return seconds, nil
	}
	seconds, err := strconv.ParseFloat(s, 64)
	if err != nil || !(seconds >= 0 && seconds <= 253402300799) {
		return 0, fmt.Errorf("time %q is out of range", s)
	}
	return int64(seconds), nil
}

// parseRating reads 0.5 to 5 stars; "" is no rating.
func parseRating(s string) (float32, error) {
	if s == "" {
		return 0, nil
	}
	stars, err := strconv.ParseFloat(s, 32)
	if err != nil || math.IsNaN(stars) || stars < 0.5 || stars > 5 {
		return 0, fmt.Errorf("rating %q is not between 0.5 and 5", s)
	}
	return float32(stars), nil
}

// item adds one row of the list of items, or drops it with a reason.
func (r *raw) item(file string, line int, text, id, title string, genres []string) {
	if r.listed == nil {
		r.listed = map[int64]int32{}
	}
	if id == "" || title == "" {
		r.drop(MissingValue, file, line, text)
		return
	}
	number, err := strconv.ParseInt(id, 10, 64)
	if err != nil || number < 0 {
		r.drop(BadNumber, file, line, text)
		return
	}
	if _, twice := r.listed[number]; twice {
		r.drop(DuplicateItem, file, line, text)
		return
	}
	name, year := splitTitle(title)
	r.listed[number] = int32(len(r.items))
	r.items = append(r.items, Item{ID: number, Title: name, Year: year, Genres: genres})
}

// person adds one row of the list of users, or drops it with a reason.
func (r *raw) person(file string, line int, text, id, gender, age, occupation string) {
	number, err := strconv.ParseInt(id, 10, 64)
	years, errAge := strconv.Atoi(age)
	if age == "" {
		years, errAge = 0, nil
	}
	switch {
	case id == "":
		r.drop(MissingValue, file, line, text)
	case err != nil || errAge != nil || number < 0 || years < 0 || years > 150:
		r.drop(BadNumber, file, line, text)
	default:
		if _, twice := r.people[number]; twice {
			r.drop(DuplicateUser, file, line, text)
			return
		}
		r.people[number] = User{ID: number, Gender: gender, Age: years, Occupation: occupation}
	}
}

// splitTitle separates "Heat (1995)" into title and year.
func splitTitle(s string) (title string, year int) {
	s = strings.TrimSpace(s)
	open := strings.LastIndexByte(s, '(')
	if open < 0 || !strings.HasSuffix(s, ")") || len(s)-open != 6 {
		return s, 0
	}
	year, err := strconv.Atoi(s[open+1 : open+5])
	if err != nil || year < 1800 || year > 2200 {
		return s, 0
	}
	return strings.TrimSpace(s[:open]), year
}

func splitGenres(s string) []string {
	var genres []string
	for _, g := range strings.Split(s, "|") {
		if g = strings.TrimSpace(g); g != "" && g != "(no genres listed)" {
			genres = append(genres, g)
		}
	}
	return genres
}
