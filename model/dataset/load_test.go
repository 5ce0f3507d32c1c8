package dataset

import (
	"archive/zip"
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// files makes a file system of name, content pairs.
func files(pairs ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

const (
	goodMovies  = "movieId,title,genres\n10,Heat (1995),Action|Crime\n3,\"Piano, The (1993)\",Drama\n7,\"Say \"\"Hi\"\" (2001)\",(no genres listed)\n"
	goodRatings = "userId,movieId,rating,timestamp\n2,10,4.0,300\n2,3,3.5,100\n2,7,0.5,200\n1,3,5.0,50\n1,7,1.0,50\n1,10,2.0,60\n"
)

var goodItems = []Item{
	{ID: 3, Title: "Piano, The", Year: 1993, Genres: []string{"Drama"}},
	{ID: 7, Title: `Say "Hi"`, Year: 2001},
	{ID: 10, Title: "Heat", Year: 1995, Genres: []string{"Action", "Crime"}},
}

var goodUsers = []User{
	{ID: 1, History: []int32{0, 1, 2}, Times: []int64{50, 50, 60}, Ratings: []float32{5, 1, 2}},
	{ID: 2, History: []int32{0, 1, 2}, Times: []int64{100, 200, 300}, Ratings: []float32{3.5, 0.5, 4}},
}

func TestLoadFormats(t *testing.T) {
	grouped := slices.Clone(goodUsers)
	grouped[0].Gender, grouped[0].Age, grouped[0].Occupation = "F", 25, "10"
	untimed := slices.Clone(grouped)
	for i := range untimed {
		untimed[i].Times, untimed[i].Ratings = nil, nil
	}
	flags := func(on ...int) string {
		f := slices.Repeat([]string{"0"}, 19)
		for _, i := range on {
			f[i] = "1"
		}
		return strings.Join(f, "|")
	}
	cases := []struct {
		name   string
		files  fstest.MapFS
		format Format
		users  []User
	}{
		{"ml-latest", files("movies.csv", goodMovies, "ratings.csv", goodRatings), FormatLatest, goodUsers},
		{"ml-latest with groups, in a folder", files("ml/movies.csv", goodMovies, "ml/ratings.csv", goodRatings, "ml/users.csv", "userId,gender,age,occupation\n1,F,25,10\n", "__MACOSX/x", ""), FormatLatest, grouped},
		{"other column order, CRLF, BOM", files("movies.csv", "\xef\xbb\xbf"+strings.ReplaceAll(goodMovies, "\n", "\r\n"),
			"ratings.csv", "timestamp,USERID,movieId,rating\n300,2,10,4\n100,2,3,3.5\n200,2,7,.5\n50,1,3,5\n50,1,7,1\n60,1,10,2"), FormatLatest, goodUsers},
		{"ml-1m", files("movies.dat", "10::Heat (1995)::Action|Crime\n3::Piano, The (1993)::Drama\n7::Say \"Hi\" (2001)::\n",
			"ratings.dat", "2::10::4::300\n2::3::3.5::100\n2::7::0.5::200\n1::3::5::50\n1::7::1::50\n1::10::2::60\n",
			"users.dat", "1::F::25::10::48067\n"), FormatOneMillion, grouped},
		{"ml-1m as sequences", files("movies.dat", "10::Heat (1995)::Action|Crime\n3::Piano, The (1993)::Drama\n7::Say \"Hi\" (2001)::\n",
			"interactions.txt", "2 3 7 10\n1 3 7 10\n", "users.dat", "1::F::25::10::48067\n"), FormatInteractions, untimed},
		{"ml-100k", files("u.item", "10|Heat (1995)|01-Jan-1995||http://x|"+flags(1, 6)+"\n3|Piano, The (1993)|||http://y|"+flags(8)+"\n7|Say \"Hi\" (2001)||||"+flags(0)+"\n",
			"u.data", "2\t10\t4\t300\n2\t3\t3.5\t100\n2\t7\t.5\t200\n1\t3\t5\t50\n1\t7\t1\t50\n1\t10\t2\t60\n",
			"u.user", "1|25|F|10|85711\n"), FormatHundredK, grouped},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			data, report, err := Load(c.files, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if report.Format != c.format || len(report.Dropped) > 0 {
				t.Errorf("report: %s", report)
			}
			if diff := cmp.Diff(goodItems, data.Catalogue.Items); diff != "" {
				t.Errorf("items (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.users, data.Users); diff != "" {
				t.Errorf("users (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadZipWithOneTopFolder(t *testing.T) {
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	for _, f := range [][2]string{{"ml-latest-small/movies.csv", goodMovies}, {"ml-latest-small/ratings.csv", goodRatings}} {
		file, err := w.Create(f[0])
		if err != nil {
			t.Fatal(err)
		}
		file.Write([]byte(f[1]))
	}
	w.Close()
	fsys, err := OpenZip(bytes.NewReader(archive.Bytes()), int64(archive.Len()))
	if err != nil {
		t.Fatal(err)
	}
	data, _, err := Load(fsys, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(goodUsers, data.Users); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
	if _, err := OpenZip(strings.NewReader("not a zip"), 9); err == nil {
		t.Error("a text was opened as a zip")
	}
}

func TestLoadSaysWhatItDropped(t *testing.T) {
	ratings := goodRatings +
		"1,3,4.0,70\n" + // 8: again
		"1,99,4.0,70\n" + // 9: no such item
		"1,,4.0,70\n" + // 10: no item
		"1,3,4.0\n" + // 11: cut off
		"1,3,9.0,70\n" + // 12: nine stars
		"1,3,NaN,70\n" + // 13
		"one,3,4.0,70\n" + // 14
		"1,3,4.0,99999999999999\n" + // 15: the far future
		"1,\"3,4.0,70\n" + // 16: quote
		"\n" +
		"5,3,4.0,80\n5,7,4.0,81\n" // 18, 19: a user with two events
	movies := goodMovies + "10,Again (1999),Drama\n11,,Drama\nx,Y (2000),Drama\n"
	users := "userId,gender,age,occupation\n1,F,25,x\n1,M,25,x\n2,F,400,x\n"
	data, report, err := Load(files("movies.csv", movies, "ratings.csv", ratings, "users.csv", users), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[Reason]int{MalformedRow: 1, TruncatedRow: 1, MissingValue: 2, BadNumber: 6, DuplicateItem: 1, DuplicateUser: 1, UnknownItem: 1, RepeatedEvent: 1, ShortHistory: 2}
	for reason := range reasonCount {
		if got := report.Count(reason); got != want[reason] {
			t.Errorf("%s: %d, want %d", reason, got, want[reason])
		}
	}
	if len(data.Users) != 2 || data.Events() != 6 || report.Events != 6 {
		t.Errorf("kept %d users, %d events", len(data.Users), data.Events())
	}
	text := report.String()
	for _, want := range []string{"ratings.csv:9: 1,99,4.0,70", "ratings.csv:11: 1,3,4.0", "kept 6 events of 2 users", "user 5 has 2", "ratings.csv:8: user 1, item 3"} {
		if !strings.Contains(text, want) {
			t.Errorf("report lacks %q:\n%s", want, text)
		}
	}
	_, again, err := Load(files("movies.csv", movies, "ratings.csv", ratings, "users.csv", users), Options{})
	if err != nil || again.String() != text {
		t.Errorf("the same input gave another report (%v):\n%s", err, again)
	}
}

func TestLoadDecodesLatin1(t *testing.T) {
	data, report, err := Load(files("movies.dat", "1::Am\xe9lie (2001)::Comedy\n2::Caché (2005)::Drama\n3::X::Drama\n", "interactions.txt", "1 1 2 3\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := data.Catalogue.Items[0].Title; got != "Amélie" {
		t.Errorf("title %q", got)
	}
	if got := data.Catalogue.Items[1].Title; got != "Caché" {
		t.Errorf("title %q", got)
	}
	if report.Latin1 != 1 {
		t.Errorf("%d lines of Latin-1, want 1", report.Latin1)
	}
}

func TestLoadOptions(t *testing.T) {
	ratings := "userId,movieId,rating,timestamp,device\n1,3,4,1,a\n1,7,4,2,a\n1,3,4,3,a\n2,3,4,1,a\n"
	fsys := files("movies.csv", goodMovies, "ratings.csv", ratings)
	if _, _, err := Load(fsys, Options{}); !errors.Is(err, ErrEmpty) {
		t.Errorf("nothing is left, but error %v", err)
	}
	data, report, err := Load(fsys, Options{KeepRepeats: true, SeenOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int32{0, 1, 0}, data.Users[0].History); diff != "" {
		t.Errorf("history:\n%s", diff)
	}
	if report.Count(UnseenItem) != 1 || data.Catalogue.Len() != 2 {
		t.Errorf("items: %s", report)
	}
	if !slices.Contains(report.Notes, "ratings.csv: column device is not used") {
		t.Errorf("notes: %q", report.Notes)
	}
	if _, _, err := Load(fsys, Options{MinEvents: -1}); err == nil {
		t.Error("a negative minimum was accepted")
	}
}

func TestLoadWithoutAListOfItems(t *testing.T) {
	data, report, err := Load(files("ratings.csv", goodRatings), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if data.Catalogue.Len() != 3 || data.Catalogue.Items[2].Title != "Item 10" || len(report.Notes) != 1 {
		t.Errorf("items %v, notes %q", data.Catalogue.Items, report.Notes)
	}
}

func TestLoadErrorsSayWhatToDo(t *testing.T) {
	long := strings.Repeat("1", maxLine+1)
	cases := []struct {
		name  string
		files fstest.MapFS
		kind  error // nil: any
		text  string
	}{
		{"nothing there", files(), ErrUnknownFormat, "expected a folder or zip with ratings.csv"},
		{"other files", files("a.txt", "x", "b.txt", "y"), ErrUnknownFormat, "found a.txt, b.txt"},
		{"two folders", files("a/ratings.csv", goodRatings, "b/ratings.csv", goodRatings), ErrUnknownFormat, "ml-latest"},
		{"empty events", files("movies.csv", goodMovies, "ratings.csv", ""), ErrEmpty, "download the data set again"},
		{"blank events", files("movies.csv", goodMovies, "ratings.csv", "\n\n  \n"), ErrEmpty, "ratings.csv"},
		{"header only", files("movies.csv", goodMovies, "ratings.csv", "userId,movieId,rating,timestamp\n"), ErrEmpty, "below its header"},
		{"empty items", files("movies.csv", "", "ratings.csv", goodRatings), ErrEmpty, "movies.csv"},
		{"empty sequences", files("interactions.txt", ""), ErrEmpty, "interactions.txt"},
		{"column", files("movies.csv", goodMovies, "ratings.csv", "userId,item,timestamp\n1,2,3\n"), nil, "column movieId is missing"},
		{"no header", files("ratings.csv", "1,2,3.0,4\n"), nil, "the first line must name the columns"},
		{"quotes in the header", files("ratings.csv", "\"userId,movieId\n"), nil, "ratings.csv:1"},
		{"not text", files("interactions.txt", long), nil, "is this a text file?"},
		{"nothing usable", files("ratings.csv", "userId,movieId,timestamp\n1,x,3\n1,x,4\n"), ErrEmpty, "no user has 3 events"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			data, _, err := Load(c.files, Options{})
			if err == nil {
				t.Fatalf("loaded %d users", len(data.Users))
			}
			if c.kind != nil && !errors.Is(err, c.kind) {
				t.Errorf("error %v is not %v", err, c.kind)
			}
			if !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %q lacks %q", err, c.text)
			}
		})
	}
}

func TestLoadMillion(t *testing.T) {
	data, report, err := Load(realFiles(t, "ml-1m"), Options{SeenOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if report.Format != FormatInteractions || len(data.Users) != 6040 || data.Catalogue.Len() != 3706 || data.Events() != 1000209 {
		t.Errorf("report: %s", report)
	}
	if report.Latin1 == 0 || data.Users[0].Group(GroupGender) != "F" || data.Users[1].Group(GroupAge) != "56" || data.Users[0].Group(GroupOccupation) != "10" {
		t.Errorf("report %s, user %d", report, data.Users[0].ID)
	}
}

// Whatever the files hold, Load answers, and what it keeps is whole.
func FuzzLoad(f *testing.F) {
	f.Add("ratings.csv", []byte(goodRatings), "movies.csv", []byte(goodMovies))
	f.Add("ratings.dat", []byte("1::3::5::50\n1::7::1::51\n1::9::1::52\n"), "movies.dat", []byte("3::Caf\xe9 (1995)::Drama\n"))
	f.Add("interactions.txt", []byte("1 2 3 4\n2 2\n"), "users.dat", []byte("1::F::1::10::48067\n"))
	f.Add("u.data", []byte("1\t2\t3\t4\n1\t3\t3\t4\n1\t4\t3\t4\n"), "u.user", []byte("1|24|M|technician|85711\n"))
	f.Fuzz(func(t *testing.T, name1 string, content1 []byte, name2 string, content2 []byte) {
		fsys := fstest.MapFS{}
		for name, content := range map[string][]byte{name1: content1, name2: content2} {
			if !strings.ContainsAny(name, "/\\") && name != "" && name != "." && name != ".." {
				fsys[name] = &fstest.MapFile{Data: content}
			}
		}
		data, report, err := Load(fsys, Options{})
		if err != nil {
			return
		}
		if report.Events != data.Events() {
			t.Fatalf("report says %d events, there are %d", report.Events, data.Events())
		}
		for i := range data.Users {
			u := &data.Users[i]
			if len(u.History) < 3 || (u.Times != nil && len(u.Times) != len(u.History)) || !slices.IsSorted(u.Times) {
				t.Fatalf("user %+v", u)
			}
			for _, item := range u.History {
				if item < 0 || int(item) >= data.Catalogue.Len() {
					t.Fatalf("item %d of %d", item, data.Catalogue.Len())
				}
			}
		}
	})
}
