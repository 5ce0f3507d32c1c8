package aggregation

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tutti/aggregation/mask"
	"tutti/aggregation/share"
)

var update = flag.Bool("update", false, "rewrite vectors and transcripts in testdata")

// TestVectors makes every file of testdata/vectors again and compares it byte for byte; -update writes them.
//
// A file is for an implementer who has read SPEC.md: inputs, results, and under "bad" what must be refused, with the name of the reason.
// Byte strings are hexadecimal, integers reach 2^64. A bad encoding is the good one with a "cut" of so many bytes at the end, bytes that
// are "append"ed, or bytes "set" at offsets.
func TestVectors(t *testing.T) {
	cast := newVectorCast(t)
	for _, file := range []struct { // in this order: the round ends what the upload's verdicts need
		name string
		make func(*testing.T) any
	}{
		{"population", populationVectors}, {"parameters", parameterVectors}, {"mask", maskVectors}, {"share", shareVectors},
		{"roundkey", cast.roundKeyVectors}, {"config", cast.configVectors}, {"upload", cast.uploadVectors}, {"round", cast.roundVectors},
		{"norm", normVectors},
	} {
		t.Run(file.name, func(t *testing.T) {
			got, err := json.MarshalIndent(file.make(t), "", " ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			path := filepath.Join("testdata", "vectors", file.name+".json")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s is not what the code gives: an incompatible change, or run with -update", path)
			}
		})
	}
}

// object is one JSON object; its keys are written in alphabetic order.
type object = map[string]any

// hexed is a byte string in a vector.
func hexed(b []byte) string { return hex.EncodeToString(b) }

// seedOf names 32 bytes that look random.
func seedOf(name string) [32]byte { return sha256.Sum256([]byte("tutti vector " + name)) }

func hexSeed(name string) string { s := seedOf(name); return hexed(s[:]) }

// sumOfBytes is SHA-256 in hexadecimal, for what is too long to list.
func sumOfBytes(b []byte) string { d := sha256.Sum256(b); return hexed(d[:]) }

// sumOfWords is SHA-256 over numbers as little-endian 64-bit words, negative ones in two's complement.
func sumOfWords[T int64 | uint64](words []T) string {
	b := make([]byte, 0, 8*len(words))
	for _, v := range words {
		for i := range 8 {
			b = append(b, byte(uint64(v)>>(8*i)))
		}
	}
	return sumOfBytes(b)
}

func vectorKey(name string) ed25519.PrivateKey {
	seed := seedOf(name)
	return ed25519.NewKeyFromSeed(seed[:])
}

// reasonOf is the name that a vector gives to an error.
func reasonOf(t *testing.T, err error) string {
	t.Helper()
	var reason Reason
	var refusal Refusal
	switch {
	case errors.As(err, &reason):
		return reason.Label()
	case errors.As(err, &refusal):
		return refusal.Label()
	}
	for _, known := range []struct {
		err  error
		name string
	}{
		{ErrEncoding, "malformed"}, {ErrPopulation, "population"}, {ErrRoster, "roster"}, {ErrCohort, "cohort"}, {ErrCommittee, "committee"},
		{ErrKeySum, "key_sum"}, {ErrDimension, "dimension"}, {ErrOverflow, "overflow"}, {ErrModulus, "modulus"}, {ErrMargin, "margin"},
		{ErrConfig, "configuration"}, {ErrInconsistent, "inconsistent"}, {ErrTooFew, "too_few"}, {ErrGarbled, "garbled"},
		{ErrSharing, "bad_sharing"}, {share.ErrInconsistent, "inconsistent"}, {share.ErrTooFew, "too_few"}, {mask.ErrGarbled, "garbled"},
		{ErrVector, "bad_vector"},
	} {
		if errors.Is(err, known.err) {
			return known.name
		}
	}
	t.Fatalf("an error without a name, or none: %v", err)
	return ""
}

// differs says what makes a bad encoding of the good one.
func differs(good, bad []byte) object {
	o := object{}
	if len(bad) < len(good) {
		o["cut"] = len(good) - len(bad)
		good = good[:len(bad)]
	} else if len(bad) > len(good) {
		o["append"] = hexed(bad[len(good):])
	}
	set := []object{}
	for i := 0; i < len(good); {
		if good[i] == bad[i] {
			i++
			continue
		}
		end := i + 1 // a gap of fewer than eight equal bytes is written along
		for k := end; k < len(good) && k < end+8; k++ {
			if good[k] != bad[k] {
				end = k + 1
			}
		}
		set = append(set, object{"at": i, "bytes": hexed(bad[i:end])})
		i = end
	}
	if len(set) > 0 {
		o["set"] = set
	}
	return o
}

// badList collects encodings that must be refused.
type badList struct {
	t    *testing.T
	good []byte
	list []object
	try  func(encoded []byte) error
}

// add changes a copy of the good encoding, and notes why it is refused.
func (l *badList) add(name string, bad []byte) {
	l.t.Helper()
	if bytes.Equal(bad, l.good) {
		l.t.Fatalf("%s: nothing changed", name)
	}
	o := differs(l.good, bad)
	o["name"], o["reason"] = name, reasonOf(l.t, l.try(bad))
	l.list = append(l.list, o)
}

// at sets bytes of the good encoding.
func (l *badList) at(name string, offset int, b ...byte) {
	l.t.Helper()
	bad := bytes.Clone(l.good)
	copy(bad[offset:], b)
	l.add(name, bad)
}

// framing adds what every encoding has to refuse.
func (l *badList) framing() {
	l.t.Helper()
	l.add("truncated", l.good[:len(l.good)-1])
	l.add("empty", nil)
	l.add("trailing byte", append(bytes.Clone(l.good), 0))
	l.at("other label", 5, 'T')
	l.at("longer label", 3, l.good[3]+1)
	l.at("other version", 4+int(l.good[3]), 2)
}

// TestRecordedEnvelope opens an envelope of the post-quantum suite that was recorded: unlike suite 1's in upload.json, nobody can make it
// again from seeds. It is written once, with -update, if it is missing.
func TestRecordedEnvelope(t *testing.T) {
	file := filepath.Join("testdata", "vectors", "recorded.json")
	var rec struct{ Seed, Public, Info, Envelope, Plaintext string }
	seed := seedOf("recorded member")
	key, err := SuiteMLKEM768X25519.privateKey(seed[:])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); *update && os.IsNotExist(err) {
		info, words := envelopeInfo(Digest{1}, DeviceID{2}, [16]byte{3}, 4), []uint64{0, 1, share.P - 1}
		env, err := sealShare(key.PublicKey(), info, share.Default(), words)
		if err != nil {
			t.Fatal(err)
		}
		plain := append([]byte{shareVersion}, packWords(share.Default(), words)...)
		b, err := json.MarshalIndent(object{"seed": hexed(seed[:]), "public": hexed(key.PublicKey().Bytes()), "info": hexed(info),
			"envelope": hexed(env), "plaintext": hexed(plain)}, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &rec)
	}
	if err != nil {
		t.Fatal(err)
	}
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if rec.Public != hexed(key.PublicKey().Bytes()) {
		t.Error("the seed gives another public key")
	}
	words := make([]uint64, 3)
	packed, reason := openShare(key, unhex(rec.Info), unhex(rec.Envelope), share.Default(), words)
	if reason != Accepted || hexed(append([]byte{shareVersion}, packed...)) != rec.Plaintext {
		t.Errorf("%v, %x", reason, packed)
	}
	info := unhex(rec.Info)
	info[len(info)-1]++
	if _, reason := openShare(key, info, unhex(rec.Envelope), share.Default(), words); reason != ReasonEnvelope {
		t.Errorf("under another member's info: %v", reason)
	}
}

// SPEC.md lists every reason and refusal by number, and every label.
func TestSpecificationIsComplete(t *testing.T) {
	b, err := os.ReadFile("SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	spec := string(b)
	need := func(text string) {
		if !strings.Contains(spec, text) {
			t.Errorf("SPEC.md lacks %q", text)
		}
	}
	for r := range reasonCount {
		need(fmt.Sprintf("| %d | %s |", r, r.Label()))
	}
	for r := Refusal(1); r < refusalCount; r++ {
		need(fmt.Sprintf("| %d | %s |", r, r.Label()))
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("validity/*.go")
	if err != nil {
		t.Fatal(err)
	}
	label := regexp.MustCompile(`"tutti/agg/v1/([a-z/]+)"`)
	found := 0
	for _, file := range append(sources, more...) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		code, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range label.FindAllStringSubmatch(string(code), -1) {
			need("`" + m[1] + "`")
			found++
		}
	}
	if found < 30 {
		t.Errorf("only %d labels found in the code", found)
	}
}
