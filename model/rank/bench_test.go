package rank

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

const benchDim, benchK = 64, 10

// world is an invented catalogue in the manner of trained item vectors: tastes
// of unequal size, each with a few directions of its own, and popular items
// with longer vectors; and users near a taste or between two.
type world struct {
	vectors, bias, queries []float32
}

var worlds = map[int]func() world{}

func worldOf(items int) world {
	if worlds[items] == nil {
		worlds[items] = sync.OnceValue(func() world { return inventWorld(items, 200, 7) })
	}
	return worlds[items]()
}

func inventWorld(items, users int, seed uint64) world {
	const tastes, directions = 400, 8
	r := rand.New(rand.NewPCG(seed, 1))
	centre := make([][]float32, tastes*(1+directions))
	for i := range centre {
		centre[i] = make([]float32, benchDim)
		for j := range centre[i] {
			centre[i][j] = float32(r.NormFloat64())
		}
	}
	member := func(v []float32, taste int, spread float64) {
		copy(v, centre[taste])
		for d := range directions {
			a := float32(r.NormFloat64() * 0.3)
			for j, c := range centre[tastes+taste*directions+d] {
				v[j] += a * c
			}
		}
		for j := range v {
			v[j] += float32(spread * r.NormFloat64())
		}
	}
	taste := func() int { return int(tastes * r.Float64() * r.Float64()) }
	w := world{make([]float32, items*benchDim), make([]float32, items), make([]float32, users*benchDim)}
	for i := range items {
		v := w.vectors[i*benchDim : (i+1)*benchDim]
		member(v, taste(), 0.6)
		size := float32(0.08 * (1 + 0.3*r.ExpFloat64()))
		for j := range v {
			v[j] *= size
		}
		w.bias[i] = float32(0.3 * r.NormFloat64())
	}
	for u := range users {
		member(w.queries[u*benchDim:(u+1)*benchDim], taste(), 0.4)
	}
	return w
}

// latency asks one query after another and reports percentiles.
func latency(b *testing.B, w world, s Searcher) {
	users := len(w.queries) / benchDim
	seen := Seen([]int32{3, 14, 15, 92, 65, 35})
	ask := func(i int) {
		q := w.queries[i%users*benchDim:]
		if _, err := s.Top(q[:benchDim], benchK, seen); err != nil {
			b.Fatal(err)
		}
	}
	ask(0)
	var took []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		ask(len(took))
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-µs")
}

func benchTop(b *testing.B, w world) {
	x, err := NewIndex(w.vectors, w.bias, benchDim)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("float32", func(b *testing.B) { latency(b, w, x) })
	z, err := NewInt8(x)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("int8", func(b *testing.B) { latency(b, w, z) })
	b.Run("int8/alone", func(b *testing.B) { // one goroutine
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		latency(b, w, z)
	})
	batch := w.queries[:32*benchDim]
	b.Run("float32/batch", func(b *testing.B) { perQuery(b, func() error { _, err := x.Batch(batch, benchK, nil); return err }) })
	b.Run("int8/batch", func(b *testing.B) { perQuery(b, func() error { _, err := z.Batch(batch, benchK, nil); return err }) })
}

func perQuery(b *testing.B, batch func() error) {
	for b.Loop() {
		if err := batch(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/1e3/32/float64(b.N), "µs/query")
}

func BenchmarkTop4k(b *testing.B) { benchTop(b, worldOf(4000)) }
func BenchmarkTop1M(b *testing.B) { benchTop(b, worldOf(1_000_000)) }

// BenchmarkTop1MNormal is the hardest case for Int8: nothing but noise, all
// vectors of about one length.
func BenchmarkTop1MNormal(b *testing.B) {
	w := world{vectors: make([]float32, 1_000_000*benchDim), queries: make([]float32, 200*benchDim)}
	r := rand.New(rand.NewPCG(1, 1))
	shapes[0].make(r, w.vectors, benchDim)
	shapes[0].make(r, w.queries, benchDim)
	benchTop(b, w)
}

// BenchmarkClusters1M takes half a minute to build.
func BenchmarkClusters1M(b *testing.B) {
	w := worldOf(1_000_000)
	x, err := NewIndex(w.vectors, w.bias, benchDim)
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	c, err := NewClusters(x, ClusterOptions{Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%d lists made in %v", c.Lists(), time.Since(start).Round(time.Second))
	want, err := c.z.Batch(w.queries, benchK, nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, probes := range []int{8, 16, 31, 64, 128} {
		b.Run(fmt.Sprint(probes), func(b *testing.B) {
			latency(b, w, probing{c, probes})
			found := 0.0
			for u := range want {
				got, err := c.Probe(w.queries[u*benchDim:(u+1)*benchDim], benchK, probes, nil)
				if err != nil {
					b.Fatal(err)
				}
				found += recall(got, want[u])
			}
			b.ReportMetric(found/float64(len(want)), "recall")
		})
	}
}

type probing struct {
	*Clusters
	probes int
}

func (p probing) Top(query []float32, k int, exclude func(item int32) bool) ([]Ranked, error) {
	return p.Probe(query, k, p.probes, exclude)
}

func BenchmarkScores4k(b *testing.B) {
	w := worldOf(4000)
	x, err := NewIndex(w.vectors, w.bias, benchDim)
	if err != nil {
		b.Fatal(err)
	}
	out := make([]float32, x.Items())
	for b.Loop() {
		if err := x.Scores(w.queries[:benchDim], out); err != nil {
			b.Fatal(err)
		}
	}
}
