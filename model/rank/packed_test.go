package rank

import (
	"bytes"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestPackedRanksByTheQuantisedVectors(t *testing.T) {
	for _, s := range shapes {
		for _, c := range []struct{ items, dim, k int }{{1, 1, 3}, {700, 5, 10}, {1300, 64, 10}} {
			for _, biased := range []bool{false, true} {
				r := rand.New(rand.NewPCG(uint64(c.items), 4))
				vectors, query := make([]float32, c.items*c.dim), make([]float32, c.dim)
				s.make(r, vectors, c.dim)
				s.make(r, query, c.dim)
				var bias []float32
				if biased {
					bias = make([]float32, c.items)
					s.make(r, bias, 1)
				}
				name := fmt.Sprintf("%s, %d items, biased %v", s.name, c.items, biased)
				x, err := NewIndex(vectors, bias, c.dim)
				if err != nil {
					t.Fatal(err)
				}
				p, err := Pack(x)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				odd := func(i int32) bool { return i%2 == 1 }
				want := naivePacked(vectors, bias, query, c.k, odd)
				for form, p := range map[string]*Packed{"made": p, "written and read": again(t, p)} {
					if got, err := p.Top(query, c.k, odd); err != nil || !slices.Equal(got, want) {
						t.Errorf("%s, %s:\n got %v, %v\nwant %v", name, form, got, err, want)
					}
				}
			}
		}
	}
}

// naivePacked quantises as the comment of Int8 says and sorts everything.
func naivePacked(vectors, bias, query []float32, k int, exclude func(int32) bool) []Ranked {
	dim := len(query)
	var all []Ranked
	for i := range len(vectors) / dim {
		if exclude(int32(i)) {
			continue
		}
		codes := make([]int8, dim)
		scale, _ := encode(codes, vectors[i*dim:(i+1)*dim])
		sum, product := new(big.Float).SetPrec(700), new(big.Float).SetPrec(60)
		for j, q := range query {
			sum.Add(sum, product.SetFloat64(float64(q)*float64(codes[j])))
		}
		sum.Mul(sum, product.SetFloat64(float64(scale)))
		if bias != nil {
			sum.Add(sum, product.SetFloat64(float64(bias[i])))
		}
		s, _ := sum.Float32()
		all = append(all, Ranked{Item: int32(i), Score: s})
	}
	slices.SortStableFunc(all, func(a, b Ranked) int {
		switch {
		case a.Score > b.Score:
			return -1
		case a.Score < b.Score:
			return 1
		}
		return 0
	})
	return all[:min(k, len(all))]
}

func again(t testing.TB, p *Packed) *Packed {
	t.Helper()
	b, err := p.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	q, err := ParsePacked(b)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := q.MarshalBinary(); err != nil || !bytes.Equal(second, b) {
		t.Fatalf("written, read and written again it is not the same: %v", err)
	}
	return q
}

func TestPackedIsSmallAndNear(t *testing.T) {
	w := inventWorld(4000, 20, 3)
	x, err := NewIndex(w.vectors, w.bias, benchDim)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Pack(x)
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if whole := 4 * (len(w.vectors) + len(w.bias)); float64(len(b)) > 0.3*float64(whole) {
		t.Errorf("%d bytes for a table of %d", len(b), whole)
	}
	want, err := x.Batch(w.queries, 10, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Batch(w.queries, 10, nil)
	if err != nil {
		t.Fatal(err)
	}
	same := 0.0
	for i := range want {
		same += recall(got[i], want[i]) / float64(len(want))
	}
	t.Logf("%.1f %% of the ten best are the same", 100*same)
	if same < 0.93 {
		t.Errorf("%.1f %% of the ten best are the same", 100*same)
	}
}

func TestParsePackedRefuses(t *testing.T) {
	x, _ := NewIndex([]float32{1, 2, 3, 4}, []float32{1, 2}, 2)
	p, err := Pack(x)
	if err != nil {
		t.Fatal(err)
	}
	good, err := p.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	change := func(at int, to byte) []byte {
		b := slices.Clone(good)
		b[at] = to
		return b
	}
	mark := len(packedMark)
	for name, c := range map[string]struct {
		data []byte
		why  string
	}{
		"nothing":         {nil, "not an int8 table"},
		"another version": {change(mark-1, 2), "not an int8 table"},
		"no items":        {change(mark+3, 0), "0 items"},
		"many items":      {change(mark, 0x7f), "expected"},
		"too many items":  {change(mark, 0xff), "items of"},
		"no numbers":      {change(mark+7, 0), "0 numbers"},
		"neither 0 nor 1": {change(mark+8, 2), "items of"},
		"cut short":       {good[:len(good)-1], "expected"},
		"something more":  {append(slices.Clone(good), 0), "expected"},
		"-128":            {change(headBytes, 0x80), "-128"},
		"negative scale":  {change(headBytes+4, 0xbf), "scale"},
		"NaN for a scale": {change(headBytes+4, 0x7f), "scale"},
		"NaN for a bias":  {append(change(0, 't')[:len(good)-4], 0x7f, 0xff, 0, 0), "bias"},
	} {
		if _, err := ParsePacked(c.data); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Pack(nil); err == nil {
		t.Error("no index")
	}
}

func FuzzParsePacked(f *testing.F) {
	for _, bias := range [][]float32{nil, {1, 2}} {
		x, err := NewIndex([]float32{1, 2, 3, 4}, bias, 2)
		if err != nil {
			f.Fatal(err)
		}
		p, err := Pack(x)
		if err != nil {
			f.Fatal(err)
		}
		b, err := p.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePacked(data)
		if err != nil {
			return
		}
		b, err := p.MarshalBinary()
		if err != nil || !bytes.Equal(b, data) {
			t.Fatalf("read and written it is not the same: %v", err)
		}
		query := make([]float32, p.z.x.dim)
		query[0] = 1
		if top, err := p.Top(query, 3, nil); err != nil || len(top) != min(3, p.Items()) {
			t.Fatalf("%v, %v", top, err)
		}
	})
}
