package blend_test

import (
	"bytes"
	"encoding/hex"
	"math"
	"slices"
	"testing"

	"tutti/model/blend"
	"tutti/model/stats"
)

func TestSpecBytes(t *testing.T) {
	s := blend.Spec{Items: 9, Dim: 4, Blocks: 1, Heads: 2, Hidden: 8, MaxLen: 5, Features: true, Embedding: 3}
	b, err := s.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	const want = "0000001074757474692f6d6f64656c2f73706563" + "01" + // "tutti/model/spec" behind its length, format 1
		"00000009" + "00000004" + "00000001" + "00000002" + "00000008" + "00000005" + "00000003" + "01"
	if hex.EncodeToString(b) != want {
		t.Fatalf("%x", b)
	}
	back, err := blend.ParseSpec(b)
	if err != nil || back != s {
		t.Fatalf("%+v, %v", back, err)
	}
	// One flipped bit anywhere is refused, or it is another spec with another digest.
	digest, err := s.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 * len(b) {
		other := slices.Clone(b)
		other[i/8] ^= 1 << (i % 8)
		o, err := blend.ParseSpec(other)
		if err != nil {
			continue
		}
		if d, err := o.Digest(); o == s || err != nil || d == digest {
			t.Errorf("bit %d flipped gives %+v, %v", i, o, err)
		}
	}
}

func TestBadSpecs(t *testing.T) {
	good := blend.Spec{Items: 9, Dim: 4, Blocks: 1, Heads: 2, Hidden: 8, MaxLen: 5}
	change := map[string]func(*blend.Spec){
		"negative":                   func(s *blend.Spec) { s.Hidden = -1 },
		"too large to be read back":  func(s *blend.Spec) { s.Items = math.MaxInt32; s.Items++ },
		"embedding without features": func(s *blend.Spec) { s.Embedding = 1 },
		"embedding too wide":         func(s *blend.Spec) { s.Features, s.Embedding = true, blend.MaxEmbedding+1 },
		"embedding negative":         func(s *blend.Spec) { s.Features, s.Embedding = true, -1 },
	}
	for name, f := range change {
		s := good
		f(&s)
		if _, err := s.Marshal(); err == nil {
			t.Errorf("%s: marshalled", name)
		}
		if _, err := s.Digest(); err == nil {
			t.Errorf("%s: has a digest", name)
		}
		if _, err := s.Model(columns(9, 2), nil, nil); err == nil {
			t.Errorf("%s: made a model", name)
		}
	}
	b, _ := good.Marshal()
	for name, data := range map[string][]byte{"empty": nil, "cut": b[:len(b)-1], "longer": append(slices.Clone(b), 0), "features 2": append(slices.Clone(b[:len(b)-1]), 2)} {
		if _, err := blend.ParseSpec(data); err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
	// What the Transformer itself refuses: a catalogue far beyond its bounds, without trying to allocate it.
	huge := blend.Spec{Items: math.MaxInt32, Dim: 1 << 20, Blocks: 1, Heads: 1, Hidden: 1, MaxLen: 1}
	if _, err := huge.Model(blend.Public{}, nil, nil); err == nil {
		t.Error("a model of 2^51 numbers")
	}
}

// FuzzParseSpec: whatever parses is canonical, and no spec of 10,000 numbers or less makes the builder panic.
func FuzzParseSpec(f *testing.F) {
	for _, s := range []blend.Spec{{}, {Items: 9, Dim: 4, Blocks: 1, Heads: 2, Hidden: 8, MaxLen: 5, Features: true, Embedding: 3}, {Items: 2, Dim: 1, Heads: 1}} {
		b, err := s.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("tutti/model/spec"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := blend.ParseSpec(data)
		if err != nil {
			return
		}
		again, err := s.Marshal()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%+v: %x, %v", s, again, err)
		}
		if s.Items > 100 || s.Dim > 100 || s.Hidden > 100 || s.Blocks > 4 || s.MaxLen > 100 {
			return
		}
		if m, err := s.Model(columns(s.Items, 1), nil, nil); err == nil && m.Config().Items != s.Items {
			t.Fatalf("%+v became %+v", s, m.Config())
		}
	})
}

// columns are public features: 10 i + c for column c of item i.
func columns(items, dim int) blend.Public {
	p := blend.Public{Dim: dim, Rows: make([]float32, items*dim)}
	for k := range p.Rows {
		p.Rows[k] = float32(10*(k/dim) + k%dim)
	}
	return p
}

func TestFeatureColumns(t *testing.T) {
	const items, dim, r = 12, 2, 3
	spec := blend.Spec{Items: items, Dim: 4, Blocks: 1, Heads: 2, Hidden: 4, MaxLen: 4, Features: true, Embedding: r}
	popularity, transitions := releases(t)
	public := columns(items, dim)
	embedding, err := transitions.Embedding(r)
	if err != nil {
		t.Fatal(err)
	}
	some := false
	for _, x := range embedding {
		some = some || x != 0
	}
	if !some {
		t.Fatal("the embedding is empty: the test would see nothing")
	}
	for _, c := range []struct {
		name        string
		popularity  *stats.Popularity
		transitions *stats.Transitions
	}{{"all", popularity, transitions}, {"no transitions yet", popularity, nil}, {"no popularity", nil, transitions}, {"nothing yet", nil, nil}} {
		m, err := spec.Model(public, c.popularity, c.transitions)
		if err != nil {
			t.Fatal(err)
		}
		width := dim + r + 1
		if m.Config().FeatureDim != width || len(m.Features()) != items*width {
			t.Fatalf("%s: %d columns, %d numbers", c.name, m.Config().FeatureDim, len(m.Features()))
		}
		for i := range items {
			want := append([]float32(nil), public.Rows[i*dim:(i+1)*dim]...)
			if c.transitions != nil {
				want = append(want, embedding[i*r:(i+1)*r]...)
			} else {
				want = append(want, make([]float32, r)...)
			}
			last := 0.0
			if c.popularity != nil {
				last = math.Log((float64(popularity.Shares()[i])*items+0.1)/1.1) / 4
			}
			want = append(want, float32(last))
			if got := m.Features()[i*width : (i+1)*width]; !slices.Equal(got, want) {
				t.Fatalf("%s: item %d reads %v, want %v", c.name, i, got, want)
			}
		}
	}
}

func TestModelWithoutFeatures(t *testing.T) {
	popularity, transitions := releases(t)
	m, err := blend.Spec{Items: 12, Dim: 4, Blocks: 1, Heads: 2, Hidden: 4, MaxLen: 4}.Model(blend.Public{}, popularity, transitions)
	if err != nil || m.Features() != nil || m.Config().FeatureDim != 0 {
		t.Fatalf("%v, %v", m, err)
	}
}

func TestModelRefusesAnotherCatalogue(t *testing.T) {
	popularity, transitions := releases(t) // of 12 items
	s := blend.Spec{Items: 13, Dim: 4, Blocks: 1, Heads: 2, Hidden: 4, MaxLen: 4, Features: true, Embedding: 3}
	for name, build := range map[string]func() error{
		"popularity":  func() error { _, err := s.Model(columns(13, 2), popularity, nil); return err },
		"transitions": func() error { _, err := s.Model(columns(13, 2), nil, transitions); return err },
		"public":      func() error { _, err := s.Model(columns(12, 2), nil, nil); return err },
		"no public":   func() error { _, err := s.Model(blend.Public{}, nil, nil); return err },
	} {
		if build() == nil {
			t.Errorf("%s of another catalogue was taken", name)
		}
	}
}
