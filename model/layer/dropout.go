package layer

import "tutti/model/kernel"

// DropoutKey is the key of kernel.Dropout for one place in a network, and one
// sequence: sites are numbered by the caller, seed is the sequence's.
func DropoutKey(seed uint64, site int) uint64 { return seed + uint64(site+1)*siteStep }

// siteStep tells places apart: an odd number without pattern, so that all
// differ. kernel.Dropout mixes the key.
const siteStep = 0x9e3779b97f4a7c15

// DropoutKeys writes the keys of a site for every sequence of a batch.
func DropoutKeys(keys, seeds []uint64, site int) {
	for i, seed := range seeds {
		keys[i] = DropoutKey(seed, site)
	}
}

// Dropout is kernel.Dropout over the rows of a ragged batch, with one key per
// sequence: what is dropped depends on the key and the place in the sequence
// only. With the same keys it is its own backward: y, x: N x d gradients of its
// input and its output. y may be x; p is in [0, 1).
func Dropout(y, x []float32, offsets []int32, keys []uint64, d int, p float32) {
	for s, key := range keys {
		lo, hi := int(offsets[s])*d, int(offsets[s+1])*d
		kernel.Dropout(y[lo:hi], x[lo:hi], key, 0, p)
	}
}
