package aggregation

import (
	"maps"
	"slices"
	"testing"

	"tutti/aggregation/internal/hammer"
)

// TestDecodersUnderDamage: whatever a decoder accepts, it encodes to the same bytes again, and it never panics.
// TUTTI_EXECUTIONS sets the number of inputs for each decoder.
func TestDecodersUnderDamage(t *testing.T) {
	w, good := samples(t)
	names := slices.Sorted(maps.Keys(good))
	for i, c := range codecs(w.cfg) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			first := good[c.name]
			if len(first) == 0 {
				t.Fatal("no good message")
			}
			messages := [][]byte{first, first, first}
			for _, n := range names {
				messages = append(messages, good[n][:min(len(good[n]), 200)])
			}
			accepted := 0
			hammer.Strike(t, uint64(i), messages, func(b []byte) {
				if c.try(t, b) {
					accepted++
				}
			})
			t.Logf("%d inputs, %d accepted", hammer.Executions(), accepted)
		})
	}
}

func TestPopulationUnderDamage(t *testing.T) {
	good, try := onePopulation(t)
	hammer.Strike(t, 20, [][]byte{good}, func(b []byte) { try(t, b) })
}

func TestEnrolmentPathUnderDamage(t *testing.T) {
	good, try := onePath(t)
	hammer.Strike(t, 21, [][]byte{good}, func(b []byte) { try(t, b) })
}
