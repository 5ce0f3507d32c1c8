package aggregation

import (
	"bytes"
	"fmt"
	"slices"

	"tutti/aggregation/mask"
)

// Entry names one accepted upload: the device and the digest of its one attempt.
type Entry struct {
	ID     DeviceID
	Digest Digest
}

const entryLen = len(DeviceID{}) + len(Digest{})

// Set is U: the devices whose sum is opened, sorted by id, each id once. It is immutable.
type Set struct{ entries []Entry }

// NewSet sorts the entries; two entries of one device are an error, whatever their digests.
func NewSet(entries []Entry) (*Set, error) {
	if len(entries) > mask.MaxCount {
		return nil, fmt.Errorf("%w: a set of %d", ErrCohort, len(entries))
	}
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, func(a, b Entry) int { return a.ID.Compare(b.ID) })
	for i := 1; i < len(sorted); i++ {
		if sorted[i].ID == sorted[i-1].ID {
			return nil, fmt.Errorf("%w: device %v twice in the set", ErrCohort, sorted[i].ID)
		}
	}
	return &Set{entries: sorted}, nil
}

// Len is |U|.
func (s *Set) Len() int { return len(s.entries) }

// At returns entry i in the order of ids.
func (s *Set) At(i int) Entry { return s.entries[i] }

// Entries returns a copy of the sorted entries.
func (s *Set) Entries() []Entry { return slices.Clone(s.entries) }

// Find returns the entry of a device.
func (s *Set) Find(id DeviceID) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(s.entries, id, func(e Entry, id DeviceID) int { return e.ID.Compare(id) })
	if !ok {
		return Entry{}, false
	}
	return s.entries[i], true
}

// Digest is H(cfg, U), what members sign.
func (s *Set) Digest(cfg Digest) Digest { return hash(labelSet, cfg[:], s.Marshal()) }

// Marshal returns the canonical bytes.
func (s *Set) Marshal() []byte {
	w := newWriter(labelSet, 4+len(s.entries)*entryLen)
	w.u32(uint32(len(s.entries)))
	for i := range s.entries {
		w.raw(s.entries[i].ID[:])
		w.raw(s.entries[i].Digest[:])
	}
	return w.b
}

// MaxSetLen bounds the canonical bytes of a Set.
const MaxSetLen = 64 + mask.MaxCount*entryLen

// ParseSet accepts exactly the bytes that Marshal gives: strictly ascending ids.
func ParseSet(b []byte) (*Set, error) {
	if len(b) > MaxSetLen {
		return nil, fmt.Errorf("%w: a set of %d bytes", ErrEncoding, len(b))
	}
	r := newReader(labelSet, b)
	s := &Set{entries: make([]Entry, r.count(r.u32(), mask.MaxCount, entryLen))}
	for i := range s.entries {
		e := &s.entries[i]
		r.fixed(e.ID[:])
		r.fixed(e.Digest[:])
		if i > 0 && r.err == nil && bytes.Compare(s.entries[i-1].ID[:], e.ID[:]) >= 0 {
			r.fail("ids out of order")
		}
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	return s, nil
}

// Proposal asks a member to sign H(cfg, U).
type Proposal struct {
	Cfg Digest
	Set *Set
}

// Marshal returns the canonical bytes.
func (p *Proposal) Marshal() []byte {
	w := newWriter(labelProposal, 128+p.Set.Len()*entryLen)
	w.raw(p.Cfg[:])
	w.bytes(p.Set.Marshal())
	return w.b
}

// ParseProposal accepts exactly the bytes that Marshal gives.
func ParseProposal(b []byte) (*Proposal, error) {
	r := newReader(labelProposal, b)
	p := new(Proposal)
	r.fixed(p.Cfg[:])
	set := r.bytes(MaxSetLen)
	if err := r.done(); err != nil {
		return nil, err
	}
	var err error
	p.Set, err = ParseSet(set)
	return p, err
}
