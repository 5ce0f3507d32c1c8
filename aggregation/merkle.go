package aggregation

import (
	"encoding/binary"
	"math/bits"
)

// maxPathLen is ceil(log2 MaxMembers).
const maxPathLen = 10

// envelopeLeaves hashes each envelope with its member's index, so that a leaf holds only in its own place.
func envelopeLeaves(envelopes [][]byte) []Digest {
	leaves := make([]Digest, len(envelopes))
	for i, e := range envelopes {
		leaves[i] = envelopeLeaf(uint16(i+1), e)
	}
	return leaves
}

func envelopeLeaf(member uint16, envelope []byte) Digest {
	var prefix [3]byte // 0 marks a leaf
	binary.BigEndian.PutUint16(prefix[1:], member)
	return hash(labelEnvelope, prefix[:], envelope)
}

func merkleNode(left, right Digest) Digest { return hash(labelEnvelope, []byte{1}, left[:], right[:]) }

// merkleRoot is the RFC 6962 tree: the left subtree holds the largest power of two below n.
func merkleRoot(leaves []Digest) Digest {
	switch len(leaves) {
	case 0:
		return hash(labelEnvelope)
	case 1:
		return leaves[0]
	}
	k := splitAt(len(leaves))
	return merkleNode(merkleRoot(leaves[:k]), merkleRoot(leaves[k:]))
}

// merklePath lists the siblings of leaf i from the bottom up.
func merklePath(leaves []Digest, i int) []Digest {
	if len(leaves) <= 1 {
		return nil
	}
	k := splitAt(len(leaves))
	if i < k {
		return append(merklePath(leaves[:k], i), merkleRoot(leaves[k:]))
	}
	return append(merklePath(leaves[k:], i-k), merkleRoot(leaves[:k]))
}

// envelopeRoot binds the number of leaves to the root of their tree.
func envelopeRoot(n int, root Digest) Digest {
	var prefix [3]byte
	prefix[0] = 2
	binary.BigEndian.PutUint16(prefix[1:], uint16(n))
	return hash(labelEnvelope, prefix[:], root[:])
}

// merkleVerify reports whether leaf i of n leads to the envelopeRoot.
func merkleVerify(root, leaf Digest, i, n int, path []Digest) bool {
	got, used, ok := merkleClimb(leaf, i, n, path)
	return ok && used == len(path) && envelopeRoot(n, got) == root
}

func merkleClimb(leaf Digest, i, n int, path []Digest) (node Digest, used int, ok bool) {
	if n <= 1 {
		return leaf, 0, n == 1 && i == 0
	}
	k := splitAt(n)
	left := i < k
	if left {
		node, used, ok = merkleClimb(leaf, i, k, path)
	} else {
		node, used, ok = merkleClimb(leaf, i-k, n-k, path)
	}
	if !ok || used >= len(path) {
		return Digest{}, used, false
	}
	if left {
		return merkleNode(node, path[used]), used + 1, true
	}
	return merkleNode(path[used], node), used + 1, true
}

// splitAt is the largest power of two smaller than n, n >= 2.
func splitAt(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }
