package mechanism

import (
	"bytes"
	"encoding/hex"
	"math/big"
	"strings"
	"testing"
)

// The canonical bytes are part of signed plans: this vector must not change.
const canonicalVector = "0000001674757474692f6d656368616e69736d2f706172616d73" + "02" + // domain, version
	"0000000000000fa0" + "0000000000009000" + "0000000000001000" + // d, D, block
	"00000003302e35" + "0000000000002000" + // clip 0.5, clip in grid units
	"00000020" + "0000000000000000000000000000000000000000000000000000000000000000" + // signs
	"0000000000002002" + "0000000028050028" + "0000000000000007" + "0000000000021cd3" + // B, sigma^2, M
	"00000007382e3435313534" + // z 8.45154
	"0000000000000038" + "0000000000000068" + "0000000000000006" + "000000001fffffff" + "01" + "00" // sum limit, noise, unmetered

func TestCanonicalRoundTrip(t *testing.T) {
	for name, l := range realistic() {
		for i := range l.Signs {
			l.Signs[i] = byte(i)
		}
		p := mustDesign(t, l)
		b := p.AppendCanonical([]byte("prefix"))[6:]
		got, err := ParseParams(b)
		if err != nil || got != p {
			t.Errorf("%s: %+v came back as %+v, %v", name, p, got, err)
		}
		for n := range b { // every truncation, and every byte too many
			if _, err := ParseParams(b[:n]); err == nil {
				t.Errorf("%s: %d of %d bytes are accepted", name, n, len(b))
			}
		}
		if _, err := ParseParams(append(b, 0)); err == nil {
			t.Errorf("%s: a trailing byte is accepted", name)
		}
		for at, bad := range map[int]byte{len(b) - 1: 2, len(b) - 2: 3, 4 + len(paramsDomain): 1} { // unmetered, noise, version
			wrong := bytes.Clone(b)
			wrong[at] = bad
			if _, err := ParseParams(wrong); err == nil {
				t.Errorf("%s: byte %d = %d is accepted", name, at, bad)
			}
		}
	}
}

func TestCanonicalVector(t *testing.T) {
	p := mustDesign(t, Literal{Dim: 4000, Clip: 0.5, NMin: 56, NMax: 104, Colluders: 6, Rho: big.NewRat(7, 1000), Noise: true})
	want, err := hex.DecodeString(canonicalVector)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.AppendCanonical(nil); !bytes.Equal(got, want) {
		t.Fatalf("canonical bytes are\n%x, want\n%x", got, want)
	}
}

// A decimal has one form: 0.50 is not read as 0.5.
func TestCanonicalDecimalIsTheShortest(t *testing.T) {
	b, err := hex.DecodeString(strings.Replace(canonicalVector, "00000003302e35", "00000004302e3530", 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseParams(b); err == nil {
		t.Error("0.50 is accepted")
	}
}

func FuzzParseParams(f *testing.F) {
	for _, l := range realistic() {
		f.Add(mustDesign(f, l).AppendCanonical(nil))
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseParams(b)
		if err != nil {
			return
		}
		if again := p.AppendCanonical(nil); !bytes.Equal(again, b) {
			t.Fatalf("two forms of one value: %x and %x", b, again)
		}
		_ = p.Validate() // must not panic, whatever was parsed
		if p.Validate() == nil && p.Noise && p.Rho() == nil {
			t.Fatal("valid noise without a claim")
		}
	})
}
