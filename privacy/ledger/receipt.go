package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Receipt proves to anyone that a device's contribution is in a sum that the log tells of: the device's id stands in the
// set whose root a Round record names (or a Group record, where the round was split), and that record stands in the tree
// of a checkpoint that the operator signed. It is self-contained, and says which round a device was in to whoever sees it.
type Receipt struct {
	Device     [16]byte
	Index      uint64   // of the device in the set, in the order of the ids
	Path       [][]byte // RFC 6962 audit path of the id's leaf to the record's Participants
	Record     []byte   // canonical Record with a *Round or *Group
	Inclusion  [][]byte // of the record in the checkpoint's tree
	Checkpoint []byte   // signed note
	Operator   []byte   // Ed25519 key that signed it
}

const receiptDomain = "tutti/receipt\x01"

// Counted is what a receipt proves.
type Counted struct {
	Device   [16]byte
	Task     string
	Round    uint64
	Group    uint64 // 0 where the round was not split
	Split    bool
	Outcome  string // Published or Lost
	Survived uint64 // devices in the sum
	Seq      uint64 // of the record
	Time     int64  // of the record
	Log      Checkpoint
}

// Participants is the RFC 6962 tree hash over the ids of a set, in their order.
func Participants(ids [][16]byte) Digest { return Digest(subtree(leaves(ids))) }

// ProveParticipant is the audit path of the id at index in Participants.
func ProveParticipant(ids [][16]byte, index int) ([][]byte, error) {
	if index < 0 || index >= len(ids) {
		return nil, fmt.Errorf("no device %d among %d", index, len(ids))
	}
	return split(auditPath(leaves(ids), index)), nil
}

func leaves(ids [][16]byte) []tlog.Hash {
	out := make([]tlog.Hash, len(ids))
	for i := range ids {
		out[i] = tlog.RecordHash(ids[i][:])
	}
	return out
}

// half is the largest power of two below n, n > 1.
func half(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

func subtree(h []tlog.Hash) tlog.Hash {
	switch len(h) {
	case 0:
		return tlog.Hash(sha256.Sum256(nil))
	case 1:
		return h[0]
	}
	k := half(len(h))
	return tlog.NodeHash(subtree(h[:k]), subtree(h[k:]))
}

// auditPath is PATH of RFC 6962, 2.1.1.
func auditPath(h []tlog.Hash, index int) []tlog.Hash {
	if len(h) <= 1 {
		return nil
	}
	if k := half(len(h)); index < k {
		return append(auditPath(h[:k], index), subtree(h[k:]))
	} else {
		return append(auditPath(h[k:], index-k), subtree(h[:k]))
	}
}

// Verify checks the receipt under the operator's key; nil takes the key in the receipt, which then proves only that its
// holder signed.
func (r *Receipt) Verify(operator ed25519.PublicKey) (Counted, error) {
	if operator == nil {
		operator = r.Operator
	}
	if !bytes.Equal(operator, r.Operator) {
		return Counted{}, fmt.Errorf("%w: it is signed under another operator's key", errCheckpoint)
	}
	rec, err := Decode(r.Record)
	if err != nil {
		return Counted{}, err
	}
	c := Counted{Device: r.Device, Task: rec.Body.TaskName(), Seq: rec.Seq, Time: rec.Time}
	var root Digest
	switch b := rec.Body.(type) {
	case *Round:
		c.Round, c.Outcome, c.Survived, root = b.Round, b.Outcome, b.Survived, b.Participants
	case *Group:
		c.Round, c.Group, c.Split, c.Outcome, c.Survived, root = b.Round, b.Group, true, b.Outcome, b.Survived, b.Participants
	default:
		return Counted{}, fmt.Errorf("%w: a %s record says nothing of who took part", errMalformed, rec.Body.Kind())
	}
	path, err := join(r.Path)
	if err != nil {
		return Counted{}, err
	}
	if r.Index >= c.Survived || c.Survived > maxNumber {
		return Counted{}, fmt.Errorf("%w: no device %d among %d", errCheckpoint, r.Index, c.Survived)
	}
	if err := tlog.CheckRecord(path, int64(c.Survived), tlog.Hash(root), int64(r.Index), tlog.RecordHash(r.Device[:])); err != nil {
		return Counted{}, fmt.Errorf("%w: the device is not in the set: %w", errCheckpoint, err)
	}
	if c.Log, err = OpenCheckpoint(r.Checkpoint, Origin(c.Task), operator); err != nil {
		return Counted{}, err
	}
	if err := CheckInclusion(c.Log, rec.Seq, r.Record, r.Inclusion); err != nil {
		return Counted{}, fmt.Errorf("%w: the record is not in the log: %w", errCheckpoint, err)
	}
	return c, nil
}

// Encode is the receipt as one file: domain, then the fields in their order.
func (r *Receipt) Encode() ([]byte, error) {
	path, err := join(r.Path)
	if err != nil {
		return nil, err
	}
	inclusion, err := join(r.Inclusion)
	if err != nil {
		return nil, err
	}
	w := &writer{out: append([]byte(receiptDomain), r.Device[:]...)}
	w.number("index", &r.Index)
	w.hashes(path)
	w.bytes("record", r.Record, MaxRecord)
	w.hashes(inclusion)
	w.bytes("checkpoint", r.Checkpoint, maxCheckpoint)
	w.bytes("operator", r.Operator, ed25519.PublicKeySize)
	return w.out, w.err
}

// MaxReceipt bounds the bytes of an encoded receipt.
const MaxReceipt = len(receiptDomain) + 16 + 8 + 2*(4+maxProof*tlog.HashSize) + 4 + MaxRecord + 4 + maxCheckpoint + 4 + ed25519.PublicKeySize

// ParseReceipt reads exactly what Encode writes. Whether the receipt holds is for Verify.
func ParseReceipt(data []byte) (*Receipt, error) {
	rest, ok := bytes.CutPrefix(data, []byte(receiptDomain))
	if !ok || len(data) > MaxReceipt {
		return nil, fmt.Errorf("%w: not a receipt", errMalformed)
	}
	in := &reader{in: rest}
	r := new(Receipt)
	copy(r.Device[:], in.take("device", len(r.Device)))
	in.number("index", &r.Index)
	r.Path = in.hashes()
	r.Record = bytes.Clone(in.bytes("record", MaxRecord))
	r.Inclusion = in.hashes()
	r.Checkpoint = bytes.Clone(in.bytes("checkpoint", maxCheckpoint))
	r.Operator = bytes.Clone(in.bytes("operator", ed25519.PublicKeySize))
	return r, in.end()
}
