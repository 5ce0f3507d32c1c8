package stats

import (
	"fmt"
	"math"
)

// MaxBlock bounds the items of a block: 4,096 items have 8.4 million cells.
const MaxBlock = 4096

// Block is the public frame of the second release: k items, and one cell for
// each unordered pair of them (the upper triangle without the diagonal, row by
// row).
type Block struct {
	items    []int32
	position []int32 // by item index; -1 outside the block
}

// NewBlock frames the given items, usually Popularity.TopK, of a catalogue. It
// refuses fewer than 2 or more than MaxBlock items, repeats, and items outside
// [0, catalogue).
func NewBlock(items []int32, catalogue int) (*Block, error) {
	if len(items) < 2 || len(items) > MaxBlock || len(items) > catalogue {
		return nil, fmt.Errorf("stats: a block of %d items of %d: want 2 to %d", len(items), catalogue, MaxBlock)
	}
	b := &Block{items: append([]int32(nil), items...), position: make([]int32, catalogue)}
	for i := range b.position {
		b.position[i] = -1
	}
	for p, i := range b.items {
		if i < 0 || int(i) >= catalogue {
			return nil, fmt.Errorf("stats: block item %d is outside the catalogue of %d", i, catalogue)
		}
		if b.position[i] >= 0 {
			return nil, fmt.Errorf("stats: block item %d is listed twice", i)
		}
		b.position[i] = int32(p)
	}
	return b, nil
}

// K is the number of items.
func (b *Block) K() int { return len(b.items) }

// Catalogue is the number of items of the catalogue.
func (b *Block) Catalogue() int { return len(b.position) }

// Items lists the items by position; the caller must not change it.
func (b *Block) Items() []int32 { return b.items }

// Position is where an item stands in the block, -1 when it is not in it.
func (b *Block) Position(item int32) int {
	if item < 0 || int(item) >= len(b.position) {
		return -1
	}
	return int(b.position[item])
}

// Cells is k(k-1)/2, the length of a device's vector.
func (b *Block) Cells() int { return len(b.items) * (len(b.items) - 1) / 2 }

// Cell is the index of the pair at positions p and q, p != q, in any order.
func (b *Block) Cell(p, q int) int {
	if p > q {
		p, q = q, p
	}
	return p*(2*len(b.items)-p-1)/2 + q - p - 1
}

// Vector is a device's second contribution (section 5.3): the history is
// filtered to the block's items; two of them d places apart add Decay^(d-1) to
// the cell of their pair, for d up to Width; the whole is scaled to L2 norm 1.
// Length Cells(), every entry in [0, 1], norm at most 1; all 0 when the
// filtered history holds no two different items within the window.
func (b *Block) Vector(history []int32, w Window) []float32 {
	vector := make([]float32, b.Cells())
	b.eachPair(history, w, func(cell int, weight float64) { vector[cell] += float32(weight) })
	square := 0.0
	for _, v := range vector {
		square += float64(v) * float64(v)
	}
	if square == 0 {
		return vector
	}
	scale := float32(safe / math.Sqrt(square))
	for i := range vector {
		vector[i] *= scale
	}
	return vector
}

// eachPair visits the cells of a filtered history.
func (b *Block) eachPair(history []int32, w Window, visit func(cell int, weight float64)) {
	var own []int
	for _, i := range history {
		if p := b.Position(i); p >= 0 {
			own = append(own, p)
		}
	}
	weights := w.weights()
	for i, p := range own {
		for d := 1; d <= w.Width && i+d < len(own); d++ {
			if q := own[i+d]; q != p {
				visit(b.Cell(p, q), weights[d-1])
			}
		}
	}
}
