package silo

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"tutti/aggregation/internal/hammer"
)

// TestMessagesUnderDamage: nothing is read that nobody signed, and what is read is canonical.
func TestMessagesUnderDamage(t *testing.T) {
	_, messages, read := everyMessage(t)
	names := slices.Sorted(maps.Keys(read))
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			good := [][]byte{messages[name]}
			for _, n := range names {
				good = append(good, messages[n][:min(len(messages[n]), 200)])
			}
			hammer.Strike(t, uint64(i), good, func(b []byte) {
				if err := read[name](b); err == nil && !bytes.Equal(b, messages[name]) && name != "configuration" && name != "proposal" {
					t.Fatal("a message that nobody signed was read")
				} else if err != nil && err.Error() == "not canonical" {
					t.Fatal(err)
				}
			})
		})
	}
}
