package mechanism

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestClipBoundsEveryNorm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		update := rapid.SliceOf(rapid.Float32()).Draw(t, "update")
		c := rapid.Float64Range(1e-6, 1e6).Draw(t, "c")
		before := append([]float32(nil), update...)
		x := Clip(update, c)
		if x.Len() != len(update) {
			t.Fatalf("length %d, want %d", x.Len(), len(update))
		}
		if n := norm(x.data.values); !(n <= c) {
			t.Fatalf("norm %g exceeds the clip %g", n, c)
		}
		for i := range update {
			if math.Float32bits(update[i]) != math.Float32bits(before[i]) {
				t.Fatal("Clip changed its input")
			}
		}
	})
}

func TestClipKeepsWhatIsShortAndTheDirectionOfWhatIsLong(t *testing.T) {
	short := []float32{0.3, -0.4}
	if x := Clip(short, 1); x.data.values[0] != 0.3 || x.data.values[1] != -0.4 {
		t.Fatalf("a short update changed to %v", x.data.values)
	}
	x := Clip([]float32{300, -400}, 1).data.values
	if math.Abs(float64(x[0])-0.6) > 1e-6 || math.Abs(float64(x[1])+0.8) > 1e-6 {
		t.Fatalf("a long update became %v, want about [0.6 -0.8]", x)
	}
	if !Clip(short, 1).Within() || Clip([]float32{300, -400}, 499).Within() || (Clipped{}).Within() {
		t.Error("the clip bit is wrong")
	}
	if !Clip([]float32{3, 4}, 5).Within() {
		t.Error("an update of the clip's own length is not within it")
	}
	if n := norm(Clip([]float32{0.6003, 0.8004}, 1).data.values); n > 1 || n < 0.999999 {
		t.Errorf("a norm of 1.0005 became %g, want at most 1", n)
	}
	tiny := Clip([]float32{math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32}, 1)
	if tiny.data.values[0] != math.SmallestNonzeroFloat32 || !tiny.Within() {
		t.Errorf("denormals became %v", tiny.data.values)
	}
	huge := Clip([]float32{math.MaxFloat32, -math.MaxFloat32}, 2).data.values
	if math.Abs(norm(huge)-2) > 1e-5 {
		t.Fatalf("the largest floats were clipped to a norm of %g, want 2", norm(huge))
	}
}

func TestClipZeroesWhatHasNoUsableNorm(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for name, test := range map[string]struct {
		update []float32
		c      float64
	}{
		"NaN":           {[]float32{1, nan, 2}, 1},
		"infinity":      {[]float32{1, inf, 2}, 1},
		"minus inf":     {[]float32{-inf, 1}, 1},
		"inf minus inf": {[]float32{inf, -inf}, 1},
		"zero":          {[]float32{0, 0}, 1},
		"zero clip":     {[]float32{1, 2}, 0},
		"negative clip": {[]float32{1, 2}, -1},
		"NaN clip":      {[]float32{1, 2}, math.NaN()},
		"infinite clip": {[]float32{1, 2}, math.Inf(1)},
	} {
		x := Clip(test.update, test.c)
		if want := name == "zero"; x.Within() != want {
			t.Errorf("%s: within %v", name, x.Within())
		}
		if x.Len() != len(test.update) || norm(x.data.values) != 0 {
			t.Errorf("%s: got %v, want zeros of the same length", name, x.data.values)
		}
	}
}

func TestClippedErases(t *testing.T) {
	x := Clip([]float32{1, 2}, 10)
	x.Erase()
	if norm(x.data.values) != 0 {
		t.Fatal("values survive Erase")
	}
	if x.Within() {
		t.Error("the clip bit survives Erase")
	}
	Clipped{}.Erase() // an empty one is harmless
}

// The vector below would print as 0.123..., its encoding as 1011-ish
// integers; neither may appear under any verb, logger or marshaller.
func TestStagesRedactThemselves(t *testing.T) {
	clipped := Clip([]float32{0.12345, 0.12345}, 1)
	codec := mustCodec(t, mustDesign(t, Literal{Dim: 2, Clip: 1, NMin: 1, NMax: 1}))
	encoded, err := codec.Encode(clipped, seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	type nested struct {
		x Clipped
		e Encoded
	}
	secret := []string{"12345", fmt.Sprint(encoded.Values()[0]), fmt.Sprintf("%x", encoded.Values()[0])}
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("m", "x", clipped, "e", encoded)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("m", "x", clipped, "e", encoded)
	shown := []string{logged.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
		shown = append(shown, fmt.Sprintf(verb, clipped), fmt.Sprintf(verb, encoded), fmt.Sprintf(verb, &clipped))
	}
	shown = append(shown, fmt.Sprintf("%v %+v", nested{clipped, encoded}, nested{clipped, encoded}))
	for _, s := range shown {
		for _, bad := range secret {
			if strings.Contains(s, bad) {
				t.Errorf("%q shows %q", s, bad)
			}
		}
	}
	for _, v := range []any{clipped, encoded, &clipped} {
		if b, err := json.Marshal(v); err == nil {
			t.Errorf("%T marshals to %s", v, b)
		}
		if _, err := v.(interface{ MarshalBinary() ([]byte, error) }).MarshalBinary(); err == nil {
			t.Errorf("%T marshals to binary", v)
		}
	}
}
