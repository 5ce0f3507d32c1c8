package history

import (
	"bytes"
	"testing"
)

// FuzzDecodeEvents: any bytes give an error, or events that write back to the
// same bytes.
func FuzzDecodeEvents(f *testing.F) {
	good := []byte{recordVersion, 0, 0, 0, 1}
	good = appendEvent(good, Event{Item: 5, Kind: Rating, Value: 3.5, Time: 9})
	f.Add(good)
	f.Add(good[:7])
	f.Add([]byte{recordVersion, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		events, err := decodeEvents(b)
		if err != nil {
			return
		}
		again := []byte{recordVersion, byte(len(events) >> 24), byte(len(events) >> 16), byte(len(events) >> 8), byte(len(events))}
		for _, e := range events {
			if e.Check() != nil {
				t.Fatalf("a bad event was read: %+v", e)
			}
			again = appendEvent(again, e)
		}
		if !bytes.Equal(again, b) {
			t.Fatal("the events write back to other bytes")
		}
	})
}

// FuzzOpen: no bytes crash Open, and none but a seal's open.
func FuzzOpen(f *testing.F) {
	key, err := NewKey(bytes.Repeat([]byte{1}, KeyBytes))
	if err != nil {
		f.Fatal(err)
	}
	c, err := NewCodec(key, bytes.NewReader(make([]byte, 1000)))
	if err != nil {
		f.Fatal(err)
	}
	good, err := c.Seal(0, []Event{{Item: 5, Kind: View}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[1:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := c.Open(0, b); err == nil && !bytes.Equal(b, good) {
			t.Fatal("bytes that nobody sealed open")
		}
	})
}
