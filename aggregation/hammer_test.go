package aggregation

import (
	"bytes"
	"maps"
	"math/rand/v2"
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
				again, err := c.parse(b)
				if err != nil {
					return
				}
				accepted++
				if !bytes.Equal(again, b) {
					t.Fatalf("accepted %x, encodes as %x", b, again)
				}
			})
			t.Logf("%d inputs, %d accepted", hammer.Executions(), accepted)
		})
	}
}

func TestPopulationUnderDamage(t *testing.T) {
	good, _ := enrolled(t, someIDs(9)).Sign(newKey(rand.NewChaCha8([32]byte{3})), "demo").Marshal()
	hammer.Strike(t, 20, [][]byte{good}, func(b []byte) {
		if again, err := reparsePopulation(b); err == nil && !bytes.Equal(again, b) {
			t.Fatalf("accepted %x, encodes as %x", b, again)
		}
	})
}

// TestEnrolmentPathUnderDamage also climbs: no path but the device's own leads to the root.
func TestEnrolmentPathUnderDamage(t *testing.T) {
	e := enrolled(t, someIDs(21))
	p := Population{Size: 21, Root: e.Root()}
	honest, _ := e.Path(e.ID(20))
	own, _ := honest.Marshal()
	hammer.Strike(t, 21, [][]byte{own}, func(b []byte) {
		path, err := ParseEnrolmentPath(b)
		if err != nil {
			return
		}
		if again, err := path.Marshal(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("accepted %x, encodes as %x: %v", b, again, err)
		}
		if p.Holds(e.ID(20), path) && !bytes.Equal(b, own) {
			t.Fatalf("another path holds: %x", b)
		}
	})
}
