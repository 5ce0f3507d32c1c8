package client

import (
	"encoding/binary"
	"errors"
	"fmt"

	"tutti/model/stats"
)

// The blob of chosen items that a plan of transitions names: domain, size of
// the catalogue, number of items, the items by position; uint32, big-endian.
const blockDomain = "tutti/stats/block\x01"

var errBlock = errors.New("client: not a blob of chosen items")

// parseBlock reads the blob for a catalogue of known size.
func parseBlock(b []byte, catalogue int) (*stats.Block, error) {
	if len(b) < len(blockDomain)+8 || string(b[:len(blockDomain)]) != blockDomain {
		return nil, errBlock
	}
	b = b[len(blockDomain):]
	items, k := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	b = b[8:]
	if uint64(items) != uint64(catalogue) || k > stats.MaxBlock || uint64(len(b)) != 4*uint64(k) {
		return nil, fmt.Errorf("%w: %d of %d items in %d bytes", errBlock, k, items, len(b))
	}
	chosen := make([]int32, k)
	for i := range chosen {
		chosen[i] = int32(binary.BigEndian.Uint32(b[4*i:]))
	}
	return stats.NewBlock(chosen, catalogue)
}
