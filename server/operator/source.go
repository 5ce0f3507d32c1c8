package operator

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"
)

// Source is where views come from, and what control goes to: the server, or a data directory that no server has open.
type Source interface {
	// View makes a picture of the task as it is now.
	View(ctx context.Context) (*View, error)
	// Happenings are at most limit events behind number after, oldest first; after 0 and limit n gives the first n that are kept.
	Happenings(ctx context.Context, after uint64, limit int) ([]Happening, error)
	// Changed gives a channel that gets an element when there may be something new to see, until ctx ends.
	Changed(ctx context.Context) <-chan struct{}
}

// Reporter gives out the log, from which everything that was claimed can be recomputed.
type Reporter interface {
	// Report writes ledger.jsonl and gives the checkpoint over all that it wrote, a signed note.
	Report(ctx context.Context, w io.Writer) (checkpoint []byte, err error)
}

// Control is what an operator with the write scope does to a task.
type Control interface {
	// Pause lets the round under way end and opens no other; Resume goes on. They hold across replicas and restarts.
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
	// Stop ends the task for good once the round under way has ended: devices are told that it is over.
	Stop(ctx context.Context) error
	// CloseRound ends the collection of the round under way before its deadline; the minimum still holds. Another round than
	// the one that is meant is left alone; 0 means the one under way.
	CloseRound(ctx context.Context, round uint64) error
	// Abandon abandons the round under way, unless it is certified already.
	Abandon(ctx context.Context, round uint64) error
	// Rollback publishes a version as a new one; Rollout lets a share of the devices, in percent, follow a version.
	Rollback(ctx context.Context, number uint64, note string) (published uint64, err error)
	Rollout(ctx context.Context, number uint64, percent int, note string) error
}

// Errors of Control.
var (
	ErrNoRound = errors.New("no round is under way")
	ErrStopped = errors.New("the task is stopped, which cannot be undone: start a new task")
	ErrVersion = errors.New("there is no such version")
	ErrShare   = errors.New("a roll-out wants a share of 0 to 100 percent of the devices")
	ErrBusy    = errors.New("a round is under way: wait for its end, or abandon it")
	// ErrUnsupported says that this server cannot do what was asked.
	ErrUnsupported = errors.New("not supported")
)

// Happening is something that happened, as every replica can tell it. The numbers ascend, with gaps.
type Happening struct {
	Seq   uint64          `json:"seq"`
	At    time.Time       `json:"at"`
	Round uint64          `json:"round,omitempty"`
	Name  string          `json:"name"`  // the event's name: Opened, Progress, ...
	Words string          `json:"words"` // the event in plain words
	Data  json.RawMessage `json:"data"`  // the event itself
}
