package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// Fork is the case against an operator who signed two states of a log of which the larger does not extend the smaller.
// It is self-contained: notes and hashes, and nothing of the log's content.
type Fork struct {
	A, B  []byte   // signed notes; A names no more records than B
	Proof [][]byte // SUBPROOF(|A|, D[|B|], false) of RFC 6962, 2.1.2, in the log of B: it gives B's root, and what A's had to be
}

// ErrUnproven says that a fork's notes are signed, and that the hashes which would show their contradiction are missing.
// Who has the log that the larger note is of can add them: see ProveFork.
var ErrUnproven = errors.New("the hashes that show the contradiction are missing")

// errNoFork is behind a Fork that accuses wrongly.
var errNoFork = errors.New("no contradiction")

const forkDomain = "tutti/fork\x01"

// NewFork puts together what a witness met: two opened notes, and the consistency proof that came with the newer one and
// did not hold for the older. An honest proof of a forked log makes the case complete; whatever else came is left out.
func NewFork(a Checkpoint, noteA []byte, b Checkpoint, noteB []byte, consistency [][]byte) *Fork {
	f := &Fork{A: bytes.Clone(noteA), B: bytes.Clone(noteB)}
	if a.Size > b.Size {
		f.A, f.B = f.B, f.A
		return f
	}
	if hashes, err := join(consistency); err == nil && a.Size < b.Size && bits.OnesCount64(a.Size) != 1 {
		if _, root, err := heads(hashes, int64(a.Size), int64(b.Size)); err == nil && Digest(root) == b.Root {
			f.Proof = split(hashes)
		}
	}
	return f
}

// ProveFork makes the case against two opened notes from the stored hashes of the log that the larger one is of. It is
// Fork.Verify that says whether they contradict each other.
func ProveFork(a Checkpoint, noteA []byte, b Checkpoint, noteB []byte, stored Hashes) (*Fork, error) {
	f := NewFork(a, noteA, b, noteB, nil)
	older, newer := min(a.Size, b.Size), max(a.Size, b.Size)
	if older == newer || older == 0 {
		return f, nil
	}
	proof, err := tlog.ProveTree(int64(newer), int64(older), stored)
	if err != nil {
		return nil, err
	}
	if bits.OnesCount64(older) == 1 { // RFC 6962 leaves out the one hash that whoever asks has already
		head, err := tlog.TreeHash(int64(older), stored)
		if err != nil {
			return nil, err
		}
		proof = slices.Insert([]tlog.Hash(proof), 0, head)
	}
	f.Proof = split(proof)
	return f, nil
}

// Verify says whether the operator signed both notes as states of the log and they contradict each other: nil means that
// the log was forked. ErrUnproven says that only the first is shown.
func (f *Fork) Verify(operator ed25519.PublicKey, origin string) error {
	a, b, err := f.Open(operator, origin)
	if err != nil {
		return err
	}
	switch {
	case a.Size > b.Size:
		return fmt.Errorf("%w: the smaller state comes first", errNoFork)
	case a.Size == b.Size && len(f.Proof) > 0:
		return fmt.Errorf("%w: two states of one size need no proof", errNoFork)
	case a.Size == b.Size && a.Root == b.Root:
		return fmt.Errorf("%w: the states are the same", errNoFork)
	case a.Size == b.Size:
		return nil
	case a.Size > 0 && len(f.Proof) == 0:
		return ErrUnproven
	}
	hashes, err := join(f.Proof)
	if err != nil {
		return err
	}
	was, is, err := heads(hashes, int64(a.Size), int64(b.Size))
	switch {
	case err != nil:
		return err
	case a.Size > 0 && Digest(is) != b.Root:
		return fmt.Errorf("%w: the hashes are not of the larger state", errNoFork)
	case Digest(was) == a.Root:
		return fmt.Errorf("%w: the larger state extends the smaller one", errNoFork)
	}
	return nil
}

// Open verifies the signatures of both notes and reads them.
func (f *Fork) Open(operator ed25519.PublicKey, origin string) (a, b Checkpoint, err error) {
	if a, err = OpenCheckpoint(f.A, origin, operator); err == nil {
		b, err = OpenCheckpoint(f.B, origin, operator)
	}
	return a, b, err
}

// heads gives the tree hashes of the first older and of all newer records, 0 <= older < newer, as SUBPROOF(older,
// D[newer], false) implies them.
func heads(proof []tlog.Hash, older, newer int64) (was, is tlog.Hash, err error) {
	if older == 0 {
		if len(proof) > 0 {
			return was, is, fmt.Errorf("%w: hashes beyond a proof", errCheckpoint)
		}
		return tlog.Hash(sha256.Sum256(nil)), is, nil
	}
	var walk func(m, n int64)
	walk = func(m, n int64) {
		if len(proof) == 0 {
			err = fmt.Errorf("%w: a proof is cut short", errCheckpoint)
			return
		}
		last := proof[len(proof)-1]
		if m == n {
			was, is = last, last
			proof = proof[:len(proof)-1]
			return
		}
		k := int64(1) << (bits.Len64(uint64(n-1)) - 1) // the largest power of two below n
		proof = proof[:len(proof)-1]
		if m <= k {
			walk(m, k)
			is = tlog.NodeHash(is, last)
			return
		}
		walk(m-k, n-k)
		was, is = tlog.NodeHash(last, was), tlog.NodeHash(last, is)
	}
	walk(older, newer)
	if err == nil && len(proof) > 0 {
		err = fmt.Errorf("%w: hashes beyond a proof", errCheckpoint)
	}
	return was, is, err
}

// Encode is the fork as one file: domain, the two notes behind their lengths, the number of hashes, the hashes.
func (f *Fork) Encode() ([]byte, error) {
	hashes, err := join(f.Proof)
	if err != nil {
		return nil, err
	}
	w := &writer{out: []byte(forkDomain)}
	w.bytes("note", f.A, maxCheckpoint)
	w.bytes("note", f.B, maxCheckpoint)
	w.hashes(hashes)
	return w.out, w.err
}

// ParseFork reads exactly what Encode writes.
func ParseFork(data []byte) (*Fork, error) {
	rest, ok := bytes.CutPrefix(data, []byte(forkDomain))
	if !ok {
		return nil, fmt.Errorf("%w: not the proof of a fork", errMalformed)
	}
	r := &reader{in: rest}
	f := &Fork{A: bytes.Clone(r.bytes("note", maxCheckpoint)), B: bytes.Clone(r.bytes("note", maxCheckpoint)), Proof: r.hashes()}
	return f, r.end()
}

func (w *writer) hashes(proof []tlog.Hash) {
	w.out = binary.BigEndian.AppendUint32(w.out, uint32(len(proof)))
	for _, h := range proof {
		w.out = append(w.out, h[:]...)
	}
}

func (r *reader) hashes() [][]byte {
	head := r.take("proof", 4)
	if head == nil {
		return nil
	}
	n := binary.BigEndian.Uint32(head)
	if n > maxProof {
		r.fail("proof", "is too long")
		return nil
	}
	var out [][]byte
	for range n {
		out = append(out, bytes.Clone(r.take("proof", tlog.HashSize)))
	}
	return out
}

// end refuses bytes behind the last field.
func (r *reader) end() error {
	if r.err == nil && len(r.in) > 0 {
		r.fail("file", "is followed by more bytes")
	}
	return r.err
}
