// Package rank finds the best items of a catalogue for a query: the top k of
// q.e + b over the item vectors e and biases b, for catalogues of a few
// thousand items up to some millions.
//
// An Index scores every item. An Int8 scores a quarter of the bytes and
// recomputes what could still be among the best; a bound on the error of
// quantisation proves that nothing else can, so that its answer is the Index's
// to the bit. Packed keeps the small table alone and ranks by what is in it.
// Clusters looks only where the best are likely, and may miss some.
//
// The score of an item is one number, whatever path found it and on whatever
// machine: the products of float32 numbers, exact in float64, summed in a fixed
// order in float64 and rounded to float32 at the end. Equal scores go by the
// lower index.
package rank

// Searcher is what all ways of searching have in common. They are safe for
// concurrent use.
type Searcher interface {
	// Items is the size of the catalogue.
	Items() int
	// Top returns the k best items for query, best first. Items for which
	// exclude returns true are left out; a nil exclude keeps all. exclude is
	// called from several goroutines, for few of the items. Fewer than k items
	// come back where fewer are left.
	Top(query []float32, k int, exclude func(item int32) bool) ([]Ranked, error)
}
