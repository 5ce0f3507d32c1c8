package rank

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"tutti/model/kernel"
)

// question is one query on its way through the catalogue.
type question struct {
	vector  []float32
	norm    float64 // of vector, rounded up
	k       int
	exclude func(item int32) bool
	floor   floor
	coded   coded // for Int8 and Clusters
}

// floor is a score that k items are known to reach; it only rises. Workers
// share it.
type floor struct{ bits atomic.Uint64 }

func (f *floor) load() float64 { return math.Float64frombits(f.bits.Load()) }

func (f *floor) raise(to float64) {
	for {
		old := f.bits.Load()
		if !(to > math.Float64frombits(old)) || f.bits.CompareAndSwap(old, math.Float64bits(to)) {
			return
		}
	}
}

// needed is what a bound on an item's score has to reach for the item to
// matter: the floor, less what rounding to float32 may have added to it.
func (f *floor) needed() float64 {
	v := f.load()
	return v - math.Abs(v)*0x1p-23 - 0x1p-149
}

// take keeps an item where it belongs to the best of this worker; it reports
// whether the floor may have risen.
func (q *question) take(r Ranked, list *best) bool {
	if list.full() && !before(r, list.heap[0]) || q.exclude != nil && q.exclude(r.Item) {
		return false
	}
	list.push(r)
	if !list.full() {
		return false
	}
	q.floor.raise(float64(list.heap[0].Score))
	return true
}

// worker is what one goroutine works on.
type worker struct {
	scores, flat []float32
	dots         []int32
	lists        []best // one for each question
}

// scanner is a catalogue in blocks. Every item stands in one block.
type scanner interface {
	index() *Index
	blocks() int
	// prepare readies a question for scan.
	prepare(q *question)
	// scan offers the items of a block to the questions; columns holds their
	// vectors as columns of a dim x len(questions) matrix if there are several.
	scan(block int, questions []question, columns []float32, w *worker)
}

// perWorker is the least work worth a goroutine, in multiplications.
const perWorker = 1 << 21

// chunk is how many blocks in a row a worker takes at once.
const chunk = 16

// one asks a single question.
func one(s scanner, query []float32, k int, exclude func(item int32) bool) ([]Ranked, error) {
	if len(query) != s.index().dim {
		return nil, fmt.Errorf("rank: a query of %d numbers for vectors of %d", len(query), s.index().dim)
	}
	var ask func(int, int32) bool
	if exclude != nil {
		ask = func(_ int, item int32) bool { return exclude(item) }
	}
	lists, err := search(s, query, k, ask)
	if err != nil {
		return nil, err
	}
	return lists[0], nil
}

// search asks several questions at once.
func search(s scanner, queries []float32, k int, exclude func(query int, item int32) bool) ([][]Ranked, error) {
	questions, err := ask(s, queries, k, exclude)
	if err != nil || k <= 0 {
		return make([][]Ranked, len(questions)), err
	}
	var columns []float32
	if m := len(questions); m > 1 {
		columns = make([]float32, len(queries))
		kernel.Transpose(columns, m, queries, s.index().dim, m, s.index().dim)
	}
	work := int64(s.index().items) * int64(len(queries)) / perWorker
	workers := max(1, int(min(work, int64(runtime.GOMAXPROCS(0)), int64(s.blocks()+chunk-1)/chunk)))
	return scanAll(s, questions, columns, workers), nil
}

// ask checks the queries.
func ask(s scanner, queries []float32, k int, exclude func(query int, item int32) bool) ([]question, error) {
	x := s.index()
	if len(queries) == 0 || len(queries)%x.dim != 0 {
		return nil, fmt.Errorf("rank: %d numbers are no queries of %d", len(queries), x.dim)
	}
	questions := make([]question, len(queries)/x.dim)
	for i := range questions {
		q := &questions[i]
		q.vector = queries[i*x.dim : (i+1)*x.dim]
		if q.norm = norm(q.vector); !(q.norm <= limit) {
			return nil, fmt.Errorf("rank: query %d is not finite or too large", i)
		}
		q.k = min(k, x.items)
		if exclude != nil {
			q.exclude = func(item int32) bool { return exclude(i, item) }
		}
		q.floor.bits.Store(math.Float64bits(math.Inf(-1)))
		s.prepare(q)
	}
	return questions, nil
}

// scanAll goes through all blocks with the given number of goroutines.
func scanAll(s scanner, questions []question, columns []float32, workers int) [][]Ranked {
	pool := &s.index().spare
	team := make([]*worker, workers)
	for i := range team {
		team[i] = pool.Get().(*worker)
		team[i].start(questions)
	}
	blocks := int64(s.blocks())
	var next atomic.Int64
	run := func(w *worker) {
		for first := next.Add(chunk) - chunk; first < blocks; first = next.Add(chunk) - chunk {
			for b := first; b < min(first+chunk, blocks); b++ {
				s.scan(int(b), questions, columns, w)
			}
		}
	}
	var done sync.WaitGroup
	for _, w := range team[1:] {
		done.Go(func() { run(w) })
	}
	run(team[0])
	done.Wait()
	return gather(pool, questions, team)
}

func (w *worker) start(questions []question) {
	w.lists = kernel.Grow(w.lists, len(questions))
	for i := range w.lists {
		w.lists[i] = best{room: questions[i].k, heap: make([]Ranked, 0, questions[i].k)}
	}
}

// gather merges what the workers found and gives them back.
func gather(pool *sync.Pool, questions []question, team []*worker) [][]Ranked {
	found := make([][]Ranked, len(questions))
	for i := range questions {
		list := &team[0].lists[i]
		for _, w := range team[1:] {
			for _, r := range w.lists[i].heap {
				list.push(r)
			}
		}
		found[i] = list.sorted()
	}
	for _, w := range team {
		clear(w.lists)
		pool.Put(w)
	}
	return found
}
