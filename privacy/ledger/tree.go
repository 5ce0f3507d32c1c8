package ledger

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	maxProof      = 64      // hashes in a proof: the depth of any tree we read
	maxCheckpoint = 8 << 10 // bytes of a signed note
)

// Hashes reads stored hashes of the tree by their index (tlog.StoredHashIndex); the store implements it.
type Hashes = tlog.HashReader

// ErrFork says that two checkpoints cannot be of one append-only log: the operator shows different logs to different
// readers, or rewrote history.
var ErrFork = errors.New("the log does not extend the checkpoint that was seen before")

// errCheckpoint is behind every other refusal of a checkpoint or a proof.
var errCheckpoint = errors.New("not a checkpoint of this log")

// Append returns the hashes to store, behind those stored before, when record becomes entry number size.
func Append(size uint64, record []byte, stored Hashes) ([]tlog.Hash, error) {
	if size > maxNumber {
		return nil, errors.New("the log is full")
	}
	return tlog.StoredHashes(int64(size), record, stored)
}

// Root is the RFC 6962 tree hash of the first size records.
func Root(size uint64, stored Hashes) (Digest, error) {
	if size > maxNumber {
		return Digest{}, errors.New("no log is that long")
	}
	h, err := tlog.TreeHash(int64(size), stored)
	return Digest(h), err
}

// Checkpoint names one state of one log.
type Checkpoint struct {
	Origin string // name of the log and of the key in the note: no spaces, no "+"
	Size   uint64 // records
	Root   Digest
}

// text is the note's text: C2SP tlog-checkpoint without extension lines.
func (c Checkpoint) text() string {
	return c.Origin + "\n" + strconv.FormatUint(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
}

func verifier(origin string, operator ed25519.PublicKey) (note.Verifier, error) {
	if len(operator) != ed25519.PublicKeySize || strings.ContainsAny(origin, "+\n\r") {
		return nil, fmt.Errorf("%w: bad origin or key", errCheckpoint)
	}
	vkey, err := note.NewEd25519VerifierKey(origin, operator)
	if err != nil {
		return nil, err
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("%w: bad origin or key", errCheckpoint)
	}
	return v, nil
}

// noteSigner signs notes with the operator's key under the log's name.
type noteSigner struct {
	note.Verifier
	key ed25519.PrivateKey
}

func (s noteSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }
func (noteSigner) String() string                    { return "noteSigner{redacted}" }
func (s noteSigner) GoString() string                { return s.String() }

// SignCheckpoint is the checkpoint as a signed note. The same key and checkpoint give the same bytes.
func SignCheckpoint(key ed25519.PrivateKey, c Checkpoint) ([]byte, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("%w: bad key", errCheckpoint)
	}
	v, err := verifier(c.Origin, key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	return note.Sign(&note.Note{Text: c.text()}, noteSigner{v, key})
}

// OpenCheckpoint verifies a signed note against the log's name and the operator's key. Signatures of others (witnesses)
// may stand beside the operator's.
func OpenCheckpoint(signed []byte, origin string, operator ed25519.PublicKey) (Checkpoint, error) {
	if len(signed) > maxCheckpoint {
		return Checkpoint{}, fmt.Errorf("%w: too long", errCheckpoint)
	}
	v, err := verifier(origin, operator)
	if err != nil {
		return Checkpoint{}, err
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", errCheckpoint, err)
	}
	c, err := parseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != origin {
		return Checkpoint{}, fmt.Errorf("%w: it is of the log %q", errCheckpoint, c.Origin)
	}
	return c, nil
}

func parseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 {
		return Checkpoint{}, fmt.Errorf("%w: it has not three lines", errCheckpoint)
	}
	size, err := strconv.ParseUint(lines[1], 10, 64)
	root, err2 := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || err2 != nil || size > maxNumber || len(root) != len(Digest{}) {
		return Checkpoint{}, fmt.Errorf("%w: bad size or root", errCheckpoint)
	}
	c := Checkpoint{Origin: lines[0], Size: size, Root: Digest(root)}
	if c.text() != text {
		return Checkpoint{}, fmt.Errorf("%w: not in canonical form", errCheckpoint)
	}
	return c, nil
}

// ProveConsistency proves that the tree of the first to records extends the tree of the first from (RFC 6962, 2.1.2).
// From the empty log, and from a tree to itself, the proof is empty.
func ProveConsistency(from, to uint64, stored Hashes) ([][]byte, error) {
	if from > to || to > maxNumber {
		return nil, fmt.Errorf("no proof from %d to %d records", from, to)
	}
	if from == 0 || from == to {
		return nil, nil
	}
	proof, err := tlog.ProveTree(int64(to), int64(from), stored)
	return split(proof), err
}

// CheckConsistency verifies that newer extends older. An error that is ErrFork is evidence: both checkpoints are
// signed, so keep them.
func CheckConsistency(older, newer Checkpoint, proof [][]byte) error {
	if older.Origin != newer.Origin {
		return fmt.Errorf("%w: it is of the log %q", errCheckpoint, newer.Origin)
	}
	if older.Size > newer.Size {
		return fmt.Errorf("%w: it had %d records and now has %d", ErrFork, older.Size, newer.Size)
	}
	if older.Size == newer.Size {
		if older.Root != newer.Root {
			return fmt.Errorf("%w: two roots for %d records", ErrFork, newer.Size)
		}
		return nil
	}
	if older.Size == 0 {
		return nil
	}
	hashes, err := join(proof)
	if err != nil {
		return err
	}
	err = tlog.CheckTree(hashes, int64(newer.Size), tlog.Hash(newer.Root), int64(older.Size), tlog.Hash(older.Root))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFork, err)
	}
	return nil
}

// ProveInclusion proves that record seq is in the tree of the first size records (RFC 6962, 2.1.1).
func ProveInclusion(size, seq uint64, stored Hashes) ([][]byte, error) {
	if seq >= size || size > maxNumber {
		return nil, fmt.Errorf("no record %d among %d", seq, size)
	}
	proof, err := tlog.ProveRecord(int64(size), int64(seq), stored)
	return split(proof), err
}

// CheckInclusion verifies that the checkpoint's tree has these canonical record bytes as entry seq.
func CheckInclusion(c Checkpoint, seq uint64, record []byte, proof [][]byte) error {
	if seq >= c.Size || c.Size > maxNumber {
		return fmt.Errorf("no record %d among %d", seq, c.Size)
	}
	hashes, err := join(proof)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(hashes, int64(c.Size), tlog.Hash(c.Root), int64(seq), tlog.RecordHash(record))
}

func split(proof []tlog.Hash) [][]byte {
	out := make([][]byte, len(proof))
	for i := range proof {
		out[i] = bytes.Clone(proof[i][:])
	}
	return out
}

func join(proof [][]byte) ([]tlog.Hash, error) {
	if len(proof) > maxProof {
		return nil, fmt.Errorf("%w: a proof of %d hashes", errCheckpoint, len(proof))
	}
	out := make([]tlog.Hash, len(proof))
	for i, h := range proof {
		if len(h) != len(out[i]) {
			return nil, fmt.Errorf("%w: a hash of %d bytes in a proof", errCheckpoint, len(h))
		}
		out[i] = tlog.Hash(h)
	}
	return out, nil
}
