package central

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"

	"tutti/privacy/accounting"
)

// small is a stream over few rounds, for tests of what does not depend on its error.
func small(dim int) Setting {
	return Setting{
		ID:    [32]byte{7},
		Event: accounting.BLTMF{BLT: sampleBLT, Rounds: 6, Participations: 2, Separation: 3, Z: 0.8},
		Bound: 5000, Dim: dim,
	}
}

func newStream(t testing.TB, s Setting) *Stream {
	t.Helper()
	st, err := NewStream(s)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// The covariance of the noise over the rounds is sigma^2 C^-1 C^-T, entry by entry. An empirical covariance of n pairs of
// Gaussians of variances v and w deviates by more than 6 sqrt(2 v w/n) with probability below 1e-8 (a product of two unit
// Gaussians has a variance of at most 2); 21 entries together stay below 3e-7.
func TestCovarianceOverRounds(t *testing.T) {
	const n = 12_000
	setting := small(n)
	s, rounds := newStream(t, setting), setting.Event.Rounds
	zero := make([]int64, n)
	var rows [][]int64
	for range rounds {
		row, err := s.Next(zero)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	sensitivity, err := setting.Event.BLT.Sensitivity(6, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	sigma := 0.8 * sensitivity * 5000
	inverse := inverseOf(setting.Event.BLT.Coefficients(rounds))
	want := func(a, b int) (c float64) {
		for u := range min(a, b) + 1 {
			c += inverse[a-u] * inverse[b-u]
		}
		return c * sigma * sigma
	}
	for a := range rounds {
		for b := range a + 1 {
			have := 0.0
			for i := range rows[a] {
				have += float64(rows[a][i]) * float64(rows[b][i]) / n
			}
			if off := 6 * math.Sqrt(2*want(a, a)*want(b, b)/n); math.Abs(have-want(a, b)) > off {
				t.Errorf("covariance of rounds %d and %d: %.4g, want %.4g within %.2g", a, b, have, want(a, b), off)
			}
		}
		deviation, err := setting.Deviation(a)
		if err != nil || math.Abs(deviation-math.Sqrt(want(a, a))) > 1e-9*deviation {
			t.Errorf("deviation of row %d: %v, %v; want %v", a, deviation, err, math.Sqrt(want(a, a)))
		}
	}
	if _, err := s.Next(zero); !errors.Is(err, ErrInput) {
		t.Errorf("a seventh round of six: %v", err)
	}
}

// inverseOf solves C x = e_0 for a unit lower triangular Toeplitz matrix, by substitution: nothing of the buffers' recursion.
func inverseOf(c []float64) []float64 {
	x := make([]float64, len(c))
	x[0] = 1
	for i := 1; i < len(x); i++ {
		for j := 1; j <= i; j++ {
			x[i] -= c[j] * x[i-j]
		}
	}
	return x
}

// The table of the design: over 2,000 rounds, with two buffers, the last prefix carries 9.50 times z B of noise for devices
// that take part five times, 400 rounds apart; independent noise leaves 100. The variance of 1,000 coordinates deviates by
// more than 27 %, six of its standard errors, with probability below 1e-8: an error of 9.5 stays within 1.21.
func TestErrorOfTheLastPrefix(t *testing.T) {
	if testing.Short() {
		t.Skip("two million draws of the library's noise")
	}
	const rounds, dim, bound = 2000, 250, 1 << 20
	setting := Setting{
		Event: accounting.BLTMF{BLT: accounting.BLT{Theta: []float64{0.9958578720994171, 0.8289465288169743}, Omega: []float64{0.11817729793509908, 0.330940615150544}},
			Rounds: rounds, Participations: 5, Separation: 400, Z: 1},
		Bound: bound, Dim: dim,
	}
	s := newStream(t, setting)
	prefix, zero := make([]float64, dim), make([]int64, dim)
	for range rounds {
		row, err := s.Next(zero)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range row {
			prefix[i] += float64(v) / bound
		}
	}
	square := 0.0
	for _, x := range prefix {
		square += x * x / dim
	}
	rms := math.Sqrt(square)
	t.Logf("error of the last of %d prefixes: %.2f z B", rounds, rms)
	if off := 6 * math.Sqrt(2./dim) * 9.5015; math.Abs(rms-9.5015) > off {
		t.Errorf("error of the last prefix is %.2f z B, the table says 9.50", rms)
	}
}

// A stream that is read back from its bytes is the stream: its next row is correlated with the rows before exactly as if
// nothing had happened, which the buffers decide alone.
func TestResumeEquals(t *testing.T) {
	setting := small(50)
	s := newStream(t, setting)
	sum := make([]int64, 50)
	for row := range 3 {
		if _, err := s.Next(sum); err != nil {
			t.Fatal(err)
		}
		state := s.Marshal()
		back, err := ParseStream(state, setting)
		if err != nil {
			t.Fatal(err)
		}
		if back.Row() != s.Row() || s.Row() != 2*row+1 || !bytes.Equal(back.Marshal(), state) || back.sigma != s.sigma {
			t.Errorf("row %d: another stream came back", row)
		}
		fresh := make([]float64, 50)
		for i := range fresh {
			fresh[i] = float64(i)
		}
		s.advance(fresh)
		back.advance(fresh)
		if !bytes.Equal(back.Marshal(), s.Marshal()) {
			t.Errorf("row %d: the stream that came back goes another way", row)
		}
	}
}

// A refused sum draws nothing that counts, and a skipped row counts.
func TestRowsAreDrawnOnce(t *testing.T) {
	s := newStream(t, small(4))
	before := s.Marshal()
	for _, bad := range [][]int64{nil, make([]int64, 3), {0, 0, 0, maxSum + 1}} {
		if _, err := s.Next(bad); !errors.Is(err, ErrInput) {
			t.Errorf("a sum of %d coordinates: %v", len(bad), err)
		}
	}
	if !bytes.Equal(s.Marshal(), before) || s.Row() != 0 {
		t.Error("a refused sum moved the stream")
	}
	if err := s.Skip(); err != nil || s.Row() != 1 || bytes.Equal(s.Marshal()[41+len(stateHead):], before[41+len(stateHead):]) {
		t.Errorf("a skipped row left no trace: %v", err)
	}
}

func TestRefusedStreams(t *testing.T) {
	for name, change := range map[string]func(*Setting){
		"no coordinates":  func(s *Setting) { s.Dim = 0 },
		"no buffers":      func(s *Setting) { s.Event.BLT = accounting.BLT{} },
		"unstable":        func(s *Setting) { s.Event.BLT.Omega = []float64{.6, .6} },
		"no rounds":       func(s *Setting) { s.Event.Rounds = 0 },
		"no separation":   func(s *Setting) { s.Event.Separation = 0 },
		"no multiplier":   func(s *Setting) { s.Event.Z = math.NaN() },
		"no bound":        func(s *Setting) { s.Bound = -1 },
		"too many coords": func(s *Setting) { s.Dim = maxDim + 1 },
	} {
		setting := small(4)
		if change(&setting); true {
			if _, err := NewStream(setting); !errors.Is(err, ErrInput) {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := setting.Deviation(0); !errors.Is(err, ErrInput) {
				t.Errorf("%s, its deviation: %v", name, err)
			}
		}
	}
}

func TestForeignState(t *testing.T) {
	setting := small(4)
	s := newStream(t, setting)
	if _, err := s.Next(make([]int64, 4)); err != nil {
		t.Fatal(err)
	}
	good := s.Marshal()
	at := len(stateHead)
	for name, change := range map[string]func([]byte) []byte{
		"cut short":       func(b []byte) []byte { return b[:len(b)-1] },
		"longer":          func(b []byte) []byte { return append(b, 0) },
		"empty":           func([]byte) []byte { return nil },
		"another version": func(b []byte) []byte { b[at-1]++; return b },
		"another stream":  func(b []byte) []byte { b[at]++; return b },
		"a later row":     func(b []byte) []byte { b[at+35] = 7; return b },
		"other buffers":   func(b []byte) []byte { b[at+36]++; return b },
		"other size":      func(b []byte) []byte { b[at+40]++; return b },
		"not a number":    func(b []byte) []byte { copy(b[at+41:], []byte{0x7f, 0xf8, 0, 0, 0, 0, 0, 1}); return b },
		"infinite":        func(b []byte) []byte { copy(b[at+41:], []byte{0x7f, 0xf0, 0, 0, 0, 0, 0, 0}); return b },
	} {
		if _, err := ParseStream(change(bytes.Clone(good)), setting); !errors.Is(err, ErrState) {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := setting
	other.Dim = 5
	if _, err := ParseStream(good, other); !errors.Is(err, ErrState) {
		t.Errorf("a stream of another size: %v", err)
	}
}

func FuzzParseStream(f *testing.F) {
	setting := small(3)
	s := newStream(f, setting)
	f.Add(s.Marshal())
	if err := s.Skip(); err != nil {
		f.Fatal(err)
	}
	f.Add(s.Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := ParseStream(b, setting); err == nil && !bytes.Equal(s.Marshal(), b) {
			t.Error("not canonical")
		}
	})
}

func TestStreamRedactsItself(t *testing.T) {
	s := newStream(t, small(1))
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "s", s)
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%#v %+v %d", s, s, s), log.String()} {
		if !strings.Contains(text, "redacted") || strings.Contains(text, "4000") {
			t.Errorf("a stream shows %q", text)
		}
	}
	if _, err := json.Marshal(s); err == nil {
		t.Error("a stream becomes JSON")
	}
}
