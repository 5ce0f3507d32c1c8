package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of every decoder, checked before anything is allocated.
const (
	maxText     = 512      // bytes of a text field
	maxBlob     = 48 << 10 // bytes of a byte string
	maxRational = 8192     // characters of a rational number
	maxRows     = 256
	maxNumber   = 1<<53 - 1 // so that JavaScript reads every number exactly
	maxTime     = 253402300799
)

// errMalformed is behind every decoding error: the bytes are not a record.
var errMalformed = errors.New("malformed record")

// fields visits the fields of a record in their one order. The same list writes bytes, reads bytes, writes JSON and
// reads JSON, so that the four cannot drift apart.
type fields interface {
	text(name string, v *string)
	number(name string, v *uint64)
	instant(name string, v *int64)
	flag(name string, v *bool)
	digest(name string, v *[sha256.Size]byte)
	blob(name string, v *[]byte)
	rational(name string, v **big.Rat)
	rows(name string, v *[]Row)
}

// writer makes canonical bytes: fixed order, big-endian, uint32 length before every byte string.
type writer struct {
	out []byte
	err error
}

func (w *writer) fail(name, why string) {
	if w.err == nil {
		w.err = fmt.Errorf("%w: %s %s", errMalformed, name, why)
	}
}

func (w *writer) bytes(name string, b []byte, limit int) {
	if len(b) > limit {
		w.fail(name, "is too long")
		return
	}
	w.out = binary.BigEndian.AppendUint32(w.out, uint32(len(b)))
	w.out = append(w.out, b...)
}

func (w *writer) text(name string, v *string) {
	if !utf8.ValidString(*v) {
		w.fail(name, "is not UTF-8")
	}
	w.bytes(name, []byte(*v), maxText)
}

func (w *writer) number(name string, v *uint64) {
	if *v > maxNumber {
		w.fail(name, "is above 2^53-1")
	}
	w.out = binary.BigEndian.AppendUint64(w.out, *v)
}

func (w *writer) instant(name string, v *int64) {
	if *v < 0 || *v > maxTime {
		w.fail(name, "is not a time")
	}
	w.out = binary.BigEndian.AppendUint64(w.out, uint64(*v))
}

func (w *writer) flag(_ string, v *bool) {
	if *v {
		w.out = append(w.out, 1)
	} else {
		w.out = append(w.out, 0)
	}
}

func (w *writer) digest(_ string, v *[sha256.Size]byte) { w.out = append(w.out, v[:]...) }
func (w *writer) blob(name string, v *[]byte)           { w.bytes(name, *v, maxBlob) }

func (w *writer) rational(name string, v **big.Rat) {
	if *v != nil && (*v).Sign() < 0 {
		w.fail(name, "is negative")
	}
	w.bytes(name, []byte(formatRational(*v)), maxRational)
}

func (w *writer) rows(name string, v *[]Row) {
	if len(*v) > maxRows {
		w.fail(name, "are too many")
		return
	}
	w.out = binary.BigEndian.AppendUint32(w.out, uint32(len(*v)))
	for i := range *v {
		for _, cell := range (*v)[i].cells() {
			w.text(name, cell)
		}
	}
}

// reader is the inverse of writer and accepts nothing that writer would not write.
type reader struct {
	in  []byte
	err error
}

func (r *reader) fail(name, why string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s %s", errMalformed, name, why)
	}
}

func (r *reader) take(name string, n int) []byte {
	if r.err != nil || len(r.in) < n {
		r.fail(name, "is cut short")
		return nil
	}
	b := r.in[:n]
	r.in = r.in[n:]
	return b
}

func (r *reader) bytes(name string, limit int) []byte {
	head := r.take(name, 4)
	if head == nil {
		return nil
	}
	n := binary.BigEndian.Uint32(head)
	if uint64(n) > uint64(limit) {
		r.fail(name, "is too long")
		return nil
	}
	return r.take(name, int(n))
}

func (r *reader) text(name string, v *string) {
	b := r.bytes(name, maxText)
	if !utf8.Valid(b) {
		r.fail(name, "is not UTF-8")
	}
	*v = string(b)
}

func (r *reader) number(name string, v *uint64) {
	if b := r.take(name, 8); b != nil {
		*v = binary.BigEndian.Uint64(b)
	}
	if *v > maxNumber {
		r.fail(name, "is above 2^53-1")
	}
}

func (r *reader) instant(name string, v *int64) {
	var u uint64
	r.number(name, &u)
	if u > maxTime {
		r.fail(name, "is not a time")
		return
	}
	*v = int64(u)
}

func (r *reader) flag(name string, v *bool) {
	if b := r.take(name, 1); b != nil {
		if b[0] > 1 {
			r.fail(name, "is neither 0 nor 1")
		}
		*v = b[0] == 1
	}
}

func (r *reader) digest(name string, v *[sha256.Size]byte) { copy(v[:], r.take(name, sha256.Size)) }

func (r *reader) blob(name string, v *[]byte) {
	if b := r.bytes(name, maxBlob); len(b) > 0 {
		*v = append([]byte(nil), b...)
	}
}

func (r *reader) rational(name string, v **big.Rat) {
	x, err := parseRational(string(r.bytes(name, maxRational)))
	if err != nil {
		r.fail(name, err.Error())
	}
	*v = x
}

func (r *reader) rows(name string, v *[]Row) {
	head := r.take(name, 4)
	if head == nil {
		return
	}
	n := binary.BigEndian.Uint32(head)
	if n > maxRows {
		r.fail(name, "are too many")
		return
	}
	for range n {
		var row Row
		for _, cell := range row.cells() {
			r.text(name, cell)
		}
		*v = append(*v, row)
	}
}

// formatRational is "num/den" in lowest terms, empty for nil.
func formatRational(x *big.Rat) string {
	if x == nil {
		return ""
	}
	return x.String()
}

// parseRational accepts exactly what formatRational writes. big.Rat's own parser also reads exponents, with which a
// short text asks for an enormous number.
func parseRational(s string) (*big.Rat, error) {
	if s == "" {
		return nil, nil
	}
	if len(s) > maxRational || strings.Trim(s, "0123456789/") != "" || strings.ContainsAny(s, "+-.eE_") {
		return nil, errors.New("is not a rational number")
	}
	x, ok := new(big.Rat).SetString(s)
	if !ok || x.String() != s {
		return nil, errors.New("is not a rational number in lowest terms")
	}
	return x, nil
}

// jsonWriter makes one JSON object on one line: the same fields, for people and other tools.
type jsonWriter struct{ out []byte }

func (w *jsonWriter) raw(name string, value []byte) {
	if len(w.out) == 0 {
		w.out = append(w.out, '{')
	} else {
		w.out = append(w.out, ',')
	}
	w.out = append(strconv.AppendQuote(w.out, name), ':')
	w.out = append(w.out, value...)
}

func (w *jsonWriter) quoted(name, value string) {
	b, err := json.Marshal(value)
	if err != nil {
		panic("ledger: a string does not marshal: " + err.Error())
	}
	w.raw(name, b)
}

func (w *jsonWriter) text(name string, v *string)   { w.quoted(name, *v) }
func (w *jsonWriter) number(name string, v *uint64) { w.raw(name, strconv.AppendUint(nil, *v, 10)) }
func (w *jsonWriter) flag(name string, v *bool)     { w.raw(name, strconv.AppendBool(nil, *v)) }
func (w *jsonWriter) blob(name string, v *[]byte)   { w.quoted(name, hex.EncodeToString(*v)) }
func (w *jsonWriter) instant(name string, v *int64) {
	w.quoted(name, time.Unix(*v, 0).UTC().Format(time.RFC3339))
}
func (w *jsonWriter) digest(name string, v *[sha256.Size]byte) {
	w.quoted(name, hex.EncodeToString(v[:]))
}
func (w *jsonWriter) rational(name string, v **big.Rat) { w.quoted(name, formatRational(*v)) }

func (w *jsonWriter) rows(name string, v *[]Row) {
	table := make([][4]string, len(*v))
	for i, row := range *v {
		table[i] = [4]string{row.Label, row.Value, row.Low, row.High}
	}
	b, err := json.Marshal(table)
	if err != nil {
		panic("ledger: strings do not marshal: " + err.Error())
	}
	w.raw(name, b)
}

// jsonReader fills the fields from an object that was already split; the caller compares a second encoding with the
// line, which settles order, spacing, spelling and unknown names at once.
type jsonReader struct {
	in  map[string]json.RawMessage
	err error
}

func (r *jsonReader) fail(name, why string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s %s", errMalformed, name, why)
	}
}

func (r *jsonReader) into(name string, v any) {
	if err := json.Unmarshal(r.in[name], v); err != nil {
		r.fail(name, "is missing or of another type")
	}
}

func (r *jsonReader) hex(name string, limit int) []byte {
	var s string
	r.into(name, &s)
	b, err := hex.DecodeString(s)
	if err != nil || len(b) > limit {
		r.fail(name, "is not a byte string in hex")
		return nil
	}
	return b
}

func (r *jsonReader) text(name string, v *string)   { r.into(name, v) }
func (r *jsonReader) number(name string, v *uint64) { r.into(name, v) }
func (r *jsonReader) flag(name string, v *bool)     { r.into(name, v) }

func (r *jsonReader) instant(name string, v *int64) {
	var s string
	r.into(name, &s)
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		r.fail(name, "is not a time")
	}
	*v = t.Unix()
}

func (r *jsonReader) digest(name string, v *[sha256.Size]byte) {
	if b := r.hex(name, sha256.Size); len(b) == sha256.Size {
		copy(v[:], b)
	} else {
		r.fail(name, "is not a digest")
	}
}

func (r *jsonReader) blob(name string, v *[]byte) {
	if b := r.hex(name, maxBlob); len(b) > 0 {
		*v = b
	}
}

func (r *jsonReader) rational(name string, v **big.Rat) {
	var s string
	r.into(name, &s)
	x, err := parseRational(s)
	if err != nil {
		r.fail(name, err.Error())
	}
	*v = x
}

func (r *jsonReader) rows(name string, v *[]Row) {
	var table [][4]string
	r.into(name, &table)
	for _, cells := range table {
		*v = append(*v, Row{cells[0], cells[1], cells[2], cells[3]})
	}
}
