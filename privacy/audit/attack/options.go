package attack

import (
	"context"
	"strconv"
	"sync"

	"tutti/privacy/audit"
)

// Options of every attack.
type Options struct {
	Seed     uint64                // of data, coins and the experiment's noise
	Workers  int                   // goroutines for what is computed per device; at least 1
	Progress func(done, total int) // may be nil; calls come one at a time
}

// each runs work for i in [0, n) on the workers, each with a number of its own, and stops at the first error.
func (o Options) each(ctx context.Context, n int, work func(worker, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var group sync.WaitGroup
	for w := range max(1, o.Workers) {
		group.Go(func() {
			for i := range next {
				if err := work(w, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	group.Wait()
	return context.Cause(ctx)
}

// steps counts an attack's work for Progress.
type steps struct {
	mu          sync.Mutex
	done, total int
	progress    func(done, total int)
}

func (o Options) steps(total int) *steps { return &steps{total: total, progress: o.Progress} }

func (s *steps) add(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done += n
	if s.progress != nil {
		s.progress(s.done, s.total)
	}
}

// number writes a figure with four significant digits.
func number(x float64) string { return strconv.FormatFloat(x, 'g', 4, 64) }

// fixed writes a figure with three decimals.
func fixed(x float64) string { return strconv.FormatFloat(x, 'f', 3, 64) }

// value is a figure with its 95 % interval.
func value(name string, e estimate) audit.Value {
	return audit.Value{Name: name, Value: fixed(e.value), Low: fixed(e.low), High: fixed(e.high)}
}

// judge picks the verdict: broken without a control that succeeded, then fail, then pass.
func judge(s *audit.Section, passes bool, good, bad string) {
	switch {
	case !s.PositiveControl.Detected:
		s.Verdict, s.Reason = audit.VerdictBroken, "The attack did not succeed without protection, so it shows nothing."
	case passes:
		s.Verdict, s.Reason = audit.VerdictPass, good
	default:
		s.Verdict, s.Reason = audit.VerdictFail, bad
	}
}
