package dataset

import (
	"crypto/sha256"
	"encoding/binary"
)

// Catalogue lists the items; an item's index is its position. It is public: it
// holds nothing that was learned from users.
type Catalogue struct {
	Items []Item // ascending by ID

	index map[int64]int32
}

// NewCatalogue builds a catalogue over items, which must be ascending by ID
// without duplicates.
func NewCatalogue(items []Item) *Catalogue {
	c := &Catalogue{Items: items, index: make(map[int64]int32, len(items))}
	for i, item := range items {
		c.index[item.ID] = int32(i)
	}
	return c
}

// Len is the number of items.
func (c *Catalogue) Len() int { return len(c.Items) }

// Index is the position of the item with the given original number.
func (c *Catalogue) Index(id int64) (int32, bool) {
	i, ok := c.index[id]
	return i, ok
}

// Digest is the SHA-256 of the catalogue's canonical bytes: a domain string and
// version, the number of items, and for each item its number, title, year and
// genres, big-endian and length-prefixed. Equal digests mean equal indices.
func (c *Catalogue) Digest() [32]byte {
	h := sha256.New()
	var b []byte
	b = append(b, "tutti/catalogue"...)
	b = append(b, 1)
	b = binary.BigEndian.AppendUint32(b, uint32(len(c.Items)))
	for _, item := range c.Items {
		b = binary.BigEndian.AppendUint64(b, uint64(item.ID))
		b = appendString(b, item.Title)
		b = binary.BigEndian.AppendUint64(b, uint64(int64(item.Year)))
		b = binary.BigEndian.AppendUint32(b, uint32(len(item.Genres)))
		for _, genre := range item.Genres {
			b = appendString(b, genre)
		}
		h.Write(b)
		b = b[:0]
	}
	h.Write(b)
	return [32]byte(h.Sum(nil))
}

func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}
