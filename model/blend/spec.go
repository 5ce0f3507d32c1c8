package blend

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"tutti/model"
	"tutti/model/seqrec"
	"tutti/model/stats"
)

const (
	specDomain = "tutti/model/spec"
	specFormat = 1
	specLen    = 4 + len(specDomain) + 1 + 4*7 + 1
)

// MaxEmbedding bounds r, the columns that the transitions lend to the features.
const MaxEmbedding = 64

var errSpec = errors.New("model spec")

// Spec says what the Transformer looks like and what it reads. It travels as a blob that a model.Version names.
type Spec struct {
	Items  int // V
	Dim    int // d
	Blocks int
	Heads  int
	Hidden int // width of the feed-forward layer
	MaxLen int // L

	// Features: items are read through public columns instead of a learned table, so that a few thousand numbers are
	// all that is trained: the catalogue's own columns, Embedding columns from the released transitions and, with any,
	// one of the released popularity. All of them are public or post-processing of a release.
	Features  bool
	Embedding int // r, 0 to MaxEmbedding; needs Features
}

func (s Spec) check() error {
	if s.Embedding < 0 || s.Embedding > MaxEmbedding || s.Embedding > 0 && !s.Features {
		return fmt.Errorf("%w: %d embedding columns", errSpec, s.Embedding)
	}
	for _, n := range []int{s.Items, s.Dim, s.Blocks, s.Heads, s.Hidden, s.MaxLen} {
		if n < 0 || n > math.MaxInt32 {
			return fmt.Errorf("%w: a size of %d", errSpec, n)
		}
	}
	return nil
}

// Marshal gives the canonical bytes: domain, format, the sizes as uint32 in the order of the fields, Features as a byte.
func (s Spec) Marshal() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(len(specDomain)))
	b = append(b, specDomain...)
	b = append(b, specFormat)
	for _, n := range []int{s.Items, s.Dim, s.Blocks, s.Heads, s.Hidden, s.MaxLen, s.Embedding} {
		b = binary.BigEndian.AppendUint32(b, uint32(n))
	}
	if s.Features {
		return append(b, 1), nil
	}
	return append(b, 0), nil
}

// ParseSpec reads what Marshal writes, and nothing else.
func ParseSpec(b []byte) (Spec, error) {
	if len(b) != specLen {
		return Spec{}, fmt.Errorf("%w: %d bytes, want %d", errSpec, len(b), specLen)
	}
	head := 4 + len(specDomain)
	var n [7]int
	for i := range n {
		n[i] = int(binary.BigEndian.Uint32(b[head+1+4*i:]) & math.MaxInt32)
	}
	s := Spec{Items: n[0], Dim: n[1], Blocks: n[2], Heads: n[3], Hidden: n[4], MaxLen: n[5], Embedding: n[6], Features: b[specLen-1] == 1}
	again, err := s.Marshal()
	if err != nil {
		return Spec{}, err
	}
	if string(again) != string(b) {
		return Spec{}, fmt.Errorf("%w: not canonical", errSpec)
	}
	return s, nil
}

// Digest is the SHA-256 of the canonical bytes of a valid spec.
func (s Spec) Digest() (model.Digest, error) {
	b, err := s.Marshal()
	if err != nil {
		return model.Digest{}, err
	}
	return sha256.Sum256(b), nil
}

// Public holds the columns of the catalogue: V x Dim, row after row.
type Public struct {
	Dim  int
	Rows []float32
}

// Model builds the Transformer. The releases may be nil where the spec does not read them or where they do not exist
// yet: their columns are 0 then. Equal inputs give equal models.
func (s Spec) Model(public Public, popularity *stats.Popularity, transitions *stats.Transitions) (*seqrec.Model, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	cfg := seqrec.Config{Items: s.Items, Dim: s.Dim, Blocks: s.Blocks, Heads: s.Heads, Hidden: s.Hidden, MaxLen: s.MaxLen}
	if !s.Features {
		return seqrec.New(cfg, nil)
	}
	rows, dim, err := s.columns(public, popularity, transitions)
	if err != nil {
		return nil, err
	}
	cfg.FeatureDim = dim
	return seqrec.New(cfg, rows)
}

// columns puts the features of every item side by side: public, r of the transitions, one of the popularity.
func (s Spec) columns(public Public, popularity *stats.Popularity, transitions *stats.Transitions) ([]float32, int, error) {
	if public.Dim < 1 || len(public.Rows) != s.Items*public.Dim {
		return nil, 0, fmt.Errorf("%w: %d public features for %d items of %d columns", errSpec, len(public.Rows), s.Items, public.Dim)
	}
	if popularity != nil && popularity.Catalogue() != s.Items || transitions != nil && transitions.Block().Catalogue() != s.Items {
		return nil, 0, fmt.Errorf("%w: releases of another catalogue", errSpec)
	}
	var embedding []float32
	if transitions != nil && s.Embedding > 0 {
		var err error
		if embedding, err = transitions.Embedding(s.Embedding); err != nil {
			return nil, 0, err
		}
	}
	dim := public.Dim + s.Embedding + 1
	rows := make([]float32, s.Items*dim)
	for i := range s.Items {
		row := rows[i*dim : (i+1)*dim]
		copy(row, public.Rows[i*public.Dim:(i+1)*public.Dim])
		if embedding != nil {
			copy(row[public.Dim:], embedding[i*s.Embedding:(i+1)*s.Embedding])
		}
		if popularity != nil {
			row[dim-1] = logShare(popularity.Shares()[i], s.Items)
		}
	}
	return rows, dim, nil
}

// logShare maps a share of popularity to about [-1, 1]: 0 for an item that is as popular as the average.
func logShare(share float32, items int) float32 {
	return float32(math.Log((float64(share)*float64(items)+0.1)/1.1) / 4)
}
