package audit

import (
	"bytes"
	"testing"
)

// Whatever parses has one spelling, and can be recomputed without a panic.
func FuzzParseSection(f *testing.F) {
	test := mustTest(f, 8, 20, 1)
	all, _ := mustRun(f, test)
	for _, s := range all {
		data, err := s.Canonical()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"schema":"tutti.audit/v1"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseSection(data)
		if err != nil {
			return
		}
		again, err := s.Canonical()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("two spellings: %v", err)
		}
		_ = s.Recompute()
	})
}

// Whatever stands in inputs, seed and scores, a section is recomputed or
// refused, without a panic and in bounded time; only the section itself
// holds.
func FuzzRecompute(f *testing.F) {
	test := mustTest(f, 8, 20, 1)
	all, _ := mustRun(f, test)
	kinds := []string{KindOneRun, KindOneRunFDP, KindGaussianPair, KindOneShot, KindNoiseMeter}
	for i := range 13 {
		f.Add(uint8(0), uint8(i), "1", uint8(0), "0.5")
	}
	f.Add(uint8(1), uint8(3), "1/0", uint8(1), "1e999")
	f.Add(uint8(2), uint8(3), "1/99999999999999999999", uint8(1), "-1")
	f.Add(uint8(3), uint8(1), "0.9999999999", uint8(2), "NaN")
	f.Add(uint8(4), uint8(0), "-5", uint8(0), "-1e9")
	f.Fuzz(func(t *testing.T, kind, input uint8, value string, score uint8, number string) {
		s := clone(t, all[kinds[int(kind)%len(kinds)]])
		at := &s.Inputs[int(input)%len(s.Inputs)].Value
		of := &s.Scores[int(score)%len(s.Scores)]
		was := *at
		same := was == value && *of == number
		*at, *of = value, number
		err := s.Recompute()
		if same && err != nil {
			t.Fatalf("unedited: %v", err)
		}
		if err == nil && !sameNumber(was, value) {
			t.Fatal("an edited input holds")
		}
	})
}
