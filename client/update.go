package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"tutti/model"
	"tutti/model/delta"
	"tutti/privacy/plan"
)

// update takes the version that the server offers: it verifies it, fetches its
// parts, builds what ranks with it, keeps the parts and accepts it; ok means
// that the device may go on. The version that served before stays, with its
// parts, and goes on serving where the new one is not sane on this device.
//
// A version that is not sane is accepted all the same, and doubted: the device
// never goes back in number, starts its next download from it, and trains on it
// where a plan says so. Nothing that leaves the device tells whether it serves.
func (d *Device) update(ctx context.Context, sv *SignedVersion) (o Outcome, ok bool) {
	st, err := d.snapshot()
	if err != nil {
		return failed(err), false
	}
	v, r := st.judge(d.opts.Policy.Operator, sv, d.opts.Shared.items)
	if r != nil {
		return r.outcome(0), false
	}
	if v == nil {
		return Outcome{}, true
	}
	get := d.fetch(ctx, v)
	fresh, err := d.opts.Shared.ranker(v, get)
	if err != nil {
		if errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
			return failed(err), false
		}
		return refuse(ReasonBlob, err).outcome(0), false
	}
	if err := d.keepParts(v, get); err != nil {
		return failed(err), false
	}
	doubted := d.insane(fresh, st.serving()) != nil
	err = d.change(func(s *state) {
		s.accept(accepted{number: v.Number, digest: v.Digest(), version: sv.Version, signature: sv.Signature, doubted: doubted})
		if doubted {
			s.refused(ReasonSanity, 0)
		}
	})
	if err == nil {
		err = d.dropOldParts()
	}
	if err != nil {
		return failed(err), false
	}
	return Outcome{}, true
}

// partsOf lists the blobs that a version names.
func partsOf(v *model.Version) []model.Digest {
	var digests []model.Digest
	for _, d := range slots(v) {
		if !d.IsZero() {
			digests = append(digests, d)
		}
	}
	return digests
}

// slots are the parts of a version, zero where it has none; the same place holds
// the same kind of part in every version.
func slots(v *model.Version) [4]model.Digest {
	return [...]model.Digest{v.Spec, v.Params, v.Popularity, v.Transitions}
}

// keepParts saves the parts of a version, which have been read once already.
func (d *Device) keepParts(v *model.Version, get parts) error {
	for _, digest := range partsOf(v) {
		b, err := get(digest, maxPart)
		if err != nil {
			return err
		}
		d.mu.Lock()
		err = ErrClosed
		if !d.closed {
			err = d.opts.Store.SaveBlob(digest, b)
		}
		d.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// maxPart bounds a part that was read and accepted before.
const maxPart = 1 << 30

// dropOldParts keeps the parts of the accepted versions only.
func (d *Device) dropOldParts() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var keep [][32]byte
	for _, a := range d.st.versions {
		v, err := model.ParseVersion(a.version)
		if err != nil {
			return err
		}
		for _, digest := range partsOf(&v) {
			keep = append(keep, digest)
		}
	}
	if d.closed {
		return ErrClosed
	}
	return d.opts.Store.KeepBlobs(keep)
}

// base is the version that an update for a plan starts from: the plan's own, and
// where that cannot be had the newest older one that the plan allows and the
// device has; nil where a plan that only counts allows none that it has. A round
// that trains may start from a version that is not rolled out to this device: it
// trains on that one, and does not serve it.
func (d *Device) base(ctx context.Context, pl plan.Plan) (*model.Version, error) {
	st, err := d.snapshot()
	if err != nil {
		return nil, err
	}
	bases := pl.Bases()
	var missing error
	if st.find(bases[0]) == nil && pl.Kind == plan.Model && pl.Base != (plan.Digest{}) {
		v, r := d.baseOf(ctx, &st, pl)
		if r == nil {
			return v, nil
		}
		missing = r
	}
	for _, digest := range bases {
		if a := st.find(digest); a != nil {
			v, err := model.ParseVersion(a.version)
			return &v, err
		}
	}
	return nil, missing
}

// baseOf fetches the description of the version that a plan starts from, which is
// a blob under the digest that the signed plan names: no other one can stand in
// for it.
func (d *Device) baseOf(ctx context.Context, st *state, pl plan.Plan) (*model.Version, *refusal) {
	b, err := d.fetch(ctx, nil)(pl.Base, maxVersionLen)
	if err != nil {
		return nil, refuse(ReasonVersionUnknown, err)
	}
	v, err := model.ParseVersion(b)
	switch {
	case err != nil:
		return nil, refuse(ReasonVersionMalformed, err)
	case v.Number != pl.BaseNumber:
		return nil, refuse(ReasonVersionForked, fmt.Errorf("the plan calls version %d number %d", v.Number, pl.BaseNumber))
	case v.Items != d.opts.Shared.items:
		return nil, refuse(ReasonModel, fmt.Errorf("version %d is about catalogue %v", v.Number, v.Items))
	}
	if have := st.newest(); have != nil && v.Number == have.number+1 && v.Parent != have.digest {
		return nil, refuse(ReasonVersionForked, fmt.Errorf("version %d does not follow from the one on this device", v.Number))
	}
	return &v, nil
}

// fetch gets a blob from the process, the device's store, or the server, and
// checks its digest in the latter two. A part of the version next is made from
// what the device has in its place, where the server has a delta.
func (d *Device) fetch(ctx context.Context, next *model.Version) parts {
	near := d.near(next)
	return func(digest model.Digest, limit int64) ([]byte, error) {
		return d.opts.Shared.blobs.get(digest, func() ([]byte, error) {
			b, err := d.stored(digest, limit)
			if err == nil {
				return b, nil
			}
			if d.opts.Transport == nil {
				return nil, err
			}
			if base, known := near[digest]; known {
				if b, err := d.byDelta(ctx, digest, base, limit); err == nil || ctx.Err() != nil {
					return b, err
				}
			}
			b, err = d.opts.Transport.Blob(ctx, digest, limit)
			if err != nil {
				return nil, err
			}
			if sha256.Sum256(b) != digest {
				return nil, ErrDigest
			}
			return b, nil
		})
	}
}

// near says which blob of this device stands where a version has another one.
func (d *Device) near(next *model.Version) map[model.Digest]model.Digest {
	st, err := d.snapshot()
	if err != nil || next == nil || st.newest() == nil {
		return nil
	}
	have, err := model.ParseVersion(st.newest().version)
	if err != nil {
		return nil
	}
	near := map[model.Digest]model.Digest{}
	from, to := slots(&have), slots(next)
	for i, digest := range to {
		if !digest.IsZero() && !from[i].IsZero() && digest != from[i] {
			near[digest] = from[i]
		}
	}
	return near
}

// byDelta makes a blob of one that the device has. Any error means that the blob
// itself must be fetched.
func (d *Device) byDelta(ctx context.Context, digest, base model.Digest, limit int64) ([]byte, error) {
	have, err := d.stored(base, maxPart)
	if err != nil {
		return nil, err
	}
	change, err := d.opts.Transport.Delta(ctx, digest, base, min(limit, int64(len(have))))
	if err != nil {
		return nil, err
	}
	b, err := delta.Decode(change, have, limit)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(b) != digest {
		return nil, ErrDigest
	}
	return b, nil
}

// stored gets a blob from the device's own store.
func (d *Device) stored(digest model.Digest, limit int64) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, ErrClosed
	}
	b, err := d.opts.Store.Blob(digest)
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit || sha256.Sum256(b) != digest {
		return nil, fmt.Errorf("%w: a stored part of the model", ErrDigest)
	}
	return b, nil
}
