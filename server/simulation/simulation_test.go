package simulation

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// How many schedules: TUTTI_SIM in memory, TUTTI_SIM_SQL on each database, from seed TUTTI_SIM_FROM on. TUTTI_SIM_SEED plays
// one seed and tells all of it.
func setting(name string, otherwise uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
		return n
	}
	return otherwise
}

// tally is what a number of schedules came to.
type tally struct {
	mu     sync.Mutex
	ends   map[string]int
	hits   map[string]int
	steps  int
	writes int
}

func (y *tally) add(r Result) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for e, n := range r.Ends {
		y.ends[e] += n
	}
	for h, n := range r.Hits {
		y.hits[h] += n
	}
	for _, n := range r.Writes {
		y.writes += n
	}
	y.steps += r.Steps
}

// hit is how often a fault of a kind struck a write whose description contains what.
func (y *tally) hit(kind, what string) (n int) {
	for h, k := range y.hits {
		if strings.HasPrefix(h, kind+" ") && strings.Contains(h, what) {
			n += k
		}
	}
	return n
}

// playAll plays the schedules of n seeds on as many shelves as are given, and stops at the first that breaks something.
//
// A schedule plays in the same way on every store, to the write; each is played in memory as well, and compared.
func playAll(t *testing.T, n uint64, shelves ...*shelf) *tally {
	t.Helper()
	y := &tally{ends: map[string]int{}, hits: map[string]int{}}
	var next atomic.Uint64
	next.Store(setting("TUTTI_SIM_FROM", 0))
	asked := n
	n += next.Load()
	began := time.Now()
	var failed sync.Once
	var wg sync.WaitGroup
	for _, x := range shelves {
		wg.Go(func() {
			for seed := next.Add(1) - 1; seed < n; seed = next.Add(1) - 1 {
				res := x.play(New(seed), Sound, nil)
				y.add(res)
				if len(x.stores) > 0 {
					in := memory().play(New(seed), Sound, nil)
					if res.Steps != in.Steps || !maps.Equal(res.Ends, in.Ends) || !slices.Equal(res.Writes, in.Writes) {
						t.Errorf("seed %d plays otherwise than in memory: %v and %v, %d and %d steps", seed, res.Ends, in.Ends, res.Steps, in.Steps)
					}
				}
				if res.Broken != nil {
					next.Store(n)
					failed.Do(func() { t.Error(explain(x, New(seed), Sound, res.Broken)) })
				}
			}
		})
	}
	wg.Wait()
	total := 0
	for _, k := range y.ends {
		total += k
	}
	t.Logf("%d schedules in %v: %d steps, %d writes, %d ends of groups", asked, time.Since(began).Round(time.Millisecond), y.steps, y.writes, total)
	for _, e := range slices.Sorted(maps.Keys(y.ends)) {
		t.Logf("%8d %s", y.ends[e], e)
	}
	return y
}

// explain makes a failing schedule smaller and tells what happens in it.
func explain(x *shelf, s Schedule, b Break, was *Violation) string {
	small := Shrink(s, 400, func(t Schedule) bool {
		r := x.play(t, b, nil)
		return r.Broken != nil && r.Broken.Invariant == was.Invariant
	})
	var out strings.Builder
	fmt.Fprintf(&out, "seed %d: %v\n\nthe smallest schedule that does so:\n", s.Seed, was)
	small.Write(&out)
	fmt.Fprintf(&out, "\nwhat happens in it:\n")
	x.play(small, b, func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) })
	return out.String()
}

// TestInMemory plays a few seconds' worth, or TUTTI_SIM schedules; every end of a round is among them, and crashes on both
// sides of every transition.
func TestInMemory(t *testing.T) {
	n := setting("TUTTI_SIM", 3000)
	var shelves []*shelf
	for range runtime.GOMAXPROCS(0) {
		shelves = append(shelves, memory())
	}
	y := playAll(t, n, shelves...)
	if n < 3000 || t.Failed() {
		return
	}
	for _, want := range []string{"published", "abandoned too_few_uploads", "abandoned committee_absent", "abandoned committee_lost",
		"abandoned set_unsigned", "abandoned stopped", "abandoned storage_failed", "lost answers_disagree"} {
		if y.ends[want] == 0 {
			t.Errorf("no group ended as %q", want)
		}
	}
	for _, write := range []string{"begin", "created -> collecting", "collecting -> frozen", "frozen -> certified", "certified -> released",
		"released -> applied", "applied -> published", "abandoned -> abandoned", "stage", "keep a partial", "save the sum", "want", "renew"} {
		all := 0
		for _, kind := range []string{OpCrashBefore, OpCrashAfter, OpFailBefore, OpFailAfter, OpPauseWrite} {
			all += y.hit(kind, write)
		}
		if all < 10 {
			t.Errorf("%d faults at writes of %q", all, write)
		}
	}
}

// The same on the databases.
func TestOnSQLite(t *testing.T)     { playAll(t, setting("TUTTI_SIM_SQL", 40), sqlite(t)) }
func TestOnPostgreSQL(t *testing.T) { playAll(t, setting("TUTTI_SIM_SQL", 40), postgres(t)) }

// TestOneSeed tells all that happens in one schedule.
func TestOneSeed(t *testing.T) {
	seed := setting("TUTTI_SIM_SEED", 0)
	if os.Getenv("TUTTI_SIM_SEED") == "" {
		t.Skip("TUTTI_SIM_SEED names no seed")
	}
	res := memory().play(New(seed), Break(os.Getenv("TUTTI_SIM_BREAK")), func(format string, args ...any) { fmt.Printf(format+"\n", args...) })
	t.Log(res.Broken, res.Ends)
}

// TestEveryWrite takes a round in which nothing else goes wrong, and lets every kind of fault strike each of its writes.
func TestEveryWrite(t *testing.T) {
	calm := readCase(t, "testdata/calm.txt").schedule
	x := memory()
	res := x.play(calm, Sound, nil)
	if res.Broken != nil || res.Ends["published"] != calm.Groups {
		t.Fatalf("%v, %v", res.Broken, res.Ends)
	}
	played, published := 0, 0
	for who, writes := range res.Writes {
		for n := range writes {
			for _, kind := range []string{OpCrashBefore, OpCrashAfter, OpFailBefore, OpFailAfter, OpPauseWrite} {
				s := calm
				s.Ops = append(slices.Clone(calm.Ops), Op{Kind: kind, Who: who, N: n, For: 2 * lease})
				r := x.play(s, Sound, nil)
				if r.Broken != nil {
					t.Fatal(explain(x, s, Sound, r.Broken))
				}
				played++
				if r.Ends["published"] > 0 {
					published++
				}
			}
		}
	}
	t.Logf("%d schedules, %d of them published", played, published)
	if played < 250 || published < played*3/4 {
		t.Errorf("%d of %d published", published, played)
	}
}

// TestSameSeedSameStory: a schedule plays the same way twice, and in the same way from its file.
func TestSameSeedSameStory(t *testing.T) {
	for seed := range uint64(50) {
		s := New(seed)
		var file strings.Builder
		if err := s.Write(&file); err != nil {
			t.Fatal(err)
		}
		again, err := Read(strings.NewReader(file.String()))
		if err != nil {
			t.Fatal(err)
		}
		var stories [2]strings.Builder
		for i, s := range []Schedule{s, again} {
			memory().play(s, Sound, func(format string, args ...any) { fmt.Fprintf(&stories[i], format+"\n", args...) })
		}
		if stories[0].String() != stories[1].String() {
			t.Fatalf("seed %d plays in two ways", seed)
		}
	}
}

// frozen is a schedule in a file: with the mistake of its head it breaks the invariant of its head, and without it holds.
type frozen struct {
	name      string
	mistake   Break
	invariant string
	schedule  Schedule
}

func readCase(t testing.TB, path string) frozen {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := frozen{name: strings.TrimSuffix(filepath.Base(path), ".txt")}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "# mistake: "); ok {
			c.mistake = Break(strings.TrimSpace(v))
		}
		if v, ok := strings.CutPrefix(line, "# breaks: "); ok {
			c.invariant = strings.TrimSpace(v)
		}
	}
	if c.schedule, err = Read(strings.NewReader(string(b))); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return c
}
