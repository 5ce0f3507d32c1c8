package mechanism

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Canonical form of Params: domain string, version byte, then the fields in
// the order of the struct. Integers are 8 bytes big-endian; strings and byte
// strings have a 4-byte length; Clip and Z are decimals in Go's shortest 'g'
// form. The last two bytes are the noise (0 off, 1 discrete Gaussian, 2 Skellam)
// and whether the vector is unmetered (0 or 1). Version 1 had neither Skellam
// nor the last byte.
const (
	paramsDomain  = "tutti/mechanism/params"
	paramsVersion = 2
	maxText       = 64
)

// errCanonical is wrapped by every error of ParseParams.
var errCanonical = errors.New("mechanism: not the canonical form of parameters")

// AppendCanonical appends the canonical bytes of p to b.
func (p Params) AppendCanonical(b []byte) []byte {
	b = appendText(b, paramsDomain)
	b = append(b, paramsVersion)
	b = appendInts(b, uint64(p.Dim), uint64(p.PaddedDim), uint64(p.Block))
	b = appendText(b, formatDecimal(p.Clip))
	b = appendInts(b, uint64(p.ClipGrid))
	b = appendText(b, string(p.Signs[:]))
	b = appendInts(b, uint64(p.L2Bound), p.Sigma2.Num, p.Sigma2.Den, uint64(p.InputBound))
	b = appendText(b, formatDecimal(p.Z))
	b = appendInts(b, uint64(p.NMin), uint64(p.NMax), uint64(p.Colluders), uint64(p.SumLimit))
	noise := byte(0)
	if p.Noise {
		noise = 1 + byte(p.Kind)
	}
	return append(b, noise, flag(p.Unmetered))
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

func appendInts(b []byte, values ...uint64) []byte {
	for _, v := range values {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

func formatDecimal(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// ParseParams reads exactly the canonical bytes of one Params. It checks the
// form only; NewCodec, or the caller, runs Validate.
func ParseParams(b []byte) (Params, error) {
	r := reader{rest: b}
	if r.text() != paramsDomain || r.byte() != paramsVersion {
		return Params{}, fmt.Errorf("%w: unknown domain or version", errCanonical)
	}
	var p Params
	p.Dim, p.PaddedDim, p.Block = r.int(), r.int(), r.int()
	p.Clip = r.decimal()
	p.ClipGrid = r.int64()
	if signs := r.text(); copy(p.Signs[:], signs) != len(p.Signs) || len(signs) != len(p.Signs) {
		r.failed = true
	}
	p.L2Bound = r.int64()
	p.Sigma2 = Rational{r.uint64(), r.uint64()}
	p.InputBound = r.int64()
	p.Z = r.decimal()
	p.NMin, p.NMax, p.Colluders = r.int(), r.int(), r.int()
	p.SumLimit = r.int64()
	if noise := r.byte(); noise > 0 {
		p.Noise, p.Kind = true, NoiseKind(noise-1)
		r.failed = r.failed || p.Kind > Skellam
	}
	p.Unmetered = r.flag()
	if r.failed || len(r.rest) != 0 {
		return Params{}, fmt.Errorf("%w: short, long or out of range", errCanonical)
	}
	return p, nil
}

// reader consumes canonical fields; after a failure it yields zeros.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) take(n int) []byte {
	if r.failed || n > len(r.rest) {
		r.failed = true
		return nil
	}
	field := r.rest[:n]
	r.rest = r.rest[n:]
	return field
}

func (r *reader) byte() byte {
	if field := r.take(1); field != nil {
		return field[0]
	}
	return 0
}

func (r *reader) flag() bool {
	b := r.byte()
	if b > 1 {
		r.failed = true
	}
	return b == 1
}

func (r *reader) uint64() uint64 {
	if field := r.take(8); field != nil {
		return binary.BigEndian.Uint64(field)
	}
	return 0
}

func (r *reader) int64() int64 {
	v := r.uint64()
	if v > math.MaxInt64 {
		r.failed = true
		return 0
	}
	return int64(v)
}

// int reads a value that fits an int on every platform.
func (r *reader) int() int {
	v := r.uint64()
	if v > math.MaxInt32 {
		r.failed = true
		return 0
	}
	return int(v)
}

func (r *reader) text() string {
	length := r.take(4)
	if length == nil {
		return ""
	}
	n := binary.BigEndian.Uint32(length)
	if n > maxText {
		r.failed = true
		return ""
	}
	return string(r.take(int(n)))
}

// decimal accepts only the shortest form of a finite number.
func (r *reader) decimal() float64 {
	s := r.text()
	f, err := strconv.ParseFloat(s, 64)
	if r.failed || err != nil || math.IsNaN(f) || math.IsInf(f, 0) || formatDecimal(f) != s {
		r.failed = true
		return 0
	}
	return f
}
