package rank

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// recall is the share of want that got holds too.
func recall(got, want []Ranked) float64 {
	hits := 0
	for _, w := range want {
		if slices.ContainsFunc(got, func(r Ranked) bool { return r.Item == w.Item }) {
			hits++
		}
	}
	return float64(hits) / float64(max(1, len(want)))
}

func TestClustersFindMost(t *testing.T) {
	const items, users, k = 30000, 100, 10
	w := inventWorld(items, users, 3)
	x, err := NewIndex(w.vectors, w.bias, benchDim)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewClusters(x, ClusterOptions{Seed: 1, Rounds: 4})
	if err != nil {
		t.Fatal(err)
	}
	want, err := x.Batch(w.queries, k, nil)
	if err != nil {
		t.Fatal(err)
	}
	found, looked := 0.0, 0
	for u := range users {
		query := w.queries[u*benchDim : (u+1)*benchDim]
		got, err := c.Top(query, k, nil)
		if err != nil {
			t.Fatal(err)
		}
		found += recall(got, want[u]) / users
		for _, r := range got {
			if r.Score != x.score(query, r.Item) {
				t.Fatalf("user %d: the score of item %d is not exact", u, r.Item)
			}
		}
		all, err := c.Probe(query, k, c.Lists(), nil)
		if err != nil || !slices.Equal(all, want[u]) {
			t.Fatalf("user %d, all lists: %v, %v, want %v", u, all, err, want[u])
		}
		qs, _ := ask(c.z, query, k, nil)
		for _, l := range c.likely(&qs[0], c.probes) {
			looked += c.z.parts[l.Item].rows
		}
	}
	// The seed is fixed; kernels of other machines round otherwise, but the
	// margin is wide: 0.93 of the best in 16 % of the catalogue were measured.
	share := float64(looked) / items / users
	t.Logf("%d lists, %d probes, %.1f %% of the items: recall %.3f", c.Lists(), c.probes, 100*share, found)
	if found < 0.85 || share > 0.2 {
		t.Errorf("recall %.3f in %.3f of the catalogue", found, share)
	}
}

func TestClustersHoldEveryItemOnce(t *testing.T) {
	for _, s := range shapes {
		const items, dim = 500, 7
		r := rand.New(rand.NewPCG(2, 2))
		vectors, query := make([]float32, items*dim), make([]float32, dim)
		s.make(r, vectors, dim)
		s.make(r, query, dim)
		x, err := NewIndex(vectors, nil, dim)
		if err != nil {
			t.Fatal(err)
		}
		options := ClusterOptions{Lists: 20, Probes: 3, Rounds: 3, Seed: 5}
		c, err := NewClusters(x, options)
		if err != nil {
			t.Fatal(err)
		}
		held := slices.Sorted(slices.Values(c.z.ids))
		for i, item := range held {
			if item != int32(i) {
				t.Fatalf("%s: items %v", s.name, held)
			}
		}
		again, err := NewClusters(x, options)
		if err != nil || !slices.Equal(again.z.ids, c.z.ids) {
			t.Errorf("%s: made twice, it is not the same: %v", s.name, err)
		}
		even := func(item int32) bool { return item%2 == 0 }
		want, _ := x.Top(query, 9, even)
		if got, err := c.Probe(query, 9, 20, even); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: all lists: %v, %v; want %v", s.name, got, err, want)
		}
	}
}

func TestClustersRefuse(t *testing.T) {
	x := small(t)
	for name, o := range map[string]ClusterOptions{
		"lists":  {Lists: 3},
		"probes": {Lists: 2, Probes: 3},
		"rounds": {Rounds: -1},
	} {
		if _, err := NewClusters(x, o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := NewClusters(nil, ClusterOptions{}); err == nil {
		t.Error("no index")
	}
	c, err := NewClusters(x, ClusterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Probe([]float32{1, 2}, 1, 0, nil); err == nil {
		t.Error("no probe")
	}
	if _, err := c.Top([]float32{1}, 1, nil); err == nil {
		t.Error("short query")
	}
	if got, err := c.Top([]float32{1, 2}, 1, nil); err != nil || len(got) != 1 || got[0].Item != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestDiversify(t *testing.T) {
	candidates := []Ranked{{10, 4}, {11, 3.9}, {20, 3}, {21, 2}, {30, 0}}
	family := func(a, b int32) float64 { // items of one ten are alike
		if a/10 == b/10 {
			return 1
		}
		return 0
	}
	for _, c := range []struct {
		relevance float64
		k         int
		want      []int32
	}{
		{1, 3, []int32{10, 11, 20}},
		{0.5, 3, []int32{10, 20, 30}}, // 20: .375; 30: 0 against 11: .4875 - .5
		{0.5, 9, []int32{10, 20, 30, 11, 21}},
		{0.9, 3, []int32{10, 11, 20}},
		{0, 2, []int32{10, 20}},
		{0.5, 0, nil},
	} {
		got, err := Diversify(candidates, c.k, c.relevance, family)
		var items []int32
		for _, r := range got {
			items = append(items, r.Item)
		}
		if err != nil || !slices.Equal(items, c.want) {
			t.Errorf("relevance %v, %d items: %v, %v; want %v", c.relevance, c.k, items, err, c.want)
		}
	}
	if _, err := Diversify(candidates, 3, 1.5, family); err == nil {
		t.Error("a relevance above 1")
	}
	if got, err := Diversify([]Ranked{{1, 2}, {2, 2}}, 2, 1, family); err != nil || len(got) != 2 || got[0].Item != 1 {
		t.Errorf("equal scores: %v, %v", got, err)
	}
}
