package operator

import (
	"maps"
	"slices"
	"sort"
	"time"

	"tutti/server/round"
	"tutti/server/store"
)

// chronicle is what the happenings of a task add up to, taken in one by one. It keeps the newest rounds, and sums of the rest.
type chronicle struct {
	seq      uint64
	rounds   map[uint64]*happenedRound
	nodes    map[string]*Node
	replicas map[string]*Replica
	driver   Lease
	waiting  *Told // too few devices, since the last round
	failing  *Told // the round stands still
	drops    map[string]int
	phases   map[string]*Histogram
	asks     []ask
}

// ask is what an operator asked of the driver.
type ask struct {
	Round uint64
	What  string
}

// happenedRound is what the happenings say of a round.
type happenedRound struct {
	opened   time.Time
	phases   []Phase // of the group that moved last, closed ones
	phase    string
	since    time.Time
	byGroup  map[int]phased
	staged   int
	accepted int
	ended    *Told
	at       time.Time
	sentence string
}

type phased struct {
	name  string
	since time.Time
}

// Histogram is how long things took, over all that the store still tells of. Counts[i] of them took at most Bounds[i]
// seconds; Count counts all.
type Histogram struct {
	Name   string    `json:"name"`
	Bounds []float64 `json:"bounds"`
	Counts []uint64  `json:"counts"` // cumulative
	Count  uint64    `json:"count"`
	Sum    float64   `json:"sum"`
}

// PhaseBounds are the bounds of the histograms of phases, in seconds.
var PhaseBounds = []float64{0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600, 24 * 3600}

func (h *Histogram) add(x float64) {
	for i, bound := range h.Bounds {
		if x <= bound {
			h.Counts[i]++
		}
	}
	h.Count++
	h.Sum += x
}

func newChronicle() *chronicle {
	return &chronicle{rounds: map[uint64]*happenedRound{}, nodes: map[string]*Node{}, replicas: map[string]*Replica{},
		drops: map[string]int{}, phases: map[string]*Histogram{}}
}

// aboutRounds are the names whose happenings are of a round.
var aboutRounds = []string{RoundOpened, RoundProgress, RoundMoved, RoundEnded, RoundPublished, RoundAbandoned, RoundLost, RoundFreed}

// take takes in one happening.
func (c *chronicle) take(h store.Happened) {
	c.seq = max(c.seq, h.Seq)
	t, ok := ReadTold(h)
	if !ok {
		return
	}
	if h.Round > 0 && slices.Contains(aboutRounds, h.Name) {
		c.takeRound(h, t)
		return
	}
	switch h.Name {
	case NodeAway, NodeBack, NodeDoubted, NodeWrong:
		c.takeNode(h, t)
	case Waiting:
		c.waiting = &t
	case Failing:
		c.failing = &t
	case ReplicaSeen, ReplicaDrives, ReplicaLeft:
		c.takeReplica(h, t)
	case Asked:
		c.asks = append(c.asks, ask{h.Round, t.Ask})
		c.asks = c.asks[max(0, len(c.asks)-32):]
	}
}

func (c *chronicle) takeRound(h store.Happened, t Told) {
	r := c.rounds[h.Round]
	if r == nil {
		if h.Round+MaxRounds < c.newest() {
			return
		}
		r = &happenedRound{opened: h.At, byGroup: map[int]phased{}}
		c.rounds[h.Round] = r
		delete(c.rounds, h.Round-min(h.Round, MaxRounds+1))
	}
	c.waiting, c.failing = nil, nil
	switch h.Name {
	case RoundProgress:
		r.staged, r.accepted = t.Staged, t.Accepted
	case RoundMoved:
		c.move(r, h.At, t)
	case RoundPublished, RoundAbandoned, RoundLost:
		if t.Group == 0 {
			r.sentence = t.Words
		}
	case RoundFreed:
		if r.sentence != "" && t.Group == 0 {
			r.sentence += "; " + lower(t.Words)
		}
	case RoundEnded:
		if r.ended == nil {
			for reason, n := range t.Drops {
				c.drops[known(reason)] += n
			}
		}
		r.ended, r.at, r.byGroup = &t, h.At, nil
	}
}

func (c *chronicle) newest() uint64 {
	var last uint64
	for n := range c.rounds {
		last = max(last, n)
	}
	return last
}

// move ends one phase of a group and begins the next. The times shown are those of the group that was the last to leave a phase.
func (c *chronicle) move(r *happenedRound, at time.Time, t Told) {
	if r.byGroup == nil {
		return
	}
	was, found := r.byGroup[t.Group]
	if !found {
		was = phased{t.From, r.opened}
	}
	r.byGroup[t.Group] = phased{t.To, at}
	r.phase, r.since = t.To, at
	if was.name == "" || was.name == t.To {
		return
	}
	took := at.Sub(was.since).Seconds()
	if i := slices.IndexFunc(r.phases, func(p Phase) bool { return p.Name == was.name }); i >= 0 {
		r.phases[i].Seconds = max(r.phases[i].Seconds, took)
	} else {
		r.phases = append(r.phases, Phase{was.name, took})
	}
	h := c.phases[was.name]
	if h == nil {
		h = &Histogram{Name: was.name, Bounds: PhaseBounds, Counts: make([]uint64, len(PhaseBounds))}
		c.phases[was.name] = h
	}
	h.add(took)
}

func (c *chronicle) takeNode(h store.Happened, t Told) {
	n := c.nodes[t.Node]
	if n == nil {
		n = &Node{Address: t.Node, Up: true}
		c.nodes[t.Node] = n
	}
	at := h.At
	switch h.Name {
	case NodeAway:
		if n.Up {
			n.Up, n.AwaySince = false, &at
		}
		return
	case NodeBack:
		n.Up, n.AwaySince = true, nil
	case NodeDoubted:
		n.Complaints += t.Complaints
		n.Wrong += t.Wrong
	case NodeWrong:
		n.Wrong++
	}
	n.Seen = &at
}

// replicasKept bounds the replicas that are remembered: those that come and go have new names each time.
const replicasKept = 64

func (c *chronicle) takeReplica(h store.Happened, t Told) {
	if h.Name == ReplicaLeft {
		delete(c.replicas, t.Replica)
		if c.driver.Holder == t.Replica {
			c.driver = Lease{}
		}
		return
	}
	c.replicas[t.Replica] = &Replica{Name: t.Replica, Seen: h.At}
	if h.Name == ReplicaDrives && t.Token >= c.driver.Token {
		c.driver = Lease{Holder: t.Replica, Token: t.Token, Until: h.At}
	}
	if len(c.replicas) > replicasKept {
		oldest := slices.MinFunc(slices.Collect(maps.Values(c.replicas)), func(a, b *Replica) int { return a.Seen.Compare(b.Seen) })
		delete(c.replicas, oldest.Name)
	}
}

// known is a reason's label if it is one of the closed set, so that no label of a metric is ever anything else.
func known(label string) string {
	for _, r := range round.DropReasons() {
		if r.String() == label {
			return label
		}
	}
	return "unknown"
}

// refused lists drops with their words, the most frequent first.
func refused(drops map[string]int) []Reason {
	out := []Reason{}
	words := map[string]string{}
	for _, r := range round.DropReasons() {
		words[r.String()] = r.Sentence()
	}
	for label, n := range drops {
		if n > 0 {
			out = append(out, Reason{Label: known(label), Words: words[label], Count: n})
		}
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].Count > out[j].Count || out[i].Count == out[j].Count && out[i].Label < out[j].Label
	})
	return out
}

// lower begins a sentence in small letters, to go on behind another one.
func lower(s string) string {
	if s == "" || len(s) > 1 && s[1] >= 'A' && s[1] <= 'Z' {
		return s
	}
	if s[0] >= 'A' && s[0] <= 'Z' {
		return string(s[0]+'a'-'A') + s[1:]
	}
	return s
}
