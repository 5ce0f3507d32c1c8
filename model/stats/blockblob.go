package stats

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// blockDomain begins the canonical bytes of a block.
const blockDomain = "tutti/stats/block\x01"

var errBlock = errors.New("stats: not a blob of chosen items")

// Marshal gives the canonical bytes: domain, size of the catalogue, k, the items by position; uint32, big-endian. A plan
// of transitions names the block by their digest.
func (b *Block) Marshal() []byte {
	out := append(make([]byte, 0, len(blockDomain)+8+4*b.K()), blockDomain...)
	out = binary.BigEndian.AppendUint32(out, uint32(b.Catalogue()))
	out = binary.BigEndian.AppendUint32(out, uint32(b.K()))
	for _, item := range b.Items() {
		out = binary.BigEndian.AppendUint32(out, uint32(item))
	}
	return out
}

// ParseBlock reads what Marshal writes, for a catalogue of known size, and nothing else.
func ParseBlock(data []byte, catalogue int) (*Block, error) {
	if len(data) < len(blockDomain)+8 || string(data[:len(blockDomain)]) != blockDomain {
		return nil, errBlock
	}
	rest := data[len(blockDomain):]
	size, k := binary.BigEndian.Uint32(rest), binary.BigEndian.Uint32(rest[4:])
	rest = rest[8:]
	if uint64(size) != uint64(catalogue) || k > MaxBlock || uint64(len(rest)) != 4*uint64(k) {
		return nil, fmt.Errorf("%w: %d of %d items in %d bytes", errBlock, k, size, len(rest))
	}
	items := make([]int32, k)
	for i := range items {
		items[i] = int32(binary.BigEndian.Uint32(rest[4*i:]))
	}
	return NewBlock(items, catalogue)
}
