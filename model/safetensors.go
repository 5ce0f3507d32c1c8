package model

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// The safetensors format (huggingface/safetensors, README, "Format"): eight
// bytes with the length of the header, little-endian; the header, a JSON object
// from tensor names to dtype, shape and data_offsets, with an optional
// "__metadata__" of strings, padded with spaces to a multiple of eight; then the
// values, little-endian, without gaps. Only dtype F32 is read and written.

const (
	safetensorsMeta      = "__metadata__"
	safetensorsMaxHeader = 16 << 20 // the format allows 100 MB; MaxTensors need far less
)

type safetensorsEntry struct {
	Dtype   string `json:"dtype"`
	Shape   []int  `json:"shape"`
	Offsets []int  `json:"data_offsets"` // begin and end in bytes
}

// WriteSafetensors writes the weights, in the order of their layout, and meta.
// The header's keys are sorted: equal weights and meta give equal bytes. Weights
// that are not finite, meta that is not UTF-8 and a zero Params are refused
// before anything is written.
func WriteSafetensors(w io.Writer, p Params, meta map[string]string) error {
	if len(p.values) == 0 {
		return errors.New("safetensors: no weights")
	}
	if i := firstNotFinite(p.values); i >= 0 {
		return fmt.Errorf("safetensors: value %d: %w", i, ErrNotFinite)
	}
	header, err := safetensorsHeader(p.layout, meta)
	if err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	if _, err := w.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))); err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	if _, err := w.Write(header); err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	var buf [16 << 10]byte
	for rest := p.values; len(rest) > 0; {
		n := min(len(rest), len(buf)/4)
		for i, v := range rest[:n] {
			binary.LittleEndian.PutUint32(buf[4*i:], math.Float32bits(v))
		}
		if _, err := w.Write(buf[:4*n]); err != nil {
			return fmt.Errorf("safetensors: %w", err)
		}
		rest = rest[n:]
	}
	return nil
}

func safetensorsHeader(l Layout, meta map[string]string) ([]byte, error) {
	for k, v := range meta {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return nil, fmt.Errorf("meta %q is not UTF-8", k)
		}
	}
	var b bytes.Buffer
	if len(meta) > 0 { // json.Marshal sorts the keys of a map
		if err := writeMember(&b, safetensorsMeta, meta); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.index)) {
		if name == safetensorsMeta {
			return nil, fmt.Errorf("a tensor is called %q", name)
		}
		i := l.index[name]
		entry := safetensorsEntry{Dtype: "F32", Shape: l.tensors[i].Shape, Offsets: []int{4 * l.offsets[i], 4 * l.offsets[i+1]}}
		if entry.Shape == nil {
			entry.Shape = []int{}
		}
		if err := writeMember(&b, name, entry); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	if b.Len() > safetensorsMaxHeader {
		return nil, fmt.Errorf("header of %d bytes, at most %d", b.Len(), safetensorsMaxHeader)
	}
	return b.Bytes(), nil
}

// writeMember adds a member to the object that b starts or goes on with.
func writeMember(b *bytes.Buffer, key string, value any) error {
	k, err := json.Marshal(key)
	if err != nil {
		return err
	}
	v, err := json.Marshal(value)
	if err != nil {
		return err
	}
	separator := byte(',')
	if b.Len() == 0 {
		separator = '{'
	}
	b.WriteByte(separator)
	b.Write(k)
	b.WriteByte(':')
	b.Write(v)
	return nil
}

// ReadSafetensors reads a file of at most maxBytes. The layout gets the tensors
// in the order of their data. Anything but F32, gaps, overlaps, repeated or
// unknown keys, bytes after the end, and values that are not finite are refused;
// what is allocated is bounded by maxBytes and by what was read.
func ReadSafetensors(r io.Reader, maxBytes int64) (Params, map[string]string, error) {
	p, meta, err := readSafetensors(r, maxBytes)
	if err != nil {
		return Params{}, nil, fmt.Errorf("safetensors: %w", err)
	}
	return p, meta, nil
}

func readSafetensors(r io.Reader, maxBytes int64) (Params, map[string]string, error) {
	header, err := readSafetensorsHeader(r, maxBytes)
	if err != nil {
		return Params{}, nil, err
	}
	entries, meta, err := parseSafetensorsHeader(header)
	if err != nil {
		return Params{}, nil, fmt.Errorf("header: %w", err)
	}
	layout, err := safetensorsLayout(entries)
	if err != nil {
		return Params{}, nil, err
	}
	if left := maxBytes - 8 - int64(len(header)); int64(layout.Size()) > left/4 {
		return Params{}, nil, fmt.Errorf("%d values do not fit into %d bytes", layout.Size(), left)
	}
	values, err := readFloats(r, layout.Size())
	if err != nil {
		return Params{}, nil, err
	}
	if i := firstNotFinite(values); i >= 0 {
		return Params{}, nil, fmt.Errorf("value %d: %w", i, ErrNotFinite)
	}
	return Params{layout: layout, values: values}, meta, nil
}

func readSafetensorsHeader(r io.Reader, maxBytes int64) ([]byte, error) {
	var size [8]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, fmt.Errorf("header length: %w", err)
	}
	n := binary.LittleEndian.Uint64(size[:])
	if limit := min(safetensorsMaxHeader, maxBytes-8); limit < 2 || n < 2 || n > uint64(limit) {
		return nil, fmt.Errorf("header of %d bytes, want 2 to %d", n, limit)
	}
	// Read through a growing buffer: a lying length costs no memory.
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r, int64(n)); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if b.Bytes()[0] != '{' {
		return nil, fmt.Errorf("header starts with %q, want {", b.Bytes()[0])
	}
	return b.Bytes(), nil
}

// readFloats reads n values and then the end of the file.
func readFloats(r io.Reader, n int) ([]float32, error) {
	var values []float32
	var buf [64 << 10]byte
	for len(values) < n {
		part := buf[:4*min(n-len(values), len(buf)/4)]
		if _, err := io.ReadFull(r, part); err != nil {
			return nil, fmt.Errorf("value %d of %d: %w", len(values), n, err)
		}
		for ; len(part) > 0; part = part[4:] {
			values = append(values, math.Float32frombits(binary.LittleEndian.Uint32(part)))
		}
	}
	if extra, err := io.ReadFull(r, buf[:1]); extra != 0 {
		return nil, fmt.Errorf("bytes after the last value")
	} else if err != io.EOF {
		return nil, err
	}
	return values, nil
}

type namedEntry struct {
	name string
	safetensorsEntry
}

// parseSafetensorsHeader walks the JSON by hand, because encoding/json would
// let repeated keys pass.
func parseSafetensorsHeader(header []byte) (entries []namedEntry, meta map[string]string, err error) {
	if !utf8.Valid(header) {
		return nil, nil, errors.New("not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(header))
	dec.UseNumber()
	seen := map[string]bool{}
	err = eachMember(dec, func(key string) error {
		if seen[key] {
			return fmt.Errorf("%q twice", key)
		}
		seen[key] = true
		if key == safetensorsMeta {
			meta, err = parseMeta(dec)
			return err
		}
		if len(entries) == MaxTensors {
			return fmt.Errorf("more than %d tensors", MaxTensors)
		}
		entry, err := parseEntry(dec)
		if err != nil {
			return fmt.Errorf("%q: %w", key, err)
		}
		entries = append(entries, namedEntry{key, entry})
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if _, err := dec.Token(); err != io.EOF { // the padding is white space
		return nil, nil, fmt.Errorf("more than one value")
	}
	return entries, meta, nil
}

// eachMember reads an object and calls visit after each key; visit reads the
// value.
func eachMember(dec *json.Decoder, visit func(key string) error) error {
	if tok, err := dec.Token(); err != nil {
		return err
	} else if tok != json.Delim('{') {
		return fmt.Errorf("%v, want an object", tok)
	}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return err
		}
		key, ok := tok.(string)
		if !ok {
			return fmt.Errorf("%v, want a key", tok)
		}
		if err := visit(key); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

func parseMeta(dec *json.Decoder) (map[string]string, error) {
	meta := map[string]string{}
	err := eachMember(dec, func(key string) error {
		tok, err := dec.Token()
		if err != nil {
			return err
		}
		value, ok := tok.(string)
		if _, twice := meta[key]; twice || !ok {
			return fmt.Errorf("%s: %q twice or not a string", safetensorsMeta, key)
		}
		meta[key] = value
		return nil
	})
	return meta, err
}

func parseEntry(dec *json.Decoder) (e safetensorsEntry, err error) {
	seen := map[string]bool{}
	err = eachMember(dec, func(key string) error {
		if seen[key] {
			return fmt.Errorf("%q twice", key)
		}
		seen[key] = true
		var err error
		switch key {
		case "dtype":
			tok, tokErr := dec.Token()
			e.Dtype, _ = tok.(string)
			err = tokErr
		case "shape":
			e.Shape, err = parseInts(dec, MaxRank)
		case "data_offsets":
			e.Offsets, err = parseInts(dec, 2)
		default:
			err = fmt.Errorf("unknown key %q", key)
		}
		return err
	})
	switch {
	case err != nil:
	case e.Dtype != "F32":
		err = fmt.Errorf("dtype %q, only F32 is read", e.Dtype)
	case !seen["shape"] || len(e.Offsets) != 2:
		err = fmt.Errorf("shape or data_offsets missing")
	}
	return e, err
}

// parseInts reads an array of at most limit integers that are not negative.
func parseInts(dec *json.Decoder, limit int) ([]int, error) {
	if tok, err := dec.Token(); err != nil || tok != json.Delim('[') {
		return nil, fmt.Errorf("%v (%v), want an array", tok, err)
	}
	var out []int
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, err
		}
		number, ok := tok.(json.Number)
		if !ok || len(out) == limit {
			return nil, fmt.Errorf("%v, want at most %d integers", tok, limit)
		}
		n, err := strconv.ParseUint(number.String(), 10, 48)
		if err != nil || n > math.MaxInt {
			return nil, fmt.Errorf("%q is not a size", number)
		}
		out = append(out, int(n))
	}
	_, err := dec.Token()
	return out, err
}

// safetensorsLayout orders the tensors by their data, which must follow each
// other from byte 0 without gaps.
func safetensorsLayout(entries []namedEntry) (Layout, error) {
	slices.SortFunc(entries, func(a, b namedEntry) int { return a.Offsets[0] - b.Offsets[0] })
	specs := make([]TensorSpec, len(entries))
	for i, e := range entries {
		specs[i] = TensorSpec{Name: e.name, Shape: e.Shape}
	}
	layout, err := NewLayout(specs...)
	if err != nil {
		return Layout{}, err
	}
	for i, e := range entries {
		if begin, end := 4*layout.offsets[i], 4*layout.offsets[i+1]; e.Offsets[0] != begin || e.Offsets[1] != end {
			return Layout{}, fmt.Errorf("%q: data from %d to %d, want %d to %d", e.name, e.Offsets[0], e.Offsets[1], begin, end)
		}
	}
	return layout, nil
}
