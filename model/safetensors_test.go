package model

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// testdata/python.safetensors was written by the Python package safetensors
// 0.8.0: three tensors, one of them a scalar, and metadata with an umlaut.
func TestSafetensorsFromPython(t *testing.T) {
	file, err := os.ReadFile("testdata/python.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	p, meta, err := ReadSafetensors(bytes.NewReader(file), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(meta, map[string]string{"format": "pt", "note": "café"}) {
		t.Errorf("meta %v", meta)
	}
	for name, want := range map[string][]float32{
		"a.weight": {0, 1, 2, 3, 4, 5}, "b.bias": {1.5, -2.25, 3e-40}, "scalar": {7},
	} {
		if got := p.View(name); !slices.Equal(got, want) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if spec, _, _ := p.Layout().Tensor("a.weight"); !slices.Equal(spec.Shape, []int{2, 3}) {
		t.Errorf("a.weight has shape %v", spec.Shape)
	}
	var out bytes.Buffer
	if err := WriteSafetensors(&out, p, meta); err != nil || !bytes.Equal(out.Bytes(), file) {
		t.Errorf("written again it differs (%v):\n%q\n%q", err, out.Bytes(), file)
	}
}

func sampleParams(tb testing.TB) Params {
	tb.Helper()
	l := mustLayout(tb, TensorSpec{"z", []int{2, 2}}, TensorSpec{"a", nil}, TensorSpec{`quote"<&`, []int{1, 3}})
	p, err := ParamsOf(l, []float32{1, -2, 3.5, 1e-40, math.MaxFloat32, 6, 7, 8})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestSafetensorsRoundTrip(t *testing.T) {
	p := sampleParams(t)
	for _, meta := range []map[string]string{nil, {"b": "2", "a": "é\n"}} {
		var first, second bytes.Buffer
		if err := WriteSafetensors(&first, p, meta); err != nil {
			t.Fatal(err)
		}
		if err := WriteSafetensors(&second, p, maps.Clone(meta)); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("two writes differ (%v)", err)
		}
		if header := binary.LittleEndian.Uint64(first.Bytes()); header%8 != 0 {
			t.Errorf("header of %d bytes is not aligned", header)
		}
		size := int64(first.Len())
		got, gotMeta, err := ReadSafetensors(&first, size)
		if err != nil {
			t.Fatal(err)
		}
		if got.Digest() != p.Digest() || !maps.Equal(gotMeta, meta) {
			t.Errorf("came back as %v with %v", got.Values(), gotMeta)
		}
		if _, _, err := ReadSafetensors(&second, size-1); err == nil {
			t.Error("a file one byte over the limit was read")
		}
	}
}

func TestWriteSafetensorsRefuses(t *testing.T) {
	bad := sampleParams(t)
	bad.Values()[2] = float32(math.NaN())
	for name, write := range map[string]func(*bytes.Buffer) error{
		"NaN":  func(b *bytes.Buffer) error { return WriteSafetensors(b, bad, nil) },
		"zero": func(b *bytes.Buffer) error { return WriteSafetensors(b, Params{}, nil) },
		"UTF-8": func(b *bytes.Buffer) error {
			return WriteSafetensors(b, sampleParams(t), map[string]string{"a": "\xff"})
		},
		"name": func(b *bytes.Buffer) error {
			return WriteSafetensors(b, NewParams(mustLayout(t, TensorSpec{"__metadata__", nil})), nil)
		},
	} {
		var b bytes.Buffer
		if err := write(&b); err == nil || b.Len() != 0 {
			t.Errorf("%s: error %v after %d bytes", name, err, b.Len())
		}
	}
}

// withHeader makes a file of a header and n zero bytes of data.
func withHeader(header string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, n)...)
}

func TestReadSafetensorsRefuses(t *testing.T) {
	const a = `"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}`
	if _, _, err := ReadSafetensors(bytes.NewReader(withHeader("{"+a+"}", 8)), 1000); err != nil {
		t.Fatalf("the good file of this test: %v", err)
	}
	nan := withHeader("{"+a+"}", 8)
	copy(nan[len(nan)-4:], []byte{0, 0, 0xc0, 0x7f})
	for name, file := range map[string][]byte{
		"empty":            {},
		"7 bytes":          make([]byte, 7),
		"header 0":         withHeader("", 0),
		"lying length":     binary.LittleEndian.AppendUint64(nil, 900),
		"huge length":      binary.LittleEndian.AppendUint64(nil, math.MaxUint64),
		"not an object":    withHeader(`["a"]`, 8),
		"leading space":    withHeader(` {`+a+`}`, 8),
		"no tensors":       withHeader(`{}`, 0),
		"only meta":        withHeader(`{"__metadata__":{"a":"b"}}`, 0),
		"unclosed":         withHeader(`{`+a, 8),
		"two values":       withHeader(`{`+a+`}{}`, 8),
		"not UTF-8":        withHeader("{\"__metadata__\":{\"\xff\":\"\"},"+a+`}`, 8),
		"twice":            withHeader(`{`+a+`,`+a+`}`, 8),
		"dtype":            withHeader(`{"a":{"dtype":"F16","shape":[4],"data_offsets":[0,8]}}`, 8),
		"dtype number":     withHeader(`{"a":{"dtype":32,"shape":[2],"data_offsets":[0,8]}}`, 8),
		"no dtype":         withHeader(`{"a":{"shape":[2],"data_offsets":[0,8]}}`, 8),
		"upper case":       withHeader(`{"a":{"DTYPE":"F32","shape":[2],"data_offsets":[0,8]}}`, 8),
		"dtype twice":      withHeader(`{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8),
		"no shape":         withHeader(`{"a":{"dtype":"F32","data_offsets":[0,4]}}`, 4),
		"no offsets":       withHeader(`{"a":{"dtype":"F32","shape":[2]}}`, 8),
		"three offsets":    withHeader(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,9]}}`, 8),
		"negative":         withHeader(`{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}`, 8),
		"fraction":         withHeader(`{"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}`, 8),
		"shape overflows":  withHeader(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}`, 8),
		"string as shape":  withHeader(`{"a":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}}`, 8),
		"zero dimension":   withHeader(`{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}`, 0),
		"wrong size":       withHeader(`{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}`, 8),
		"gap":              withHeader(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 12),
		"overlap":          withHeader(`{`+a+`,"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 12),
		"data too short":   withHeader(`{`+a+`}`, 7),
		"data too long":    withHeader(`{`+a+`}`, 9),
		"larger than max":  withHeader(`{"a":{"dtype":"F32","shape":[300],"data_offsets":[0,1200]}}`, 1200),
		"meta not strings": withHeader(`{"__metadata__":{"a":1},`+a+`}`, 8),
		"meta twice":       withHeader(`{"__metadata__":{"a":"1","a":"2"},`+a+`}`, 8),
		"meta a list":      withHeader(`{"__metadata__":[],`+a+`}`, 8),
		"NaN":              nan,
	} {
		if p, _, err := ReadSafetensors(bytes.NewReader(file), 1000); err == nil {
			t.Errorf("%s: read as %v", name, p.Values())
		} else if !strings.HasPrefix(err.Error(), "safetensors: ") {
			t.Errorf("%s: %v does not say what failed", name, err)
		}
	}
	if _, _, err := ReadSafetensors(bytes.NewReader(nan), 1000); !errors.Is(err, ErrNotFinite) {
		t.Errorf("NaN: %v, want ErrNotFinite", err)
	}
}

// A header that promises eight gigabytes must not make the reader allocate them.
func TestReadSafetensorsAllocatesWhatItReads(t *testing.T) {
	file := withHeader(`{"a":{"dtype":"F32","shape":[2147483647],"data_offsets":[0,8589934588]}}`, 100)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, _, err := ReadSafetensors(bytes.NewReader(file), math.MaxInt64); err == nil {
		t.Error("read")
	}
	runtime.ReadMemStats(&after)
	bytesUsed := after.TotalAlloc - before.TotalAlloc
	if bytesUsed > 1<<20 {
		t.Errorf("%d bytes allocated for a file of %d", bytesUsed, len(file))
	}
}

func FuzzReadSafetensors(f *testing.F) {
	var good bytes.Buffer
	if err := WriteSafetensors(&good, sampleParams(f), map[string]string{"k": "v"}); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add(withHeader(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8))
	f.Add(withHeader(`{"__metadata__":{}}`, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, meta, err := ReadSafetensors(bytes.NewReader(b), 1<<16)
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := WriteSafetensors(&out, p, meta); err != nil {
			t.Fatalf("read but not written: %v", err)
		}
		again, againMeta, err := ReadSafetensors(&out, 1<<20)
		if err != nil || again.Digest() != p.Digest() || !maps.Equal(meta, againMeta) {
			t.Fatalf("came back different: %v", err)
		}
	})
}
