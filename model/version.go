package model

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
)

const (
	versionDomain = "tutti/model/version"
	maxBlend      = 32 // bytes: no float64 needs more decimal characters
)

// Version identifies one published model: what devices rank with. A zero Digest
// means that this version has no such part.
type Version struct {
	Number      uint64 // 1, 2, 3, ... ; 0 is never published
	Parent      Digest // digest of the Version before this one
	Spec        Digest // of what the Transformer looks like and reads (package blend)
	Layout      Digest // of the Transformer's weights
	Items       Digest // of the catalogue: item keys, and public features where used
	Params      Digest // of the Transformer's weights
	Popularity  Digest // of the private popularity counts
	Transitions Digest // of the private item transitions
	// Blend is the weight in [0, 1] of the Transformer in the served blend, as
	// the shortest decimal of a float64, e.g. "0.7"; empty if nothing is blended.
	Blend string
}

// FormatBlend writes a weight the way Version.Blend wants it.
func FormatBlend(weight float64) string { return strconv.FormatFloat(weight, 'g', -1, 64) }

// BlendWeight reads Blend; an empty one is 1: the Transformer alone.
func (v Version) BlendWeight() (float64, error) {
	if v.Blend == "" {
		return 1, nil
	}
	if len(v.Blend) > maxBlend {
		return 0, fmt.Errorf("blend of %d bytes, at most %d", len(v.Blend), maxBlend)
	}
	w, err := strconv.ParseFloat(v.Blend, 64)
	if err != nil || !(w >= 0 && w <= 1) || math.Signbit(w) || FormatBlend(w) != v.Blend {
		return 0, fmt.Errorf("blend %q is not the shortest decimal of a weight in [0, 1]", v.Blend)
	}
	return w, nil
}

func (v Version) check() error {
	if v.Number == 0 {
		return fmt.Errorf("number 0")
	}
	_, err := v.BlendWeight()
	return err
}

// Marshal returns the canonical bytes: domain, format 1, number, the seven
// digests in the order of the fields, blend.
func (v Version) Marshal() ([]byte, error) {
	if err := v.check(); err != nil {
		return nil, fmt.Errorf("version: %w", err)
	}
	return v.canonical(), nil
}

func (v Version) canonical() []byte {
	b := appendHeader(nil, versionDomain, 1)
	b = binary.BigEndian.AppendUint64(b, v.Number)
	for _, d := range []Digest{v.Parent, v.Spec, v.Layout, v.Items, v.Params, v.Popularity, v.Transitions} {
		b = append(b, d[:]...)
	}
	return appendString(b, v.Blend)
}

// ParseVersion reads what Marshal writes, and nothing else: there is one byte
// string per version.
func ParseVersion(b []byte) (Version, error) {
	r := reader{rest: b}
	r.header(versionDomain, 1)
	v := Version{
		Number: r.uint64(),
		Parent: r.digest(), Spec: r.digest(), Layout: r.digest(), Items: r.digest(),
		Params: r.digest(), Popularity: r.digest(), Transitions: r.digest(),
		Blend: r.string(maxBlend),
	}
	if err := r.done(); err != nil {
		return Version{}, fmt.Errorf("version: %w", err)
	}
	if err := v.check(); err != nil {
		return Version{}, fmt.Errorf("version: %w", err)
	}
	return v, nil
}

// Digest is the SHA-256 of the canonical bytes.
func (v Version) Digest() Digest { return sha256.Sum256(v.canonical()) }
