package model

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"testing"
)

func sampleVersion() Version {
	return Version{
		Number: 7, Parent: Digest{1}, Spec: Digest{2}, Layout: Digest{3}, Items: Digest{4}, Params: Digest{5},
		Popularity: Digest{6}, Transitions: Digest{7}, Blend: "0.7",
	}
}

func TestVersionRoundTrip(t *testing.T) {
	for _, v := range []Version{sampleVersion(), {Number: 1}, {Number: 1<<64 - 1, Blend: "1e-07"}, {Number: 2, Blend: "0"}, {Number: 2, Blend: "1"}} {
		b, err := v.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseVersion(b)
		if err != nil || got != v {
			t.Errorf("%+v came back as %+v, %v", v, got, err)
		}
	}
}

// The test vector: recompute only when the format byte changes.
func TestVersionVector(t *testing.T) {
	v := sampleVersion()
	b, err := v.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	const head = "0000001374757474692f6d6f64656c2f76657273696f6e" + "01" + "0000000000000007"
	if got := hex.EncodeToString(b[:len(head)/2]); got != head {
		t.Errorf("starts with %s, want %s", got, head)
	}
	if tail := hex.EncodeToString(b[len(b)-7:]); tail != "00000003302e37" {
		t.Errorf("ends with %s", tail)
	}
	const want = "a2fc3cb23cede36c27a2efcf35dbbfbe25ff35f6d8ba36b3b85e7d9980a49e22"
	if v.Digest().String() != want {
		t.Errorf("digest %s, want %s", v.Digest(), want)
	}
}

func TestVersionRefuses(t *testing.T) {
	for name, v := range map[string]Version{
		"number 0":     {},
		"above 1":      {Number: 1, Blend: "1.5"},
		"below 0":      {Number: 1, Blend: "-0.5"},
		"minus zero":   {Number: 1, Blend: "-0"},
		"NaN":          {Number: 1, Blend: "NaN"},
		"not shortest": {Number: 1, Blend: "0.70"},
		"no number":    {Number: 1, Blend: "half"},
		"long":         {Number: 1, Blend: "0.1000000000000000000000000000000000001"},
	} {
		if b, err := v.Marshal(); err == nil {
			t.Errorf("%s: marshalled to %x", name, b)
		}
	}
	good, err := sampleVersion().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if _, err := ParseVersion(good[:n]); err == nil {
			t.Errorf("parsed the first %d of %d bytes", n, len(good))
		}
	}
	if _, err := ParseVersion(append(bytes.Clone(good), 0)); err == nil {
		t.Error("parsed a byte too many")
	}
	for _, at := range []int{0, 5, 23} { // length, domain, format
		bad := bytes.Clone(good)
		bad[at] ^= 0xff
		if _, err := ParseVersion(bad); err == nil {
			t.Errorf("parsed with byte %d changed", at)
		}
	}
}

func TestBlendWeight(t *testing.T) {
	for blend, want := range map[string]float64{"": 1, "0": 0, "0.7": 0.7, "1": 1, FormatBlend(1.0 / 3): 1.0 / 3} {
		if got, err := (Version{Blend: blend}).BlendWeight(); err != nil || got != want {
			t.Errorf("%q is %v (%v), want %v", blend, got, err, want)
		}
	}
}

func TestDigestText(t *testing.T) {
	d := Digest{0xab, 1}
	parsed, err := ParseDigest(d.String())
	if err != nil || parsed != d {
		t.Errorf("%s came back as %s, %v", d, parsed, err)
	}
	for _, bad := range []string{"", "ab", d.String() + "00", "AB" + d.String()[2:], "zz" + d.String()[2:]} {
		if _, err := ParseDigest(bad); err == nil {
			t.Errorf("parsed %q", bad)
		}
	}
	b, err := json.Marshal(map[string]Digest{"d": d})
	var back map[string]Digest
	if err != nil || json.Unmarshal(b, &back) != nil || back["d"] != d {
		t.Errorf("through JSON %s: %v, %v", b, back, err)
	}
	if json.Unmarshal([]byte(`{"d":"ab"}`), &back) == nil {
		t.Error("JSON with a short digest was accepted")
	}
	if !(Digest{}).IsZero() || d.IsZero() {
		t.Error("IsZero is wrong")
	}
}

func FuzzParseVersion(f *testing.F) {
	good, err := sampleVersion().Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:40])
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := ParseVersion(b)
		if err != nil {
			return
		}
		again, err := v.Marshal()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x parses but marshals to %x, %v", b, again, err)
		}
	})
}
