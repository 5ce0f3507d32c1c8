package dataset

import (
	"fmt"
	"strings"
)

// Reason says why a row, an item or a user was left out. The set is closed.
type Reason uint8

// The reasons, in the order of a report.
const (
	MalformedRow  Reason = iota // cannot be taken apart: bad quotes, control bytes
	TruncatedRow                // fewer fields than the format has
	MissingValue                // a needed field is empty
	BadNumber                   // a number that is none, or out of its range
	DuplicateItem               // an item number that was listed before
	DuplicateUser               // a user number that was listed before
	UnknownItem                 // an event with an item that the catalogue does not list
	RepeatedEvent               // the same user and item again; the earliest is kept
	ShortHistory                // all events of a user who has too few of them
	UnseenItem                  // an item that nobody met (only when Options.SeenOnly)
	reasonCount
)

var reasonText = [reasonCount]struct{ name, sentence string }{
	MalformedRow:  {"malformed_row", "row cannot be taken apart"},
	TruncatedRow:  {"truncated_row", "row has too few fields"},
	MissingValue:  {"missing_value", "a needed field is empty"},
	BadNumber:     {"bad_number", "a number is malformed or out of range"},
	DuplicateItem: {"duplicate_item", "item number was listed before"},
	DuplicateUser: {"duplicate_user", "user number was listed before"},
	UnknownItem:   {"unknown_item", "event names an item that is not in the catalogue"},
	RepeatedEvent: {"repeated_event", "the user met this item before; the earliest event is kept"},
	ShortHistory:  {"short_history", "the user has too few events"},
	UnseenItem:    {"unseen_item", "nobody met this item"},
}

// String is a stable name such as "truncated_row", fit for a metric label.
func (r Reason) String() string {
	if r >= reasonCount {
		return fmt.Sprintf("reason(%d)", uint8(r))
	}
	return reasonText[r].name
}

// Sentence says the reason in plain words.
func (r Reason) Sentence() string {
	if r >= reasonCount {
		return r.String()
	}
	return reasonText[r].sentence
}

// Dropped counts what was left out for one reason.
type Dropped struct {
	Reason   Reason
	Count    int       // rows; for ShortHistory events, for UnseenItem items
	Examples []Example // the first few in the order of reading
}

// Example is one row that was left out.
type Example struct {
	File string
	Line int    // from 1; 0 when the loss has no single line
	Text string // the beginning of the row, or a description
}

// Report says what Load read, what it kept and what it dropped, and why. The
// same input gives the same report.
type Report struct {
	Format  Format
	Files   []string  // in the order of reading
	Rows    int       // event rows read (for interactions.txt: events)
	Users   int       // kept
	Items   int       // kept
	Events  int       // kept
	Latin1  int       // lines that were not UTF-8 and were read as Latin-1
	Dropped []Dropped // in the order of the reasons, none with count 0
	Notes   []string  // such as columns that were not used
}

// Count is how many were dropped for one reason.
func (r *Report) Count(reason Reason) int {
	for _, d := range r.Dropped {
		if d.Reason == reason {
			return d.Count
		}
	}
	return 0
}

// String renders the report as a few lines of text.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: kept %d events of %d users with %d items, of %d event rows\n", r.Format, r.Events, r.Users, r.Items, r.Rows)
	if r.Latin1 > 0 {
		fmt.Fprintf(&b, "  %d lines were not UTF-8 and were read as Latin-1\n", r.Latin1)
	}
	for _, d := range r.Dropped {
		fmt.Fprintf(&b, "  dropped %d: %s\n", d.Count, d.Reason.Sentence())
		for _, e := range d.Examples {
			if e.Line > 0 {
				fmt.Fprintf(&b, "    %s:%d: %s\n", e.File, e.Line, e.Text)
			} else {
				fmt.Fprintf(&b, "    %s: %s\n", e.File, e.Text)
			}
		}
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "  %s\n", note)
	}
	return b.String()
}

// maxExamples bounds the examples kept for each reason.
const maxExamples = 3

// tally collects drops while reading.
type tally struct {
	counts   [reasonCount]int
	examples [reasonCount][]Example
	latin1   int
	notes    []string
	files    []string
}

func (t *tally) drop(reason Reason, file string, line int, text string) {
	t.dropMany(reason, 1, file, line, text)
}

func (t *tally) dropMany(reason Reason, count int, file string, line int, text string) {
	t.counts[reason] += count
	if len(t.examples[reason]) < maxExamples {
		t.examples[reason] = append(t.examples[reason], Example{File: file, Line: line, Text: excerpt(text)})
	}
}

func (t *tally) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

func (t *tally) dropped() []Dropped {
	var all []Dropped
	for reason, count := range t.counts {
		if count > 0 {
			all = append(all, Dropped{Reason: Reason(reason), Count: count, Examples: t.examples[reason]})
		}
	}
	return all
}

// excerpt makes a row safe to print: at most 60 characters, quoted where it
// holds control characters.
func excerpt(text string) string {
	runes := []rune(text)
	if len(runes) > 60 {
		runes = append(runes[:60:60], '…')
	}
	text = string(runes)
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '�' }) {
		return fmt.Sprintf("%q", text)
	}
	return text
}
