package seqrec

import "slices"

// Top returns the n best of scores, best first; equal scores go by the lower
// index, NaN never counts. Items for which exclude returns true are left out.
func Top(scores []float32, n int, exclude func(item int32) bool) []Ranked {
	if n <= 0 {
		return nil
	}
	heap := make([]Ranked, 0, min(n, len(scores))) // the worst kept item on top
	for i, score := range scores {
		r := Ranked{Item: int32(i), Score: score}
		full := len(heap) == cap(heap)
		if score != score || full && !better(r, heap[0]) || exclude != nil && exclude(r.Item) {
			continue
		}
		if !full {
			heap = append(heap, r)
			siftUp(heap)
			continue
		}
		heap[0] = r
		siftDown(heap)
	}
	slices.SortFunc(heap, func(a, b Ranked) int {
		if better(a, b) {
			return -1
		}
		return 1
	})
	return heap
}

func better(a, b Ranked) bool {
	return a.Score > b.Score || a.Score == b.Score && a.Item < b.Item
}

// siftUp restores the heap after an append.
func siftUp(heap []Ranked) {
	for i := len(heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !better(heap[parent], heap[i]) {
			return
		}
		heap[parent], heap[i] = heap[i], heap[parent]
		i = parent
	}
}

// siftDown restores the heap after its top was replaced.
func siftDown(heap []Ranked) {
	for i := 0; ; {
		worst := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(heap); child++ {
			if better(heap[worst], heap[child]) {
				worst = child
			}
		}
		if worst == i {
			return
		}
		heap[i], heap[worst] = heap[worst], heap[i]
		i = worst
	}
}
