package aggregation

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// ErrPopulation reports a list of devices that is no population, or one that the enroller did not sign.
var ErrPopulation = errors.New("aggregation: population")

const (
	labelPopulation = "tutti/agg/v1/population"    // the enroller's tree and signature
	labelPath       = "tutti/agg/v1/enrolmentpath" // a path that travels outside of a header
)

const (
	// MaxPopulation bounds the devices of one population.
	MaxPopulation = 1<<31 - 1
	// maxEnrolmentPath is the depth of a tree of MaxPopulation leaves.
	maxEnrolmentPath = 32
)

// Population is the enroller's word on who may take part in a task: so many devices, and the root of their tree (rule 1).
// The size bounds the ids that any number of invented keys can bring in: a tree of n leaves proves at most n ids.
type Population struct {
	Size      uint32
	Root      Digest
	Signature []byte // 64 bytes, by the enroller over (label, task, size, root)
}

// EnrolmentPath leads from one device to the population's root.
type EnrolmentPath struct {
	Index    uint32   // place of the id among all ids in ascending order
	Siblings []Digest // from the leaf up, at most 32
}

// Enrolled is the whole list of a population, as the enroller and the server hold it: distinct ids in ascending order
// under a Merkle tree of the shape of RFC 6962. It is immutable and takes 80 bytes per device.
type Enrolled struct {
	ids    []DeviceID
	levels [][]Digest // levels[0] are the leaves, the last level is the root alone
}

// NewEnrolled builds the tree over the ids, in any order. It refuses an empty list and a repeated id (ErrPopulation).
func NewEnrolled(ids []DeviceID) (*Enrolled, error) {
	if len(ids) < 1 || uint64(len(ids)) > MaxPopulation {
		return nil, fmt.Errorf("%w: %d devices", ErrPopulation, len(ids))
	}
	e := &Enrolled{ids: slices.Clone(ids)}
	slices.SortFunc(e.ids, DeviceID.Compare)
	level := make([]Digest, len(ids))
	for i, id := range e.ids {
		if i > 0 && e.ids[i-1] == id {
			return nil, fmt.Errorf("%w: device %v twice", ErrPopulation, id)
		}
		level[i] = populationLeaf(id)
	}
	e.levels = append(e.levels, level)
	for len(level) > 1 {
		level = populationParents(level)
		e.levels = append(e.levels, level)
	}
	return e, nil
}

// populationParents pairs a level's nodes; an odd last one rises as it is, which gives the tree of RFC 6962.
func populationParents(level []Digest) []Digest {
	parents := make([]Digest, (len(level)+1)/2)
	for i := range parents {
		if parents[i] = level[2*i]; 2*i+1 < len(level) {
			parents[i] = populationNode(level[2*i], level[2*i+1])
		}
	}
	return parents
}

// Size is the number of devices.
func (e *Enrolled) Size() int { return len(e.ids) }

// ID is the id at a place of the ascending order, 0 <= i < Size.
func (e *Enrolled) ID(i int) DeviceID { return e.ids[i] }

// Root is the root of the tree.
func (e *Enrolled) Root() Digest { return e.levels[len(e.levels)-1][0] }

// Path leads from the id to the root; false if the id is not enrolled.
func (e *Enrolled) Path(id DeviceID) (EnrolmentPath, bool) {
	i, ok := slices.BinarySearchFunc(e.ids, id, DeviceID.Compare)
	if !ok {
		return EnrolmentPath{}, false
	}
	path := EnrolmentPath{Index: uint32(i), Siblings: make([]Digest, 0, bits.Len(uint(len(e.ids)-1)))}
	for _, level := range e.levels[:len(e.levels)-1] {
		if sibling := i ^ 1; sibling < len(level) {
			path.Siblings = append(path.Siblings, level[sibling])
		}
		i >>= 1
	}
	return path, true
}

// Sign is the enroller's word that these ids, and no others, are devices of the task.
func (e *Enrolled) Sign(enroller ed25519.PrivateKey, task string) Population {
	p := Population{Size: uint32(len(e.ids)), Root: e.Root()}
	p.Signature = signDigest(enroller, labelPopulation, p.digest(task))
	return p
}

// Verify reports whether the enroller gave its word on this population for the task.
func (p Population) Verify(enroller ed25519.PublicKey, task string) bool {
	return verifyDigest(enroller, labelPopulation, p.digest(task), p.Signature)
}

func (p Population) digest(task string) Digest {
	w := newWriter(labelPopulation, 64+len(task))
	w.bytes([]byte(task))
	w.u32(p.Size)
	w.raw(p.Root[:])
	return hash(labelPopulation, []byte{2}, w.b)
}

// Holds reports whether the id is the device at the path's place. The shape of the tree follows from Size alone,
// so a place has one path, of one length, and holds one id.
func (p Population) Holds(id DeviceID, path EnrolmentPath) bool {
	if path.Index >= p.Size {
		return false
	}
	node, siblings := populationLeaf(id), path.Siblings
	for i, last := path.Index, p.Size-1; last > 0; i, last = i>>1, last>>1 {
		if i == last && i&1 == 0 {
			continue // the odd last node of a level rises alone
		}
		if len(siblings) == 0 {
			return false
		}
		if i&1 == 1 {
			node = populationNode(siblings[0], node)
		} else {
			node = populationNode(node, siblings[0])
		}
		siblings = siblings[1:]
	}
	return len(siblings) == 0 && node == p.Root
}

// populationLeaf is hash(label, 0 ‖ id).
func populationLeaf(id DeviceID) Digest {
	var b [1 + len(labelPopulation) + 1 + len(id)]byte
	copy(b[populationPrefix(b[:], 0):], id[:])
	return sha256.Sum256(b[:])
}

// populationNode is hash(label, 1 ‖ left ‖ right).
func populationNode(left, right Digest) Digest {
	var b [1 + len(labelPopulation) + 1 + 2*sha256.Size]byte
	n := populationPrefix(b[:], 1)
	copy(b[n:], left[:])
	copy(b[n+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// populationPrefix writes what hash puts before its parts, without its allocations: a member climbs one path per upload.
func populationPrefix(b []byte, kind byte) int {
	b[0] = byte(len(labelPopulation))
	n := 1 + copy(b[1:], labelPopulation)
	b[n] = kind
	return n + 1
}

func (p Population) clone() Population {
	p.Signature = bytes.Clone(p.Signature)
	return p
}

func (p Population) write(w *writer) {
	w.u32(p.Size)
	w.raw(p.Root[:])
	w.raw(p.Signature)
}

func readPopulation(r *reader) Population {
	p := Population{Size: r.u32()}
	r.fixed(p.Root[:])
	p.Signature = r.copyOf(ed25519.SignatureSize)
	return p
}

// Marshal returns the canonical bytes. It refuses a signature of the wrong length (ErrEncoding).
func (p Population) Marshal() ([]byte, error) {
	if len(p.Signature) != ed25519.SignatureSize {
		return nil, fmt.Errorf("%w: population signature of %d bytes", ErrEncoding, len(p.Signature))
	}
	w := newWriter(labelPopulation, 128)
	p.write(w)
	return w.b, nil
}

// ParsePopulation accepts exactly the bytes that Marshal gives. Whose signature it is, Verify says.
func ParsePopulation(b []byte) (Population, error) {
	r := newReader(labelPopulation, b)
	p := readPopulation(r)
	if err := r.done(); err != nil {
		return Population{}, err
	}
	return p, nil
}

// write appends the path; it refuses one longer than any tree is deep.
func (p EnrolmentPath) write(w *writer) error {
	if len(p.Siblings) > maxEnrolmentPath {
		return fmt.Errorf("%w: enrolment path of %d", ErrEncoding, len(p.Siblings))
	}
	w.u32(p.Index)
	w.u8(uint8(len(p.Siblings)))
	for _, d := range p.Siblings {
		w.raw(d[:])
	}
	return nil
}

func readEnrolmentPath(r *reader) EnrolmentPath {
	p := EnrolmentPath{Index: r.u32()}
	p.Siblings = make([]Digest, r.count(uint32(r.u8()), maxEnrolmentPath, len(Digest{})))
	for i := range p.Siblings {
		r.fixed(p.Siblings[i][:])
	}
	return p
}

// Marshal returns the canonical bytes. It refuses a path longer than 32 (ErrEncoding).
func (p EnrolmentPath) Marshal() ([]byte, error) {
	w := newWriter(labelPath, 8+len(p.Siblings)*len(Digest{}))
	if err := p.write(w); err != nil {
		return nil, err
	}
	return w.b, nil
}

// ParseEnrolmentPath accepts exactly the bytes that Marshal gives.
func ParseEnrolmentPath(b []byte) (EnrolmentPath, error) {
	r := newReader(labelPath, b)
	p := readEnrolmentPath(r)
	if err := r.done(); err != nil {
		return EnrolmentPath{}, err
	}
	return p, nil
}
