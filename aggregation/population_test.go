package aggregation

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"testing"
)

// someIDs gives n distinct ids; the first bytes say which, in no order.
func someIDs(n int) []DeviceID {
	ids := make([]DeviceID, n)
	for i := range ids {
		binary.BigEndian.PutUint32(ids[i][:], uint32(i)*2654435761) // an odd factor: all different
	}
	return ids
}

func enrolled(t testing.TB, ids []DeviceID) *Enrolled {
	t.Helper()
	e, err := NewEnrolled(ids)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// rfc6962 is the tree by its definition, over leaves in order.
func rfc6962(leaves []Digest) Digest {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := splitAt(len(leaves))
	left, right := rfc6962(leaves[:k]), rfc6962(leaves[k:])
	return hash(labelPopulation, []byte{1}, left[:], right[:])
}

// Every id of every population of up to 33 leads to the root from its own place, and from no other place or id.
// (That a path of one size may fit another under the same root does no harm: the enroller signs both.)
func TestRule1_PathsExhaustively(t *testing.T) {
	for n := 1; n <= 33; n++ {
		e := enrolled(t, someIDs(n))
		leaves := make([]Digest, n)
		for i := range leaves {
			id := e.ID(i)
			leaves[i] = hash(labelPopulation, []byte{0}, id[:])
		}
		if e.Size() != n || e.Root() != rfc6962(leaves) {
			t.Fatalf("%d devices: root %x is not that of RFC 6962", n, e.Root())
		}
		for i := range n {
			path, ok := e.Path(e.ID(i))
			if !ok || int(path.Index) != i {
				t.Fatalf("device %d of %d: path from place %d, %v", i, n, path.Index, ok)
			}
			p := Population{Size: uint32(n), Root: e.Root()}
			for place := range uint32(n + 2) {
				if held := p.Holds(e.ID(i), EnrolmentPath{Index: place, Siblings: path.Siblings}); held != (int(place) == i) {
					t.Fatalf("device %d of %d at place %d: %v", i, n, place, held)
				}
			}
			if n > 1 && p.Holds(e.ID((i+1)%n), path) {
				t.Fatalf("the path of device %d of %d holds another", i, n)
			}
		}
	}
}

func TestRule1_PathsTampered(t *testing.T) {
	e := enrolled(t, someIDs(1000))
	p := Population{Size: 1000, Root: e.Root()}
	id := e.ID(613)
	path, _ := e.Path(id)
	if !p.Holds(id, path) {
		t.Fatal("an honest path does not hold")
	}
	for name, siblings := range map[string][]Digest{
		"no siblings":   nil,
		"one short":     path.Siblings[:len(path.Siblings)-1],
		"one more":      append(append([]Digest{}, path.Siblings...), Digest{}),
		"first dropped": path.Siblings[1:],
		"reversed":      {path.Siblings[1], path.Siblings[0]},
		"far too many":  make([]Digest, 100),
	} {
		if p.Holds(id, EnrolmentPath{Index: path.Index, Siblings: siblings}) {
			t.Errorf("%s: holds", name)
		}
	}
	for bit := range 8 * 32 {
		flipped := append([]Digest{}, path.Siblings...)
		flipped[bit%len(flipped)][bit/8] ^= 1 << (bit % 8)
		if p.Holds(id, EnrolmentPath{Index: path.Index, Siblings: flipped}) {
			t.Errorf("bit %d flipped: holds", bit)
		}
	}
	if _, ok := e.Path(DeviceID{1, 2, 3}); ok {
		t.Error("a stranger has a path")
	}
	// An inner node is no leaf: 16 bytes of one, put forward as an id with the path from there up, must not hold.
	inner := EnrolmentPath{Index: path.Index / 2, Siblings: path.Siblings[1:]}
	if (Population{Size: 500, Root: e.Root()}).Holds(DeviceID(path.Siblings[0][:16]), inner) {
		t.Error("an inner node passes for a device")
	}
}

func TestRule1_PopulationsRefused(t *testing.T) {
	if _, err := NewEnrolled(nil); !errors.Is(err, ErrPopulation) {
		t.Errorf("nobody: %v", err)
	}
	if _, err := NewEnrolled([]DeviceID{{1}, {2}, {1}}); !errors.Is(err, ErrPopulation) {
		t.Errorf("one device twice: %v", err)
	}
	if a, b := enrolled(t, []DeviceID{{1}, {2}, {3}}), enrolled(t, []DeviceID{{3}, {1}, {2}}); a.Root() != b.Root() {
		t.Error("the order of the list changes the root")
	}
}

// The enroller's word is on task, size and root, and nobody else's word counts.
func TestRule1_PopulationSignature(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	enroller, server := newKey(random), newKey(random)
	e := enrolled(t, someIDs(50))
	good := e.Sign(enroller, "demo")
	if !good.Verify(publicOf(enroller), "demo") {
		t.Fatal("an honest signature does not hold")
	}
	if good.Verify(publicOf(server), "demo") || e.Sign(server, "demo").Verify(publicOf(enroller), "demo") {
		t.Error("another key's signature holds")
	}
	if good.Verify(publicOf(enroller), "other") {
		t.Error("the signature holds for another task")
	}
	smaller, other, none := good, good, good
	smaller.Size--
	other.Root[3] ^= 1
	none.Signature = nil
	for name, p := range map[string]Population{"another size": smaller, "another root": other, "no signature": none, "empty": {}} {
		if p.Verify(publicOf(enroller), "demo") {
			t.Errorf("%s: holds", name)
		}
	}
}

// A change of the tree's hashes would void every signed population: the root of 10,000 ids stays what it is.
func TestPopulationRootIsFixed(t *testing.T) {
	root := enrolled(t, someIDs(10_000)).Root()
	if got := hex.EncodeToString(root[:]); got != "9e896b012ff71065feb595140a1e652a407cdf10a1fa1e7381a4eb259c5d2154" {
		t.Errorf("root %s", got)
	}
}

func TestPopulationEncodings(t *testing.T) {
	e := enrolled(t, someIDs(77))
	signed := e.Sign(newKey(rand.NewChaCha8([32]byte{2})), "demo")
	path, _ := e.Path(e.ID(70))
	population, err := signed.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	way, err := path.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		b     []byte
		parse func([]byte) ([]byte, error)
	}{"population": {population, reparsePopulation}, "path": {way, reparsePath}} {
		if again, err := c.parse(c.b); err != nil || !bytes.Equal(again, c.b) {
			t.Errorf("%s: does not come back: %v", name, err)
		}
		for cut := range c.b {
			if _, err := c.parse(c.b[:cut]); !errors.Is(err, ErrEncoding) {
				t.Fatalf("%s: %d of %d bytes: %v", name, cut, len(c.b), err)
			}
		}
		if _, err := c.parse(append(bytes.Clone(c.b), 0)); !errors.Is(err, ErrEncoding) {
			t.Errorf("%s: a byte too many: %v", name, err)
		}
	}
	if _, err := (Population{Size: 1}).Marshal(); !errors.Is(err, ErrEncoding) {
		t.Errorf("no signature: %v", err)
	}
	if _, err := (EnrolmentPath{Siblings: make([]Digest, maxEnrolmentPath+1)}).Marshal(); !errors.Is(err, ErrEncoding) {
		t.Errorf("a path of 33: %v", err)
	}
	long := append(newWriter(labelPath, 0).b, 0, 0, 0, 0, maxEnrolmentPath+1)
	if _, err := ParseEnrolmentPath(append(long, make([]byte, 32*(maxEnrolmentPath+1))...)); !errors.Is(err, ErrEncoding) {
		t.Errorf("an encoded path of 33: %v", err)
	}
}

func reparsePopulation(b []byte) ([]byte, error) {
	p, err := ParsePopulation(b)
	if err != nil {
		return nil, err
	}
	return p.Marshal()
}

func reparsePath(b []byte) ([]byte, error) {
	p, err := ParseEnrolmentPath(b)
	if err != nil {
		return nil, err
	}
	return p.Marshal()
}

// onePopulation is a good encoding, and what holds for any bytes: what parses encodes to the same again.
func onePopulation(t testing.TB) (good []byte, try func(testing.TB, []byte)) {
	good, _ = enrolled(t, someIDs(9)).Sign(newKey(rand.NewChaCha8([32]byte{3})), "demo").Marshal()
	return good, func(t testing.TB, b []byte) {
		if again, err := reparsePopulation(b); err == nil && !bytes.Equal(again, b) {
			t.Fatalf("accepted %x, encodes as %x", b, again)
		}
	}
}

func FuzzPopulation(f *testing.F) {
	good, try := onePopulation(f)
	f.Add(good)
	f.Add(good[:30])
	f.Fuzz(func(t *testing.T, b []byte) { try(t, b) })
}

// onePath is a device's path, and what holds for any bytes: what parses encodes to the same again, and a path other than the
// device's own does not lead to the root.
func onePath(t testing.TB) (good []byte, try func(testing.TB, []byte)) {
	e := enrolled(t, someIDs(21))
	p := Population{Size: 21, Root: e.Root()}
	honest, _ := e.Path(e.ID(20))
	good, _ = honest.Marshal()
	return good, func(t testing.TB, b []byte) {
		path, err := ParseEnrolmentPath(b)
		if err != nil {
			return
		}
		if again, err := path.Marshal(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("accepted %x, encodes as %x: %v", b, again, err)
		}
		if p.Holds(e.ID(20), path) && !bytes.Equal(b, good) {
			t.Fatalf("another path holds: %x", b)
		}
	}
}

func FuzzEnrolmentPath(f *testing.F) {
	good, try := onePath(f)
	f.Add(good)
	f.Add(good[:40])
	f.Fuzz(func(t *testing.T, b []byte) { try(t, b) })
}

func BenchmarkHolds(b *testing.B) {
	e := enrolled(b, someIDs(10_000))
	p := Population{Size: 10_000, Root: e.Root()}
	path, _ := e.Path(e.ID(4711))
	for b.Loop() {
		if !p.Holds(e.ID(4711), path) {
			b.Fatal("does not hold")
		}
	}
}

func BenchmarkNewEnrolled(b *testing.B) {
	ids := someIDs(100_000)
	for b.Loop() {
		enrolled(b, ids)
	}
}
