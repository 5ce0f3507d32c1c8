package store

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tutti/privacy/ledger"
	"tutti/server/round"
)

// BenchmarkRound writes all that a round of ten uploads writes: begin, five transitions with their log records, staging in
// two groups, a sum.
func BenchmarkRound(b *testing.B) {
	for kind, fresh := range kinds {
		b.Run(kind, func(b *testing.B) {
			s := taskIn(b, fresh(b))
			n := uint64(0)
			for b.Loop() {
				n++
				oneRound(b, s, n)
			}
		})
	}
}

func oneRound(b testing.TB, s Store, n uint64) {
	must(b, begin(b, s, n, nil))
	step := func(from, to round.State, version uint64, change func(*Change)) {
		c := move(from, to, version, change)
		c.Key = key(n)
		must(b, s.Move(ctx, lead(b, s), now, c))
	}
	step(round.Created, round.Collecting, 1, nil)
	us := make([]Staged, 10)
	set := make([]round.Upload, len(us))
	for i := range us {
		us[i] = upload(byte(i))
		set[i] = us[i].Upload
	}
	for _, part := range [][]Staged{us[:5], us[5:]} {
		_, err := s.Stage(ctx, key(n), "r", 10, part)
		must(b, err)
	}
	must(b, s.SaveSum(ctx, lead(b, s), key(n), make([]byte, 64)))
	step(round.Collecting, round.Frozen, 2, func(c *Change) { c.Transition.Durable.Set = set })
	step(round.Frozen, round.Certified, 3, func(c *Change) { c.Transition.Charge, c.Transition.Durable.Set = true, set })
	step(round.Certified, round.Released, 4, nil)
	step(round.Released, round.Published, 5, func(c *Change) {
		c.Log = []ledger.Body{&ledger.Abandon{Task: "t", Round: n, Plan: (&ledger.Plan{Bytes: fmt.Appendf(nil, "plan %d", n)}).Digest(), Reason: "stopped"}}
	})
}

// BenchmarkWrites measures small fenced transactions by 1 and by 32 callers at once, where group commit helps.
func BenchmarkWrites(b *testing.B) {
	for kind, fresh := range kinds {
		for _, callers := range []int{1, 32} {
			b.Run(fmt.Sprintf("%s/callers=%d", kind, callers), func(b *testing.B) {
				s := taskIn(b, fresh(b))
				fence := lead(b, s)
				var left atomic.Int64
				left.Store(int64(b.N))
				began := time.Now()
				var wg sync.WaitGroup
				for i := range callers {
					name := fmt.Sprint("n", i)
					wg.Go(func() {
						for left.Add(-1) >= 0 {
							if err := s.Keep(ctx, fence, "t", name, []byte("value")); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "writes/s")
			})
		}
	}
}
