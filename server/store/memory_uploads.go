package store

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"tutti/server/round"
)

// Stage is Store.Stage.
func (m *Memory) Stage(ctx context.Context, k Key, replica string, most int, us []Staged) ([]error, error) {
	outcomes := make([]error, len(us))
	err := m.write(ctx, func(d *Disk) error {
		g, one := d.group(k), d.round(k)
		for i, u := range us {
			switch {
			case one != nil && one.uploads[u.ID] != nil:
				outcomes[i] = ErrSame
				if one.uploads[u.ID].Digest != u.Digest {
					outcomes[i] = ErrOther
				}
			case g == nil || g.row.Durable.State != round.Collecting:
				outcomes[i] = ErrRoundClosed
			case len(g.bySeq) >= most:
				outcomes[i] = ErrFullRound
			default:
				u.Raw, u.State, u.Shard, u.Seq, u.Replica = bytes.Clone(u.Raw), StagedUpload, k.Shard, uint64(len(g.bySeq)+1), replica
				row := &memUpload{Staged: u}
				put(d, one.uploads, u.ID, row)
				set(d, &g.bySeq, append(g.bySeq, row))
			}
		}
		return nil
	})
	return outcomes, err
}

// read gives an upload as a row without its header.
func (u *memUpload) read() Staged {
	s := u.Staged
	s.Raw = nil
	return s
}

// Uploads is Store.Uploads.
func (m *Memory) Uploads(ctx context.Context, k Key) ([]Staged, error) {
	out, err := m.UploadsSince(ctx, k, 0)
	slices.SortFunc(out, func(a, b Staged) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return out, err
}

// UploadsSince is Store.UploadsSince.
func (m *Memory) UploadsSince(ctx context.Context, k Key, seq uint64) (out []Staged, err error) {
	err = m.read(ctx, func(d *Disk) {
		if g := d.group(k); g != nil {
			for _, u := range g.bySeq[min(seq, uint64(len(g.bySeq))):] {
				out = append(out, u.read())
			}
		}
	})
	return out, err
}

// Upload is Store.Upload.
func (m *Memory) Upload(ctx context.Context, k Key, id round.ID) (s Staged, found bool, err error) {
	err = m.read(ctx, func(d *Disk) {
		if one := d.round(k); one != nil && one.uploads[id] != nil {
			s, found = one.uploads[id].read(), true
		}
	})
	return s, found, err
}

// Header is Store.Header.
func (m *Memory) Header(ctx context.Context, k Key, id round.ID) (header []byte, err error) {
	var slot, size int
	var f *memFiles
	err = m.read(ctx, func(d *Disk) {
		if one := d.round(k); one != nil && one.uploads[id] != nil && one.uploads[id].Shard == k.Shard {
			u := one.uploads[id]
			header, slot, size, f = bytes.Clone(u.Raw), u.Slot, u.Header, d.files[m.roundDir(k)]
		}
	})
	if err != nil || header != nil {
		return header, err
	}
	if f != nil {
		if st := f.staging.Load(); st != nil {
			return st.Header(slot, size)
		}
	}
	return nil, fmt.Errorf("%s/%d/%d: %w", k.Task, k.Round, k.Shard, ErrNoHeader)
}

// Fold is Store.Fold.
func (m *Memory) Fold(ctx context.Context, fence Fence, k Key, ids []round.ID, want bool) error {
	return m.write(ctx, func(d *Disk) error {
		if err := d.fenced(fence); err != nil {
			return err
		}
		for _, id := range ids {
			u := d.upload(k, id)
			if u == nil {
				return fmt.Errorf("%w: %s/%d/%d has no upload of %x to fold", ErrConflict, k.Task, k.Round, k.Shard, id[:4])
			}
			set(d, &u.want, want)
		}
		return nil
	})
}

func (d *Disk) upload(k Key, id round.ID) *memUpload {
	if one := d.round(k); one != nil {
		if u := one.uploads[id]; u != nil && u.Shard == k.Shard {
			return u
		}
	}
	return nil
}

// ToFold is Store.ToFold.
func (m *Memory) ToFold(ctx context.Context, k Key, replica string) (out []FoldRow, err error) {
	err = m.read(ctx, func(d *Disk) {
		if g := d.group(k); g != nil {
			for _, u := range g.bySeq {
				if u.Replica == replica && (u.want || u.folded) {
					out = append(out, FoldRow{u.ID, u.Slot, u.want, u.folded})
				}
			}
		}
	})
	return out, err
}

func (d *Disk) collecting(k Key) (*memGroup, error) {
	if g := d.group(k); g != nil && g.row.Durable.State == round.Collecting {
		return g, nil
	}
	return nil, ErrRoundClosed
}

// PutPartial is Store.PutPartial.
func (m *Memory) PutPartial(ctx context.Context, k Key, p Partial) error {
	return m.write(ctx, func(d *Disk) error {
		g, err := d.collecting(k)
		if err != nil {
			return err
		}
		was := uint64(0)
		if before := g.partials[p.Replica]; before != nil {
			was = before.Version
		}
		if p.Version != was+1 {
			return fmt.Errorf("%w: version %d of the partial sum of %s/%d/%d at %s is not the next", ErrConflict, p.Version, k.Task, k.Round, k.Shard, p.Replica)
		}
		put(d, g.partials, p.Replica, &Partial{Replica: p.Replica, Version: p.Version, Sum: bytes.Clone(notNull(p.Sum))})
		holds := make(map[round.ID]bool, len(p.IDs))
		for _, id := range p.IDs {
			if u := d.upload(k, id); u == nil || u.Replica != p.Replica || holds[id] {
				return fmt.Errorf("%w: %s has no upload of %x to hold, or holds it twice", ErrConflict, p.Replica, id[:4])
			}
			holds[id] = true
		}
		for _, u := range g.bySeq {
			if u.Replica == p.Replica && u.folded != holds[u.ID] {
				set(d, &u.folded, holds[u.ID])
			}
		}
		return nil
	})
}

// Partials is Store.Partials.
func (m *Memory) Partials(ctx context.Context, k Key) (out []Partial, err error) {
	err = m.read(ctx, func(d *Disk) {
		g := d.group(k)
		if g == nil {
			return
		}
		for _, replica := range slices.Sorted(maps.Keys(g.partials)) {
			p := *g.partials[replica]
			p.Sum = slices.Clone(p.Sum)
			for _, u := range g.bySeq {
				if u.folded && u.Replica == replica {
					p.IDs = append(p.IDs, u.ID)
				}
			}
			slices.SortFunc(p.IDs, func(a, b round.ID) int { return bytes.Compare(a[:], b[:]) })
			out = append(out, p)
		}
	})
	return out, err
}

// SaveSum is Store.SaveSum.
func (m *Memory) SaveSum(ctx context.Context, fence Fence, k Key, sum []byte) error {
	return m.write(ctx, func(d *Disk) error {
		if err := d.fenced(fence); err != nil {
			return err
		}
		g, err := d.collecting(k)
		if err != nil {
			return err
		}
		set(d, &g.sum, bytes.Clone(notNull(sum)))
		return nil
	})
}

// Sum is Store.Sum.
func (m *Memory) Sum(ctx context.Context, k Key) (sum []byte, err error) {
	err = m.read(ctx, func(d *Disk) {
		if g := d.group(k); g != nil {
			sum = bytes.Clone(g.sum)
		}
	})
	if err == nil && sum == nil {
		err = fmt.Errorf("%s/%d/%d: %w", k.Task, k.Round, k.Shard, ErrNoSum)
	}
	return sum, err
}

// each calls do with every upload of a task.
func (d *Disk) each(task string, do func(number uint64, one *memRound, u *memUpload)) {
	t := d.tasks[task]
	if t == nil {
		return
	}
	for _, n := range t.numbers {
		for _, u := range t.rounds[n].uploads {
			do(n, t.rounds[n], u)
		}
	}
}

// Uploaded is Store.Uploaded.
func (m *Memory) Uploaded(ctx context.Context, task string, first, last uint64) (out map[round.ID]bool, err error) {
	out = map[round.ID]bool{}
	err = m.read(ctx, func(d *Disk) {
		d.each(task, func(n uint64, _ *memRound, u *memUpload) {
			if n >= first && n <= last {
				out[u.ID] = true
			}
		})
	})
	return out, err
}

// DeviceSpent is Store.DeviceSpent.
func (m *Memory) DeviceSpent(ctx context.Context, task string, id round.ID) (rho *big.Rat, rounds int, err error) {
	rho = new(big.Rat)
	err = m.read(ctx, func(d *Disk) {
		d.each(task, func(_ uint64, one *memRound, u *memUpload) {
			if u.ID == id && u.State == CountedUpload {
				rounds++
				if one.rho != nil {
					rho.Add(rho, one.rho)
				}
			}
		})
	})
	return rho, rounds, err
}

// Participation is Store.Participation.
func (m *Memory) Participation(ctx context.Context, task string) (devices, most, total int, err error) {
	err = m.read(ctx, func(d *Disk) {
		counts := map[round.ID]int{}
		d.each(task, func(_ uint64, _ *memRound, u *memUpload) {
			if u.State == CountedUpload {
				counts[u.ID]++
				total++
				most = max(most, counts[u.ID])
			}
		})
		devices = len(counts)
	})
	return devices, most, total, err
}
