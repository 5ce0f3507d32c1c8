package dashboard

import (
	"cmp"
	"embed"
	"html/template"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

//go:embed pages
var pageTexts embed.FS

// base is what every page has.
type base struct {
	Title   string
	Here    string // home, task or compare: which page of the navigation this is
	Task    string // "" if the page is about none
	Scripts []string
	In      bool
	Name    string
	Write   bool
	CSRF    string
	Alarms  []string // why the top of the page is red
}

// base fills in what does not depend on the page. What is red on one page is red on all.
func (h *Handler) base(r *http.Request, title string, in session) base {
	b := base{Title: title, Scripts: []string{"times.js"}, Alarms: h.alarms(r.Context(), in.ID != "")}
	if in.ID != "" {
		b.In, b.Name, b.Write, b.CSRF = true, in.Name, in.Write, h.sessions.csrf(in)
	} else {
		b.Scripts = []string{"login.js"}
	}
	return b
}

type messageView struct {
	base
	Words string
}

// fail answers with a page that says what is wrong.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, in session, status int, words string) {
	h.write(w, status, "message", messageView{base: h.base(r, http.StatusText(status), in), Words: words})
}

// parse reads the templates, which are checked once, at the start.
func (h *Handler) parse() (*template.Template, error) {
	return template.New("").Funcs(template.FuncMap{"asset": h.address, "at": timeElement, "lasting": lasting, "short": short, "bytes": bytesOf, "capital": capital, "fixed": fixed}).ParseFS(pageTexts, "pages/*.html")
}

// timeElement is a moment in UTC, which the page's script puts into the reader's zone. as is day, moment or clock, or since or
// until, which run; minute is a moment to the minute.
func timeElement(t time.Time, as string) template.HTML {
	t = t.UTC()
	if as == "minute" { // so that a page need not change with every second
		t = t.Truncate(time.Minute)
	}
	text := t.Format("2 Jan 2006, 15:04 UTC")
	switch as {
	case "day":
		text = t.Format("2 January 2006")
	case "clock":
		text = t.Format("15:04:05 UTC")
	}
	return template.HTML(`<time datetime="` + t.Format("2006-01-02T15:04:05Z") + `" data-as="` + template.HTMLEscapeString(as) + `">` + text + `</time>`)
}

// lasting puts a length of time into words, in seconds, minutes, hours or days.
func lasting(d time.Duration) string {
	s := int64(math.Round(max(0, d.Seconds())))
	switch {
	case d > 0 && s < 10:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case s < 100:
		return strconv.FormatInt(s, 10) + " s"
	case s < 600 && s%60 != 0:
		return strconv.FormatInt(s/60, 10) + " min " + strconv.FormatInt(s%60, 10) + " s"
	case s < 6000:
		return strconv.FormatInt(s/60, 10) + " min"
	case s < 48*3600:
		return strconv.FormatInt(s/3600, 10) + " h " + strconv.FormatInt(s%3600/60, 10) + " min"
	}
	return strconv.FormatInt((s+43200)/86400, 10) + " days"
}

// count is a number of something, in words.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// short is the beginning of a digest.
func short(digest string) string { return digest[:min(len(digest), 10)] }

// bytesOf is an amount of memory, coarse enough not to change all the time.
func bytesOf(n uint64) string {
	switch {
	case n >= 10e9:
		return strconv.FormatUint((n+5e8)/1e9, 10) + " GB"
	case n >= 1e9:
		return strconv.FormatFloat(float64(n)/1e9, 'f', 1, 64) + " GB"
	}
	return strconv.FormatUint((n+5e6)/1e7*10, 10) + " MB"
}

// slicesSortDown sorts numbers, the largest first.
func slicesSortDown(x []uint64) {
	slices.SortFunc(x, func(a, b uint64) int { return cmp.Compare(b, a) })
}

// capital begins words of a machine as a sentence does, and ends them so.
func capital(words string) string {
	if words = strings.TrimSpace(words); words == "" {
		return ""
	}
	r, n := utf8.DecodeRuneInString(words)
	words = string(unicode.ToUpper(r)) + words[n:]
	if strings.ContainsAny(words[len(words)-1:], ".!?") {
		return words
	}
	return words + "."
}
