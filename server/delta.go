package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"tutti/model"
	"tutti/model/delta"
	wire "tutti/server/grpc"
	"tutti/server/store"
)

// deltaReach is how many of the newest versions deltas are made between: whoever is further behind fetches whole blobs.
const deltaReach = 64

// deltas are those that were asked for. Each is made once and kept as a blob; which blob it is, is not: after a new start
// the same bytes are made again.
type deltas struct {
	mu   sync.Mutex // one is made at a time
	made map[[2]model.Digest]made
}

// made is what came of a pair of blobs.
type made struct {
	blob model.Digest
	none bool // not smaller than the blob itself
}

func (b backend) Delta(ctx context.Context, digest, base [32]byte) (io.ReaderAt, int64, io.Closer, error) {
	d, err := b.s.delta(ctx, digest, base)
	if errors.Is(err, delta.ErrUseless) || errors.Is(err, store.ErrNoBlob) {
		err = fmt.Errorf("%w: %w", wire.ErrNone, err)
	}
	if err != nil {
		return nil, 0, nil, err
	}
	return b.Blob(d)
}

// delta makes the blob that leads from one part of a version to the part of a newer version in its place.
func (s *Server) delta(ctx context.Context, digest, base model.Digest) (model.Digest, error) {
	d, pair := &s.deltas, [2]model.Digest{digest, base}
	d.mu.Lock()
	defer d.mu.Unlock()
	m, known := d.made[pair]
	if !known {
		if err := s.sameKind(ctx, digest, base); err != nil {
			return m.blob, err // not remembered: strangers may ask for anything
		}
		var err error
		if m, err = s.makeDelta(digest, base); err != nil {
			return m.blob, err
		}
		if d.made == nil || len(d.made) >= 4*deltaReach*deltaReach {
			d.made = map[[2]model.Digest]made{}
		}
		d.made[pair] = m
	}
	if m.none {
		return m.blob, delta.ErrUseless
	}
	return m.blob, nil
}

func (s *Server) makeDelta(digest, base model.Digest) (made, error) {
	want, err := s.st.Blob(digest)
	if err != nil {
		return made{}, err
	}
	have, err := s.st.Blob(base)
	if err != nil {
		return made{}, err
	}
	b, err := delta.Encode(have, want)
	if errors.Is(err, delta.ErrUseless) {
		return made{none: true}, nil
	}
	if err != nil {
		return made{}, err
	}
	blob, err := s.st.PutBlob(b)
	return made{blob: blob}, err
}

// sameKind says whether two digests stand in the same place of two of the newest versions, the base in the older one:
// nobody has the server compare anything else.
func (s *Server) sameKind(ctx context.Context, digest, base model.Digest) error {
	newest, err := s.st.Versions(ctx, s.cfg.Task, 0, deltaReach)
	if err != nil {
		return err
	}
	wanted := [4]bool{}
	for _, signed := range newest { // newest first
		v, err := model.ParseVersion(signed.Version)
		if err != nil {
			return err
		}
		for i, part := range [...]model.Digest{v.Spec, v.Params, v.Popularity, v.Transitions} {
			if wanted[i] && part == base && part != digest {
				return nil
			}
			wanted[i] = wanted[i] || part == digest && !part.IsZero()
		}
	}
	return delta.ErrUseless
}
