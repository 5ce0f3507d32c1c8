package aggregation

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"io"
	"testing"
)

func marshalJSON(v any) ([]byte, error) { return json.Marshal(v) }
func encodeGob(v any) error             { return gob.NewEncoder(io.Discard).Encode(v) }

// codec is one decoder with its encoder: what parses must encode to the same bytes.
type codec struct {
	name  string
	parse func([]byte) ([]byte, error)
}

// try demands of any bytes that what parses encodes to the same again, and says whether they parsed.
func (c codec) try(t testing.TB, b []byte) bool {
	again, err := c.parse(b)
	if err == nil && !bytes.Equal(again, b) {
		t.Fatalf("accepted %x, encodes as %x", b, again)
	}
	return err == nil
}

func codecs(cfg *Config) []codec {
	return []codec{
		{"config", func(b []byte) ([]byte, error) {
			c, err := ParseConfig(b)
			if err != nil {
				return nil, err
			}
			return c.encode(), nil
		}},
		{"header", func(b []byte) ([]byte, error) {
			h, err := ParseHeader(b)
			if err != nil {
				return nil, err
			}
			return h.Marshal()
		}},
		{"memberheader", func(b []byte) ([]byte, error) {
			h, err := ParseMemberHeader(b)
			if err != nil {
				return nil, err
			}
			return h.Marshal()
		}},
		{"set", func(b []byte) ([]byte, error) {
			s, err := ParseSet(b)
			if err != nil {
				return nil, err
			}
			return s.Marshal(), nil
		}},
		{"proposal", func(b []byte) ([]byte, error) {
			p, err := ParseProposal(b)
			if err != nil {
				return nil, err
			}
			return p.Marshal(), nil
		}},
		{"certificate", func(b []byte) ([]byte, error) {
			c, err := ParseCertificate(b)
			if err != nil {
				return nil, err
			}
			return c.Marshal(), nil
		}},
		{"abandon", func(b []byte) ([]byte, error) {
			c, err := ParseAbandonCertificate(b)
			if err != nil {
				return nil, err
			}
			return c.Marshal(), nil
		}},
		{"answer", func(b []byte) ([]byte, error) {
			a, err := ParseAnswer(b)
			if err != nil {
				return nil, err
			}
			return a.Marshal(), nil
		}},
		{"partial", func(b []byte) ([]byte, error) {
			a, err := ParseAccumulator(cfg, b)
			if err != nil {
				return nil, err
			}
			return a.Marshal(), nil
		}},
	}
}

// samples gives one honest encoding for each codec.
func samples(t testing.TB) (*world, map[string][]byte) {
	w := newWorld(t, testParams(13, 2, 100), 3)
	ups := w.sealUnits()
	w.acceptAll(all(5), ups)
	set := setOf(t, ups)
	cert := w.certify(all(5), set)
	var abandon AbandonCertificate
	abandon.Round = w.cfg.Round()
	for j := range 2 {
		abandon.Signatures = append(abandon.Signatures, AbandonSignature{Member: uint16(j + 1), Signature: make([]byte, 64)})
	}
	header, err := ups[0].Header.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	cut, err := w.cut(ups[0].Header, 2).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return w, map[string][]byte{
		"config": w.cfg.Marshal(), "header": header, "memberheader": cut, "set": set.Marshal(),
		"proposal": (&Proposal{Cfg: w.cfg.Digest(), Set: set}).Marshal(), "certificate": cert.Marshal(), "abandon": abandon.Marshal(),
		"answer": w.answers([]int{0}, cert)[0].Marshal(), "partial": w.sumOf(ups).Marshal(),
	}
}

// Every encoding comes back; every truncation, extension and change of version or label is refused.
func TestEncodingsAreCanonical(t *testing.T) {
	w, good := samples(t)
	for _, c := range codecs(w.cfg) {
		b := good[c.name]
		again, err := c.parse(b)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s: does not come back: %v", c.name, err)
			continue
		}
		for cut := 0; cut < len(b); cut += 1 + len(b)/500 {
			if _, err := c.parse(b[:cut]); err == nil {
				t.Errorf("%s: %d bytes of %d accepted", c.name, cut, len(b))
			}
		}
		if _, err := c.parse(append(bytes.Clone(b), 0)); !errors.Is(err, ErrEncoding) {
			t.Errorf("%s: a byte too many: %v", c.name, err)
		}
		for at := range 32 { // length of the label, label, version
			changed := bytes.Clone(b)
			changed[at] ^= 1
			if got, err := c.parse(changed); err == nil && at < 4+len("tutti/agg/v1/set")+1 {
				t.Errorf("%s: byte %d changed, accepted as %x", c.name, at, got[:40])
			}
		}
		for name, other := range good {
			if _, err := c.parse(other); err == nil && name != c.name {
				t.Errorf("%s parses as %s", name, c.name)
			}
		}
	}
}

// fuzzCodec: what a decoder accepts is the canonical encoding of what it returns.
func fuzzCodec(f *testing.F, name string) {
	w, good := samples(f)
	f.Add(good[name])
	for _, b := range good {
		f.Add(b[:min(len(b), 60)])
	}
	for _, c := range codecs(w.cfg) {
		if c.name == name {
			f.Fuzz(func(t *testing.T, b []byte) { c.try(t, b) })
		}
	}
}

func FuzzConfig(f *testing.F)             { fuzzCodec(f, "config") }
func FuzzHeader(f *testing.F)             { fuzzCodec(f, "header") }
func FuzzMemberHeader(f *testing.F)       { fuzzCodec(f, "memberheader") }
func FuzzSet(f *testing.F)                { fuzzCodec(f, "set") }
func FuzzProposal(f *testing.F)           { fuzzCodec(f, "proposal") }
func FuzzCertificate(f *testing.F)        { fuzzCodec(f, "certificate") }
func FuzzAbandonCertificate(f *testing.F) { fuzzCodec(f, "abandon") }
func FuzzAnswer(f *testing.F)             { fuzzCodec(f, "answer") }
func FuzzAccumulator(f *testing.F)        { fuzzCodec(f, "partial") }

// FuzzRestore feeds a member's store with one changed record: RestoreMember refuses it or comes up with a state that keeps its word.
func FuzzRestore(f *testing.F) {
	w := newWorld(f, testParams(13, 2, 100), 3)
	ups := w.sealUnits()
	w.acceptAll([]int{0, 1, 2, 3}, ups)
	set := setOf(f, ups)
	w.certify([]int{0, 1, 2, 3}, set)
	n := w.nodes[0]
	for key, value := range n.store {
		f.Add(key, value)
	}
	other := setOf(f, ups[:2])
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		changed := &node{setup: n.setup, store: cloneStore(n.store)}
		changed.store[key] = value
		var records []Record
		for k, v := range changed.store {
			records = append(records, Record{k, v})
		}
		m, err := RestoreMember(n.setup, records)
		if err != nil {
			return
		}
		if _, _, err := m.Sign(w.cfg.Round(), &Proposal{Cfg: w.cfg.Digest(), Set: other}); err == nil {
			t.Fatal("a member that signed one set signs another after a damaged restart")
		}
	})
}
