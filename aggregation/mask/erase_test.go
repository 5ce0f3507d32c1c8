package mask

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func zero[T int64 | uint64 | byte](t *testing.T, name string, words []T) {
	t.Helper()
	for _, w := range words {
		if w != 0 {
			t.Fatalf("%s: not erased", name)
		}
	}
}

// T2.12: the key after Erase, and what a draw leaves behind, are zero.
func TestT2_12_EraseOverwrites(t *testing.T) {
	for _, p := range []*Params{profileS(t, 2048), params(t, High, 4096, 10, 10), params(t, Paired, 8192, 10, 10)} {
		s := NewSecret(p, [32]byte{1})
		coeffs, ntt := s.Coefficients(), s.ntt
		if len(coeffs) != p.n || len(ntt) != p.blockDim() {
			t.Fatal("the key has another form")
		}
		s.Erase()
		zero(t, "coefficients", coeffs)
		zero(t, "transform", ntt)
	}
	draw := newSampler(Sigma65, [32]byte{1})
	draw.fill(make([]int64, 4096))
	buf := draw.buf[:cap(draw.buf)]
	draw.fill(make([]int64, 64))
	draw.erase()
	zero(t, "randomness", buf)
	zero(t, "digits", draw.digits[:])
	for _, plane := range draw.planes {
		zero(t, "planes", plane[:])
	}
	draw = newSampler(Sigma65, [32]byte{1})
	draw.fill(make([]int64, 64))
	outgrown := draw.buf[:cap(draw.buf)]
	draw.fill(make([]int64, 4096))
	zero(t, "randomness outgrown", outgrown)
}

// T2.12: what Mask holds besides its result is zero when it returns, also when it refuses or panics.
func TestT2_12_MaskErases(t *testing.T) {
	for _, p := range []*Params{profileS(t, 3000), params(t, Paired, 10_000, 10, 10)} {
		s := NewSecret(p, [32]byte{1})
		for name, run := range map[string]func(w *work) error{
			"masked":  func(w *work) error { return w.mask(p, make([]byte, p.PackedLen()), s, make([]int32, p.literal.Dim)) },
			"refused": func(w *work) error { return w.mask(p, make([]byte, 1), s, make([]int32, p.literal.Dim)) },
			"panicked": func(w *work) (err error) {
				defer func() { err = fmt.Errorf("%v", recover()) }()
				return w.mask(p, make([]byte, p.PackedLen()), &Secret{ntt: s.ntt[:1]}, make([]int32, p.literal.Dim))
			},
		} {
			w := newWork(p, [32]byte{2}, [32]byte{3})
			w.draw.fill(w.noise)
			copy(w.block, s.ntt)
			if err := run(w); (err == nil) != (name == "masked") {
				t.Fatalf("%s: %v", name, err)
			}
			zero(t, name+": noise", w.noise)
			zero(t, name+": masked values", w.block)
			zero(t, name+": randomness", w.draw.buf[:cap(w.draw.buf)])
			zero(t, name+": digits", w.draw.digits[:])
		}
	}
}

// A key has no text form: it prints redacted, and every encoder refuses it, by value or pointer.
func TestSecretsRedactThemselves(t *testing.T) {
	s := NewSecret(profileS(t, 2048), [32]byte{1})
	const redacted = "mask.Secret(redacted)"
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
		if text := fmt.Sprintf(verb, s); text != redacted {
			t.Errorf("%s prints %.60s", verb, text)
		}
		if text := fmt.Sprintf(verb, *s); text != redacted {
			t.Errorf("%s prints %.60s by value", verb, text)
		}
	}
	for _, v := range []any{s, *s, struct{ Key *Secret }{s}, map[string]Secret{"key": *s}} {
		if b, err := json.Marshal(v); !errors.Is(err, errSecret) {
			t.Errorf("JSON: %.60s, %v", b, err)
		}
		if err := gob.NewEncoder(new(bytes.Buffer)).Encode(v); !errors.Is(err, errSecret) {
			t.Errorf("gob: %v", err)
		}
	}
	if _, err := s.MarshalText(); !errors.Is(err, errSecret) {
		t.Error("text")
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("", "key", s)
	slog.New(slog.NewTextHandler(&log, nil)).Info("", "key", *s)
	if strings.Count(log.String(), errSecret.Error()) != 2 {
		t.Errorf("logs as %.200s", log.String())
	}
}
