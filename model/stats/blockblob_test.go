package stats

import (
	"bytes"
	"slices"
	"testing"
)

func TestBlockMarshal(t *testing.T) {
	block, err := NewBlock([]int32{7, 2, 5}, 9)
	if err != nil {
		t.Fatal(err)
	}
	b := block.Marshal()
	again, err := ParseBlock(b, 9)
	if err != nil || !slices.Equal(again.Items(), block.Items()) {
		t.Fatalf("%v, %v", again, err)
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "short": b[:len(b)-1], "long": append(slices.Clone(b), 0), "domain": append([]byte("x"), b[1:]...),
	} {
		if _, err := ParseBlock(bad, 9); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := ParseBlock(b, 10); err == nil {
		t.Error("accepted for another catalogue")
	}
}

func FuzzParseBlock(f *testing.F) {
	block, _ := NewBlock([]int32{7, 2, 5}, 9)
	f.Add(block.Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		if block, err := ParseBlock(b, 9); err == nil && !bytes.Equal(block.Marshal(), b) {
			t.Fatal("two byte strings for one block")
		}
	})
}
