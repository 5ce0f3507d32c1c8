package campaign

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"

	"tutti/model/optim"
	"tutti/privacy/plan"
	"tutti/privacy/telemetry"
	"tutti/server"
	"tutti/server/round"
)

// What a campaign remembers beside the published versions is kept in the server's database, and written in the transaction
// that publishes a round: whoever goes on, after a crash or on another replica, goes on with the same numbers.
const (
	keptOptimiser = "campaign/optimiser" // optim.State of the server's optimiser, after the newest model round
	keptTally     = "campaign/tally"     // what nothing was said about yet
)

// tally adds up what became of devices, over the rounds that nothing was said about yet. Exact numbers, for the statements
// of privacy/telemetry alone.
type tally struct {
	Rounds  int            `json:"rounds"`
	Last    uint64         `json:"last"` // number of the newest
	Counted int            `json:"counted"`
	Drops   map[string]int `json:"drops,omitempty"`
	Millis  map[int]int    `json:"millis,omitempty"` // counted uploads by how long they took, in whole steps of uploadRange
}

// uploadRange is what an upload's time is told in.
var uploadRange = telemetry.Range{Low: 0, High: 10_000, Step: 1}

// add is the tally with one more round.
func (t tally) add(number uint64, n server.Counters) tally {
	t.Rounds, t.Last, t.Counted = t.Rounds+1, number, t.Counted+n.Counted
	t.Drops, t.Millis = maps.Clone(t.Drops), maps.Clone(t.Millis)
	if t.Drops == nil {
		t.Drops = map[string]int{}
	}
	if t.Millis == nil {
		t.Millis = map[int]int{}
	}
	for reason, k := range n.Drops {
		t.Drops[reason] += k
	}
	t.Drops[round.DropClosed.String()] += n.Late
	t.Drops[round.DropCommittee.String()] += n.Refused
	for _, m := range n.UploadMillis {
		t.Millis[int(math.Round(min(max(m, uploadRange.Low), uploadRange.High)))]++
	}
	return t
}

// millis is a value for each counted upload.
func (t tally) millis() []float64 {
	var all []float64
	for m, n := range t.Millis {
		for range n {
			all = append(all, float64(m))
		}
	}
	return all
}

// maxTally bounds what is read back: times are at most 10,001 different ones, and reasons a closed list.
const maxTally = 1 << 20

// recall reads what is kept; a task that keeps nothing yet begins with nothing.
func (c *Campaign) recall(ctx context.Context) error {
	c.optimiser, c.tally = nil, tally{}
	if c.cfg.LastClip != nil { // the log knows it, also of rounds that another replica drove
		c.lastClip, c.within = 0, math.NaN()
	}
	b, found, err := c.cfg.Server.Kept(ctx, keptTally)
	if err != nil || !found {
		return err
	}
	if len(b) > maxTally {
		return fmt.Errorf("campaign: a tally of %d bytes", len(b))
	}
	if err := json.Unmarshal(b, &c.tally); err != nil {
		return fmt.Errorf("campaign: the tally: %w", err)
	}
	return nil
}

// optimise is the server's optimiser as the newest model round left it.
func (c *Campaign) optimise(ctx context.Context) (*optim.Server, error) {
	if c.optimiser != nil {
		return c.optimiser, nil
	}
	o, err := optim.NewServer(c.cfg.Optimiser, c.parts.Params.Layout().Size())
	if err != nil {
		return nil, err
	}
	b, found, err := c.cfg.Server.Kept(ctx, keptOptimiser)
	if err != nil {
		return nil, err
	}
	if found {
		state, err := optim.ParseState(b)
		if err == nil {
			err = o.Restore(state)
		}
		if err != nil {
			return nil, fmt.Errorf("the optimiser that the task was left with: %w", err)
		}
	}
	c.optimiser = o
	return o, nil
}

// keep is what a publication of a round writes down with it.
func (c *Campaign) keep(r *server.RoundResult, t tally) (map[string][]byte, error) {
	if r == nil {
		return nil, nil
	}
	b, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	kept := map[string][]byte{keptTally: b}
	if r.Plan.Kind == plan.Model && c.optimiser != nil {
		if kept[keptOptimiser], err = c.optimiser.State().Marshal(); err != nil {
			return nil, err
		}
	}
	return kept, nil
}
