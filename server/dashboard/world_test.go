package dashboard

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"tutti/server/operator"
)

// board is a task in memory: its source and its control.
type board struct {
	mu       sync.Mutex
	view     *operator.View
	news     []operator.Happening
	watched  []chan struct{}
	done     []string
	failing  error // of every read
	refusing error // of every action
}

func newBoard(v *operator.View) *board { return &board{view: v} }

func (b *board) View(context.Context) (*operator.View, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failing != nil {
		return nil, b.failing
	}
	v := *b.view
	v.At = time.Now()
	return &v, nil
}

func (b *board) Happenings(_ context.Context, after uint64, limit int) ([]operator.Happening, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failing != nil {
		return nil, b.failing
	}
	i := slices.IndexFunc(b.news, func(x operator.Happening) bool { return x.Seq > after })
	if i < 0 {
		return nil, nil
	}
	return slices.Clone(b.news[i:min(len(b.news), i+limit)]), nil
}

func (b *board) Changed(context.Context) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := make(chan struct{}, 1)
	b.watched = append(b.watched, c)
	return c
}

// change edits the view, and tells those who wait for that.
func (b *board) change(edit func(v *operator.View)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := *b.view
	edit(&v)
	b.view = &v
	for _, c := range b.watched {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// happen adds happenings, numbered with gaps as a store numbers them.
func (b *board) happen(names ...string) {
	b.change(func(*operator.View) {
		for _, name := range names {
			n := uint64(len(b.news))*3 + 1
			b.news = append(b.news, operator.Happening{Seq: n, At: time.Now(), Name: name, Words: fmt.Sprintf("%s, number %d", name, n)})
		}
	})
}

func (b *board) did(what string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refusing != nil {
		return b.refusing
	}
	b.done = append(b.done, what)
	return nil
}

func (b *board) Pause(context.Context) error  { return b.did("pause") }
func (b *board) Resume(context.Context) error { return b.did("resume") }
func (b *board) Stop(context.Context) error   { return b.did("stop") }
func (b *board) CloseRound(_ context.Context, n uint64) error {
	return b.did(fmt.Sprintf("close %d", n))
}
func (b *board) Abandon(_ context.Context, n uint64) error {
	return b.did(fmt.Sprintf("abandon %d", n))
}
func (b *board) Rollback(_ context.Context, n uint64, note string) (uint64, error) {
	return n + 1, b.did(fmt.Sprintf("rollback %d %s", n, note))
}
func (b *board) Rollout(_ context.Context, n uint64, percent int, note string) error {
	return b.did(fmt.Sprintf("rollout %d %d %s", n, percent, note))
}

// sample is a task in the middle of its life, with something in every part of the page.
func sample(task string, ended int, on bool) *operator.View {
	now := time.Now().UTC().Truncate(time.Second)
	start := now.Add(-time.Duration(ended+1) * 26 * time.Hour)
	v := &operator.View{At: now, Task: task, Purpose: "Recommend films from what people watched, which stays on their devices", Opened: start, State: operator.Running,
		Sentence: "Round 7 published: 412 of 500 counted.", Privacy: operator.Privacy{On: on, Trust: "devices", Words: "every device adds its share of the noise"},
		Devices: operator.Devices{Enrolled: 1204, Wanted: 500, Counted: 1130, Most: 9}}
	v.Budget = operator.Budget{Bounded: on, Delta: "1e-6", Rho: 0.24, Epsilon: 4, History: []operator.Spending{{At: start, What: "opening"}}}
	spent := 0.0
	for i := 1; i <= ended; i++ {
		at := start.Add(time.Duration(i) * 26 * time.Hour)
		r := operator.Round{Number: uint64(i), Kind: "model", State: "published", Words: fmt.Sprintf("Round %d published.", i), Opened: at.Add(-190 * time.Second), Ended: at, Seconds: 190 + 7*float64(i%5),
			Goal: 500, Groups: 1, Counted: 412 + i*5%60, Staged: 430 + i*5%60, Late: i * 3 % 13, Charged: true, Version: uint64(i),
			Cost: operator.Cost{Rho: 0.004, Epsilon: 0.4}, Meter: &operator.Meter{Coords: 4096, Ratio: 1 + 0.02*math.Sin(float64(i)), Z: 1.6 * math.Sin(float64(i)*1.7)},
			Phases:  []operator.Phase{{Name: "created", Seconds: 2.1}, {Name: "collecting", Seconds: 160 + 7*float64(i%5)}, {Name: "frozen", Seconds: 4}, {Name: "certified", Seconds: 8}, {Name: "released", Seconds: 12}, {Name: "applied", Seconds: 3.9}},
			Refused: []operator.Reason{{Label: "vector", Words: "the vector's length, hash or range is wrong", Count: i % 4}, {Label: "closed", Words: "the round had closed when the upload arrived", Count: i % 3}}}
		if i <= 2 {
			r.Kind = []string{"popularity", "transitions"}[i-1]
		}
		if i%9 == 5 {
			r.State, r.Reason, r.Words, r.Version, r.Counted, r.Charged, r.Meter = "abandoned", "too_few_uploads", fmt.Sprintf("Round %d is abandoned with 88 uploads: too few devices took part before the deadline; nothing was opened", i), 0, 0, false, nil
			r.Phases, r.Staged = r.Phases[:2], 88
		} else {
			spent += r.Cost.Rho
			v.Budget.History = append(v.Budget.History, operator.Spending{At: at, Round: uint64(i), What: r.Kind, Rho: r.Cost.Rho, Spent: operator.Cost{Rho: spent, Epsilon: spent + 2*math.Sqrt(spent*13.8)}})
			v.Totals.Published++
			v.Versions = append([]operator.Version{{Number: uint64(i), Digest: fmt.Sprintf("%064x", i*7919*104729), Parent: fmt.Sprintf("%064x", (i-1)*7919*104729), Round: uint64(i), Cause: r.Kind, At: at}}, v.Versions...)
			if i > 2 {
				q := 0.031 + 0.02*(1-math.Exp(-float64(i)/6)) + 0.0012*math.Sin(float64(i)*2)
				fig := func(name string, x, w float64) operator.Figure {
					return operator.Figure{Name: name, Value: x, Low: x - w, High: x + w}
				}
				r.Measured = []operator.Figure{fig("evaluated", 0.97, 0.01), fig("hit10", 2.1*q, 0.006), fig("ndcg10", q, 0.003), fig("mrr", 0.8*q, 0.003), fig("loss", 1.7-3*q, 0.02), fig("clip", 0.62, 0.03), fig("history.short.ndcg10", 0.8*q, 0.006), fig("history.long.ndcg10", 1.1*q, 0.005)}
				v.Quality = append([]operator.Quality{{Round: uint64(i), Version: uint64(i - 1), At: at, Figures: r.Measured}}, v.Quality...)
			}
		}
		if !on {
			r.Meter, r.Charged = nil, false
		}
		v.Rounds = append([]operator.Round{r}, v.Rounds...)
		v.Totals.Rounds++
	}
	v.Totals.Abandoned = v.Totals.Rounds - v.Totals.Published
	v.Totals.Abandons = []operator.Reason{{Label: "too_few_uploads", Words: "too few devices took part before the deadline; nothing was opened", Count: v.Totals.Abandoned}}
	v.Totals.Refused = []operator.Reason{{Label: "vector", Words: "the vector's length, hash or range is wrong", Count: 38}, {Label: "closed", Words: "the round had closed when the upload arrived", Count: 24}}
	v.Budget.Spent = v.Budget.History[len(v.Budget.History)-1].Spent
	v.Budget.Left = 1 - spent/v.Budget.Rho - 0.016
	v.Budget.Reserved = operator.Cost{Rho: 0.004, Epsilon: 0.4}
	v.Budget.Forecast = operator.Forecast{Known: true, Rounds: int((v.Budget.Rho - spent) / 0.004), Stop: now.Add(40 * 24 * time.Hour), Words: "At this pace the budget bears 37 more rounds."}
	v.Open = &operator.Open{Number: uint64(ended + 1), Kind: "model", Phase: "collecting", Words: "takes uploads", Since: now.Add(-95 * time.Second), Opened: now.Add(-97 * time.Second), Deadline: now.Add(500 * time.Second),
		Goal: 500, Min: 300, Max: 650, Groups: 1, Staged: 241, Accepted: 228, Refused: []operator.Reason{{Label: "vector", Words: "the vector's length, hash or range is wrong", Count: 2}}, Phases: []operator.Phase{{Name: "created", Seconds: 2}, {Name: "collecting", Seconds: 95}}}
	for i := range 5 {
		seen := now.Add(-time.Duration(i) * time.Second)
		n := operator.Node{Address: fmt.Sprintf("committee-%d.example.org:7201", i+1), Up: i != 3, Seen: &seen, Complaints: i / 2}
		if i == 3 {
			away := now.Add(-20 * time.Minute)
			n.AwaySince = &away
		}
		v.Nodes = append(v.Nodes, n)
	}
	v.Aliases = []operator.Alias{{Name: "stable", Number: uint64(max(ended, 1) - 1), Percent: 100, Since: now}, {Name: "canary", Number: uint64(ended), Percent: 10, Since: now, Note: "watching the loss"}}
	checked := now.Add(-3 * time.Minute)
	v.Log = operator.Log{Origin: "tutti/" + task, Size: 93, Root: fmt.Sprintf("%064x", 0xfeedbeef), Last: &now, Verdict: operator.Verdict{State: "ok", At: &checked, Size: 93, Words: "All 93 records follow from one another, and every charge adds up."}}
	v.Replicas = []operator.Replica{{Name: "replica-a1b2", Seen: now, Drives: true, Answers: true}, {Name: "replica-c3d4", Seen: now}}
	v.Leases = []operator.Lease{{Name: "task/" + task, Holder: "replica-a1b2", Token: 4, Until: now.Add(10 * time.Second)}}
	v.Machine = operator.Machine{DiskFree: 41e9, DiskTotal: 64e9, Memory: 214e6, Started: start, Release: "0.6"}
	v.Warnings = []operator.Warning{{Label: "node_away", Words: "Committee node committee-4.example.org:7201 has not answered for 20 minutes; one more may be away.", Remedy: "Ask who runs it."}}
	return v
}

var errNotIn = errors.New("not a token")

// tokens is a verifier of two tokens.
func tokens(_ context.Context, token string) (Identity, error) {
	switch token {
	case "looks":
		return Identity{Name: "Ada", Until: time.Now().Add(time.Hour)}, nil
	case "acts":
		return Identity{Name: "Grace", Write: true}, nil
	}
	return Identity{}, errNotIn
}

func newDashboard(t *testing.T, opts Options, boards ...*board) *Handler {
	t.Helper()
	var desks []Desk
	for _, b := range boards {
		desks = append(desks, Desk{Task: b.view.Task, Source: b, Control: b})
	}
	h, err := New(Fixed(desks...), tokens, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}
