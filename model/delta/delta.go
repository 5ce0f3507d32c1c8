package delta

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

const (
	magic     = "tuttidlt"
	format    = 1
	headerLen = len(magic) + 1 + 1 + 2 + 8 + 2*sha256.Size
)

// form says what a difference means.
type form byte

const (
	bits form = iota
	steps
	forms
)

// Errors that a caller tells apart.
var (
	ErrUseless = errors.New("delta: not smaller than the blob itself")
	ErrFormat  = errors.New("delta: malformed")
	ErrBase    = errors.New("delta: it is of another base")
	ErrResult  = errors.New("delta: the result is not the blob that it names")
)

// Header is what a delta says of itself.
type Header struct {
	Base, Result [32]byte // SHA-256
	Length       int64    // bytes of both
	form         form
	exponent     int16
}

// Parse reads the header of a delta, and checks nothing of the rest.
func Parse(d []byte) (Header, error) {
	if len(d) < headerLen || string(d[:len(magic)]) != magic {
		return Header{}, fmt.Errorf("%w: not a delta", ErrFormat)
	}
	b := d[len(magic):]
	if b[0] != format {
		return Header{}, fmt.Errorf("%w: format %d, this program reads %d", ErrFormat, b[0], format)
	}
	h := Header{form: form(b[1]), exponent: int16(binary.BigEndian.Uint16(b[2:]))}
	length := binary.BigEndian.Uint64(b[4:])
	copy(h.Base[:], b[12:])
	copy(h.Result[:], b[44:])
	if h.form >= forms || h.form == bits && h.exponent != 0 || h.form == steps && (h.exponent < minExponent || h.exponent > maxExponent) || length > math.MaxInt64/2 {
		return Header{}, fmt.Errorf("%w: its header", ErrFormat)
	}
	h.Length = int64(length)
	return h, nil
}

func (h Header) append(b []byte) []byte {
	b = append(b, magic...)
	b = append(b, format, byte(h.form))
	b = binary.BigEndian.AppendUint16(b, uint16(h.exponent))
	b = binary.BigEndian.AppendUint64(b, uint64(h.Length))
	return append(append(b, h.Base[:]...), h.Result[:]...)
}

// Encode makes the delta from base to result. It is ErrUseless where that would not be smaller than result, as between
// blobs of different lengths. It holds about twice the length of the blobs beside them.
func Encode(base, result []byte) ([]byte, error) {
	if len(base) != len(result) || len(result) <= headerLen {
		return nil, ErrUseless
	}
	h := Header{Base: sha256.Sum256(base), Result: sha256.Sum256(result), Length: int64(len(result))}
	differences := make([]uint32, (len(result)+3)/4)
	if e, found := commonStep(base, result); found {
		h.form, h.exponent = steps, e
		for i := range differences {
			k, _ := stepsBetween(word(base, i), word(result, i), e) // commonStep has tried it
			differences[i] = zigzag(k)
		}
	} else {
		for i := range differences {
			differences[i] = zigzag(int32(place(word(result, i)) - place(word(base, i))))
		}
	}
	best := len(result)
	var out []byte
	for _, level := range []int{flate.DefaultCompression, flate.HuffmanOnly} { // matches help a header of text, and harm the bits of weights
		b, err := pack(h.append(nil), differences, level)
		if err != nil {
			return nil, err
		}
		if len(b) < best {
			best, out = len(b), b
		}
	}
	if out == nil {
		return nil, ErrUseless
	}
	return out, nil
}

// pack appends the planes, compressed.
func pack(b []byte, words []uint32, level int) ([]byte, error) {
	out := bytes.NewBuffer(b)
	w, err := flate.NewWriter(out, level)
	if err != nil {
		return nil, err
	}
	var buffer [4 << 10]byte
	for k := range 4 {
		for rest := words; len(rest) > 0; {
			n := min(len(rest), len(buffer))
			for i, x := range rest[:n] {
				buffer[i] = byte(x >> (8 * k))
			}
			if _, err := w.Write(buffer[:n]); err != nil {
				return nil, err
			}
			rest = rest[n:]
		}
	}
	err = w.Close()
	return out.Bytes(), err
}

// Decode makes the result of a delta. A result above limit bytes is refused before anything is allocated, and so is a
// base that is not the delta's. It holds no more than the result; that has the digest which the delta names.
func Decode(d, base []byte, limit int64) ([]byte, error) {
	h, err := Parse(d)
	switch {
	case err != nil:
		return nil, err
	case h.Length > limit:
		return nil, fmt.Errorf("%w: a result of %d bytes, at most %d are taken", ErrFormat, h.Length, limit)
	case h.Length != int64(len(base)) || sha256.Sum256(base) != h.Base:
		return nil, ErrBase
	}
	words := (len(base) + 3) / 4
	out := make([]byte, 4*words)
	if err := unpack(d[headerLen:], out); err != nil {
		return nil, err
	}
	for i := range words {
		k, from := unzigzag(binary.LittleEndian.Uint32(out[4*i:])), word(base, i)
		to := unplace(place(from) + uint32(k))
		if h.form == steps {
			to = moved(from, k, h.exponent)
		}
		binary.LittleEndian.PutUint32(out[4*i:], to)
	}
	out = out[:len(base):len(base)]
	if sha256.Sum256(out) != h.Result {
		return nil, ErrResult
	}
	return out, nil
}

// unpack spreads the planes over the words of out; nothing may follow them.
func unpack(compressed, out []byte) error {
	r := flate.NewReader(bytes.NewReader(compressed))
	var buffer [4 << 10]byte
	for k := range 4 {
		for at := k; at < len(out); {
			n := min((len(out)-at+3)/4, len(buffer))
			if _, err := io.ReadFull(r, buffer[:n]); err != nil {
				return fmt.Errorf("%w: %w", ErrFormat, err)
			}
			for _, b := range buffer[:n] {
				out[at] = b
				at += 4
			}
		}
	}
	if n, err := r.Read(buffer[:1]); n > 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: bytes after the end", ErrFormat)
	}
	return nil
}

// word is word i of a blob, filled up with zeros.
func word(b []byte, i int) uint32 {
	if 4*i+4 <= len(b) {
		return binary.LittleEndian.Uint32(b[4*i:])
	}
	var last [4]byte
	copy(last[:], b[4*i:])
	return binary.LittleEndian.Uint32(last[:])
}

// place orders words as the float32 that they hold are ordered.
func place(x uint32) uint32 {
	if x>>31 == 1 {
		return ^x
	}
	return x | 1<<31
}

func unplace(p uint32) uint32 {
	if p>>31 == 1 {
		return p &^ (1 << 31)
	}
	return ^p
}

func zigzag(d int32) uint32   { return uint32(d)<<1 ^ uint32(d>>31) }
func unzigzag(z uint32) int32 { return int32(z>>1) ^ -int32(z&1) }
