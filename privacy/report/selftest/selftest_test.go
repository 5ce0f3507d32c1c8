package selftest

import (
	"bytes"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	rows, misses, err := Run()
	if err != nil || rows < 150 {
		t.Fatalf("%d rows, %v", rows, err)
	}
	for _, m := range misses {
		t.Error(m)
	}
}

// TestRunNotices: a row with a wrong figure, of an unknown event or of an unknown figure is a miss.
func TestRunNotices(t *testing.T) {
	lines := []string{
		`{"id":"a","figure":"cks_continuous_eps","event":{"type":"zcdp","rho":0.5},"delta":1e-6,"want":4.0}`,
		`{"id":"b","figure":"rdp_eps","event":{"type":"mystery"},"delta":1e-6,"want":1}`,
		`{"id":"c","figure":"guess","event":{"type":"zcdp","rho":0.5},"delta":1e-6,"want":1}`,
		`{"id":"d","figure":"exact_eps","event":{"type":"zcdp","rho":0.5},"delta":1e-6,"want":1}`,
	}
	rows, misses, err := run([]byte(strings.Join(lines, "\n")))
	if err != nil || rows != 4 || len(misses) != 4 {
		t.Fatalf("%d rows, misses %v, %v", rows, misses, err)
	}
	if s := misses[0].String(); !strings.Contains(s, "the reference says 4") {
		t.Error(s)
	}
	if _, _, err := run([]byte("{")); err == nil {
		t.Error("half a row is accepted")
	}
}

func BenchmarkRun(b *testing.B) {
	for b.Loop() {
		if _, misses, err := Run(); err != nil || len(misses) > 0 {
			b.Fatal(misses, err)
		}
	}
	b.SetBytes(int64(bytes.Count(reference, []byte("\n"))))
}
