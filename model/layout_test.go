package model

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func mustLayout(tb testing.TB, specs ...TensorSpec) Layout {
	tb.Helper()
	l, err := NewLayout(specs...)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func TestLayout(t *testing.T) {
	shape := []int{2, 3}
	l := mustLayout(t, TensorSpec{"a", shape}, TensorSpec{"b", nil}, TensorSpec{"c", []int{4}})
	shape[0] = 99 // the layout keeps its own copy
	if l.Size() != 11 {
		t.Errorf("size %d, want 11", l.Size())
	}
	if spec, at, ok := l.Tensor("c"); !ok || at != 7 || !slices.Equal(spec.Shape, []int{4}) {
		t.Errorf("c is %v at %d (%v)", spec, at, ok)
	}
	if _, _, ok := l.Tensor("d"); ok {
		t.Error("found a tensor that is not there")
	}
	l.Tensors()[0].Shape[0] = 50 // a copy again
	if spec, _, _ := l.Tensor("a"); spec.Shape[0] != 2 || spec.Size() != 6 {
		t.Errorf("a became %v", spec)
	}
	if (Layout{}).Size() != 0 {
		t.Error("the zero layout has a size")
	}
}

func TestLayoutDigest(t *testing.T) {
	base := []TensorSpec{{"a", []int{2, 3}}, {"b", []int{4}}}
	first := mustLayout(t, base...).Digest()
	if mustLayout(t, base...).Digest() != first || first.IsZero() {
		t.Error("the digest is not a function of the tensors")
	}
	// The test vector: recompute only when the format byte changes.
	const want = "9d2777e5082dd60f1eebd1a5219c07dda8694f08a63beae20016d62cbb85737e"
	if first.String() != want {
		t.Errorf("digest %s, want %s", first, want)
	}
	for _, other := range [][]TensorSpec{
		{{"a", []int{3, 2}}, {"b", []int{4}}},
		{{"a", []int{6}}, {"b", []int{4}}},
		{{"b", []int{4}}, {"a", []int{2, 3}}},
		{{"a", []int{2, 3}}, {"c", []int{4}}},
		{{"a", []int{2, 3}}},
	} {
		if mustLayout(t, other...).Digest() == first {
			t.Errorf("%v has the digest of %v", other, base)
		}
	}
}

func TestNewLayoutRefuses(t *testing.T) {
	many := make([]TensorSpec, MaxTensors+1)
	for name, c := range map[string]struct {
		specs []TensorSpec
		says  string
	}{
		"none":        {nil, "0 tensors"},
		"too many":    {many, "tensors"},
		"no name":     {[]TensorSpec{{"", []int{1}}}, "name"},
		"long name":   {[]TensorSpec{{strings.Repeat("x", MaxTensorName+1), nil}}, "name"},
		"space":       {[]TensorSpec{{"a b", nil}}, "ASCII"},
		"not ASCII":   {[]TensorSpec{{"é", nil}}, "ASCII"},
		"twice":       {[]TensorSpec{{"a", nil}, {"a", nil}}, "twice"},
		"zero":        {[]TensorSpec{{"a", []int{0}}}, "shape"},
		"negative":    {[]TensorSpec{{"a", []int{-1}}}, "shape"},
		"rank":        {[]TensorSpec{{"a", make([]int, MaxRank+1)}}, "dimensions"},
		"overflow":    {[]TensorSpec{{"a", []int{math.MaxInt32, math.MaxInt32}}}, "shape"},
		"sum too big": {[]TensorSpec{{"a", []int{MaxSize}}, {"b", nil}}, "more than"},
	} {
		if _, err := NewLayout(c.specs...); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want one that says %q", name, err, c.says)
		}
	}
}

func TestParams(t *testing.T) {
	l := mustLayout(t, TensorSpec{"a", []int{2}}, TensorSpec{"b", []int{3}})
	p, err := ParamsOf(l, []float32{1, 2, 3, 4, 5})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.View("b"); !slices.Equal(got, []float32{3, 4, 5}) || cap(got) != 3 {
		t.Errorf("b is %v with room for %d", got, cap(got))
	}
	if p.View("c") != nil {
		t.Error("a tensor that is not there has values")
	}
	q := p.Clone()
	q.View("a")[0] = 9
	if p.Values()[0] != 1 || q.Values()[0] != 9 {
		t.Error("a clone shares its values, or a view does not")
	}
	if p.Digest() == q.Digest() || p.Digest() != p.Clone().Digest() {
		t.Error("the digest does not follow the values")
	}
	const want = "467dbb15c4c54c580153e1fb9c0712a507607e543f2aa310ecc76b365b6a91ac"
	if p.Digest().String() != want {
		t.Errorf("digest %s, want %s", p.Digest(), want)
	}
	other := mustLayout(t, TensorSpec{"a", []int{5}})
	if r, _ := ParamsOf(other, p.Values()); r.Digest() == p.Digest() {
		t.Error("the digest does not cover the layout")
	}
	if _, err := ParamsOf(l, make([]float32, 4)); err == nil {
		t.Error("4 values were accepted for 5")
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if _, err := ParamsOf(l, []float32{1, 2, float32(bad), 4, 5}); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}
