package dataset

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"unicode/utf8"
)

// maxLine bounds a line; interactions.txt of ml-1m stays below 16 KiB.
const maxLine = 4 << 20

// eachLine calls visit with every line of a file that is not blank, decoded to
// UTF-8 and without line ends; lines count from 1. It fails with ErrEmpty when
// there is none.
func eachLine(fsys fs.FS, name string, t *tally, visit func(number int, line string) error) error {
	f, err := fsys.Open(name)
	if err != nil {
		return fmt.Errorf("opening %s: %w", name, err)
	}
	defer f.Close()
	t.files = append(t.files, name)
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	number, filled := 0, 0
	for lines.Scan() {
		number++
		raw := lines.Bytes()
		if number == 1 {
			raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
		}
		if len(bytes.TrimSpace(raw)) == 0 {
			continue
		}
		filled++
		if err := visit(number, t.decode(raw)); err != nil {
			return fmt.Errorf("%s:%d: %w", name, number, err)
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("%s:%d: line is longer than %d bytes; is this a text file?", name, number+1, maxLine)
	} else if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if filled == 0 {
		return fmt.Errorf("%s holds %w; download the data set again, or write one with `tutti data generate`", name, ErrEmpty)
	}
	return nil
}

// decode turns Latin-1 into UTF-8 where a line is not UTF-8: every byte is the
// code point of the same number (ISO 8859-1).
func (t *tally) decode(raw []byte) string {
	if utf8.Valid(raw) {
		return string(raw)
	}
	t.latin1++
	runes := make([]rune, len(raw))
	for i, b := range raw {
		runes[i] = rune(b)
	}
	return string(runes)
}

var errQuote = errors.New("unbalanced quotes")

// splitCSV takes one CSV row apart into fields (RFC 4180 without line breaks
// inside fields: a lost quote costs one row, not the rest of the file). It
// reuses fields.
func splitCSV(line string, fields []string) ([]string, error) {
	fields = fields[:0]
	for {
		if !strings.HasPrefix(line, `"`) {
			comma := strings.IndexByte(line, ',')
			if comma < 0 {
				return append(fields, line), nil
			}
			fields, line = append(fields, line[:comma]), line[comma+1:]
			continue
		}
		field, rest, err := quoted(line[1:])
		if err != nil {
			return fields, err
		}
		fields = append(fields, field)
		if rest == "" {
			return fields, nil
		}
		if rest[0] != ',' {
			return fields, errQuote
		}
		line = rest[1:]
	}
}

// quoted reads up to the closing quote; a doubled quote stands for one.
func quoted(s string) (field, rest string, err error) {
	var b strings.Builder
	for {
		end := strings.IndexByte(s, '"')
		if end < 0 {
			return "", "", errQuote
		}
		b.WriteString(s[:end])
		s = s[end+1:]
		if !strings.HasPrefix(s, `"`) {
			return b.String(), s, nil
		}
		b.WriteByte('"')
		s = s[1:]
	}
}

// table maps the columns of a CSV header to positions.
type table struct {
	position map[string]int
	width    int // the fields a row needs to hold every column that is read
}

// newTable finds the needed and the optional columns in a header. Case and
// spaces around a name do not matter; other columns are noted and not read.
func newTable(name, header string, t *tally, needed, optional []string) (table, error) {
	fields, err := splitCSV(header, nil)
	if err != nil {
		return table{}, err
	}
	columns := table{position: map[string]int{}}
	known := append(append([]string{}, needed...), optional...)
	for i, field := range fields {
		field = strings.TrimSpace(field)
		column := ""
		for _, k := range known {
			if strings.EqualFold(k, field) {
				column = k
			}
		}
		if _, twice := columns.position[column]; twice || column == "" {
			t.note("%s: column %s is not used", name, excerpt(field))
			continue
		}
		columns.position[column] = i
		columns.width = max(columns.width, i+1)
	}
	for _, column := range needed {
		if _, ok := columns.position[column]; !ok {
			return table{}, fmt.Errorf("column %s is missing: the first line must name the columns %s", column, strings.Join(needed, ","))
		}
	}
	return columns, nil
}

// get is the trimmed field of a column, "" when the table lacks the column.
func (c table) get(fields []string, column string) string {
	i, ok := c.position[column]
	if !ok {
		return ""
	}
	return strings.TrimSpace(fields[i])
}

// eachRecord is eachLine for a CSV file: it reads the header, takes rows apart
// and drops those that are malformed or truncated.
func eachRecord(fsys fs.FS, name string, t *tally, needed, optional []string, visit func(number int, line string, get func(column string) string)) error {
	var columns table
	var fields []string
	get := func(column string) string { return columns.get(fields, column) }
	rows := 0
	err := eachLine(fsys, name, t, func(number int, line string) (err error) {
		if columns.position == nil {
			columns, err = newTable(name, line, t, needed, optional)
			return err
		}
		rows++
		fields, err = splitCSV(line, fields)
		switch {
		case err != nil || strings.ContainsRune(line, 0):
			t.drop(MalformedRow, name, number, line)
		case len(fields) < columns.width:
			t.drop(TruncatedRow, name, number, line)
		default:
			visit(number, line, get)
		}
		return nil
	})
	if err == nil && rows == 0 {
		return fmt.Errorf("%s holds %w below its header; download the data set again, or write one with `tutti data generate`", name, ErrEmpty)
	}
	return err
}

// eachField is eachLine for a file without header whose fields are separated by
// a fixed string.
func eachField(fsys fs.FS, name, separator string, width int, t *tally, visit func(number int, line string, fields []string)) error {
	return eachLine(fsys, name, t, func(number int, line string) error {
		fields := strings.Split(line, separator)
		switch {
		case strings.ContainsRune(line, 0):
			t.drop(MalformedRow, name, number, line)
		case len(fields) < width:
			t.drop(TruncatedRow, name, number, line)
		default:
			for i := range fields {
				fields[i] = strings.TrimSpace(fields[i])
			}
			visit(number, line, fields)
		}
		return nil
	})
}

// exists says whether a file can be opened; any error but absence is returned.
func exists(fsys fs.FS, name string) (bool, error) {
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("opening %s: %w", name, err)
	}
	return true, f.Close()
}
