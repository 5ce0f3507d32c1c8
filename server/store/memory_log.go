package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"tutti/privacy/ledger"
	"tutti/server/round"
)

// append judges bodies and writes them with their hashes. If the write fails later, or a body is refused behind others,
// the log is made again from its records.
func (d *Disk) append(now time.Time, bodies []ledger.Body) error {
	was, hashes := len(d.records), len(d.hashes)
	for _, body := range bodies {
		rec := d.log.Next(body, now.Unix())
		data, err := d.log.Add(rec)
		if err != nil {
			return fmt.Errorf("log: %w", err)
		}
		if len(d.records) == was {
			d.onError(func() { d.truncate(was, hashes) })
		}
		more, err := ledger.Append(rec.Seq, data, memHashes(d.hashes))
		if err != nil {
			return fmt.Errorf("log: %w", err)
		}
		d.records, d.hashes = append(d.records, data), append(d.hashes, more...)
	}
	return nil
}

func (d *Disk) truncate(records, hashes int) {
	d.records, d.hashes, d.log = d.records[:records:records], d.hashes[:hashes:hashes], new(ledger.State)
	for seq, data := range d.records {
		if err := addRecord(d.log, int64(seq), data); err != nil {
			panic(err) // they were judged before
		}
	}
}

// memHashes is tlog.HashReader.
type memHashes []tlog.Hash

func (h memHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		if at < 0 || at >= int64(len(h)) {
			return nil, fmt.Errorf("log: hash %d of %d", at, len(h))
		}
		out[i] = h[at]
	}
	return out, nil
}

// Append is Store.Append.
func (m *Memory) Append(ctx context.Context, fence Fence, now time.Time, bodies ...ledger.Body) error {
	return m.write(ctx, func(d *Disk) error {
		if err := d.fenced(fence); err != nil {
			return err
		}
		return d.append(now, bodies)
	})
}

// Totals is Store.Totals.
func (m *Memory) Totals(task string) (ledger.Totals, bool) {
	m.d.mu.Lock()
	defer m.d.mu.Unlock()
	return m.d.log.Task(task)
}

// With is Store.With.
func (m *Memory) With(task string, round uint64, rho *big.Rat, stream ledger.Digest) (*big.Rat, bool) {
	m.d.mu.Lock()
	defer m.d.mu.Unlock()
	return m.d.log.With(task, round, rho, stream)
}

func (m *Memory) record(ctx context.Context, at func(*ledger.State) (uint64, bool)) (rec ledger.Record, found bool, err error) {
	var data []byte
	err = m.read(ctx, func(d *Disk) {
		seq, ok := at(d.log)
		if found = ok; found {
			data = d.records[seq]
		}
	})
	if err != nil || !found {
		return rec, false, err
	}
	rec, err = ledger.Decode(data)
	return rec, err == nil, err
}

// PlanRecord is Store.PlanRecord.
func (m *Memory) PlanRecord(ctx context.Context, task string, round uint64) (ledger.Record, bool, error) {
	return m.record(ctx, func(s *ledger.State) (uint64, bool) { return s.PlanAt(task, round) })
}

// EndRecord is Store.EndRecord.
func (m *Memory) EndRecord(ctx context.Context, k Key) (ledger.Record, bool, error) {
	return m.record(ctx, func(s *ledger.State) (uint64, bool) { return s.EndAt(k.Task, k.Round, k.Shard) })
}

// LogSize is Store.LogSize.
func (m *Memory) LogSize() uint64 {
	m.d.mu.Lock()
	defer m.d.mu.Unlock()
	return uint64(len(m.d.records))
}

// Records is Store.Records.
func (m *Memory) Records(ctx context.Context, from uint64, each func(seq uint64, record []byte) error) error {
	var records [][]byte
	if err := m.read(ctx, func(d *Disk) { records = d.records }); err != nil { // only ever added to
		return err
	}
	for seq := from; seq < uint64(len(records)); seq++ {
		if err := each(seq, bytes.Clone(records[seq])); err != nil {
			return err
		}
	}
	return nil
}

// Hashes is Store.Hashes.
func (m *Memory) Hashes() ledger.Hashes {
	m.d.mu.Lock()
	defer m.d.mu.Unlock()
	return memHashes(m.d.hashes)
}

// Root is Store.Root.
func (m *Memory) Root(size uint64) (ledger.Digest, error) { return ledger.Root(size, m.Hashes()) }

// Proof is Store.Proof.
func (m *Memory) Proof(from, to uint64) ([][]byte, error) {
	proof, err := ledger.ProveConsistency(from, to, m.Hashes())
	return slices.Clip(proof), err
}

func (d *Disk) putVersion(task string, v SignedVersion) error {
	t := d.task(task)
	i, there := slices.BinarySearchFunc(t.versions, v.Number, func(w SignedVersion, n uint64) int { return int(int64(w.Number - n)) })
	if there {
		return fmt.Errorf("%w: version %d of task %s is there", ErrConflict, v.Number, task)
	}
	v.Version, v.Signature = bytes.Clone(v.Version), bytes.Clone(v.Signature)
	set(d, &t.versions, slices.Insert(slices.Clip(t.versions), i, v))
	return nil
}

// PutVersion is Store.PutVersion.
func (m *Memory) PutVersion(ctx context.Context, fence Fence, now time.Time, task string, v SignedVersion, log ledger.Body) error {
	return m.write(ctx, func(d *Disk) error {
		if err := d.fenced(fence); err != nil {
			return err
		}
		if err := d.putVersion(task, v); err != nil {
			return err
		}
		return d.append(now, []ledger.Body{log})
	})
}

// LatestVersion is Store.LatestVersion.
func (m *Memory) LatestVersion(ctx context.Context, task string) (SignedVersion, bool, error) {
	return first(m.Versions(ctx, task, 0, 1))
}

// Version is Store.Version.
func (m *Memory) Version(ctx context.Context, task string, number uint64) (SignedVersion, bool, error) {
	v, found, err := first(m.Versions(ctx, task, number+1, 1))
	return v, found && v.Number == number, err
}

// Versions is Store.Versions.
func (m *Memory) Versions(ctx context.Context, task string, before uint64, limit int) (out []SignedVersion, err error) {
	err = m.read(ctx, func(d *Disk) {
		t := d.tasks[task]
		if t == nil {
			return
		}
		for i := len(t.versions) - 1; i >= 0 && len(out) < limit; i-- {
			if before == 0 || t.versions[i].Number < before {
				out = append(out, t.versions[i])
			}
		}
	})
	return out, err
}

// SetAlias is Store.SetAlias.
func (m *Memory) SetAlias(ctx context.Context, fence Fence, task string, a Alias) error {
	if a.Name == "" || a.Percent > 100 {
		return fmt.Errorf("%w: %q at %d %%", ErrAlias, a.Name, a.Percent)
	}
	return m.write(ctx, func(d *Disk) error {
		if err := d.fencedUnlessOperator(fence); err != nil {
			return err
		}
		t := d.task(task)
		if !slices.ContainsFunc(t.versions, func(v SignedVersion) bool { return v.Number == a.Number }) {
			return fmt.Errorf("%w: task %s has no version %d", ErrAlias, task, a.Number)
		}
		a.Since = time.UnixMilli(a.Since.UnixMilli())
		put(d, t.aliases, a.Name, a)
		return nil
	})
}

// Aliases is Store.Aliases.
func (m *Memory) Aliases(ctx context.Context, task string) (out []Alias, err error) {
	err = m.read(ctx, func(d *Disk) {
		if t := d.tasks[task]; t != nil {
			for _, name := range slices.Sorted(maps.Keys(t.aliases)) {
				out = append(out, t.aliases[name])
			}
		}
	})
	return out, err
}

// AddTokens is Store.AddTokens.
func (m *Memory) AddTokens(ctx context.Context, _ time.Time, task string, hashes [][32]byte) error {
	return m.write(ctx, func(d *Disk) error {
		for _, h := range hashes {
			if _, there := d.tokens[h]; there {
				return errors.New("store: the token is there")
			}
			put(d, d.tokens, h, memToken{task: task})
		}
		return nil
	})
}

// Enrol is Store.Enrol.
func (m *Memory) Enrol(ctx context.Context, _ time.Time, task string, hash [32]byte, id round.ID, _ []byte) error {
	return m.write(ctx, func(d *Disk) error {
		token, known := d.tokens[hash]
		switch {
		case !known || token.task != task:
			return ErrToken
		case token.device != nil && *token.device != id:
			return ErrTokenUsed
		case token.device != nil:
			return nil
		}
		token.device = &id
		put(d, d.tokens, hash, token)
		if t := d.task(task); !t.known[id] {
			put(d, t.known, id, true)
			set(d, &t.devices, append(t.devices, id))
		}
		return nil
	})
}

// EnrolledIDs is Store.EnrolledIDs.
func (m *Memory) EnrolledIDs(ctx context.Context, task string, n int) (ids []round.ID, err error) {
	err = m.read(ctx, func(d *Disk) {
		if t := d.tasks[task]; t != nil {
			ids = slices.Clone(t.devices[:min(n, len(t.devices))])
		}
	})
	if err == nil && len(ids) != n {
		err = fmt.Errorf("%d devices of %d: %w", len(ids), n, ErrCorrupt)
	}
	return ids, err
}

// Enrolled is Store.Enrolled.
func (m *Memory) Enrolled(ctx context.Context, task string) (n int, err error) {
	err = m.read(ctx, func(d *Disk) {
		if t := d.tasks[task]; t != nil {
			n = len(t.devices)
		}
	})
	return n, err
}

// PutBlob is Store.PutBlob.
func (m *Memory) PutBlob(content []byte) ([32]byte, error) {
	digest := sha256.Sum256(content)
	return digest, m.write(context.Background(), func(d *Disk) error {
		put(d, d.blobs, digest, slices.Clone(notNull(content)))
		return nil
	})
}

// Blob is Store.Blob.
func (m *Memory) Blob(digest [32]byte) (content []byte, err error) {
	found := false
	err = m.read(context.Background(), func(d *Disk) { content, found = d.blobs[digest] })
	if err == nil && !found {
		err = noBlob(digest)
	}
	return bytes.Clone(content), err
}

// OpenBlob is Store.OpenBlob.
func (m *Memory) OpenBlob(digest [32]byte) (io.ReaderAt, int64, io.Closer, error) {
	b, err := m.Blob(digest)
	if err != nil {
		return nil, 0, nil, err
	}
	return bytes.NewReader(b), int64(len(b)), io.NopCloser(nil), nil
}
