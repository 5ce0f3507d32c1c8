package silo

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// everyMessage of one round with its reader.
func everyMessage(t testing.TB) (*world, map[string][]byte, map[string]func([]byte) error) {
	w := newWorld(t, small())
	w.makeKeys()
	w.contribute(1, 0, 1, 2)
	tally := w.tally()
	proposal := w.propose(tally, 0, 1, 2)
	partial, _, err := w.parties[0].Decrypt(chacha(1), proposal, tally)
	if err != nil {
		t.Fatal(err)
	}
	replaced := func(list [][]byte, b []byte) [][]byte {
		return append([][]byte{b}, list[1:]...)
	}
	return w, map[string][]byte{
			"announcement": w.announcements[0], "key share": w.shares[0], "contribution": w.contributions[0], "partial": partial, "proposal": proposal, "configuration": w.cfg.Bytes(),
		}, map[string]func([]byte) error{
			"announcement": func(b []byte) error { _, _, err := w.cfg.parseAnnouncements(replaced(w.announcements, b)); return err },
			"key share":    func(b []byte) error { _, err := w.cfg.KeysDigest(replaced(w.shares, b)); return err },
			"contribution": func(b []byte) error { return NewTally(w.cfg, w.parties[0].Keys()).Add(b) },
			"partial": func(b []byte) error {
				o, err := NewOpening(tally, proposal)
				if err != nil {
					return err
				}
				return o.Add(b)
			},
			"proposal": func(b []byte) error {
				p, err := w.cfg.ParseProposal(b)
				if err == nil && !bytes.Equal(p.encode(w.cfg.digest), b) {
					return errors.New("not canonical")
				}
				return err
			},
			"configuration": func(b []byte) error { _, err := ParseConfig(b); return err },
		}
}

func TestMessagesDamaged(t *testing.T) {
	w, messages, read := everyMessage(t)
	r := rand.New(rand.NewPCG(1, 2))
	for name, b := range messages {
		if err := read[name](b); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, bad := range [][]byte{nil, b[:1], b[:len(b)-1], append(bytes.Clone(b), 0)} {
			if err := read[name](bad); err == nil {
				t.Errorf("%s of %d bytes instead of %d was read", name, len(bad), len(b))
			}
		}
		if name == "proposal" || name == "configuration" {
			continue // unsigned: what they say is checked elsewhere
		}
		positions := []int{0, 2, 3, 4, 36, 37, headerLen, len(b) - 1, len(b) - 65}
		for range 20 {
			positions = append(positions, r.IntN(len(b)))
		}
		for _, i := range positions {
			bad := bytes.Clone(b)
			bad[i] ^= 1
			if err := read[name](bad); err == nil {
				t.Errorf("%s with byte %d flipped was read", name, i)
			}
		}
		// signed by another organisation
		forged := sign(bytes.Clone(b[:len(b)-ed25519.SignatureSize]), w.signers[1])
		if err := read[name](forged); !errors.Is(err, ErrSignature) {
			t.Errorf("%s signed by another: %v", name, err)
		}
		// signed under another configuration
		other := bytes.Clone(b[:len(b)-ed25519.SignatureSize])
		other[10] ^= 1
		if err := read[name](sign(other, w.signers[0])); !errors.Is(err, RefuseOtherConfig) {
			t.Errorf("%s of another configuration: %v", name, err)
		}
		// another kind, another sender, properly signed
		other = bytes.Clone(b[:len(b)-ed25519.SignatureSize])
		other[3]++
		if err := read[name](sign(other, w.signers[0])); !errors.Is(err, ErrEncoding) {
			t.Errorf("%s called something else: %v", name, err)
		}
		other = bytes.Clone(b[:len(b)-ed25519.SignatureSize])
		other[37] = 4
		if err := read[name](sign(other, w.signers[0])); !errors.Is(err, ErrEncoding) {
			t.Errorf("%s of nobody: %v", name, err)
		}
		if name == "announcement" || name == "key share" {
			other[37] = 1
			if err := read[name](sign(other, w.signers[1])); !errors.Is(err, ErrEncoding) {
				t.Errorf("%s of organisation 1 in place of 0: %v", name, err)
			}
		}
		// a residue that is not reduced, properly signed
		if name != "announcement" {
			other = bytes.Clone(b[:len(b)-ed25519.SignatureSize])
			for i := range w.cfg.params.widths[0] {
				other[headerLen+digestLen+i] = 0xff
			}
			if err := read[name](sign(other, w.signers[0])); !errors.Is(err, ErrEncoding) {
				t.Errorf("%s with a residue above its prime: %v", name, err)
			}
		}
	}
}

// Exactly q is refused, q-1 is taken: the "-0" of a Gaussian sampler has no second encoding.
func TestResidueQ(t *testing.T) {
	p, _, _ := libraryRing(t)
	pol := p.bgv.RingQ().NewPoly()
	pol.Coeffs[1][7] = p.literal.Moduli[1] - 1
	b := p.appendPoly(nil, pol)
	if _, err := p.readPoly(b); err != nil {
		t.Fatal(err)
	}
	at := p.widths[0]<<p.literal.LogN + 8*p.widths[1] - 1
	b[at]++
	if _, err := p.readPoly(b); !errors.Is(err, ErrEncoding) {
		t.Fatalf("q itself: %v", err)
	}
}

func TestConfigBinds(t *testing.T) {
	literal, _ := literalOf(t, small(), 1)
	base, err := NewConfig(literal)
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseConfig(base.Bytes())
	if err != nil || back.Digest() != base.Digest() {
		t.Fatalf("parsed: %v", err)
	}
	for name, change := range map[string]func(*ConfigLiteral){
		"task":  func(l *ConfigLiteral) { l.Task = "hospitam" },
		"round": func(l *ConfigLiteral) { l.Round++ },
		"seed":  func(l *ConfigLiteral) { l.Seed[31]++ },
		"key":   func(l *ConfigLiteral) { _, ks := signersOf(9); l.Keys[2] = ks[8] },
		"order": func(l *ConfigLiteral) { l.Keys[0], l.Keys[1] = l.Keys[1], l.Keys[0] },
		"bound": func(l *ConfigLiteral) { l.Params.Bound++ },
		"flood": func(l *ConfigLiteral) { l.Params.FloodBits++ },
		"sigma": func(l *ConfigLiteral) { l.Params.Sigma++ },
		"n_min": func(l *ConfigLiteral) { l.Params.Minimum++ },
	} {
		l, _ := literalOf(t, small(), 1)
		change(&l)
		c, err := NewConfig(l)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if c.Digest() == base.Digest() {
			t.Errorf("%s is not in the digest", name)
		}
	}
	for name, change := range map[string]func(*ConfigLiteral){
		"no task":    func(l *ConfigLiteral) { l.Task = "" },
		"long task":  func(l *ConfigLiteral) { l.Task = strings.Repeat("x", 257) },
		"few keys":   func(l *ConfigLiteral) { l.Keys = l.Keys[:3] },
		"short key":  func(l *ConfigLiteral) { l.Keys[1] = l.Keys[1][:31] },
		"double key": func(l *ConfigLiteral) { l.Keys[1] = l.Keys[3] },
	} {
		l, _ := literalOf(t, small(), 1)
		change(&l)
		if _, err := NewConfig(l); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i, key := range map[int]int{-1: 0, 4: 0, 1: 0} {
		_, signers := literalOf(t, small(), 1)
		if _, err := NewParty(base, i, signers[key]); !errors.Is(err, ErrConfig) {
			t.Errorf("organisation %d with the key of %d: %v", i, key, err)
		}
	}
}

func TestSecretsHaveNoText(t *testing.T) {
	w := newWorld(t, small())
	w.makeKeys()
	p := w.parties[0]
	record := w.records(0)[0]
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, v := range []any{p, record} {
			if s := fmt.Sprintf(verb, v); len(s) > 80 || !strings.HasPrefix(s, "silo.") {
				t.Errorf("%s of a secret: %q", verb, s)
			}
		}
	}
	for _, v := range []any{p, record} {
		if _, err := json.Marshal(v); err == nil {
			t.Errorf("%T has a JSON form", v)
		}
		if _, err := v.(interface{ GobEncode() ([]byte, error) }).GobEncode(); err == nil {
			t.Errorf("%T has a gob form", v)
		}
		if _, err := v.(interface{ MarshalText() ([]byte, error) }).MarshalText(); err == nil {
			t.Errorf("%T has a text form", v)
		}
	}
	if s := p.LogValue().String() + record.LogValue().String(); len(s) > 120 {
		t.Errorf("logged: %q", s)
	}
}

func fuzzMessage(f *testing.F, name string) {
	_, messages, read := everyMessage(f)
	f.Add(messages[name])
	f.Add(messages[name][:len(messages[name])/2])
	f.Add([]byte("TS\x01"))
	f.Fuzz(func(t *testing.T, b []byte) { tryMessage(t, name, messages[name], read[name], b) })
}

// tryMessage demands of any bytes that nothing is read that nobody signed, and that what is read is canonical.
func tryMessage(t testing.TB, name string, good []byte, read func([]byte) error, b []byte) {
	if err := read(b); err == nil && !bytes.Equal(b, good) && name != "configuration" && name != "proposal" {
		t.Fatal("a message that nobody signed was read")
	} else if err != nil && err.Error() == "not canonical" {
		t.Fatal(err)
	}
}

func FuzzAnnouncement(f *testing.F)  { fuzzMessage(f, "announcement") }
func FuzzKeyShare(f *testing.F)      { fuzzMessage(f, "key share") }
func FuzzContribution(f *testing.F)  { fuzzMessage(f, "contribution") }
func FuzzPartial(f *testing.F)       { fuzzMessage(f, "partial") }
func FuzzProposal(f *testing.F)      { fuzzMessage(f, "proposal") }
func FuzzConfiguration(f *testing.F) { fuzzMessage(f, "configuration") }

func FuzzRecord(f *testing.F) {
	w, _, _ := everyMessage(f)
	for k, v := range w.stores[1] {
		f.Add(k, v)
	}
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		records := append(w.records(1), Record{key, value})
		p, err := RestoreParty(w.cfg, 1, w.signers[1], records)
		if err == nil && p == nil {
			t.Fatal("neither a party nor an error")
		}
	})
}
