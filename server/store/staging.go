package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// Staging holds the uploads of one open round: a file of headers and a file of vectors, both cut into slots of equal
// size, so that concurrent uploads write in place and one fsync makes many of them durable. It is safe for concurrent
// use as long as every slot has one writer.
type Staging struct {
	shut              func()       // behind Close
	drop              func() error // removes the vectors
	dir               string       // how messages call it
	headers, vectors  stagingFile
	headerCap, vector int

	mu   sync.Mutex
	next int
	free []int
	most int
}

// ErrNoSlot says that as many uploads are under way as the round has room for.
var ErrNoSlot = errors.New("no room to stage another upload now")

func (s *SQL) roundDir(k Key) string {
	return filepath.Join(s.dir, "rounds", filepath.FromSlash(roundName(k)))
}

func roundName(k Key) string {
	name := k.Task + "/" + strconv.FormatUint(k.Round, 10)
	if k.Shard > 0 {
		name += "." + strconv.FormatUint(uint64(k.Shard), 10)
	}
	return name
}

// OpenStaging opens or creates the staging files of a round for at most slots uploads. taken are the slots that staged
// uploads already hold.
func (s *SQL) OpenStaging(k Key, headerCap, vectorLen, slots int, taken []int) (*Staging, error) {
	dir := s.roundDir(k)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, Explain(dir, err)
	}
	headers, err := os.OpenFile(filepath.Join(dir, "headers"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, Explain(dir, err)
	}
	vectors, err := os.OpenFile(filepath.Join(dir, "vectors"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		headers.Close()
		return nil, Explain(dir, err)
	}
	written := 0
	if s.Shared() {
		if info, err := vectors.Stat(); err == nil {
			written = slotsIn(int(info.Size()), vectorLen)
		}
	}
	st := newStaging(dir, headers, vectors, headerCap, vectorLen, slots, written, taken)
	if err := syncDir(dir); err != nil {
		st.Close()
		return nil, Explain(dir, err)
	}
	st.drop = func() error { return ignoreMissing(os.Remove(filepath.Join(dir, "vectors"))) }
	st.shut = s.open.add(k, st)
	return st, nil
}

func newStaging(dir string, headers, vectors stagingFile, headerCap, vectorLen, slots, written int, taken []int) *Staging {
	st := &Staging{dir: dir, headers: headers, vectors: vectors, headerCap: headerCap, vector: vectorLen, most: slots}
	held := map[int]bool{}
	for _, slot := range taken {
		held[slot] = true
		st.next = max(st.next, slot+1)
	}
	for slot := written; slot < st.next; slot++ {
		if !held[slot] {
			st.free = append(st.free, slot)
		}
	}
	st.next = max(st.next, written)
	return st
}

// slotsIn is how many slots a file of that size has been written to. Where the database is another process's they are not
// used again by a replica that starts anew: a commit that the one before it had under way may still name them, although no
// row does yet (server/simulation, testdata/found/slot-of-a-commit-on-its-way.txt).
func slotsIn(size, slot int) int { return (size + slot - 1) / slot }

// stagings are the open ones, for Header.
type stagings struct {
	mu  sync.Mutex
	all map[Key]*Staging
}

func (o *stagings) add(k Key, st *Staging) (shut func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = map[Key]*Staging{}
	}
	o.all[k] = st
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.all[k] == st {
			delete(o.all, k)
		}
	}
}

func (o *stagings) find(k Key) *Staging {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all[k]
}

// Take reserves a slot.
func (st *Staging) Take() (int, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if n := len(st.free); n > 0 {
		slot := st.free[n-1]
		st.free = st.free[:n-1]
		return slot, nil
	}
	if st.next >= st.most {
		return 0, ErrNoSlot
	}
	st.next++
	return st.next - 1, nil
}

// Give returns a slot whose upload was not staged.
func (st *Staging) Give(slot int) {
	st.mu.Lock()
	st.free = append(st.free, slot)
	st.mu.Unlock()
}

// PutHeader writes an upload's header into its slot.
func (st *Staging) PutHeader(slot int, header []byte) error {
	if len(header) > st.headerCap {
		return fmt.Errorf("store: header of %d bytes, at most %d", len(header), st.headerCap)
	}
	_, err := st.headers.WriteAt(header, int64(slot)*int64(st.headerCap))
	return Explain(st.dir, err)
}

// PutVector writes a piece of an upload's vector into its slot.
func (st *Staging) PutVector(slot, offset int, piece []byte) error {
	if offset < 0 || offset+len(piece) > st.vector {
		return fmt.Errorf("store: %d bytes at %d of a vector of %d", len(piece), offset, st.vector)
	}
	_, err := st.vectors.WriteAt(piece, int64(slot)*int64(st.vector)+int64(offset))
	return Explain(st.dir, err)
}

// Sync makes everything written so far durable.
func (st *Staging) Sync() error {
	return Explain(st.dir, errors.Join(st.headers.Sync(), st.vectors.Sync()))
}

// Header reads the header of n bytes in a slot.
func (st *Staging) Header(slot, n int) ([]byte, error) {
	if n < 0 || n > st.headerCap {
		return nil, fmt.Errorf("store: header of %d bytes: %w", n, ErrCorrupt)
	}
	b := make([]byte, n)
	_, err := st.headers.ReadAt(b, int64(slot)*int64(st.headerCap))
	return b, Explain(st.dir, err)
}

// Vector reads the vector in a slot into into, which has the vector's length.
func (st *Staging) Vector(slot int, into []byte) error {
	_, err := st.vectors.ReadAt(into[:st.vector], int64(slot)*int64(st.vector))
	return Explain(st.dir, err)
}

// DropVectors removes the vectors: the certified sum is durable without them. The headers stay for members that have
// to rebuild their shares.
func (st *Staging) DropVectors() error {
	st.vectors.Close()
	return st.drop()
}

// Close closes the files and leaves them.
func (st *Staging) Close() error {
	if st.shut != nil {
		st.shut()
	}
	st.vectors.Close()
	return Explain(st.dir, st.headers.Close())
}

// DropRound removes the files of a round that has ended.
func (s *SQL) DropRound(k Key) error {
	return Explain(s.dir, os.RemoveAll(s.roundDir(k)))
}

// sweep removes the files of rounds that no longer need them.
func (s *SQL) sweep(open map[Key]bool) error {
	return eachRoundDir(s.dir, func(k Key, _ string) error {
		if open[k] {
			return nil
		}
		return s.DropRound(k)
	})
}

// eachRoundDir calls do with the directory of every group that has one.
func eachRoundDir(dir string, do func(k Key, path string) error) error {
	tasks, err := os.ReadDir(filepath.Join(dir, "rounds"))
	if err != nil {
		return ignoreMissing(err)
	}
	for _, task := range tasks {
		rounds, err := os.ReadDir(filepath.Join(dir, "rounds", task.Name()))
		if err != nil {
			continue
		}
		for _, r := range rounds {
			number, shard, split := strings.Cut(r.Name(), ".")
			n, err := strconv.ParseUint(number, 10, 64)
			g, err2 := strconv.ParseUint(shard, 10, 32)
			if split && err == nil {
				err = err2
			}
			if err != nil {
				continue
			}
			if err := do(Key{task.Name(), n, uint32(g)}, filepath.Join(dir, "rounds", task.Name(), r.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
