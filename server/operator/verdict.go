package operator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tutti/privacy/ledger"
)

// judgeEvery is how often the whole log is checked again, beside the check with the first view.
const judgeEvery = time.Hour

// judge reads the whole log: it makes the book, and checks the records' chain, the rules between them, and that their tree is
// the one whose root is signed. What is wrong with the log is the verdict, and what cannot be read is the error.
func judge(ctx context.Context, st Store, task string, clock func() time.Time) (*book, Verdict, error) {
	b := newBook(task)
	var tree ledger.Memory
	size := st.LogSize()
	done := errors.New("done")
	err := st.Records(ctx, 0, func(seq uint64, data []byte) error {
		if seq >= size {
			return done
		}
		r, err := ledger.Decode(data)
		if err != nil {
			return fmt.Errorf("record %d: %w", seq, err)
		}
		hashes, err := ledger.Append(seq, data, tree)
		if err != nil {
			return err
		}
		tree = append(tree, hashes...)
		return b.take(r)
	})
	if err != nil && !errors.Is(err, done) {
		return nil, Verdict{}, err
	}
	fault := b.fault
	if fault == nil {
		fault = sameTree(st, tree, size)
	}
	at := clock()
	v := Verdict{State: "ok", At: &at, Size: size, Words: fmt.Sprintf("all %d records follow the rules and each other, and are those that the stored hashes are of", size)}
	if fault != nil {
		v.State, v.Words = "failed", fault.Error()
	}
	return b, v, nil
}

// hashPage is how many stored hashes are compared at once.
const hashPage = 256

// sameTree says whether the stored hashes, of which roots and proofs are made, are those of the records.
func sameTree(st Store, tree ledger.Memory, size uint64) error {
	stored := st.Hashes()
	for from := 0; from < len(tree); from += hashPage {
		page := make([]int64, min(hashPage, len(tree)-from))
		for i := range page {
			page[i] = int64(from + i)
		}
		kept, err := stored.ReadHashes(page)
		if err != nil {
			return err
		}
		for i, h := range kept {
			if h != tree[from+i] {
				return fmt.Errorf("stored hash %d is not that of the records: the log was changed behind the server's back", from+i)
			}
		}
	}
	own, err := ledger.Root(size, tree)
	if err != nil {
		return err
	}
	if kept, err := st.Root(size); err != nil || own != kept {
		return fmt.Errorf("the records have the root %x, the store gives %x (%v)", own, kept, err)
	}
	return nil
}

// judgeAgain checks the log in the background when the last check is old. The caller holds mu.
func (m *Maker) judgeAgain() {
	now := m.set.Clock()
	if m.judging || m.verdict.At != nil && now.Sub(*m.verdict.At) < judgeEvery {
		return
	}
	m.judging = true
	go func() {
		_, v, err := judge(context.Background(), m.st, m.set.Task, m.set.Clock)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.judging = false
		if err != nil {
			at := m.set.Clock()
			v = Verdict{State: "unchecked", At: &at, Words: "the log could not be read: " + err.Error()}
		}
		m.verdict = v
	}()
}
