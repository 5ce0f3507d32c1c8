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
