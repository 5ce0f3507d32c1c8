package operator

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// Source is where views come from, and what control goes to: the server, or a data directory that no server has open.
type Source interface {
	// View makes a picture of the task as it is now.
	View(ctx context.Context) (*View, error)
	// Happenings are at most limit events behind number after, oldest first; after 0 and limit n gives the first n that are kept.
	Happenings(ctx context.Context, after uint64, limit int) ([]Happening, error)
	// Changed is closed when there may be something new to see.
	Changed() <-chan struct{}
}

// Control is what an operator with the write scope does to a task. Who says who asked, for the log of the server.
type Control interface {
	// Pause lets the round under way end and opens no other; Resume goes on. They hold across replicas and restarts.
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
	// Stop ends the task for good once the round under way has ended: devices are told that it is over.
	Stop(ctx context.Context) error
	// CloseRound ends the collection of the round under way before its deadline; the minimum still holds.
	CloseRound(ctx context.Context) error
	// Abandon abandons the round under way, unless it is certified already.
	Abandon(ctx context.Context) error
	// Rollback publishes a version as a new one; Rollout lets a share of the devices, in percent, follow a version.
	Rollback(ctx context.Context, number uint64, note string) (published uint64, err error)
	Rollout(ctx context.Context, number uint64, percent int, note string) error
}

// Errors of Control.
var (
	ErrNoRound = errors.New("no round is under way")
	ErrStopped = errors.New("the task is stopped, which cannot be undone: start a new task")
	ErrVersion = errors.New("there is no such version")
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
