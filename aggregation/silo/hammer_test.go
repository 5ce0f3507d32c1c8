package silo

import (
	"maps"
	"slices"
	"testing"

	"tutti/aggregation/internal/hammer"
)

// TestMessagesUnderDamage is the fuzz targets' condition under many more inputs.
func TestMessagesUnderDamage(t *testing.T) {
	_, messages, read := everyMessage(t)
	names := slices.Sorted(maps.Keys(read))
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			good := [][]byte{messages[name]}
			for _, n := range names {
				good = append(good, messages[n][:min(len(messages[n]), 200)])
			}
			hammer.Strike(t, uint64(i), good, func(b []byte) { tryMessage(t, name, messages[name], read[name], b) })
		})
	}
}
