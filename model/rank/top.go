package rank

import "slices"

// Ranked is an item with its score: larger is better.
type Ranked struct {
	Item  int32
	Score float32
}

// before is the order of a ranking.
func before(a, b Ranked) bool {
	return a.Score > b.Score || a.Score == b.Score && a.Item < b.Item
}

// Top returns the k best of scores, best first; equal scores go by the lower
// index, NaN never counts. Items for which exclude returns true are left out;
// it is called only for items that would enter the list.
func Top(scores []float32, k int, exclude func(item int32) bool) []Ranked {
	if k <= 0 {
		return nil
	}
	b := best{room: min(k, len(scores))}
	for i, s := range scores {
		r := Ranked{Item: int32(i), Score: s}
		// Later items lose a tie, so a full list wants more than its last score.
		if len(b.heap) == b.room && !(s > b.heap[0].Score) || s != s || exclude != nil && exclude(r.Item) {
			continue
		}
		b.push(r)
	}
	return b.sorted()
}

// Seen makes an exclude function of a list of items, such as a history.
func Seen(items []int32) func(item int32) bool {
	sorted := slices.Clone(items)
	slices.Sort(sorted)
	return func(item int32) bool {
		_, found := slices.BinarySearch(sorted, item)
		return found
	}
}

// best keeps the best room items that were pushed: a heap with the worst of
// them on top.
type best struct {
	room int
	heap []Ranked
}

func (b *best) full() bool { return len(b.heap) == b.room }

// push takes r in if it belongs to the best.
func (b *best) push(r Ranked) {
	switch {
	case !b.full():
		b.heap = append(b.heap, r)
		b.siftUp()
	case b.room > 0 && before(r, b.heap[0]):
		b.heap[0] = r
		b.siftDown()
	}
}

// sorted empties b into a list, best first.
func (b *best) sorted() []Ranked {
	list := b.heap
	b.heap = nil
	slices.SortFunc(list, func(x, y Ranked) int {
		if before(x, y) {
			return -1
		}
		return 1
	})
	return list
}

// siftUp restores the heap after an append.
func (b *best) siftUp() {
	h := b.heap
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if !before(h[parent], h[i]) {
			return
		}
		h[parent], h[i] = h[i], h[parent]
		i = parent
	}
}

// siftDown restores the heap after its top was replaced.
func (b *best) siftDown() {
	h := b.heap
	for i := 0; ; {
		worst := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if before(h[worst], h[child]) {
				worst = child
			}
		}
		if worst == i {
			return
		}
		h[i], h[worst] = h[worst], h[i]
		i = worst
	}
}
