package stats

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
)

var (
	errNoPopularity = errors.New("stats: a scorer needs popularity")
	errCatalogue    = errors.New("stats: the two releases are of different catalogues")
)

// The canonical bytes: a domain string, a version byte, fixed fields big-endian,
// no floating point (the one real number is a decimal string).
const (
	popularityDomain  = "tutti/stats/popularity\x01"
	transitionsDomain = "tutti/stats/transitions\x01"
	maxUnit           = 32 // bytes of a decimal string
)

// Marshal gives the canonical bytes: domain, number of items (uint32), weights
// (uint32 each). Equal popularity has equal bytes.
func (p *Popularity) Marshal() []byte {
	b := make([]byte, 0, len(popularityDomain)+4+4*len(p.weights))
	b = append(b, popularityDomain...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.weights)))
	for _, w := range p.weights {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return b
}

// ParsePopularity reads the canonical bytes of a catalogue of known size. It
// accepts nothing else: no other length, no item all weights 0.
func ParsePopularity(b []byte, catalogue int) (*Popularity, error) {
	b, err := expect(b, popularityDomain, catalogue)
	if err != nil {
		return nil, err
	}
	if len(b) != 4*catalogue {
		return nil, fmt.Errorf("stats: %d bytes of weights for %d items", len(b), catalogue)
	}
	weights := make([]uint32, catalogue)
	positive := false
	for i := range weights {
		weights[i] = binary.BigEndian.Uint32(b[4*i:])
		positive = positive || weights[i] > 0
	}
	if !positive {
		return nil, errors.New("stats: no item has any popularity")
	}
	return popularityOf(weights), nil
}

// Digest is the SHA-256 of the canonical bytes.
func (p *Popularity) Digest() [32]byte { return sha256.Sum256(p.Marshal()) }

// Marshal gives the canonical bytes: domain, size of the catalogue (uint32), k
// (uint32), the items by position (uint32 each), the unit (length byte and
// decimal), and the square root of each cell in units (uint16 each).
func (t *Transitions) Marshal() []byte {
	k := t.block.K()
	b := make([]byte, 0, len(transitionsDomain)+8+4*k+maxUnit+2*len(t.roots))
	b = append(b, transitionsDomain...)
	b = binary.BigEndian.AppendUint32(b, uint32(t.block.Catalogue()))
	b = binary.BigEndian.AppendUint32(b, uint32(k))
	for _, i := range t.block.items {
		b = binary.BigEndian.AppendUint32(b, uint32(i))
	}
	unit := strconv.FormatFloat(t.unit, 'g', -1, 64)
	b = append(b, byte(len(unit)))
	b = append(b, unit...)
	for _, root := range t.roots {
		b = binary.BigEndian.AppendUint16(b, root)
	}
	return b
}

// ParseTransitions reads the canonical bytes for a catalogue of known size. It
// accepts nothing else; it allocates no more than a small multiple of len(b)
// and the catalogue, and k x k floats.
func ParseTransitions(b []byte, catalogue int) (*Transitions, error) {
	b, err := expect(b, transitionsDomain, catalogue)
	if err != nil {
		return nil, err
	}
	if len(b) < 4 {
		return nil, errShort
	}
	k := int(binary.BigEndian.Uint32(b))
	b = b[4:]
	if k < 2 || k > MaxBlock || len(b) < 4*k+1 {
		return nil, errShort
	}
	items := make([]int32, k)
	for i := range items {
		items[i] = int32(binary.BigEndian.Uint32(b[4*i:]))
	}
	unit, b, err := parseUnit(b[4*k:])
	if err != nil {
		return nil, err
	}
	if cells := k * (k - 1) / 2; len(b) != 2*cells {
		return nil, fmt.Errorf("stats: %d bytes of cells, %d items have %d cells", len(b), k, cells)
	}
	block, err := NewBlock(items, catalogue)
	if err != nil {
		return nil, err
	}
	roots := make([]uint16, len(b)/2)
	for i := range roots {
		roots[i] = binary.BigEndian.Uint16(b[2*i:])
	}
	return transitionsOf(block, roots, unit), nil
}

// Digest is the SHA-256 of the canonical bytes.
func (t *Transitions) Digest() [32]byte { return sha256.Sum256(t.Marshal()) }

var errShort = errors.New("stats: not the canonical bytes of a release")

// expect takes off the domain and the size of the catalogue.
func expect(b []byte, domain string, catalogue int) ([]byte, error) {
	if len(b) < len(domain)+4 || string(b[:len(domain)]) != domain {
		return nil, errShort
	}
	b = b[len(domain):]
	if n := binary.BigEndian.Uint32(b); catalogue < 1 || uint64(n) != uint64(catalogue) {
		return nil, fmt.Errorf("stats: a release of %d items, the catalogue has %d", n, catalogue)
	}
	return b[4:], nil
}

// parseUnit reads a length byte and a decimal in its shortest form.
func parseUnit(b []byte) (float64, []byte, error) {
	n := int(b[0])
	if n < 1 || n > maxUnit || len(b) < 1+n {
		return 0, nil, errShort
	}
	text := string(b[1 : 1+n])
	unit, err := strconv.ParseFloat(text, 64)
	if err != nil || !(unit > 0) || unit > math.MaxFloat32 || strconv.FormatFloat(unit, 'g', -1, 64) != text {
		return 0, nil, fmt.Errorf("stats: unit %q is not a positive decimal in its shortest form", text)
	}
	return unit, b[1+n:], nil
}
